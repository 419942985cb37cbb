# SPDX-License-Identifier: Apache-2.0
"""The builtins of TorchScript on lists and dicts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lading.passes.trace.script import columns, lists
from lading.passes.trace.script.arithmetic import same_number
from lading.passes.trace.script.numbers import (
    as_tensor,
    number_from,
)
from lading.passes.trace.script.programs import Step
from lading.passes.trace.script.tables import BUILTINS, builtin
from lading.passes.trace.script.values import Appended, Columns, Items, List, ListRead, Number, Stack

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


@builtin("len")
def length(interpreter: Interpreter, step: Step, subject: Any) -> Any:
    """How many members."""
    return lists.length(interpreter, subject)


@builtin("__getitem__")
def get_item(interpreter: Interpreter, step: Step, subject: Any, index: Any) -> Any:
    """One member."""
    if isinstance(subject, dict):
        if index not in subject:
            raise interpreter.cannot(f"the key {index!r} is not in the dict")
        return subject[index]
    return lists.member(interpreter, subject, index)


@builtin("_set_item")
def set_item(interpreter: Interpreter, step: Step, subject: Any, index: Any, value: Any) -> Any:
    """Puts a member in the place of another."""
    if isinstance(subject, dict):
        subject[index] = value
    else:
        lists.store(interpreter, subject, index, value)
    return subject


@builtin("append")
def append(interpreter: Interpreter, step: Step, subject: List, value: Any) -> List:
    """Adds a member."""
    return lists.append(interpreter, subject, value)


@builtin("extend", "add_")
def extend(interpreter: Interpreter, step: Step, subject: List, other: List) -> List:
    """Adds the members of another list."""
    if isinstance(other.state, Items):
        for value in other.state.members:
            lists.append(interpreter, subject, value)
    else:
        subject.state = lists.joined(interpreter, subject, other).state
    return subject


@builtin("mul_")
def repeat(interpreter: Interpreter, step: Step, subject: List, count: int) -> List:
    """Repeats a list in place."""
    subject.state = Items(tuple(lists.members_of(interpreter, subject)) * count)
    return subject


@builtin("insert")
def insert(interpreter: Interpreter, step: Step, subject: List, index: Any, value: Any) -> None:
    """Adds a member before an index."""
    lists.insert(interpreter, subject, index, value)


@builtin("pop")
def pop(interpreter: Interpreter, step: Step, subject: Any, *index: Any) -> Any:
    """Takes a member out."""
    if isinstance(subject, dict):
        return subject.pop(*index)
    return lists.pop(interpreter, subject, *index)


@builtin("popitem")
def pop_item(interpreter: Interpreter, step: Step, subject: dict[Any, Any]) -> Any:
    """Takes the last pair out."""
    return subject.popitem()


@builtin("Delete")
def delete(interpreter: Interpreter, step: Step, subject: Any, index: Any) -> None:
    """Takes a member out."""
    pop(interpreter, step, subject, index)


@builtin("remove")
def remove(interpreter: Interpreter, step: Step, subject: List, value: Any) -> None:
    """Takes the first equal member out."""
    members = lists.members_of(interpreter, subject)
    del members[_position(interpreter, members, value)]
    subject.state = Items(tuple(members))


@builtin("index")
def position(interpreter: Interpreter, step: Step, subject: List, value: Any) -> int:
    """Where the first equal member stands."""
    return _position(interpreter, lists.members_of(interpreter, subject), value)


def _position(interpreter: Interpreter, members: list[Any], value: Any) -> int:
    for index, candidate in enumerate(members):
        answer = interpreter.decide(same_number(candidate, value))
        if answer is None:
            raise interpreter.cannot("a list is searched whose members only the run knows")
        if answer:
            return index
    raise interpreter.cannot(f"{value!r} is not in the list")


@builtin("count")
def count(interpreter: Interpreter, step: Step, subject: List, value: Any) -> Any:
    """How many members equal a value."""
    if isinstance(subject, str):
        return subject.count(value)
    known, open_answers = 0, []
    for member in _all_numbers(interpreter, subject):
        answer = same_number(member, value)
        settled = interpreter.decide(answer)
        if settled is None:
            open_answers.append(as_tensor(answer).reshape(-1))
        else:
            known += settled
    if not open_answers:
        return known
    return number_from(interpreter, torch.cat(open_answers).sum() + known, int)


def _all_numbers(interpreter: Interpreter, subject: List) -> list[Any]:
    """Return the members of a list, those of a list of the run as one `Number` for all of them."""
    if isinstance(subject.state, Stack):
        return [Number(subject.state.tensor, subject.state.kind)]
    return lists.members_of(interpreter, subject)


@builtin("clear")
def clear(interpreter: Interpreter, step: Step, subject: Any) -> None:
    """Empties a list or a dict."""
    if isinstance(subject, dict):
        subject.clear()
    else:
        subject.state = Items(())


@builtin("reverse")
def reverse(interpreter: Interpreter, step: Step, subject: List) -> None:
    """Reverses a list in place."""
    state = subject.state
    if isinstance(state, Items):
        subject.state = Items(state.members[::-1])
    elif isinstance(state, Columns):
        for column in state.lists:
            reverse(interpreter, step, column)
    else:
        whole = lists.stacked(interpreter, subject)
        subject.state = Stack(whole.tensor.flip(0), whole.kind)


@builtin("sort")
def sort(interpreter: Interpreter, step: Step, subject: List, backwards: bool = False) -> None:
    """Sorts a list of numbers or strings in place."""
    subject.state = _sorted(interpreter, subject, backwards)


@builtin("sorted")
def sorted_list(interpreter: Interpreter, step: Step, subject: List, backwards: bool = False) -> List:
    """A sorted copy."""
    result = List()
    result.state = _sorted(interpreter, subject, backwards)
    return result


def _sorted(interpreter: Interpreter, subject: List, backwards: bool) -> Items | Stack:
    if isinstance(subject.state, Items):
        members = subject.state.members
        if all(isinstance(member, (bool, int, float, str)) for member in members):
            return Items(tuple(sorted(members, reverse=backwards)))
    whole = lists.stacked(interpreter, subject)
    if whole.kind is torch.Tensor:
        raise interpreter.cannot("a list of tensors is sorted")
    ordered = Stack(torch.sort(whole.tensor, descending=backwards)[0], whole.kind)
    if not isinstance(subject.state, Items):
        return ordered
    rows = [ordered.tensor.select(0, index) for index in range(len(subject.state.members))]
    return Items(tuple(number_from(interpreter, row, whole.kind) for row in rows))


@builtin("slice")
def cut(interpreter: Interpreter, step: Step, subject: Any, start: Any, stop: Any, by: Any) -> Any:
    """Some members."""
    if isinstance(subject, str):
        return subject[start:stop:by]
    return lists.cut(interpreter, subject, start, stop, by)


@builtin("copy", "list")
def copy(interpreter: Interpreter, step: Step, subject: Any) -> Any:
    """A copy of a list, or the letters of a string."""
    if isinstance(subject, dict):
        return dict(subject)
    if isinstance(subject, str):
        return List(subject)
    if isinstance(subject, List):
        if isinstance(subject.state, Appended):
            raise ListRead(subject)
        result = List()
        result.state = subject.state
        if isinstance(subject.state, Columns):
            result.state = columns.each(subject.state, lambda column: copy(interpreter, step, column))
        return result
    return List(subject)


@builtin("__contains__")
def contains(interpreter: Interpreter, step: Step, subject: Any, value: Any) -> Any:
    """Whether a member is there."""
    if isinstance(subject, (dict, str)):
        return value in subject
    answer: Any = False
    for member in _all_numbers(interpreter, subject):
        same = same_number(member, value)
        settled = interpreter.decide(same)
        if settled:
            return True
        if settled is None:
            answer = Number(as_tensor(answer) | as_tensor(same).any(), bool)
    return answer


@builtin("any", "all")
def any_or_all(interpreter: Interpreter, step: Step, subject: List) -> Any:
    """Whether one member, or each of them, is true."""
    members = lists.members_of(interpreter, subject)
    result: Any = step.kind == "aten::all"
    for member in members:
        settled = interpreter.decide(member)
        if settled is None:
            join = torch.logical_and if step.kind == "aten::all" else torch.logical_or
            result = Number(join(as_tensor(result), as_tensor(member)), bool)
        elif settled != (step.kind == "aten::all"):
            return settled
    return result


@builtin("sum")
def total(interpreter: Interpreter, step: Step, subject: List) -> Any:
    """The sum of a list of numbers."""
    if isinstance(subject.state, Stack):
        return number_from(interpreter, subject.state.tensor.sum(), subject.state.kind)
    result: Any = 0
    for member in lists.members_of(interpreter, subject):
        result = BUILTINS["aten::add"](interpreter, step, result, member)
    return result


@builtin("keys")
def keys(interpreter: Interpreter, step: Step, subject: dict[Any, Any]) -> List:
    """The keys of a dict."""
    return List(subject.keys())


@builtin("values")
def values(interpreter: Interpreter, step: Step, subject: dict[Any, Any]) -> List:
    """The values of a dict."""
    return List(subject.values())


@builtin("items")
def items(interpreter: Interpreter, step: Step, subject: dict[Any, Any]) -> List:
    """The pairs of a dict."""
    return List(tuple(pair) for pair in subject.items())


@builtin("get")
def get(interpreter: Interpreter, step: Step, subject: dict[Any, Any], key: Any, default: Any = None) -> Any:
    """The value of a key, or a default."""
    return subject.get(key, default)


@builtin("setdefault")
def set_default(interpreter: Interpreter, step: Step, subject: dict[Any, Any], key: Any, default: Any) -> Any:
    """The value of a key, set to a default where it is missing."""
    return subject.setdefault(key, default)


@builtin("update")
def update(interpreter: Interpreter, step: Step, subject: dict[Any, Any], other: dict[Any, Any]) -> None:
    """Takes over the pairs of another dict."""
    subject.update(other)


@builtin("dict")
def make_dict(interpreter: Interpreter, step: Step, *pairs: Any) -> dict[Any, Any]:
    """A dict of pairs."""
    if not pairs:
        return {}
    subject = pairs[0]
    return dict(subject) if isinstance(subject, dict) else dict(lists.members_of(interpreter, subject))
