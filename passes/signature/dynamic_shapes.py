# SPDX-License-Identifier: Apache-2.0
"""Which axes are free, said in the ways of the modern exporter: `dynamic_shapes`, or several example calls.

Both end in what `dynamic_axes` says: for each input, by name, a name for each dynamic axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
from lading.passes.signature import structure
from lading.passes.signature.arguments import Arguments, AxisRange, DerivedAxis, TensorInput
from lading.pipeline.errors import UsageError, did_you_mean

Axes = dict[str, dict[int, str]]

_WHERE = "dynamic_shapes"
_FORMS = "a name, a Dim, Dim.AUTO, Dim.DYNAMIC, Dim.STATIC, None, or the size itself"


@attrs.frozen(kw_only=True)
class FreeAxes:
    """The axes that are to be free.

    Attributes:
        axes: names of dynamic axes, by input name and axis.
        ranges: what the user promises about sizes, by axis name.
        derived: dimensions that follow from others, by axis name.
        relaxed: names of axes that the model may fix (`Dim.AUTO`).
        made_up: names that the user did not give.
        fixed: axes that the user has said to be constants, by input name.
    """

    axes: Axes = attrs.field(factory=dict)
    ranges: Mapping[str, AxisRange] = attrs.field(factory=dict)
    derived: Mapping[str, DerivedAxis] = attrs.field(factory=dict)
    relaxed: frozenset[str] = frozenset()
    made_up: frozenset[str] = frozenset()
    fixed: Mapping[str, frozenset[int]] = attrs.field(factory=dict)


# ---- dynamic_shapes --------------------------------------------------------------------------------------------------


def free_axes(shapes: Any, arguments: Arguments, members: Sequence[tuple[str, Any]]) -> FreeAxes:
    """Read `dynamic_shapes` as `torch.export.export` and the modern `torch.onnx.export` take it.

    Args:
        shapes: a dict by parameter name or by the name of a graph input, or a tuple or list by position, nested like
            the arguments; for a tensor None, a dict from axis to dimension, or a list with a dimension for each axis. A
            dimension is a name, a `Dim` (also one derived from another), `Dim.AUTO`, `Dim.DYNAMIC`, `Dim.STATIC`, None,
            or the size itself. What `torch.export.ShapesCollection` and `AdditionalInputs` give is of the same form.
        arguments: the bound call, for the names of its tensors.
        members: the arguments of the call, named, in the order of the signature.

    Raises:
        UsageError: the structure is not that of the arguments, or a dimension contradicts the example.
    """
    reading = _Reading({item.path: item for item in arguments.inputs})
    names = [name for name, _ in members]
    labelled: dict[str, Any] = {}
    if isinstance(shapes, Mapping):
        of_inputs = {item.name for item in arguments.inputs} - set(_argument_names(names))
        labelled = {name: spec for name, spec in shapes.items() if name in of_inputs}
        shapes = _without_gathering({name: spec for name, spec in shapes.items() if name not in labelled}, names)
        unknown = next((name for name in shapes if name not in _argument_names(names)), None)
        if unknown is not None:
            raise UsageError(
                f"dynamic_shapes are given for '{unknown}', which is no argument of the call",
                where=_WHERE,
                hint=did_you_mean(str(unknown), _argument_names(names)),
            )
        given = [(name, value, _spec_of(shapes, name)) for name, value in members]
    elif isinstance(shapes, (tuple, list)):
        if len(shapes) != len(members):
            shapes = _spread(shapes, names)
        if len(shapes) != len(members):
            raise UsageError(
                f"dynamic_shapes has {len(shapes)} entries, and the call {len(members)} arguments",
                where=_WHERE,
                hint=f"one entry for each of {', '.join(names)}; None for one whose sizes are all fixed",
            )
        given = [(name, value, spec) for (name, value), spec in zip(members, shapes, strict=True)]
    else:
        raise UsageError(
            f"dynamic_shapes is a {type(shapes).__name__}",
            where=_WHERE,
            hint="a dict by parameter name, or a tuple in the order of the arguments",
        )
    for name, value, spec in given:
        reading.read(name, value, spec)
    for item in arguments.inputs:
        if item.name in labelled:
            reading.read(item.path, item.tensor, labelled[item.name])
    return reading.result()


def _argument_names(names: Sequence[str]) -> list[str]:
    """Return the names of arguments, those of `*args` and `**kwargs` by their members and as a whole."""
    return [*names, *dict.fromkeys(name.rpartition(".")[0] for name in names if "." in name)]


def _without_gathering(shapes: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Say of each member of `**kwargs` what is said of it in a dict of their own."""
    flat: dict[str, Any] = {}
    for name, spec in shapes.items():
        if name not in names and isinstance(spec, Mapping) and spec and all(inner in names for inner in spec):
            flat.update(spec)
        else:
            flat[name] = spec
    return flat


def _spread(shapes: Sequence[Any], names: Sequence[str]) -> Sequence[Any]:
    """Say of each member of `*args` and `**kwargs` what is said of it in one entry for the parameter.

    Only the entries themselves tell which are such: one that has members of those names, or as many as are left.
    """
    parameters = list(dict.fromkeys(name.rpartition(".")[0] or name for name in names))
    flat: list[Any] = []
    for position, parameter in enumerate(parameters):
        if position >= len(shapes):
            break
        spec = shapes[position]
        members = [name for name in names if name.rpartition(".")[0] == parameter]
        rest = parameters[position:]
        if members and isinstance(spec, (tuple, list)) and len(spec) == len(members):
            flat.extend(spec)
        elif position == len(shapes) - 1 and isinstance(spec, Mapping) and set(spec) == set(rest):
            flat.extend(spec[name] for name in rest)
        else:
            flat.append(spec)
    return flat


def _spec_of(shapes: Mapping[str, Any], name: str) -> Any:
    if name in shapes:
        return shapes[name]
    whole, _, index = name.rpartition(".")
    if whole and whole in shapes and isinstance(shapes[whole], (tuple, list)) and int(index) < len(shapes[whole]):
        return shapes[whole][int(index)]
    return None


class _Reading:
    """`dynamic_shapes` being read, one argument after the other."""

    def __init__(self, inputs: Mapping[str, TensorInput]) -> None:
        self._inputs = inputs
        self._axes: Axes = {}
        self._ranges: dict[str, AxisRange] = {}
        self._sizes: dict[str, tuple[int, str]] = {}
        self._roots: dict[str, tuple[Any, int, str]] = {}
        self._relaxed: set[str] = set()
        self._made_up: set[str] = set()
        self._fixed: dict[str, frozenset[int]] = {}

    def read(self, path: str, value: Any, spec: Any) -> None:
        """Read what is said of one argument or of one member of it."""
        item = self._inputs.get(path)
        if item is not None:
            self._tensor(item, spec)
            return
        parts = structure.children(value)
        if parts is None:
            self._leaf(path, value, spec)
            return
        names, members, _ = parts
        for name, member, inner in zip(names, members, _inner(path, names, value, spec), strict=True):
            self.read(f"{path}.{name}", member, inner)

    def _leaf(self, path: str, value: Any, spec: Any) -> None:
        if spec is None or spec == value or _hint(spec) in ("STATIC", "AUTO"):
            return
        if isinstance(spec, (dict, tuple, list)) and not spec:
            return
        raise UsageError(
            f"dynamic_shapes makes '{path}' dynamic, which is no tensor and is baked in",
            where=_WHERE,
            hint=f"pass a tensor for '{path}', or None in dynamic_shapes",
        )

    def _tensor(self, item: TensorInput, spec: Any) -> None:
        rank = item.tensor.dim()
        fixed = set(range(rank))
        for axis, dimension in _dimensions(item, rank, spec):
            place = f"{item.name}[{axis}]"
            name = self._name(item, axis, dimension, place)
            if name is not None:
                fixed.discard(axis)
                self._axes.setdefault(item.name, {})[axis] = name
        self._fixed[item.name] = frozenset(fixed)

    def _name(self, item: TensorInput, axis: int, dimension: Any, place: str) -> str | None:
        """Return the name of an axis, or None for one that is fixed."""
        size = int(item.tensor.shape[axis])
        hint = _hint(dimension)
        if dimension is None or hint == "STATIC":
            return None
        if hint is not None:
            name = f"{item.name}_dynamic_axes_{len(self._axes.get(item.name, {})) + 1}"
            self._made_up.add(name)
            if hint == "AUTO":
                self._relaxed.add(name)
            self._range(name, dimension, size, place)
            return name
        if isinstance(dimension, bool) or not (isinstance(dimension, (int, str)) or _is_dim(dimension)):
            raise UsageError(
                f"dynamic_shapes has {dimension!r} for {place}, which is no dimension", where=_WHERE, hint=_FORMS
            )
        if isinstance(dimension, int):
            if dimension != size:
                raise UsageError(
                    f"dynamic_shapes fixes {place} to {dimension}, and the example has {size} there",
                    where=_WHERE,
                    hint="give an example of that size, or a name to make the axis dynamic",
                )
            return None
        if isinstance(dimension, str):
            self._same_size(dimension, size, place)
            return dimension
        name = str(dimension.__name__)
        self._same_size(name, size, place)
        root = getattr(dimension, "root", None)
        if root is not None:
            self._roots[name] = (dimension, size, place)
        else:
            self._range(name, dimension, size, place)
        return name

    def _same_size(self, name: str, size: int, place: str) -> None:
        known, first = self._sizes.setdefault(name, (size, place))
        if known != size:
            raise UsageError(
                f"'{name}' stands for {known} and for {size} in the example",
                where=f"{_WHERE}: {first} and {place}",
                hint="give axes of different sizes different names",
            )

    def _range(self, name: str, dimension: Any, size: int, place: str) -> None:
        low, high = _bound(getattr(dimension, "min", None)), _bound(getattr(dimension, "max", None))
        if low is not None and low <= 0:
            low = None
        if (low is not None and size < low) or (high is not None and size > high):
            raise UsageError(
                f"the example has size {size} at {place}, outside of the range "
                f"{'' if low is None else low}..{'' if high is None else high} of '{name}'",
                where=_WHERE,
                hint="give an example inside of the range",
            )
        if low is not None or high is not None:
            self._ranges[name] = AxisRange(low, high)

    def result(self) -> FreeAxes:
        """Return what was said, after a look at dimensions that are derived from others."""
        derived: dict[str, DerivedAxis] = {}
        for name, (dimension, size, place) in self._roots.items():
            root = str(dimension.root.__name__)
            offset = int(dimension.fn(0))
            derived[name] = DerivedAxis(root, int(dimension.fn(1)) - offset, offset)
            solved = derived[name].root_of(size)
            known = self._sizes[root][0] if root in self._sizes else solved
            if known is None or known < 1 or known != solved:
                computed = (
                    f"is {dimension.fn(known)} where '{root}' is {known}" if known else f"is that for no '{root}'"
                )
                raise UsageError(
                    f"the example has {size} at {place}, and '{name}' {computed}",
                    where=_WHERE,
                    hint=f"give an example in which '{name}' holds",
                )
            self._sizes.setdefault(root, (known, place))
            self._range(root, dimension.root, known, place)
        return FreeAxes(
            axes=self._axes,
            ranges=self._ranges,
            derived=derived,
            relaxed=frozenset(self._relaxed),
            made_up=frozenset(self._made_up),
            fixed=self._fixed,
        )


def _is_dim(dimension: Any) -> bool:
    return hasattr(dimension, "__name__") and hasattr(dimension, "min") and hasattr(dimension, "max")


def _hint(dimension: Any) -> str | None:
    """Return "AUTO", "DYNAMIC" or "STATIC" for a hint of `torch.export.Dim`, None for anything else."""
    kind = getattr(getattr(dimension, "type", None), "name", None)
    return kind if kind in ("AUTO", "DYNAMIC", "STATIC") else None


def _bound(bound: Any) -> int | None:
    """Return an end of a range, None for an open one (PyTorch has infinity as a number of its own, or as 2**63 - 2)."""
    try:
        number = int(bound)
    except (AttributeError, TypeError, ValueError, OverflowError):
        return None
    return number if abs(number) < 2**62 else None


def _dimensions(item: TensorInput, rank: int, spec: Any) -> Iterator[tuple[int, Any]]:
    if spec is None or _hint(spec) == "STATIC":
        return
    if _hint(spec) is not None:
        yield from ((axis, spec) for axis in range(rank))
        return
    if isinstance(spec, Mapping):
        seen = set()
        for given, dimension in spec.items():
            if not isinstance(given, int) or isinstance(given, bool) or not -rank <= given < rank:
                raise UsageError(
                    f"dynamic_shapes has the axis {given!r} for '{item.name}', which has {rank} dimensions",
                    where=_WHERE,
                    hint=f"axes from 0 to {rank - 1}" if rank else "None: it is a scalar",
                )
            if given % rank in seen:
                raise UsageError(f"dynamic_shapes has axis {given % rank} of '{item.name}' twice", where=_WHERE)
            seen.add(given % rank)
            yield given % rank, dimension
        return
    if isinstance(spec, (tuple, list)):
        if len(spec) != rank:
            raise UsageError(
                f"dynamic_shapes has {len(spec)} dimensions for '{item.name}', which has {rank}",
                where=_WHERE,
                hint="a dimension for each axis, or a dict of those that are dynamic",
            )
        yield from enumerate(spec)
        return
    raise UsageError(
        f"dynamic_shapes has {spec!r} for the tensor '{item.name}'",
        where=_WHERE,
        hint=f"{{0: 'batch'}}, a list with a dimension for each axis, or None; a dimension is {_FORMS}",
    )


def _inner(path: str, names: Sequence[str], value: Any, spec: Any) -> list[Any]:
    """Return what is said of each member of a container."""
    if spec is None or _hint(spec) is not None:
        return [spec] * len(names)
    pairs = _cache_pairs(value, spec)
    if pairs is not None:
        return pairs
    if structure.children(spec) is not None and not isinstance(spec, (Mapping, tuple, list)):
        # Of the class of the argument itself, as mapping over a pytree makes it.
        return structure.children(spec)[1]  # type: ignore[index]
    if isinstance(spec, Mapping):
        by_name = {str(name): inner for name, inner in spec.items()}
        unknown = next((name for name in by_name if name not in names), None)
        if unknown is not None:
            raise UsageError(
                f"dynamic_shapes has '{unknown}' in '{path}', which has no such member",
                where=_WHERE,
                hint=did_you_mean(unknown, names),
            )
        return [by_name.get(name) for name in names]
    if isinstance(spec, (tuple, list)) and len(spec) == len(names):
        return list(spec)
    shown = f"{len(spec)} entries" if isinstance(spec, (tuple, list)) else repr(spec)
    raise UsageError(
        f"dynamic_shapes has {shown} for '{path}', which has the members {', '.join(names) or '(none)'}",
        where=_WHERE,
        hint="nest dynamic_shapes like the argument",
    )


def _cache_pairs(value: Any, spec: Any) -> list[Any] | None:
    """Return keys and values of a cache by layer, where they are given as all keys and all values."""
    layers = getattr(value, "layers", None)
    if not isinstance(layers, list):
        return None
    if isinstance(spec, Mapping) and set(spec) == {"key_cache", "value_cache"}:
        halves = [spec["key_cache"], spec["value_cache"]]
    elif isinstance(spec, (tuple, list)) and len(spec) == 2 and all(isinstance(half, (tuple, list)) for half in spec):
        halves = list(spec)
    else:
        return None
    if any(len(half) != len(layers) for half in halves):
        return None
    return [{"key": key, "value": half} for key, half in zip(*halves, strict=True)]


# ---- examples --------------------------------------------------------------------------------------------------------


def differing_axes(calls: Sequence[Arguments], named: Mapping[str, Mapping[int, str]]) -> FreeAxes:
    """Find the axes whose sizes differ between example calls; those that always have one size share a name.

    Args:
        calls: the bound examples.
        named: names that were given otherwise, by input name and axis.

    Raises:
        UsageError: the examples differ in more than sizes.
    """
    first = calls[0]
    for number, other in enumerate(calls[1:], start=2):
        _check_alike(first, other, number)
    names: dict[tuple[int, ...], str] = {}
    for item in first.inputs:
        for axis, given in sorted(named.get(item.name, {}).items()):
            names.setdefault(_history(calls, item.name, axis), given)
    taken = {name for axes in named.values() for name in axes.values()} | {item.name for item in first.inputs}
    axes: Axes = {}
    made_up: set[str] = set()
    for item in first.inputs:
        for axis in range(item.tensor.dim()):
            sizes = _history(calls, item.name, axis)
            if len(set(sizes)) == 1:
                continue
            name = names.get(sizes)
            if name is None:
                name = names[sizes] = structure.unused_name(f"d{len(made_up)}", taken)
                taken.add(name)
                made_up.add(name)
            axes.setdefault(item.name, {})[axis] = name
    return FreeAxes(axes=axes, made_up=frozenset(made_up))


def _history(calls: Sequence[Arguments], name: str, axis: int) -> tuple[int, ...]:
    return tuple(int(item.tensor.shape[axis]) for call in calls for item in call.inputs if item.name == name)


def _check_alike(first: Arguments, other: Arguments, number: int) -> None:
    where = f"examples, the first and number {number}"
    paths, others = ([item.path for item in call.inputs] for call in (first, other))
    if paths != others:
        raise UsageError(
            f"the tensors of one example are {', '.join(paths)}, and of another {', '.join(others)}",
            where=where,
            hint="examples are calls of the same form, with tensors of other sizes",
        )
    for one, another in zip(first.inputs, other.inputs, strict=True):
        if one.tensor.dim() != another.tensor.dim() or one.tensor.dtype != another.tensor.dtype:
            raise UsageError(
                f"'{one.name}' is {_kind(one)} in one example and {_kind(another)} in another",
                where=where,
                hint="a dtype or a number of dimensions cannot be dynamic",
            )
    for path in sorted(first.baked.keys() | other.baked.keys()):
        here, there = first.baked.get(path), other.baked.get(path)
        if type(here) is not type(there) or here != there:
            raise UsageError(
                f"'{path}' is {here!r} in one example and {there!r} in another, and only sizes can be dynamic",
                where=where,
                hint=f"pass a tensor for '{path}'",
            )


def _kind(item: TensorInput) -> str:
    dtype = str(item.tensor.dtype).removeprefix("torch.")
    return f"{dtype} of {item.tensor.dim()} dimensions"


# ---- together --------------------------------------------------------------------------------------------------------


def agreed(axes: Mapping[str, Mapping[int, str]], free: FreeAxes, said: str) -> FreeAxes:
    """Bring `dynamic_axes`, resolved, together with what was said in another way.

    A name of the user's takes the place of one that was made up.

    Args:
        axes: what `dynamic_axes` says of inputs.
        free: what was said otherwise.
        said: how that was: "dynamic_shapes" or "examples".

    Raises:
        UsageError: they do not say the same.
    """
    strict = said == _WHERE
    renamed: dict[str, str] = {}
    together: Axes = {name: dict(given) for name, given in free.axes.items()}
    for name, given in axes.items():
        for axis, axis_name in given.items():
            other = together.setdefault(name, {}).get(axis)
            if other is None:
                if strict:
                    raise _disagree(f"axis {axis} of '{name}' is '{axis_name}'", "fixed", said)
                together[name][axis] = axis_name
            elif other != axis_name:
                if other not in free.made_up:
                    raise _disagree(f"axis {axis} of '{name}' is '{axis_name}'", f"'{other}'", said)
                if renamed.setdefault(other, axis_name) != axis_name:
                    raise _disagree(f"axis {axis} of '{name}' is '{axis_name}'", f"'{renamed[other]}'", said)
    if strict and axes:
        for name, given in free.axes.items():
            for axis, other in given.items():
                if axis not in axes.get(name, {}):
                    raise _disagree(f"axis {axis} of '{name}' is fixed", f"'{other}'", said)
    return attrs.evolve(
        free,
        axes={
            name: {axis: renamed.get(label, label) for axis, label in sorted(given.items())}
            for name, given in together.items()
        },
        ranges={renamed.get(name, name): limits for name, limits in free.ranges.items()},
        relaxed=frozenset(renamed.get(name, name) for name in free.relaxed if name not in renamed),
        made_up=frozenset(name for name in free.made_up if name not in renamed),
    )


def _disagree(one: str, other: str, said: str) -> UsageError:
    return UsageError(
        f"in dynamic_axes, {one}; in {said} it is {other}",
        where=f"dynamic_axes and {said}",
        hint="say it in one of them, or the same in both",
    )
