# SPDX-License-Identifier: Apache-2.0
"""The walk behind drop-expand: what repeats elements, what counts through an axis, and who can do without."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
import numpy as np
import onnx_ir as ir
from lading.passes.tidying.graph_edits import (
    constant_tensor,
    int_of,
    is_non_deterministic,
    remove_node,
    subgraphs_of,
    take_place,
    unused,
)
from lading.passes.tidying.known_sizes import KnownSizes
from lading.passes.tidying.rewriting import Dim, Rewriting, become, maker, plain, same_dim, same_shape
from lading.passes.tidying.views_in_a_row import axes_of

if TYPE_CHECKING:
    from lading.pipeline.note import Note

# fmt: off
_BROADCASTING = frozenset(
    {
        "Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual", "Less",
        "LessOrEqual", "Mod", "Mul", "Or", "Pow", "Sub", "Where", "Xor",
    }
)
# fmt: on
_VARIADIC = frozenset({"Max", "Mean", "Min", "Sum"})
"""These broadcast from opset 8 on (the ONNX specification, Max-8, Mean-8, Min-8 and Sum-8)."""

_LARGEST = 1 << 16
"""Constants are looked through for being all true, all false or a count up to this many elements."""


@attrs.frozen
class Ramp:
    """A value whose elements are their own index along one axis, whatever the indices of the other axes are."""

    axis: int
    size: Dim


class Broadcasts:
    """Drops broadcasting from one model, in place."""

    def __init__(self, model: ir.Model, opset: int, note: Note) -> None:
        self._rewriting = Rewriting(model, opset)
        self._opset = opset
        self._note = note
        self._sizes = KnownSizes()
        self._ramps: dict[ir.Value, Ramp] = {}
        self._same: dict[ir.Value, bool] = {}
        self._left_behind: list[ir.Value] = []

    def run(self) -> None:
        """Visit every node in order of computation."""
        for node in self._rewriting.nodes():
            self._learn(node)
            if node.op_type in ("Gather", "GatherND") and self._whole_axes(node):
                continue
            source = self._expanded(node)
            if source is not None:
                self._drop(node, source)
        self._sweep()

    # What is known of values ----------------------------------------------------------------------------------------

    def _learn(self, node: ir.Node) -> None:
        self._sizes.follow(node)
        rule = _RAMPS.get(node.op_type)
        if rule is not None:
            ramp = rule(self, node)
            if ramp is not None:
                self._ramps[node.outputs[0]] = ramp
        everywhere = self._everywhere_of(node)
        if everywhere is not None:
            self._same[node.outputs[0]] = everywhere

    def _ramp(self, value: ir.Value | None) -> Ramp | None:
        if value is None:
            return None
        known = self._ramps.get(value)
        if known is not None:
            return known
        tensor = constant_tensor(value)
        if tensor is None or tensor.dtype != ir.DataType.INT64 or len(tensor.shape) != 1 or tensor.size > _LARGEST:
            return None
        if not np.array_equal(tensor.numpy(), np.arange(tensor.size)):
            return None
        ramp = self._ramps[value] = Ramp(0, tensor.size)
        return ramp

    def _everywhere(self, value: ir.Value | None) -> bool | None:
        """Return the one truth value that all elements of a value have, or None."""
        if value is None or value.dtype != ir.DataType.BOOL:
            return None
        known = self._same.get(value)
        if known is not None:
            return known
        tensor = constant_tensor(value)
        if tensor is None or not 0 < tensor.size <= _LARGEST:
            return None
        array = tensor.numpy()
        if not (array.all() or not array.any()):
            return None
        known = self._same[value] = bool(array.all())
        return known

    def _everywhere_of(self, node: ir.Node) -> bool | None:
        inputs = node.inputs
        if node.op_type in ("Unsqueeze", "Squeeze", "Reshape", "Expand", "Identity"):
            return self._everywhere(inputs[0])
        if node.op_type in ("And", "Or"):
            left, right = self._everywhere(inputs[0]), self._everywhere(inputs[1])
            if left is None or right is None:
                return None
            return left and right if node.op_type == "And" else left or right
        if node.op_type == "GreaterOrEqual" and self._ramp(inputs[0]) is not None and _not_positive(inputs[1]):
            return True
        if node.op_type == "LessOrEqual" and self._ramp(inputs[1]) is not None and _not_positive(inputs[0]):
            return True
        return None

    # What repeats ---------------------------------------------------------------------------------------------------

    def _expanded(self, node: ir.Node) -> ir.Value | None:
        """Return what a node's result repeats, if it does nothing else."""
        if node.op_type == "Expand":
            return node.inputs[0]
        if node.op_type == "Unsqueeze":
            axes = axes_of(node)
            return node.inputs[0] if axes is not None and axes == list(range(len(axes))) else None
        if node.op_type in ("And", "Or"):
            for index in (0, 1):
                if self._everywhere(node.inputs[index]) is (node.op_type == "And"):
                    return node.inputs[1 - index]
        if node.op_type == "Where":
            everywhere = self._everywhere(node.inputs[0])
            if everywhere is not None:
                return node.inputs[1 if everywhere else 2]
        return None

    def _drop(self, node: ir.Node, source: ir.Value) -> None:
        output = node.outputs[0]
        if same_shape(source.shape, output.shape) and take_place(output, source):
            self._remove(node)
            return
        dropped = 0
        for user, index in list(output.uses()):
            if self._does_without(user, index, source, output):
                user.replace_input_with(index, source)
                dropped += 1
        if unused((output,)):
            self._remove(node)
        elif dropped:
            self._note.count(f"bypassed {node.op_type}")
        elif node.op_type == "Expand":
            self._note.declined(node, "who reads it needs its shape")

    def _remove(self, node: ir.Node) -> None:
        self._left_behind += [value for value in node.inputs if value is not None]
        remove_node(node)
        self._note.count(f"removed {node.op_type}")

    def _does_without(self, user: ir.Node, index: int, source: ir.Value, output: ir.Value) -> bool:
        """Whether a node has the same result with `source` in the place of `output`."""
        if not plain(user) or source.shape is None:
            return False
        result = user.outputs[0].shape
        shapes = [None if value is None else value.shape for value in user.inputs]
        if result is None or None in shapes:
            return False
        shapes[index] = source.shape
        lists: list[list[Dim]] = [list(shape or ()) for shape in shapes]
        wanted = list(result)
        if user.op_type == "MatMul":
            before = output.shape
            if before is None or len(source.shape) < 2 or min(map(len, lists)) < 2:
                return False
            if not same_shape(list(source.shape)[-2:], list(before)[-2:]):
                return False
            lists, wanted = [dims[:-2] for dims in lists], wanted[:-2]
        elif user.op_type not in _BROADCASTING and not (user.op_type in _VARIADIC and self._opset >= 8):
            return False
        if max(map(len, lists)) != len(wanted):
            return False
        for place in range(1, len(wanted) + 1):
            dim = wanted[-place]
            if dim != 1 and not any(place <= len(dims) and same_dim(dims[-place], dim) for dims in lists):
                return False
        return True

    # Gathering whole axes -------------------------------------------------------------------------------------------

    def _whole_axes(self, node: ir.Node) -> bool:
        data, result = node.inputs[0], node.outputs[0]
        if data is None or data.shape is None or result.shape is None:
            return False
        if node.op_type == "Gather":
            return self._whole_axis(node, data)
        axes = self._counted_axes(node, data)
        if axes is None:
            return False
        count = len(result.shape) - (len(data.shape) - len(axes))
        added = [axis for axis in range(count) if axis not in axes]
        if any(result.shape[axis] != 1 for axis in added):
            return False
        order = [*sorted(range(len(axes)), key=lambda part: axes[part]), *range(len(axes), len(data.shape))]
        indices = node.inputs[1]
        if order != sorted(order):
            shape = [data.shape[axis] for axis in order]
            turned = self._rewriting.node("Transpose", [data], node, {"perm": order}, data.type, shape)
            data = turned.outputs[0]
        if not added and take_place(result, data):
            self._remove(node)
            return True
        if added:
            self._rewriting.set_axes(node, "Unsqueeze", data, added)
        else:
            become(node, "Identity", [data])
        if indices is not None:
            self._left_behind.append(indices)
        self._note.count("gathered whole axes")
        return True

    def _whole_axis(self, node: ir.Node, data: ir.Value) -> bool:
        assert data.shape is not None
        indices = node.inputs[1]
        ramp = self._ramp(indices)
        if ramp is None or indices is None or indices.shape is None or len(indices.shape) != 1 or not data.shape:
            return False
        if not same_dim(data.shape[int_of(node, "axis", 0)], ramp.size) or not take_place(node.outputs[0], data):
            return False
        self._remove(node)
        return True

    def _counted_axes(self, node: ir.Node, data: ir.Value) -> list[int] | None:
        """Return along which axis of the result each indexed axis of the data is counted through, or None."""
        assert data.shape is not None
        joined = maker(node.inputs[1], "Concat")
        if joined is None or int_of(node, "batch_dims", 0) or len(joined.inputs) > len(data.shape):
            return None
        axes: list[int] = []
        for part, size in zip(joined.inputs, data.shape, strict=False):
            ramp = self._ramp(part)
            if ramp is None or part is None or part.shape is None or not same_dim(ramp.size, size):
                return None
            last = len(part.shape) - 1
            if int_of(joined, "axis", 0) not in (last, -1) or ramp.axis == last or part.shape[last] != 1:
                return None
            axes.append(ramp.axis)
        return axes if len(set(axes)) == len(axes) else None

    def _sweep(self) -> None:
        """Remove what made the dropped values, as far as nobody else reads it."""
        pending = self._left_behind
        while pending:
            value = pending.pop()
            node = value.producer()
            if node is None or node.graph is None or not unused(node.outputs) or any(True for _ in subgraphs_of(node)):
                continue
            if is_non_deterministic(node):
                continue
            pending += [each for each in node.inputs if each is not None]
            remove_node(node)

    # How counting goes on -------------------------------------------------------------------------------------------

    def range_ramp(self, node: ir.Node) -> Ramp | None:
        """A Range from zero by one counts along its axis."""
        start, step = (constant_tensor(node.inputs[index]) for index in (0, 2))
        if start is None or step is None or node.outputs[0].dtype != ir.DataType.INT64:
            return None
        if int(start.numpy().reshape(-1)[0]) != 0 or int(step.numpy().reshape(-1)[0]) != 1:
            return None
        limit = self._sizes.of(node.inputs[1])
        # That it counts from zero holds whatever its length is.
        known = limit is not None and len(limit.elements) == 1
        return Ramp(0, limit.elements[0] if limit is not None and known else ir.SymbolicDim(None))

    def passed_on(self, node: ir.Node) -> Ramp | None:
        """Identity keeps everything as it is."""
        return self._ramp(node.inputs[0])

    def unsqueezed(self, node: ir.Node) -> Ramp | None:
        """The axis moves behind those that are put in before it."""
        ramp, axes, shape = self._ramp(node.inputs[0]), axes_of(node), node.inputs[0].shape  # type: ignore[union-attr]
        if ramp is None or axes is None or shape is None:
            return None
        kept = [axis for axis in range(len(shape) + len(axes)) if axis not in axes]
        return Ramp(kept[ramp.axis], ramp.size)

    def squeezed(self, node: ir.Node) -> Ramp | None:
        """The axis moves up by those that are taken out before it."""
        ramp, axes = self._ramp(node.inputs[0]), axes_of(node)
        if ramp is None or axes is None or ramp.axis in axes:
            return None
        return Ramp(ramp.axis - sum(axis < ramp.axis for axis in axes), ramp.size)

    def expanded_ramp(self, node: ir.Node) -> Ramp | None:
        """The axis keeps its place from the end, and counts on if it has its size already."""
        ramp, target = self._ramp(node.inputs[0]), self._sizes.of(node.inputs[1])
        shape = node.inputs[0].shape  # type: ignore[union-attr]
        if ramp is None or target is None or shape is None:
            return None
        rank = max(len(shape), len(target.elements))
        axis = ramp.axis + rank - len(shape)
        place = axis - (rank - len(target.elements))
        if place >= 0 and target.elements[place] != 1 and not same_dim(target.elements[place], ramp.size):
            return None
        if node.outputs[0].shape is None or len(node.outputs[0].shape) != rank:
            return None
        return Ramp(axis, ramp.size)


def _not_positive(value: ir.Value | None) -> bool:
    tensor = constant_tensor(value)
    return tensor is not None and tensor.size == 1 and int(tensor.numpy().reshape(-1)[0]) <= 0


_RAMPS: dict[str, Callable[[Broadcasts, ir.Node], Ramp | None]] = {
    "Range": Broadcasts.range_ramp,
    "Identity": Broadcasts.passed_on,
    "Unsqueeze": Broadcasts.unsqueezed,
    "Squeeze": Broadcasts.squeezed,
    "Expand": Broadcasts.expanded_ramp,
}
