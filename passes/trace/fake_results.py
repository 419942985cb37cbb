# SPDX-License-Identifier: Apache-2.0
"""Fake results of operators, remembered: with symbolic sizes, the rules that compute them are slow.

PyTorch keeps fake results where all sizes are numbers. Here they are kept by what they depend on: the operator, dtypes,
sizes and strides of its arguments, and the answers to what the rule asked of the sizes. A result from the table is used
only after all of that has been asked again, in the same order, with the same answers; so every guard is taken as if the
rule had run. The table outlives a capture: symbols of the next one have the same names.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from lading.passes import torch_private
from lading.passes.torch_private import FakeTensor, FakeTensorMode
from lading.passes.torch_private.asking import Asked, Question
from lading.passes.trace.symbols import Axes
from lading.passes.trace.unasked_results import Form, unasked_result

_LIMIT = 20_000
"""Entries of the table; when it is full it is begun anew."""

_DEEPEST = 400
"""Questions of one call up to which it is kept."""

_TAGS = frozenset({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape, torch.Tag.inplace_view})
_aten = torch.ops.aten
_SLICE = _aten.slice.Tensor
_LAST = 2**63 - 1
"""The index that stands for the end of an axis."""
_VIEWS = (_aten.view.default, _aten._unsafe_view.default)
_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
_PLAIN = (type(None), bool, int, float, complex, str, torch.dtype, torch.device, torch.layout, torch.memory_format)
_MEMOS = ("item_memo", "nonzero_memo", "unique_memo", "unique_consecutive_memo")
"""Where PyTorch keeps with a tensor the number that only the run knows, so that it is the same one the next time."""

_NOTHING = object()


class _NotKept(Exception):
    """A call, or its result, is of a kind that the table has no place for."""


@attrs.frozen(slots=True)
class _Made:
    """A tensor of a result: its sizes in expressions, and the number of the argument that it is a view of, if any."""

    dtype: torch.dtype
    device: torch.device
    size: tuple[Any, ...]
    stride: tuple[Any, ...]
    offset: Any
    of: int | None


@attrs.frozen(slots=True)
class _Same:
    """A result that is an argument."""

    argument: int


@attrs.frozen(slots=True)
class _Result:
    """What an operator returns: `kind` is tuple or list, None for a single result."""

    kind: type | None
    members: tuple[_Made | _Same | None, ...]


@attrs.define(slots=True)
class _Asks:
    """A question in the table, and what follows each answer: another question or the result."""

    question: Question
    then: dict[Any, _Asks | _Result]


_TABLE: dict[Any, _Asks | _Result] = {}
_KEPT: dict[Any, bool] = {}


class FakeResults:
    """Gives the fake results of operators for one capture.

    Args:
        fake: the mode that computes them.
        axes: the symbols of the capture.
    """

    def __init__(self, fake: FakeTensorMode, axes: Axes) -> None:
        self.fake = fake
        self.axes = axes
        self._forms: dict[int, tuple[int, torch.Tensor, Any]] = {}

    def of(self, func: Any, types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return the fake result of a call."""
        axes = self.axes
        plain = self._unasked(func, args, kwargs)
        if plain is not None:
            return plain
        if not axes.sizes:
            return self.fake.dispatch(func, types, args, kwargs)
        if func is _SLICE and (part := self._sliced(*args, **kwargs)) is not None:
            return part
        if not self._is_kept(func):
            return self._computed(func, types, args, kwargs)
        tensors: list[torch.Tensor] = []
        try:
            key = (
                func,
                axes.example(),
                torch.get_default_dtype(),
                self._key(args, tensors),
                self._key(kwargs, tensors),
            )
        except _NotKept:
            return self._computed(func, types, args, kwargs)
        return self._remembered(key, tensors, lambda: self._computed(func, types, args, kwargs))

    def _unasked(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
        """Return a result about which nothing has to be asked, None where it has."""
        try:
            made = unasked_result(func, args, kwargs, self._form)
        except _NotKept:
            return None
        if made is None:
            return None
        meta = torch_private.meta_tensor(self.fake, made.size, made.stride, made.offset, made.dtype, made.of)
        return FakeTensor(self.fake, meta, made.device)

    def _computed(self, func: Any, types: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        # The rule of views joins axes as fits the example: where a free size is 1, what follows holds for no other one.
        # The rule for sizes that nobody knows goes by strides.
        as_any = func in _VIEWS and any(type(n) is torch.SymInt and n.node.hint == 1 for n in args[0].shape)
        undecided = torch_private.sizes_undecided() if as_any else contextlib.nullcontext()
        with undecided:
            return self.fake.dispatch(func, types, args, kwargs)

    def _sliced(self, tensor: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
        """Return a slice whose ends are known to lie inside, or None.

        PyTorch asks whether it is empty, which would be a decision of its own: its size is the difference anyway.
        """
        if type(tensor) is not FakeTensor or type(step) is not int or step < 1 or tensor.constant is not None:
            return None
        size = tensor.shape[dim]
        if type(size) is int:
            return None
        first, last = self._place(start, size, 0), self._place(end, size, size)
        if first is None or last is None:
            return None
        if self._is_at_least(first, last):
            last = first
        elif not self._is_at_least(last, first):
            return None
        length = last - first if step == 1 else (last - first + step - 1) // step
        sizes, strides = list(tensor.shape), list(tensor.stride())
        sizes[dim], strides[dim] = length, strides[dim] * step
        offset = tensor.storage_offset() + first * tensor.stride()[dim]
        meta = torch_private.meta_tensor(self.fake, sizes, strides, offset, tensor.dtype, tensor)
        return FakeTensor(self.fake, meta, tensor.device)

    def _place(self, index: Any, size: Any, otherwise: Any) -> Any:
        """Return the place that an index of a slice means, None where it may lie outside."""
        if index is None or (type(index) is int and index >= _LAST):
            return size if index is not None else otherwise
        if type(index) is int and index < 0:
            index = size + index
        return index if self._is_at_least(index, 0) and self._is_at_least(size, index) else None

    def _is_at_least(self, number: Any, least: Any) -> bool:
        """Whether a size is at least another one, whatever free axes there are; nothing is asked."""
        difference = number - least
        if type(difference) is int:
            return difference >= 0
        return bool(self.axes.bound_sympy(difference.node.expr).lower >= 0)

    def empty(self, shape: Sequence[Any], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
        """Return a new contiguous fake tensor. No mode sees it, but what PyTorch asks of its sizes is asked."""

        def make() -> torch.Tensor:
            with torch_private.beneath_modes():
                return FakeTensor(self.fake, torch.empty(shape, dtype=dtype, device="meta"), device)

        if all(type(size) is int for size in shape):
            return make()
        return self._remembered(("empty", self.axes.example(), dtype, device, self._key(shape, [])), [], make)

    def _remembered(self, key: Any, tensors: Sequence[torch.Tensor], compute: Callable[[], Any]) -> Any:
        found = self._found(key, tensors)
        if found is not _NOTHING:
            return found
        axes = self.axes
        if axes.asked is not None:
            return compute()
        asked = axes.asked = Asked()
        known = len(axes.var_to_range)
        try:
            result = compute()
        finally:
            axes.asked = None
        if asked.repeatable and len(axes.var_to_range) == known and len(asked.answers) <= _DEEPEST:
            try:
                described = self._described(result, tensors)
            except _NotKept:
                return result
            _keep(key, asked, described)
            # Not the result itself: with that PyTorch keeps what it has asked, which one from the table lacks.
            return self._built(described, tensors)
        return result

    def _is_kept(self, func: Any) -> bool:
        kept = _KEPT.get(func)
        if kept is None:
            kept = _KEPT[func] = (
                torch_private.is_operator(func)
                and func.namespace in ("aten", "prims")
                and not func._schema.is_mutable
                and not _TAGS.intersection(func.tags)
                and func not in self.fake.lift_fns
                and all("Tensor" in str(one.type) for one in func._schema.returns)
            )
        return kept

    # ---- keys --------------------------------------------------------------------------------------------------------

    def _key(self, item: Any, tensors: list[torch.Tensor]) -> Any:
        kind = type(item)
        if kind is FakeTensor:
            if any(getattr(item, memo) is not None for memo in _MEMOS):
                raise _NotKept
            tensors.append(item)
            return self._form(item)
        if kind in _PLAIN:
            return (kind, item)
        if kind in (tuple, list) or isinstance(item, (tuple, list)):
            return (kind, *[self._key(member, tensors) for member in item])
        if kind is torch.SymInt:
            return _expression(item)
        if kind in _SYMBOLIC:
            return (kind, item.node.expr)
        if isinstance(item, Mapping):
            return tuple((name, self._key(member, tensors)) for name, member in item.items())
        raise _NotKept

    def _form(self, tensor: Any) -> Form:
        """Return what of a tensor results may depend on."""
        version = self.axes._replacements_version_counter
        held = self._forms.get(id(tensor))
        if held is not None and held[0] == version and held[1] is tensor:
            return held[2]
        if (
            tensor.constant is not None
            or tensor.layout is not torch.strided
            or tensor.requires_grad
            or tensor.is_conj()
            or tensor.is_neg()
        ):
            raise _NotKept
        form = Form(
            tensor.dtype,
            tensor.fake_device,
            tuple(_expression(size) for size in tensor.shape),
            tuple(_expression(size) for size in tensor.stride()),
            _expression(tensor.storage_offset()),
        )
        self._forms[id(tensor)] = (version, tensor, form)
        return form

    # ---- results -----------------------------------------------------------------------------------------------------

    def _found(self, key: Any, tensors: Sequence[torch.Tensor]) -> Any:
        step = _TABLE.get(key)
        while isinstance(step, _Asks):
            try:
                answer = self.axes.ask_again(step.question)
            except torch_private.GuardOnDataDependentSymNode:
                return _NOTHING
            step = step.then.get(answer)
        return _NOTHING if step is None else self._built(step, tensors)

    def _built(self, step: _Result, tensors: Sequence[torch.Tensor]) -> Any:
        made = [self._make(member, tensors) for member in step.members]
        return made[0] if step.kind is None else step.kind(made)

    def _make(self, member: _Made | _Same | None, tensors: Sequence[torch.Tensor]) -> Any:
        if member is None:
            return None
        if isinstance(member, _Same):
            return tensors[member.argument]
        size, stride = self._numbers(member.size), self._numbers(member.stride)
        offset = self._number(member.offset)
        base = None if member.of is None else tensors[member.of]
        meta = torch_private.meta_tensor(self.fake, size, stride, offset, member.dtype, base)
        return FakeTensor(self.fake, meta, member.device)

    def _numbers(self, expressions: tuple[Any, ...]) -> list[Any]:
        return [self._number(item) for item in expressions]

    def _number(self, item: Any) -> Any:
        return item if type(item) is int else self.axes.number_for(item)

    def _described(self, result: Any, tensors: Sequence[torch.Tensor]) -> _Result:
        if type(result) in (tuple, list):
            members = tuple(self._member(item, tensors) for item in result)
            memories = [_memory(item) for item in result if isinstance(item, torch.Tensor)]
            new = [_memory(t) for t, m in zip(result, members, strict=True) if type(m) is _Made and m.of is None]
            if len(set(new)) < len(new) or not memories:
                raise _NotKept
            return _Result(type(result), members)
        return _Result(None, (self._member(result, tensors),))

    def _member(self, item: Any, tensors: Sequence[torch.Tensor]) -> _Made | _Same | None:
        if item is None:
            return None
        for place, tensor in enumerate(tensors):
            if tensor is item:
                return _Same(place)
        if type(item) is not FakeTensor or item.constant is not None or item.layout is not torch.strided:
            raise _NotKept
        if item.requires_grad or item.is_conj() or item.is_neg():
            raise _NotKept
        memory = _memory(item)
        of = next((place for place, tensor in enumerate(tensors) if _memory(tensor) == memory), None)
        if of is not None and tensors[of].dtype != item.dtype:
            raise _NotKept
        return _Made(
            item.dtype,
            item.fake_device,
            tuple(_as_it_is(size) for size in item.shape),
            tuple(_as_it_is(size) for size in item.stride()),
            _as_it_is(item.storage_offset()),
            of,
        )


def _expression(size: Any) -> Any:
    """Return a size as a number or as an expression in which what is known to be equal is one."""
    if type(size) is int:
        return size
    expression = size.node.expr
    if expression.is_Symbol:
        return expression
    return int(expression) if expression.is_number else expression


def _as_it_is(size: Any) -> Any:
    if type(size) is int:
        return size
    expression = size.node._expr
    return int(expression) if expression.is_number else expression


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _keep(key: Any, asked: Asked, result: _Result) -> None:
    if len(_TABLE) >= _LIMIT:
        _TABLE.clear()
    steps = list(asked.answers.items())
    table: dict[Any, Any] = _TABLE
    place = key
    for question, answer in steps:
        step = table.get(place)
        if type(step) is not _Asks or step.question != question:
            step = table[place] = _Asks(question, {})
        table, place = step.then, answer
    table[place] = result
