# SPDX-License-Identifier: Apache-2.0
"""The rules of merge-chains for transpositions, casts, slices, pads, concatenations and signs.

Each rule looks at one node and what is before it, edits the graph and returns True, or leaves everything as it is. The
rules for views (Reshape and its kin) have a module of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir
from lading.passes.tidying.graph_edits import (
    constant_tensor,
    int_of,
    ints_of,
    remove_node,
    static_ints,
    take_place,
    unused,
)
from lading.passes.tidying.moves_in_a_row import merge_moves
from lading.passes.tidying.rewriting import Rewriting, become, maker, plain, used_once
from lading.passes.tidying.views_in_a_row import merge_views, transpose_as_view

if TYPE_CHECKING:
    from lading.pipeline.note import Note

Merger = Callable[[Rewriting, ir.Node, "Note"], bool]

_LONGEST = 16
"""Elementwise operators that a transposition is followed back through: the bound keeps the pass linear."""

# fmt: off
_UNARY = frozenset(
    {
        "Abs", "Cast", "Ceil", "Celu", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish",
        "IsInf", "IsNaN", "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid",
        "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh", "ThresholdedRelu",
    }
)
# fmt: on
_BINARY = frozenset({"Add", "Sub", "Mul", "Div", "Pow"})


# Transpositions -----------------------------------------------------------------------------------------------------


def _perm(node: ir.Node) -> list[int] | None:
    perm = ints_of(node, "perm")
    if perm is None and node.inputs[0] is not None and node.inputs[0].shape is not None:
        perm = list(reversed(range(len(node.inputs[0].shape))))
    return perm


def _transposes(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    first = maker(node.inputs[0], "Transpose", within=node)
    if first is None:
        return False
    before, after = _perm(first), _perm(node)
    source = first.inputs[0]
    if before is None or after is None or source is None:
        return False
    perm = [before[axis] for axis in after]
    if perm == sorted(perm) and _pass_through(node, source, note):
        _forget(first)
        return True
    become(node, "Transpose", [source], {"perm": perm})
    _forget(first)
    return True


def _transposed_operand(node: ir.Node) -> ir.Value | None:
    """Return the operand that an elementwise node has beside a constant of one element; None for other forms."""
    if node.op_type in _UNARY:
        return node.inputs[0]
    if node.op_type not in _BINARY or len(node.inputs) != 2:
        return None
    for index in (0, 1):
        constant, other = constant_tensor(node.inputs[index]), node.inputs[1 - index]
        if constant is not None and constant.size == 1 and other is not None and other.shape is not None:
            return other if len(constant.shape) <= len(other.shape) else None
    return None


def _transposes_around_elementwise(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    between: list[ir.Node] = []
    value = node.inputs[0]
    first: ir.Node | None = None
    while value is not None and len(between) < _LONGEST:
        producer = value.producer()
        if producer is None or not plain(producer) or producer.graph is not node.graph or not used_once(value):
            return False
        if producer.op_type == "Transpose":
            first = producer
            break
        if len(producer.outputs) != 1:
            return False
        between.append(producer)
        value = _transposed_operand(producer)
    if first is None or not between:
        return False
    before, after, source = _perm(first), _perm(node), first.inputs[0]
    if before is None or after is None or source is None:
        return False
    result, operand = between[0].outputs[0], first.outputs[0]
    # Where each axis of the source went.
    places = [before.index(axis) for axis in range(len(before))]
    perm = [before[axis] for axis in after]
    cancelled = perm == sorted(perm)
    if cancelled and not take_place(node.outputs[0], result):
        return False
    for each in between:
        output = each.outputs[0]
        if output.shape is not None and not output.is_graph_output():
            output.shape = ir.Shape([output.shape[axis] for axis in places])
        for index, value in enumerate(each.inputs):
            if value is operand:
                each.replace_input_with(index, source)
    if cancelled:
        remove_node(node)
    else:
        node.attributes["perm"] = ir.AttrInt64s("perm", perm)
    _forget(first)
    return True


def _transposed_factor(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    """Gemm transposes its operands itself."""
    changed = False
    for index, flag in ((0, "transA"), (1, "transB")):
        first = maker(node.inputs[index], "Transpose", within=node)
        if first is None or first.inputs[0] is None or _perm(first) != [1, 0]:
            continue
        node.attributes[flag] = ir.AttrInt64(flag, 1 - int_of(node, flag, 0))
        node.replace_input_with(index, first.inputs[0])
        _forget(first)
        changed = True
    return changed


# Casts --------------------------------------------------------------------------------------------------------------

_FLOAT_BITS = {  # of the fraction with its leading one, and of the exponent
    ir.DataType.BFLOAT16: (8, 8),
    ir.DataType.FLOAT16: (11, 5),
    ir.DataType.FLOAT: (24, 8),
    ir.DataType.DOUBLE: (53, 11),
}
_INTEGERS = {  # bits for the magnitude, and whether there is a sign
    ir.DataType.BOOL: (1, False),
    ir.DataType.UINT8: (8, False),
    ir.DataType.UINT16: (16, False),
    ir.DataType.UINT32: (32, False),
    ir.DataType.UINT64: (64, False),
    ir.DataType.INT8: (7, True),
    ir.DataType.INT16: (15, True),
    ir.DataType.INT32: (31, True),
    ir.DataType.INT64: (63, True),
}


def loses_nothing(source: ir.DataType, target: ir.DataType) -> bool:
    """Whether every value of one type has its like in the other."""
    if source == target:
        return True
    if source in _FLOAT_BITS:
        if target not in _FLOAT_BITS:
            return False
        return all(a <= b for a, b in zip(_FLOAT_BITS[source], _FLOAT_BITS[target], strict=True))
    if source not in _INTEGERS:
        return False
    bits, signed = _INTEGERS[source]
    if target in _FLOAT_BITS:
        fraction, exponent = _FLOAT_BITS[target]
        return bits <= fraction and bits < 2 ** (exponent - 1)
    if target not in _INTEGERS or target == ir.DataType.BOOL:
        return False
    wider, has_sign = _INTEGERS[target]
    return bits <= wider and (has_sign or not signed)


def _casts(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    first = maker(node.inputs[0], "Cast", within=node)
    source = None if first is None else first.inputs[0]
    if first is None or source is None or source.dtype is None:
        return False
    middle, last = ir.DataType(int_of(first, "to", 0)), ir.DataType(int_of(node, "to", 0))
    if not loses_nothing(source.dtype, middle):
        return False
    if source.dtype == last:
        if not _pass_through(node, source, note):
            return False
    else:
        node.replace_input_with(0, source)
    _forget(first)
    return True


# Slices, pads, concatenations ---------------------------------------------------------------------------------------


def _window(node: ir.Node, rank: int) -> dict[int, tuple[int, int]] | None:
    """Return start and end by axis for a Slice of constant bounds that takes every element in turn, else None."""
    from lading.passes.tidying.node_values import slice_window

    try:
        window = slice_window(
            node, rank, lambda index: static_ints(node.inputs[index]) if index < len(node.inputs) else None
        )
    except ValueError:
        return None
    if window is None or any(part.step not in (None, 1) for part in window):
        return None
    return {axis: (part.start, part.stop) for axis, part in enumerate(window) if part != slice(None)}


def _slices(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    first = maker(node.inputs[0], "Slice", within=node)
    source = None if first is None else first.inputs[0]
    if first is None or source is None or source.shape is None or not used_once(first.outputs[0]):
        return False
    rank = len(source.shape)
    before, after = _window(first, rank), _window(node, rank)
    if before is None or after is None:
        return False
    window = dict(before)
    for axis, (start, end) in after.items():
        if axis not in window:
            window[axis] = (start, end)
            continue
        outer_start, outer_end = window[axis]
        if min(outer_start, outer_end, start, end) < 0:
            return False  # counted from an end that the first slice may have moved
        window[axis] = (outer_start + start, min(outer_end, outer_start + end))
    axes = sorted(window)
    starts, ends = [window[axis][0] for axis in axes], [window[axis][1] for axis in axes]
    if rewriting.opset < 10:
        become(node, "Slice", [source], {"starts": starts, "ends": ends, "axes": axes})
    else:
        become(node, "Slice", [source, *(rewriting.ints(each, node, "bounds") for each in (starts, ends, axes))])
    _forget(first)
    return True


def _pads_of(node: ir.Node) -> tuple[list[int], float, bool] | None:
    """Return the pads of a Pad by a constant, the constant, and whether both are attributes; None for other forms."""
    mode = node.attributes.get("mode")
    if mode is not None and mode.as_string() != "constant":
        return None
    as_attributes = "pads" in node.attributes
    if as_attributes:
        value = node.attributes.get("value")
        return list(node.attributes["pads"].as_ints()), 0.0 if value is None else value.as_float(), True
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        return None  # axes of its own
    pads = static_ints(node.inputs[1])
    number = 0.0
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        tensor = constant_tensor(node.inputs[2])
        if tensor is None:
            return None
        number = float(tensor.numpy().reshape(-1)[0])
    return None if pads is None else (pads, number, False)


def _pads(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    first = maker(node.inputs[0], "Pad", within=node)
    if first is None or first.inputs[0] is None or not used_once(first.outputs[0]):
        return False
    before, after = _pads_of(first), _pads_of(node)
    if before is None or after is None or before[1] != after[1] or before[2] != after[2]:
        return False
    if any(size < 0 for size in (*before[0], *after[0])):
        return False  # cropping what was padded is not padding by the difference
    total = [one + other for one, other in zip(before[0], after[0], strict=True)]
    node.replace_input_with(0, first.inputs[0])
    if after[2]:
        node.attributes["pads"] = ir.AttrInt64s("pads", total)
    else:
        node.replace_input_with(1, rewriting.ints(total, node, "pads"))
    _forget(first)
    return True


def _padded_conv(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    first = maker(node.inputs[0], "Pad", within=node)
    source = None if first is None else first.inputs[0]
    if first is None or source is None or source.shape is None or not used_once(first.outputs[0]):
        return False
    padding = _pads_of(first)
    automatic = node.attributes.get("auto_pad")
    if padding is None or padding[1] != 0 or (automatic is not None and automatic.as_string() != "NOTSET"):
        return False
    rank = len(source.shape)
    begins, ends = padding[0][:rank], padding[0][rank:]
    if len(padding[0]) != 2 * rank or any(size < 0 for size in padding[0]) or any((*begins[:2], *ends[:2])):
        return False
    own = ints_of(node, "pads") or [0] * (2 * (rank - 2))
    total = [one + other for one, other in zip(own, [*begins[2:], *ends[2:]], strict=True)]
    node.attributes["pads"] = ir.AttrInt64s("pads", total)
    node.replace_input_with(0, source)
    _forget(first)
    return True


def _concats(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    axis = int_of(node, "axis", 0)
    inputs: list[ir.Value | None] = []
    merged: list[ir.Node] = []
    for value in node.inputs:
        inner = maker(value, "Concat", within=node)
        if inner is None or not _same_axis(inner, axis) or not used_once(inner.outputs[0]):
            inputs.append(value)
        else:
            inputs.extend(inner.inputs)
            merged.append(inner)
    if not merged:
        return False
    become(node, "Concat", inputs, {"axis": axis})
    for inner in merged:
        _forget(inner)
    return True


def _same_axis(inner: ir.Node, axis: int) -> bool:
    other = int_of(inner, "axis", 0)
    if other == axis:
        return True
    shape = inner.outputs[0].shape
    return shape is not None and other % len(shape) == axis % len(shape)


# Signs and reciprocals ----------------------------------------------------------------------------------------------


def _twice(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    """Not(Not(x)) and Neg(Neg(x)) are x."""
    first = maker(node.inputs[0], node.op_type, within=node)
    if first is None or first.inputs[0] is None or not _pass_through(node, first.inputs[0], note):
        return False
    _forget(first)
    return True


def _by_inverse(inverse: str, direct: str, either_side: bool) -> Merger:
    """Make the rule that writes `x op inverse(y)` as `x direct y`."""

    def merge(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
        for index in (1, 0) if either_side else (1,):
            first = maker(node.inputs[index], inverse, within=node)
            if first is None or not used_once(first.outputs[0]) or node.inputs[0] is node.inputs[1]:
                continue
            become(node, direct, [node.inputs[1 - index], first.inputs[0]])
            _forget(first)
            return True
        return False

    return merge


def _pass_through(node: ir.Node, source: ir.Value, note: Note) -> bool:
    if not take_place(node.outputs[0], source):
        note.declined(node, "the output keeps its name")
        return False
    remove_node(node)
    return True


def _forget(node: ir.Node) -> None:
    """Remove a node that merging has left without a use."""
    if node.graph is not None and unused(node.outputs):
        remove_node(node)


MERGERS: dict[str, Sequence[Merger]] = {
    "Transpose": (_transposes, _transposes_around_elementwise, transpose_as_view, merge_moves),
    "Gemm": (_transposed_factor,),
    "Reshape": (merge_views, merge_moves),
    "Flatten": (merge_views, merge_moves),
    "Squeeze": (merge_views, merge_moves),
    "Unsqueeze": (merge_views, merge_moves),
    "Cast": (_casts,),
    "Slice": (_slices,),
    "Pad": (_pads,),
    "Conv": (_padded_conv,),
    "Concat": (_concats,),
    "Not": (_twice,),
    "Neg": (_twice,),
    "Mul": (_by_inverse("Reciprocal", "Div", either_side=True),),
    "Add": (_by_inverse("Neg", "Sub", either_side=True),),
    "Sub": (_by_inverse("Neg", "Add", either_side=False),),
}
