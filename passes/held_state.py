# SPDX-License-Identifier: Apache-2.0
"""What a model's code keeps beside parameters and buffers: attributes, and what functions reach by name.

Tables and caches sit in attributes of modules, in lists, dicts and objects there, in attributes of classes, in globals,
in variables of enclosing functions and in the caches of `functools`. They are found from the model, so that each tensor
among them has a name, can be forgotten for a recording, and is afterwards what it was.
"""

from __future__ import annotations

import contextlib
import dis
import functools
import sys
import types
import weakref
from collections import OrderedDict, defaultdict, deque
from collections.abc import Collection, Iterator
from typing import Any

import attrs
import torch
from lading.passes.model_roots import global_names
from lading.passes.trace.whole_numbers import needs_the_class

CONTAINERS = frozenset({list, dict, set, OrderedDict, defaultdict, deque})
PLAIN = frozenset({bool, int, float, complex, str, bytes, type(None), type, torch.Size, torch.dtype, torch.device})
TORCHS = frozenset(vars(torch.nn.Module()))
"""Attributes that every module has."""
_OPAQUE = (torch.nn.Module, type, types.ModuleType, types.BuiltinFunctionType)
_DEEPEST = 4
"""How far containers in objects in containers are looked into, and functions that call functions."""
_LONG = 256
"""Members above which a container whose first one is a plain value is taken for a vocabulary, say."""
_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
_MISSING = object()
_CACHED = functools._lru_cache_wrapper


@attrs.frozen(eq=False)
class Place:
    """Where a tensor was when the capture began.

    Attributes:
        path: a dotted name, as `encoder.tables.short`.
        words: the same for a reader, as "attribute 'tables' of 'encoder'".
        namespace: what holds it under `key`, or what holds the container that it is a member of.
        key: the name there.
        value: what was there, the tensor or the container.
    """

    path: str
    words: str
    namespace: _Namespace
    key: Any
    value: Any

    def forget(self) -> None:
        """Make it as though the tensor had not been made: None for a tensor or a tuple, emptied for a container."""
        if type(self.value) in CONTAINERS:
            self.value.clear()
        else:
            self.namespace.put(self.key, None)

    def now(self) -> Iterator[torch.Tensor]:
        """Yield the tensors that are at this place."""
        return _tensors_in(self.namespace.get(self.key))


@attrs.frozen(eq=False)
class _Namespace:
    """Names with values, wherever Python keeps them: attributes, globals, variables of an enclosing function."""

    holder: Any

    def get(self, key: Any) -> Any:
        if isinstance(self.holder, types.CellType):
            try:
                return self.holder.cell_contents
            except ValueError:
                return _MISSING
        if isinstance(self.holder, dict):
            return self.holder.get(key, _MISSING)
        return getattr(self.holder, key, _MISSING)

    def put(self, key: Any, value: Any) -> None:
        if isinstance(self.holder, types.CellType):
            self.holder.cell_contents = value
        elif isinstance(self.holder, dict):
            if value is _MISSING:
                self.holder.pop(key, None)
            else:
                self.holder[key] = value
        elif isinstance(self.holder, type):
            type.__setattr__(self.holder, key, value)
        else:
            object.__setattr__(self.holder, key, value)


class HeldState:
    """The places of one model, as they are when this is made.

    Attributes:
        places: by `id` of a tensor, where it is held; the first place found wins.
    """

    def __init__(self) -> None:
        self.places: dict[int, Place] = {}
        self._own: list[tuple[_Namespace, Any, Any]] = []
        self._shared: list[tuple[_Namespace, Any, Any]] = []
        self._containers: list[tuple[Any, Any, bool]] = []
        self._functions: list[tuple[_Namespace, Any, Any]] = []
        self._rounding: dict[int, dict[str, Any] | None] = {}
        self._counting: dict[int, dict[str, Any]] = {}
        self._seen: set[int] = set()
        self._is_touched = False

    # ---- finding -----------------------------------------------------------------------------------------------------

    def save(self, container: Any) -> None:
        """Keep in mind what a list, dict or set of a module has in it, whatever that is."""
        if type(container) in CONTAINERS:
            self._containers.append((container, container.copy(), True))

    def read_attribute(self, module: str, attributes: dict[str, Any], key: str) -> None:
        """Look at an attribute of the module of that path."""
        words = f"attribute '{key}' of '{module}'" if module else f"attribute '{key}' of the model"
        value = attributes[key]
        place = Place(f"{module}.{key}" if module else key, words, _Namespace(attributes), key, value)
        self._look(value, place, 0, own=True)

    def read_class(self, kind: type) -> None:
        """Look at what the methods of a class of modules reach by name."""
        if id(kind) not in self._seen:
            self._seen.add(id(kind))
            if any(_package(base) not in _FOREIGN for base in kind.__mro__):
                self._take(reach_of(kind), 0)

    def read_function(self, function: Any) -> None:
        """Look at what a function that is the model, or is called by it, reaches by name."""
        reach = Reach()
        reach.read(function)
        self._take(reach, 0)

    def _take(self, reach: Reach, depth: int) -> None:
        self._counting.update(reach.counting)
        for place, module in reach.rounding.items():
            self._rounding[place] = None if self._rounding.get(place, module) is None else module
        for namespace, key, path, where in reach.names:
            name = hash((id(namespace.holder), key))
            if name in self._seen:
                continue
            self._seen.add(name)
            value = namespace.get(key)
            if isinstance(value, _CACHED):
                self._functions.append((namespace, key, value))
            elif not isinstance(value, _OPAQUE):
                self._shared.append((namespace, key, value))
                if type(value) not in PLAIN:
                    self._look(value, Place(path, f"'{key}' of {where}", namespace, key, value), depth, own=False)

    def _look(self, value: Any, place: Place, depth: int, *, own: bool) -> None:
        if isinstance(value, torch.Tensor):
            self.places.setdefault(id(value), place)
            return
        kind = type(value)
        if kind in PLAIN or isinstance(value, _OPAQUE) or depth > _DEEPEST or id(value) in self._seen:
            return
        if kind is types.FunctionType:
            self._seen.add(id(value))
            self.read_function(value)
        elif kind is _CACHED:
            # A member of a container is left alone: the place is that of the container.
            if value is place.value:
                self._functions.append((place.namespace, place.key, value))
        elif kind in CONTAINERS or isinstance(value, tuple):
            self._seen.add(id(value))
            if kind in CONTAINERS:
                self._containers.append((value, value.copy(), own))
            pairs = list(value.items()) if isinstance(value, dict) else list(enumerate(value))
            if len(pairs) > _LONG and type(pairs[0][1]) in PLAIN:
                return
            for key, member in pairs:
                if type(member) not in PLAIN:
                    self._look(member, attrs.evolve(place, path=f"{place.path}.{key}"), depth + 1, own=own)
        elif _package(kind) not in _FOREIGN:
            self._seen.add(id(value))
            for namespace, key, held in _attributes_of(value):
                (self._own if own else self._shared).append((namespace, key, held))
                if type(held) not in PLAIN:
                    words = f"attribute '{key}' of {place.words}"
                    self._look(held, Place(f"{place.path}.{key}", words, namespace, key, held), depth + 1, own=own)

    # ---- during a recording ------------------------------------------------------------------------------------------

    @property
    def rounding(self) -> list[dict[str, Any]]:
        """The globals of the functions that name `int`, where none of a module's needs Python's own."""
        return [module for module in self._rounding.values() if module is not None]

    @property
    def counting(self) -> list[dict[str, Any]]:
        """The globals of the functions that name `len`."""
        return list(self._counting.values())

    def forget(self, paths: Collection[str]) -> None:
        """Make it as though the tensors of these paths had not been made."""
        for place in self.places.values():
            if place.path in paths:
                place.forget()
                self._is_touched = True

    @contextlib.contextmanager
    def remembered_apart(self) -> Iterator[None]:
        """Let functions under `functools.cache` remember tensors, while the context is open, apart from other calls.

        Tensors that they returned before are not used, those that they return are not kept, and symbolic sizes are
        arguments like any.
        """
        apart = {id(function): _Apart(function) for _, _, function in self._functions}
        for namespace, key, function in self._functions:
            namespace.put(key, apart[id(function)])
        try:
            yield
        finally:
            for namespace, key, function in self._functions:
                namespace.put(key, function)
            for one in apart.values():
                one.forget()

    # ---- afterwards --------------------------------------------------------------------------------------------------

    def restore(self) -> None:
        """Put back what modules hold; and what functions share, if a tensor was put there."""
        shared = self._is_touched or any(
            current is not saved and _holds_tensor(current)
            for namespace, key, saved in self._shared
            for current in (namespace.get(key),)
        )
        shared = shared or any(
            _has_changed(container, saved) and _holds_tensor(container)
            for container, saved, own in self._containers
            if not own
        )
        for namespace, key, saved in (*self._own, *(self._shared if shared else ())):
            if namespace.get(key) is not saved:
                namespace.put(key, saved)
        for container, saved, own in self._containers:
            if (own or shared) and _has_changed(container, saved):
                container.clear()
                if isinstance(container, (list, deque)):
                    container.extend(saved)
                else:
                    container.update(saved)


class Reach:
    """What functions read and bind by name outside of themselves, but for functions, modules and classes.

    Attributes:
        names: namespace, key there, a dotted name, and where that is in words.
        rounding: the globals of the functions that name `int`, by `id`; None where one of these needs Python's own.
        counting: the globals of the functions that name `len`, by `id`.
    """

    def __init__(self) -> None:
        self.names: list[tuple[_Namespace, str, str, str]] = []
        self.rounding: dict[int, dict[str, Any] | None] = {}
        self.counting: dict[int, dict[str, Any]] = {}
        self._seen: set[int] = set()

    def read(self, function: Any) -> None:
        """Follow a function."""
        if isinstance(function, types.MethodType):
            inner = _function_of(function.__func__)
            if inner is not None:
                self._function(inner, type(function.__self__), 0)
        elif isinstance(function, functools.partial):
            self.read(function.func)
        elif isinstance(function, types.FunctionType):
            self._function(function, None, 0)

    def methods(self, names: tuple[str, ...], kind: type, depth: int = 0) -> None:
        """Follow the methods and take the attributes of a class that have one of these names."""
        for base in kind.__mro__:
            if _package(base) in _FOREIGN:
                continue
            held = vars(base)
            for name in names:
                if name not in held:
                    continue
                function = _function_of(held[name])
                if function is not None:
                    self._function(function, kind, depth + 1)
                elif not name.startswith("__"):
                    where = f"class {base.__name__}"
                    self._name(_Namespace(base), name, held[name], f"{base.__name__}.{name}", where, depth)

    def _function(self, function: types.FunctionType, kind: type | None, depth: int) -> None:
        code = function.__code__
        key = id(code) if kind is None else hash((id(code), id(kind)))
        if key in self._seen or depth > _DEEPEST or _package(function) in _FOREIGN:
            return
        self._seen.add(key)
        for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
            namespace = _Namespace(cell)
            if name != "__class__":
                where = f"the function around {function.__qualname__}"
                self._name(namespace, name, namespace.get(name), name, where, depth)
        module = function.__globals__
        names, bound = _names_of(code)
        if "len" in names:
            self.counting[id(module)] = module
        if "int" in names and self.rounding.get(id(module), module) is not None:
            self.rounding[id(module)] = None if needs_the_class(code) else module
        if kind is not None:
            self.methods(names, kind, depth)
        for name in names:
            value = module.get(name, _MISSING)
            if isinstance(value, types.ModuleType):
                if _package_name(value.__name__) not in _FOREIGN:
                    self._cached_of(value, names)
            elif value is not _MISSING or name in bound:
                self._name(_Namespace(module), name, value, name, f"module {module.get('__name__', '')}", depth)

    def _cached_of(self, module: types.ModuleType, names: tuple[str, ...]) -> None:
        for name in names:
            if isinstance(value := vars(module).get(name), _CACHED):
                self._name(_Namespace(vars(module)), name, value, name, f"module {module.__name__}", 0)

    def _name(self, namespace: _Namespace, key: str, value: Any, path: str, where: str, depth: int) -> None:
        if isinstance(value, types.FunctionType):
            self._function(value, None, depth + 1)
        elif isinstance(value, _CACHED):
            self.names.append((namespace, key, path, where))
            self.read(value.__wrapped__)
        elif not isinstance(value, _OPAQUE):
            self.names.append((namespace, key, path, where))


_REACH: weakref.WeakKeyDictionary[type, Reach] = weakref.WeakKeyDictionary()


def reach_of(kind: type) -> Reach:
    """Return what the methods of a class of modules reach, from `forward` on; known from before for lasting classes."""
    found = _REACH.get(kind)
    if found is None:
        found = Reach()
        found.methods(("forward",), kind)
        if "<locals>" not in kind.__qualname__:
            _REACH[kind] = found
    return found


class _Apart:
    """A function with a memory of its own for tensors, in the place of one under `functools.cache`."""

    def __init__(self, function: Any) -> None:
        self._function = function
        self._known: dict[Any, Any] = {}
        self._is_to_forget = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, _SYMBOLIC) for value in (*args, *kwargs.values())):
            return self._computed(args, kwargs)
        computed = self._function.cache_info().misses
        result = self._function(*args, **kwargs)
        if self._function.cache_info().misses > computed:
            # Made while the model is captured: no other call may see it, if it holds a tensor somewhere.
            self._is_to_forget = self._is_to_forget or (
                type(result) not in PLAIN and not isinstance(result, (*_OPAQUE, types.FunctionType))
            )
            return result
        return self._computed(args, kwargs) if _holds_tensor(result) and not self._is_to_forget else result

    def _computed(self, args: Any, kwargs: Any) -> Any:
        key = tuple(map(_hashable, args)), tuple((name, _hashable(value)) for name, value in kwargs.items())
        if key not in self._known:
            self._known[key] = self._function.__wrapped__(*args, **kwargs)
        return self._known[key]

    def forget(self) -> None:
        """Let the function forget what it has made while the model was captured."""
        if self._is_to_forget:
            self._function.cache_clear()

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self if instance is None else functools.partial(self, instance)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)


def _hashable(value: Any) -> Any:
    if isinstance(value, _SYMBOLIC):
        return type(value), value.node.expr
    if isinstance(value, tuple):
        return tuple(map(_hashable, value))
    hash(value)
    return type(value), value


# ---- what Python has -------------------------------------------------------------------------------------------------

_FOREIGN = frozenset(
    {*sys.stdlib_module_names, "torch", "numpy", "sympy", "onnx", "onnx_ir", "lading", "attr", "attrs"}
)
_FOREIGN -= {"__main__"}

_STORE = dis.opmap["STORE_GLOBAL"]
_NAMES: weakref.WeakKeyDictionary[types.CodeType, tuple[tuple[str, ...], frozenset[str]]] = weakref.WeakKeyDictionary()


def _package_name(name: Any) -> str:
    return name.partition(".")[0] if isinstance(name, str) else ""


def _package(item: Any) -> str:
    return _package_name(getattr(item, "__module__", ""))


def _names_of(code: types.CodeType) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the names that a function reads from outside of itself, and those that it binds there."""
    known = _NAMES.get(code)
    if known is None:
        stores = _STORE in code.co_code[::2]
        bound = frozenset(s.argval for s in dis.get_instructions(code) if s.opcode == _STORE) if stores else frozenset()
        known = _NAMES[code] = tuple(global_names(code)), bound
    return known


def _function_of(value: Any) -> types.FunctionType | None:
    """Return the function behind a member of a class, None where it is no method or a property."""
    if isinstance(value, (staticmethod, classmethod)):
        value = value.__func__
    if isinstance(value, property):
        value = value.fget
    for _ in range(_DEEPEST):
        wrapped = getattr(value, "__wrapped__", None)
        if wrapped is None or isinstance(value, _CACHED):
            break
        value = wrapped
    return value if isinstance(value, types.FunctionType) else None


def _attributes_of(value: Any) -> Iterator[tuple[_Namespace, str, Any]]:
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        for key, held in list(attributes.items()):
            yield _Namespace(attributes), key, held
    for kind in type(value).__mro__:
        slots = vars(kind).get("__slots__", ())
        for key in (slots,) if isinstance(slots, str) else slots:
            if not key.startswith("__"):
                yield _Namespace(value), key, getattr(value, key, _MISSING)


def _tensors_in(value: Any, depth: int = 0) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif depth <= _DEEPEST and (type(value) in CONTAINERS or isinstance(value, tuple)):
        for member in value.values() if isinstance(value, dict) else value:
            if type(member) not in PLAIN:
                yield from _tensors_in(member, depth + 1)


def _holds_tensor(value: Any) -> bool:
    return next(_tensors_in(value), None) is not None


def _has_changed(container: Any, saved: Any) -> bool:
    if len(container) != len(saved):
        return True
    if isinstance(saved, dict):
        pairs = zip(container.items(), saved.items(), strict=True)
        return not all(key is other and one is another for (key, one), (other, another) in pairs)
    if isinstance(saved, set):
        return bool(container != saved)
    return not all(one is other for one, other in zip(container, saved, strict=True))
