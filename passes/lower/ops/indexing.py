# SPDX-License-Identifier: Apache-2.0
"""Reading by index tensors: ``x[i, :, mask]``, index_select, gather, take and masked_select."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from ..shapes import broadcast_dims, is_unknown, same_dim
from .expanding import expand_like
from .views import SizeOf, at_least, flat, moved, permuted, reshape_to, sizes_of

_MASKS = (ir.DataType.BOOL, ir.DataType.UINT8)
_INDICES = (ir.DataType.INT64, ir.DataType.INT32)


def as_index(op: Emitter, index: ir.Value) -> ir.Value:
    """Return an index tensor in a dtype that ONNX takes as an index."""
    return index if index.dtype in _INDICES else op.cast(index, ir.DataType.INT64)


def is_mask(index: ir.Value) -> bool:
    """Whether an index tensor chooses by truth values; PyTorch reads uint8 as such too."""
    return index.dtype in _MASKS


def as_mask(op: Emitter, index: ir.Value) -> ir.Value:
    """Return a mask as bool."""
    return op.cast(index, ir.DataType.BOOL)


def nonzero_columns(op: Emitter, mask: ir.Value) -> list[ir.Value]:
    """Return the positions of the true elements as one index vector for each axis of the mask."""
    found = op.NonZero(as_mask(op, mask))
    return [op.Gather(found, op.i64(axis), axis=0) for axis in range(op.rank(mask))]


@attrs.frozen
class IndexPlan:
    """What an index expression asks for: integer indices at axes, masks already taken apart.

    ``in_place`` says that the axes stand side by side, so that the axes of the index take their place in the result;
    otherwise those come first.
    """

    axes: list[int]
    indices: list[ir.Value]
    in_place: bool


def plan_of(op: Emitter, indices: Sequence[ir.Value | None]) -> IndexPlan:
    """Take an index expression apart: masks become the positions of their true elements."""
    axes: list[int] = []
    flat_indices: list[ir.Value] = []
    position = 0
    slots: list[int] = []
    for slot, index in enumerate(indices):
        if index is None:
            position += 1
            continue
        slots.append(slot)
        if is_mask(index):
            for column in nonzero_columns(op, index):
                axes.append(position)
                flat_indices.append(column)
                position += 1
            continue
        axes.append(position)
        flat_indices.append(as_index(op, index))
        position += 1
    in_place = slots == list(range(slots[0], slots[-1] + 1)) if slots else True
    return IndexPlan(axes, flat_indices, in_place)


def common_shape(op: Emitter, values: Sequence[ir.Value]) -> list[int] | ir.Value:
    """Return the shape that values broadcast to, computed at run time only where it is not known."""
    dims = broadcast_dims([list(value.shape or ()) for value in values])
    if all(isinstance(dim, int) for dim in dims):
        return dims
    for value in values:
        own = list(value.shape or ())
        if len(own) == len(dims) and all(same_dim(a, b) for a, b in zip(own, dims, strict=True)):
            return op.Shape(value)
    total = values[0]
    for value in values[1:]:
        total = op.Add(total, value)
    return op.Shape(total)


def _all_alike(values: Sequence[ir.Value]) -> bool:
    first = list(values[0].shape or ())
    if any(is_unknown(dim) for dim in first):
        return len(values) == 1
    return all(list(value.shape or ()) == first for value in values[1:])


def index_tuples(op: Emitter, indices: Sequence[ir.Value]) -> ir.Value:
    """Return index tensors, broadcast against each other, as tuples along a last axis, as GatherND wants them."""
    wide = [op.cast(index, ir.DataType.INT64) for index in indices]
    if len(wide) > 1 and not _all_alike(wide):
        shape = common_shape(op, wide)
        rank = len(shape) if isinstance(shape, list) else max(op.rank(index) for index in wide)
        wide = [
            index if isinstance(shape, list) and list(index.shape or ()) == shape else op.Expand(index, shape)
            for index in wide
        ]
    else:
        rank = op.rank(wide[0])
    tuples = [op.Unsqueeze(index, [rank]) for index in wide]
    return tuples[0] if len(tuples) == 1 else op.Concat(*tuples, axis=rank)


def _whole_mask(indices: Sequence[ir.Value | None]) -> tuple[int, ir.Value] | None:
    """Return position and mask of an index expression that is one mask and nothing else."""
    given = [(slot, index) for slot, index in enumerate(indices) if index is not None]
    if len(given) == 1 and is_mask(given[0][1]):
        return given[0]
    return None


def compressed(op: Emitter, x: ir.Value, mask: ir.Value, axis: int) -> ir.Value | None:
    """Return what a mask over neighbouring axes keeps by a single Compress, or None where shapes do not allow it."""
    mask = as_mask(op, mask)
    count, rank = op.rank(mask), op.rank(x)
    if count == 1:
        return op.Compress(x, mask, axis=axis)
    if count == rank and rank:
        return op.Compress(x, flat(op, mask))
    rest = [op.dim(x, i) for i in range(rank) if not axis <= i < axis + count]
    if count == 0 or any(size is None for size in rest):
        return None
    merged = reshape_to(op, x, [*sizes_of(op, x, 0, axis), -1, *sizes_of(op, x, axis + count)])
    return op.Compress(merged, flat(op, mask), axis=axis)


def _one_index(op: Emitter, x: ir.Value, indices: Sequence[ir.Value | None]) -> ir.Value | None:
    """Lower the index expressions that are one node: nothing, one integer index, or one mask."""
    given = [(slot, index) for slot, index in enumerate(indices) if index is not None]
    if not given:
        return x
    if len(given) > 1:
        return None
    slot, index = given[0]
    if not is_mask(index):
        return op.Gather(x, as_index(op, index), axis=slot)
    return compressed(op, x, index, slot)


@lowers("aten::index.Tensor", "aten::_unsafe_index.Tensor", since=11)
def index(op: Emitter, x: ir.Value, indices: Sequence[ir.Value | None]) -> ir.Value:
    """Read elements by index tensors and masks."""
    simple = _one_index(op, x, indices)
    if simple is not None:
        return simple
    plan = plan_of(op, indices)
    rank = op.rank(x)
    rest = [axis for axis in range(rank) if axis not in plan.axes]
    gathered = op.GatherND(permuted(op, x, [*plan.axes, *rest]), index_tuples(op, plan.indices))
    return _placed(op, gathered, plan, rank)


def _placed(op: Emitter, gathered: ir.Value, plan: IndexPlan, rank: int) -> ir.Value:
    """Move the axes of the index, which come first, to where the result has them."""
    count = max(op.rank(index) for index in plan.indices)
    first = plan.axes[0]
    if not plan.in_place or first == 0 or count == 0 or rank == len(plan.axes):
        return gathered
    return moved(op, gathered, list(range(count)), list(range(first, first + count)))


@lowers("aten::index.Tensor", "aten::_unsafe_index.Tensor")
def index_by_position(op: Emitter, x: ir.Value, indices: Sequence[ir.Value | None]) -> ir.Value:
    """Read elements by index tensors and masks, before GatherND: by positions along the indexed axes merged to one."""
    simple = _one_index(op, x, indices)
    if simple is not None:
        return simple
    plan = plan_of(op, indices)
    rank = op.rank(x)
    rest = [axis for axis in range(rank) if axis not in plan.axes]
    front = permuted(op, x, [*plan.axes, *rest])
    count = len(plan.axes)
    sizes = [op.size(front, axis) for axis in range(count)]
    positions = linear_positions(op, plan.indices, sizes)
    merged = reshape_to(op, front, [-1, *sizes_of(op, front, count)])
    return _placed(op, op.Gather(merged, positions, axis=0), plan, rank)


def linear_positions(op: Emitter, indices: Sequence[ir.Value], sizes: Sequence[int | ir.Value]) -> ir.Value:
    """Return index tensors, which may be negative, as positions in the row-major order of the axes' sizes."""
    position: ir.Value | None = None
    for index, size in zip(indices, sizes, strict=True):
        whole = op.cast(index, ir.DataType.INT64)
        length = op.scalar(size)
        whole = op.Where(op.Less(whole, op.i64(0)), op.Add(whole, length), whole)
        position = whole if position is None else op.Add(op.Mul(position, length), whole)
    assert position is not None
    return position


@lowers("aten::index_select")
def index_select(op: Emitter, x: ir.Value, index: ir.Value, *, dim: int) -> ir.Value:
    """Take positions of one axis."""
    if op.rank(x) == 0:
        return op.Identity(x)
    return op.Gather(x, as_index(op, at_least(op, index, 1)), axis=dim % op.rank(x))


@lowers("aten::gather", since=11)
def gather(op: Emitter, x: ir.Value, index: ir.Value, *, dim: int, sparse_grad: bool = False) -> ir.Value:
    """Take, at each place of an index tensor, the element that it names along one axis."""
    del sparse_grad
    x = at_least(op, x, 1)
    if op.rank(index) == 0:
        return op.Gather(x, as_index(op, index), axis=0)
    if op.rank(index) != op.rank(x):
        return op.cast(index, op.result().dtype)  # only an index without elements may have another rank
    return op.GatherElements(x, as_index(op, index), axis=dim % op.rank(x))


@lowers("aten::gather")
def gather_by_position(op: Emitter, x: ir.Value, index: ir.Value, *, dim: int, sparse_grad: bool = False) -> ir.Value:
    """Take elements along one axis, before GatherElements: by positions in the flattened tensor."""
    del sparse_grad
    x = at_least(op, x, 1)
    if op.rank(index) != op.rank(x) and op.rank(index):
        return op.cast(index, op.result().dtype)
    if op.rank(index) == 0 or op.rank(x) == 1:
        return op.Gather(x, as_index(op, index), axis=0)
    return op.Gather(flat(op, x), element_positions(op, x, index, dim % op.rank(x)), axis=0)


def element_positions(op: Emitter, x: ir.Value, index: ir.Value, axis: int) -> ir.Value:
    """Return where in a flattened tensor the elements stand that an index tensor names along one axis."""
    rank = op.rank(x)
    parts: list[ir.Value] = []
    for i in range(rank):
        if i == axis:
            parts.append(op.cast(index, ir.DataType.INT64))
            continue
        size = op.dim(index, i)
        if size is not None:
            counter = op.i64(list(range(size)))
        else:
            counter = op.Range(op.i64(0), op.scalar(op.size(index, i)), op.i64(1))
        after = rank - i - 1
        parts.append(op.Unsqueeze(counter, list(range(1, after + 1))) if after else counter)
    return linear_positions(op, parts, [op.size(x, i) for i in range(rank)])


@lowers("aten::take")
def take(op: Emitter, x: ir.Value, index: ir.Value) -> ir.Value:
    """Take elements by their position in the flattened tensor."""
    return op.Gather(flat(op, x), as_index(op, index), axis=0)


@lowers("aten::take_along_dim", since=11)
def take_along_dim(op: Emitter, x: ir.Value, index: ir.Value, *, dim: int | None = None) -> ir.Value:
    """Take elements along one axis, the other axes broadcast against each other."""
    if dim is None:
        return op.Gather(flat(op, x), as_index(op, flat(op, index)), axis=0)
    rank = op.rank(x)
    axis = dim % rank
    x, index = _matched_except(op, x, index, axis), _matched_except(op, index, x, axis)
    return op.GatherElements(x, as_index(op, index), axis=axis)


def _matched_except(op: Emitter, x: ir.Value, other: ir.Value, axis: int) -> ir.Value:
    sizes = [1 if i == axis or op.dim(other, i) == 1 else SizeOf(other, i) for i in range(op.rank(x))]
    resolved: list[int | ir.Value] = []
    for i, size in enumerate(sizes):
        if isinstance(size, int) or same_dim(size.dim, x.shape[i]):
            resolved.append(1)
        else:
            resolved.append(op.size(other, i))
    if all(isinstance(size, int) and size == 1 for size in resolved):
        return x
    return op.Expand(x, op.int_vector(resolved))


@lowers("aten::masked_select")
def masked_select(op: Emitter, x: ir.Value, mask: ir.Value) -> ir.Value:
    """List the elements where a mask, broadcast against the tensor, is true."""
    mask = as_mask(op, mask)
    x, mask = expand_like(op, x, mask), expand_like(op, mask, x)
    if op.rank(x) == 0:
        x, mask = at_least(op, x, 1), at_least(op, mask, 1)
    return op.Compress(x, flat(op, mask))


@lowers("aten::nonzero", "aten::argwhere")
def nonzero(op: Emitter, x: ir.Value) -> ir.Value:
    """List the positions of the elements that are not zero, one a row."""
    if op.rank(x) == 0:
        # A scalar has no axes to index, so its rows are empty: one row if it is not zero, none otherwise.
        rows = op.Transpose(op.NonZero(op.Unsqueeze(x, [0])), perm=[1, 0])
        return op.Slice(rows, [0], [0], [1])
    return op.Transpose(op.NonZero(x), perm=[1, 0])


@lowers("aten::nonzero_numpy")
def nonzero_numpy(op: Emitter, x: ir.Value) -> list[ir.Value]:
    """List the positions of the elements that are not zero, one vector for each axis."""
    x = at_least(op, x, 1)
    found = op.NonZero(x)
    return [op.Gather(found, op.i64(axis), axis=0) for axis in range(op.rank(x))]


@lowers("aten::nonzero_static")
def nonzero_static(op: Emitter, x: ir.Value, *, size: int, fill_value: int = -1) -> ir.Value:
    """List a fixed number of positions of elements that are not zero, the missing ones filled."""
    rank = op.rank(x)
    if rank == 0:
        return op.const([[]] * size, ir.DataType.INT64) if size else op.ConstantOfShape([0, 0])
    rows = op.Transpose(op.NonZero(x), perm=[1, 0])
    filling = op.const([[fill_value] * rank] * size, ir.DataType.INT64)
    if not size:
        return op.Slice(rows, [0], [0], [0])
    return op.Slice(op.Concat(rows, filling, axis=0), [0], [size], [0])
