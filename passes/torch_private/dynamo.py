# SPDX-License-Identifier: Apache-2.0
"""PyTorch's compiler, which stays unloaded as long as nothing is compiled: loading it takes longer than most exports.

Fake tensors read settings of `torch._dynamo`, and PyTorch's Python kernels ask it not to trace them. Neither needs the
compiler where nothing has loaded it yet. Whoever asks for anything else of it gets it, loaded.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import importlib
import importlib.machinery
import importlib.util
import itertools
import logging
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from lading.passes.torch_private.names import find

_PACKAGE = "torch._dynamo"
_SETTINGS = "torch._dynamo.config"
_SOURCES = "torch._dynamo.source"
_VALIDATOR = "torch.fx.experimental.validator"
"""Checks what is derived of sizes with an SMT solver, where PyTorch was told to."""
_MARK = "__dynamo_disable"
"""Attribute in which a function that is not to be traced has what is called in its place."""


@dataclasses.dataclass(frozen=True)
class NamedSource(find("torch._guards", "Source")):  # type: ignore[misc]
    """Where a symbol or a constant is from: nothing but a name."""

    called: str

    @property
    def guard_source(self) -> Any:
        """The kind of source that guards need no value of."""
        return find("torch._guards", "GuardSource.CONSTANT")

    @property
    def name(self) -> str:
        """The name."""
        return self.called


class _RandomSource:
    """A kind of source that nothing is from."""


class _Unloaded(ModuleType):
    """Stands for a module of the compiler, until something other than what is known of it is asked for.

    Nor does it say what it knows while the compiler loads: that is to get its own.
    """

    def __init__(self, name: str, **known: Any) -> None:
        super().__init__(name)
        self._known = known

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if _PACKAGE not in sys.modules and name in self._known:
            return self._known[name]
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def compiler_unneeded() -> Iterator[None]:
    """Let fake tensors and symbolic sizes work without the compiler while the context is open.

    Where it is loaded already, nothing changes; and where it gets loaded meanwhile, it is whole.
    """
    if _PACKAGE in sys.modules or (settings := _settings()) is None:
        yield
        return
    with contextlib.ExitStack() as stack:
        stack.enter_context(_untraced())
        stack.enter_context(_standing_in(_SETTINGS, settings))
        sources = _Unloaded(_SOURCES, ConstantSource=NamedSource, RandomValueSource=_RandomSource)
        stack.enter_context(_standing_in(_SOURCES, sources))
        if not find("torch.fx.experimental._config", "translation_validation"):
            validator = _Unloaded(_VALIDATOR, translation_validation_enabled=_no)
            stack.enter_context(_standing_in(_VALIDATOR, validator))
        # Not in `sys.modules`: with this in the package's place, its other modules could not be imported.
        package = _Unloaded(_PACKAGE)
        vars(package)["config"] = settings
        setattr(torch, "_dynamo", package)  # noqa: B010 - it is a module for everybody else
        marked = [function for function in _asking_not_to_be_traced() if not hasattr(function, _MARK)]
        for function in marked:
            setattr(function, _MARK, function)
        try:
            yield
        finally:
            for function in marked:
                if vars(function).get(_MARK) is function:
                    delattr(function, _MARK)
            if vars(torch).get("_dynamo") is package:
                delattr(torch, "_dynamo")


def _no() -> bool:
    return False


@contextlib.contextmanager
def _untraced() -> Iterator[None]:
    """Keep PyTorch from describing symbols for a trace that goes nowhere, which it does with the compiler's help."""
    if os.environ.get("TORCH_TRACE"):
        yield
        return
    log = logging.getLogger("torch.__trace")
    handlers, log.handlers = log.handlers, []
    try:
        yield
    finally:
        log.handlers = [*handlers, *log.handlers]


@contextlib.contextmanager
def _standing_in(name: str, module: ModuleType) -> Iterator[None]:
    """Let a module be imported by a name while the context is open, and as long as the compiler is not loaded."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = module
    try:
        yield
    finally:
        # What was loaded meanwhile goes on with these settings.
        if sys.modules.get(name) is module and (_PACKAGE not in sys.modules or isinstance(module, _Unloaded)):
            del sys.modules[name]


@functools.cache
def _settings() -> ModuleType | None:
    """Return the settings of the compiler, loaded without it; None where they need more of it."""
    package = importlib.util.find_spec(_PACKAGE)
    folders = None if package is None else package.submodule_search_locations
    spec = importlib.machinery.PathFinder.find_spec(_SETTINGS, folders)
    if spec is None or spec.loader is None:
        return None
    module = importlib.util.module_from_spec(spec)
    with _standing_in(_SETTINGS, module):
        try:
            spec.loader.exec_module(module)
        except ImportError:
            return None
    return module


class UntracedMode(find("torch.utils._python_dispatch", "TorchDispatchMode")):  # type: ignore[misc]
    """A dispatch mode that does not ask the compiler to be left alone: it is no part of what is compiled."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False


# ---- functions that are not to be traced -----------------------------------------------------------------------------


def _asking_not_to_be_traced() -> list[FunctionType]:
    """Return the functions that fake tensors go through and that would load the compiler to be left alone by it."""
    return [*_within(_dispatches()), *_references()]


def _dispatches() -> Iterator[Any]:
    modes = [find("torch.utils._python_dispatch", "TorchDispatchMode")]
    while modes:
        mode = modes.pop()
        modes.extend(mode.__subclasses__())
        yield vars(mode).get("__torch_dispatch__")


@functools.cache
def _references() -> tuple[FunctionType, ...]:
    """Return those among the decompositions and the references that these call."""
    modules = ("torch._refs", "torch._refs.nn.functional", "torch._refs.special", "torch._refs.fft", "torch._prims")
    callables = [vars(importlib.import_module(name)).values() for name in modules]
    return tuple(_within(itertools.chain(find("torch._decomp", "decomposition_table").values(), *callables)))


def _within(functions: Iterable[Any]) -> Iterable[FunctionType]:
    around = _wrapper()
    found: dict[FunctionType, None] = {}
    for function in functions:
        while isinstance(function, FunctionType):
            inner = _wrapped(function)
            if function.__code__ is around and isinstance(inner, FunctionType):
                found[inner] = None
            function = inner
    return found


def _wrapped(function: FunctionType) -> Any:
    """Return what PyTorch's decorators have wrapped; the attribute `__wrapped__` is often that of something else."""
    free = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    return free["fn"].cell_contents if "fn" in free else getattr(function, "__wrapped__", None)


def _wrapper() -> CodeType:
    disabled: Callable[..., Any] = find("torch._compile", "_disable_dynamo")
    return disabled(lambda: None).__code__
