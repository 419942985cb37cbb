# SPDX-License-Identifier: Apache-2.0
"""The example call bound, with its dynamic axes said in any of the ways there are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from lading.passes.request import Request
from lading.passes.signature.arguments import Arguments
from lading.passes.signature.binding import call_members
from lading.passes.signature.dynamic_shapes import FreeAxes, agreed, differing_axes, free_axes
from lading.pipeline.errors import UsageError


def bind_with_axes(
    request: Request,
    bind: Callable[[Request], Arguments],
    *,
    dynamic_shapes: Any = None,
    examples: Sequence[Any] = (),
) -> Arguments:
    """Bind a request and settle which axes are dynamic.

    Args:
        request: the model and its example call; without arguments, the first of `examples` is the example call.
        bind: binds one request, with `dynamic_axes` resolved.
        dynamic_shapes: axes as the modern exporter takes them, or None.
        examples: further example calls; the sizes in which they differ are dynamic.

    Raises:
        UsageError: the ways contradict each other or the example.
    """
    if examples and request.without_arguments:
        request, examples = _call(request, examples[0]), examples[1:]
    arguments = bind(request)
    if dynamic_shapes is None and not examples:
        return arguments
    given = {item.name: item.axes for item in arguments.inputs if item.axes}
    free = FreeAxes(axes=given)
    if dynamic_shapes is not None:
        if callable(getattr(dynamic_shapes, "dynamic_shapes", None)):
            # ShapesCollection and AdditionalInputs know the form that they stand for.
            args, kwargs = arguments.call([item.tensor for item in arguments.inputs])
            try:
                dynamic_shapes = dynamic_shapes.dynamic_shapes(request.model, args, kwargs)
            except Exception as error:
                raise UsageError(
                    f"the {type(dynamic_shapes).__name__} does not fit the call: {error}",
                    where="dynamic_shapes",
                    hint="collect the shapes of the very tensors that the call has, or give dynamic_shapes as a dict",
                ) from error
        free = agreed(given, free_axes(dynamic_shapes, arguments, call_members(request)), "dynamic_shapes")
    if examples:
        free = _with_examples(free, [arguments, *(bind(_call(request, example)) for example in examples)])
    _check_sizes(arguments, free)
    return attrs.evolve(
        arguments,
        inputs=tuple(attrs.evolve(item, axes=dict(free.axes.get(item.name, {}))) for item in arguments.inputs),
        ranges=free.ranges,
        derived=free.derived,
        relaxed_axes=free.relaxed,
        unnamed_axes=free.made_up,
    )


def _call(request: Request, example: Any) -> Request:
    """Return the request with another example call, in any form that `args` may have."""
    return attrs.evolve(request, args=example, kwargs=None)


def _with_examples(free: FreeAxes, calls: Sequence[Arguments]) -> FreeAxes:
    differing = differing_axes(calls, free.axes)
    for name, axes in differing.axes.items():
        for axis in axes:
            if axis in free.fixed.get(name, ()):
                sizes = sorted(
                    {int(item.tensor.shape[axis]) for call in calls for item in call.inputs if item.name == name}
                )
                raise UsageError(
                    f"axis {axis} of '{name}' is fixed in dynamic_shapes, and has the sizes "
                    f"{', '.join(map(str, sizes))} in the examples",
                    where="dynamic_shapes and examples",
                    hint="name the axis in dynamic_shapes, or leave dynamic_shapes out",
                )
    together = agreed(free.axes, differing, "examples")
    # What differs between examples is told apart by them: only hints leave open how axes hang together.
    return attrs.evolve(
        together,
        ranges=free.ranges,
        derived=free.derived,
        relaxed=free.relaxed,
        made_up=free.made_up,
        fixed=free.fixed,
    )


def _check_sizes(arguments: Arguments, free: FreeAxes) -> None:
    """Refuse one name for sizes of the example that differ."""
    sizes: dict[str, tuple[int, str]] = {}
    for item in arguments.inputs:
        for axis, name in free.axes.get(item.name, {}).items():
            size, place = int(item.tensor.shape[axis]), f"{item.name}[{axis}]"
            known, first = sizes.setdefault(name, (size, place))
            if known != size:
                raise UsageError(
                    f"the axis name '{name}' stands for {known} and for {size} in the example",
                    where=f"{first} and {place}",
                    hint="give axes of different sizes different names",
                )


def declared_conditions(arguments: Arguments) -> list[str]:
    """Return what the user has promised about sizes, as conditions over the names of axes."""
    used = {name for item in arguments.inputs for name in item.axes.values()}
    used |= {axis.root for name, axis in arguments.derived.items() if name in used}
    ranges: Mapping[str, Any] = arguments.ranges
    return [condition for name, limits in ranges.items() if name in used for condition in limits.conditions(name)]
