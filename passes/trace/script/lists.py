# SPDX-License-Identifier: Apache-2.0
"""What can be done to a list, by how much is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch
from lading.passes.control_flow import sequence_node
from lading.passes.trace.recorder import type_of
from lading.passes.trace.script import columns
from lading.passes.trace.script.numbers import as_tensor, is_number, kind_of, new_integer, number_from, value_of
from lading.passes.trace.script.values import (
    Appended,
    Chain,
    Columns,
    Items,
    List,
    ListRead,
    NotUniform,
    Number,
    Stack,
    plain_number,
)

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


def members_of(interpreter: Interpreter, subject: Any, what: str = "this") -> list[Any]:
    """Return the members of a list whose length is known.

    Raises:
        CaptureError: it is not.
    """
    if isinstance(subject, (tuple, list)):
        return list(subject)
    if isinstance(subject, dict):
        return list(subject)
    state = subject.state
    if isinstance(state, Appended):
        raise ListRead(subject)
    if isinstance(state, Items):
        return list(state.members)
    raise interpreter.cannot(
        f"{what} needs a list whose length is known before the model runs",
        "join the list with torch.stack or torch.cat first",
    )


def length(interpreter: Interpreter, subject: Any) -> Any:
    """Return how many members a list, tuple, dict or string has: an int, or a symbolic one."""
    if not isinstance(subject, List):
        return len(subject)
    state = subject.state
    if isinstance(state, Items):
        return len(state.members)
    if isinstance(state, Stack):
        return plain_number(state.tensor.shape[0])
    if isinstance(state, Appended):
        raise ListRead(subject)
    if isinstance(state, Columns):
        return length(interpreter, state.lists[0])
    output = ir.Value(type=ir.TensorType(ir.DataType.INT64), shape=ir.Shape(()))
    interpreter.recorder.append(sequence_node("SequenceLength", [state.value], output))
    return new_integer(interpreter, output, size=True)


def member(interpreter: Interpreter, subject: Any, index: Any) -> Any:
    """Return the member at an index, which may be negative and may be symbolic."""
    if not isinstance(subject, List):
        return subject[index]
    state = subject.state
    if isinstance(state, Appended):
        raise ListRead(subject)
    if isinstance(state, Items):
        if isinstance(index, int):
            try:
                return state.members[index]
            except IndexError:
                raise interpreter.cannot(
                    f"the index {index} lies outside of a list of {len(state.members)} members"
                ) from None
        shape = columns.shape_in(state)
        state = stacked(interpreter, subject) if shape is None else columns.of(state, shape)
    if isinstance(state, Columns):
        return columns.whole(state, lambda column: member(interpreter, column, index))
    if isinstance(state, Stack):
        interpreter.read(subject)
        chosen = state.tensor.select(0, index)
        return chosen if state.kind is torch.Tensor else number_from(interpreter, chosen, state.kind)
    interpreter.read(subject)
    taken = _element(interpreter, state, index)
    interpreter.aliases.add(taken, subject)
    return taken


def _element(interpreter: Interpreter, state: Chain, index: Any) -> Any:
    recorder = interpreter.recorder
    tensor, value = interpreter.new_placed(state.dims, state.dtype)
    recorder.append(sequence_node("SequenceAt", [state.value, value_of(interpreter, index)], value))
    return tensor


def stack_of(interpreter: Interpreter, subject: List, members: Sequence[Any]) -> Stack:
    """Return members as one tensor.

    Raises:
        NotUniform: they differ in kind, dtype or shape, or there are none.
    """
    if not members:
        raise NotUniform(subject)
    first = members[0]
    if isinstance(first, torch.Tensor):
        for item in members[1:]:
            if not isinstance(item, torch.Tensor) or not alike(item, first):
                raise NotUniform(subject)
        return Stack(torch.stack(list(members)), torch.Tensor)
    if not all(is_number(item) for item in members):
        raise NotUniform(subject)
    kind = kind_of(first)
    if all(isinstance(item, (bool, int, float)) for item in members):
        return Stack(torch.tensor(list(members), dtype=as_dtype(kind)), kind)
    return Stack(torch.stack([as_tensor(item) for item in members]), kind)


def as_dtype(kind: type) -> torch.dtype:
    """Return the dtype in which numbers of a kind are kept in a stacked list."""
    return {bool: torch.bool, int: torch.int64, float: torch.float64}[kind]


def alike(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two tensors agree in dtype and, without asking the run, in shape."""
    return left.dtype == right.dtype and same_dims(left.shape, right.shape)


def same_dims(left: Sequence[Any], right: Sequence[Any]) -> bool:
    """Whether two shapes are equal, whatever the sizes are."""
    return len(left) == len(right) and all(same_size(a, b) for a, b in zip(left, right, strict=True))


def same_size(left: Any, right: Any) -> bool:
    """Whether two sizes are the same number or the same expression."""
    if isinstance(left, int) and isinstance(right, int):
        return left == right
    if isinstance(left, torch.SymInt) and isinstance(right, torch.SymInt):
        return bool(left.node.expr == right.node.expr)
    return False


def stacked(interpreter: Interpreter, subject: List) -> Stack:
    """Return a list as one tensor, without changing it.

    Raises:
        NotUniform: its members differ in shape.
    """
    interpreter.read(subject)
    state = subject.state
    if isinstance(state, Stack):
        return state
    if isinstance(state, Appended):
        raise ListRead(subject)
    if isinstance(state, Items):
        return stack_of(interpreter, subject, state.members)
    raise NotUniform(subject)


def chained(interpreter: Interpreter, subject: List, like: tuple[torch.dtype, tuple[Any, ...]] | None = None) -> Chain:
    """Return a list as a sequence of the graph, without changing it; `like` types an empty one.

    Raises:
        NotUniform: it is empty, or its members are no tensors of one dtype and rank.
    """
    interpreter.read(subject)
    state = subject.state
    recorder = interpreter.recorder
    if isinstance(state, Chain):
        return state
    if isinstance(state, Appended):
        raise ListRead(subject)
    if isinstance(state, Stack):
        dtype, dims = state.tensor.dtype, tuple(state.tensor.shape[1:])
        output = ir.Value(type=ir.SequenceType(type_of(dtype)))
        recorder.append(sequence_node("SequenceSplit", [interpreter.tensor_value(state.tensor)], output))
        return Chain(output, dtype, dims)
    members = state.members if isinstance(state, Items) else ()
    if isinstance(state, Columns) or (not members and like is None):
        raise NotUniform(subject)
    if not all(isinstance(item, torch.Tensor) for item in members):
        raise interpreter.cannot("a list of this kind cannot grow at run time: its members are no tensors")
    dtype, dims = like if like is not None else (members[0].dtype, tuple(members[0].shape))
    for item in members:
        dims = common_dims(interpreter, dims, item.shape)
    output = ir.Value(type=ir.SequenceType(type_of(dtype)))
    values = [interpreter.tensor_value(item) for item in members]
    recorder.append(sequence_node("SequenceConstruct", values, output))
    return Chain(output, dtype, dims)


def common_dims(interpreter: Interpreter, left: Sequence[Any], right: Sequence[Any]) -> tuple[Any, ...]:
    """Return what two shapes share: None for a size in which they differ.

    Raises:
        CaptureError: the ranks differ.
    """
    if len(left) != len(right):
        raise interpreter.cannot(
            f"a list holds tensors of {len(left)} and of {len(right)} dimensions, and grows at run time"
        )
    return tuple(a if a is not None and same_size(a, b) else None for a, b in zip(left, right, strict=True))


def append(interpreter: Interpreter, subject: List, item: Any) -> List:
    """Add a member at the end."""
    state = subject.state
    if isinstance(state, Items):
        subject.state = Items((*state.members, item))
    elif isinstance(state, Appended):
        subject.state = Appended((*state.added, item))
    elif isinstance(state, Stack):
        interpreter.read(subject)
        row = _row(interpreter, subject, state, item)
        grown = torch.cat([state.tensor, row])
        subject.state = Stack(grown, state.kind)
        if isinstance(item, torch.Tensor):
            interpreter.aliases.add_copy(item, subject)
            interpreter.aliases.add_copy(state.tensor, subject)
    elif isinstance(state, Columns):
        for column, part in zip(state.lists, columns.parts_of(item, state.shape), strict=True):
            append(interpreter, column, part)
    else:
        subject.state = _inserted(interpreter, state, item, None)
        interpreter.aliases.add(item, subject)
    return subject


def _row(interpreter: Interpreter, subject: List, state: Stack, item: Any) -> torch.Tensor:
    if state.kind is torch.Tensor:
        if item.dtype != state.tensor.dtype or not same_dims(item.shape, state.tensor.shape[1:]):
            raise NotUniform(subject)
        return item.unsqueeze(0)
    return as_tensor(item, as_dtype(state.kind)).reshape(1)


def _inserted(interpreter: Interpreter, state: Chain, item: torch.Tensor, index: Any) -> Chain:
    dims = common_dims(interpreter, state.dims, item.shape)
    output = ir.Value(type=ir.SequenceType(type_of(state.dtype)))
    inputs: list[ir.Value | None] = [state.value, interpreter.tensor_value(item)]
    if index is not None:
        inputs.append(value_of(interpreter, index))
    interpreter.recorder.append(sequence_node("SequenceInsert", inputs, output))
    return Chain(output, state.dtype, dims)


def insert(interpreter: Interpreter, subject: List, index: Any, item: Any) -> None:
    """Add a member before an index."""
    state = subject.state
    if isinstance(state, Items) and isinstance(index, int):
        members = list(state.members)
        members.insert(index, item)
        subject.state = Items(tuple(members))
    elif isinstance(state, Appended):
        raise ListRead(subject)
    elif isinstance(state, Chain):
        subject.state = _inserted(interpreter, state, item, index)
    elif isinstance(state, Columns):
        for column, part in zip(state.lists, columns.parts_of(item, state.shape), strict=True):
            insert(interpreter, column, index, part)
    else:
        whole = stacked(interpreter, subject)
        row = _row(interpreter, subject, whole, item)
        subject.state = Stack(torch.cat([whole.tensor[:index], row, whole.tensor[index:]]), whole.kind)


def pop(interpreter: Interpreter, subject: List, index: Any = -1) -> Any:
    """Take a member out and return it."""
    state = subject.state
    if isinstance(state, Items) and isinstance(index, int):
        members = list(state.members)
        taken = members.pop(index)
        subject.state = Items(tuple(members))
        return taken
    if isinstance(state, Columns):
        return columns.whole(state, lambda column: pop(interpreter, column, index))
    taken = member(interpreter, subject, index)
    if isinstance(subject.state, Chain):
        chain = subject.state
        output = ir.Value(type=ir.SequenceType(type_of(chain.dtype)))
        inputs: list[ir.Value | None] = [chain.value, value_of(interpreter, index)]
        interpreter.recorder.append(sequence_node("SequenceErase", inputs, output))
        subject.state = Chain(output, chain.dtype, chain.dims)
        return taken
    whole = stacked(interpreter, subject)
    if not isinstance(index, int):
        raise interpreter.cannot("pop at an index that only the run knows, from a list of tensors of one shape")
    rest = whole.tensor[:-1] if index == -1 else torch.cat([whole.tensor[:index], whole.tensor[index + 1 :]])
    subject.state = Stack(rest, whole.kind)
    return taken


def store(interpreter: Interpreter, subject: List, index: Any, item: Any) -> None:
    """Put a member in the place of another."""
    state = subject.state
    if isinstance(state, Items) and isinstance(index, int):
        members = list(state.members)
        members[index] = item
        subject.state = Items(tuple(members))
        return
    shape = columns.shape_in(state)
    if shape is not None and not isinstance(state, Appended):
        state = subject.state = columns.of(state, shape)
        for column, part in zip(state.lists, columns.parts_of(item, shape), strict=True):
            store(interpreter, column, index, part)
        return
    if isinstance(state, Chain):
        length_before = length(interpreter, subject)
        place = index if not isinstance(index, int) or index >= 0 else length_before + index
        output = ir.Value(type=ir.SequenceType(type_of(state.dtype)))
        inputs: list[ir.Value | None] = [state.value, value_of(interpreter, place)]
        interpreter.recorder.append(sequence_node("SequenceErase", inputs, output))
        subject.state = _inserted(interpreter, Chain(output, state.dtype, state.dims), item, place)
        return
    whole = stacked(interpreter, subject)
    row = _row(interpreter, subject, whole, item)
    position = as_tensor(index).reshape(1)
    if not isinstance(index, int) or index < 0:
        position = torch.remainder(position, as_tensor(length(interpreter, subject)))
    subject.state = Stack(whole.tensor.index_copy(0, position, row), whole.kind)


def cut(interpreter: Interpreter, subject: List, start: Any, stop: Any, step: Any) -> List:
    """Return `subject[start:stop:step]` as a new list."""
    state = subject.state
    result = List()
    known = all(bound is None or isinstance(bound, int) for bound in (start, stop, step))
    if isinstance(state, Items) and known:
        result.state = Items(state.members[start:stop:step])
        return result
    shape = columns.shape_in(state)
    if shape is not None and not isinstance(state, Appended):
        result.state = columns.each(columns.of(state, shape), lambda one: cut(interpreter, one, start, stop, step))
        return result
    whole = stacked(interpreter, subject)
    if isinstance(step, int) and step > 0:
        result.state = Stack(whole.tensor[start:stop:step], whole.kind)
        return result
    if not known:
        raise interpreter.cannot("a list of the run is walked backwards from a place that only the run knows")
    last = whole.tensor.shape[0] - 1
    # The same members of the reversed list: the place -1 of a list is the place 0 of it, and 0 is its last one.
    start, stop = (
        None if bound is None else -1 - bound if bound < 0 else torch.sym_max(0, last - bound)
        for bound in (start, stop)
    )
    result.state = Stack(whole.tensor.flip(0)[start:stop:-step], whole.kind)
    return result


def joined(interpreter: Interpreter, left: List, right: List) -> List:
    """Return `left + right` as a new list."""
    result = List()
    if isinstance(left.state, Items) and isinstance(right.state, Items):
        result.state = Items((*left.state.members, *right.state.members))
        return result
    shape = columns.shape_in(left.state) or columns.shape_in(right.state)
    if shape is not None and not isinstance(left.state, Appended):
        pairs = zip(columns.of(left.state, shape).lists, columns.of(right.state, shape).lists, strict=True)
        result.state = Columns(tuple(joined(interpreter, a, b) for a, b in pairs), shape)
    elif isinstance(right.state, Items):
        result.state = left.state
        for item in right.state.members:
            append(interpreter, result, item)
    else:
        if isinstance(left.state, Items) and not left.state.members:
            result.state = right.state
            return result
        first, second = stacked(interpreter, left), stacked(interpreter, right)
        if not same_dims(first.tensor.shape[1:], second.tensor.shape[1:]):
            raise NotUniform(left)
        result.state = Stack(torch.cat([first.tensor, second.tensor]), first.kind)
    return result


def as_stacked_tensor(interpreter: Interpreter, subject: List, dim: int) -> torch.Tensor | None:
    """Return `torch.stack` of a list whose length is known at run time only, or None for an ordinary list."""
    interpreter.read(subject)
    state = subject.state
    if isinstance(state, Stack):
        return state.tensor.movedim(0, dim) if dim not in (0, -state.tensor.dim()) else state.tensor.clone()
    if isinstance(state, Appended):
        raise ListRead(subject)
    if not isinstance(state, Chain):
        return None
    rank = len(state.dims) + 1
    dims = list(state.dims)
    dims.insert(dim % rank, None)
    return _from_chain(interpreter, state, "SequenceStack", dims, dim % rank)


def as_joined_tensor(interpreter: Interpreter, subject: List, dim: int) -> torch.Tensor | None:
    """Return `torch.cat` of a list whose length is known at run time only, or None for an ordinary list."""
    interpreter.read(subject)
    state = subject.state
    if isinstance(state, Stack):
        tensor = state.tensor
        axis = dim % (tensor.dim() - 1)
        return tensor.movedim(0, axis).flatten(axis, axis + 1)
    if isinstance(state, Appended):
        raise ListRead(subject)
    if not isinstance(state, Chain):
        return None
    axis = dim % len(state.dims)
    dims = list(state.dims)
    dims[axis] = None
    return _from_chain(interpreter, state, "SequenceConcat", dims, axis)


def _from_chain(interpreter: Interpreter, state: Chain, operator: str, dims: list[Any], axis: int) -> torch.Tensor:
    tensor, value = interpreter.new_placed(dims, state.dtype)
    interpreter.recorder.append(sequence_node(operator, [state.value], value, dim=axis))
    return tensor


def numbers_in(interpreter: Interpreter, subject: List) -> Any:
    """Return a list of numbers as what `torch.tensor` takes."""
    return [item.tensor if isinstance(item, Number) else item for item in members_of(interpreter, subject)]
