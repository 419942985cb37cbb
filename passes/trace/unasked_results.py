# SPDX-License-Identifier: Apache-2.0
"""Fake results that follow from the form of the arguments, with no question about memory.

PyTorch's rules for elementwise operators, concatenations and the like are Python that composes other operators. What
they ask of sizes is about the layout of memory, which is known here: all tensors lie densely, those with symbolic sizes
row by row, and sizes that have to agree are one expression. Whatever is not as plain as that is left to PyTorch's rule,
errors included. What a convolution checks of its input is asked as PyTorch asks it: where that does not hold, it fails.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from lading.passes import torch_private
from lading.passes.torch_private import FakeTensor

_aten = torch.ops.aten
_REAL = (int, float)


@attrs.frozen(slots=True)
class Form:
    """What results depend on of a tensor; sizes and strides are numbers or expressions."""

    dtype: torch.dtype
    device: torch.device
    sizes: tuple[Any, ...]
    strides: tuple[Any, ...]
    offset: Any


@attrs.frozen(slots=True)
class Unasked:
    """A result: new memory, or a view of the tensor `of`. Sizes are as the tensors have them."""

    size: Sequence[Any]
    stride: Sequence[Any]
    dtype: torch.dtype
    device: torch.device
    offset: Any = 0
    of: torch.Tensor | None = None


Rule = Callable[["_Call"], "Unasked | None"]
_RULES: dict[Any, Rule] = {}
_PLAIN_LAYOUTS: dict[tuple[Any, ...], bool] = {}
_LIMIT = 20_000


def unasked_result(
    func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], form_of: Callable[[torch.Tensor], Form]
) -> Unasked | None:
    """Return the result of a call where nothing has to be asked for it, else None.

    Args:
        func: the operator.
        args: its arguments in order.
        kwargs: its arguments by name.
        form_of: gives the form of a fake tensor, and raises where it has more to it.
    """
    rule = _RULES.get(func)
    return None if rule is None else rule(_Call(args, kwargs, form_of))


class _Call:
    def __init__(self, args: Sequence[Any], kwargs: Mapping[str, Any], form_of: Callable[[torch.Tensor], Form]) -> None:
        self.args = args
        self.kwargs = kwargs
        self._form_of = form_of

    def form(self, tensor: Any) -> Form | None:
        """The form of a fake tensor that lies densely; None for anything else."""
        if type(tensor) is not FakeTensor:
            return None
        form = self._form_of(tensor)
        return form if _is_plain(form.sizes, form.strides) else None


def _is_plain(sizes: tuple[Any, ...], strides: tuple[Any, ...]) -> bool:
    """Whether elements lie one after the other in memory: row by row or, if all sizes are numbers, in any order."""
    key = (sizes, strides)
    found = _PLAIN_LAYOUTS.get(key)
    if found is None:
        if len(_PLAIN_LAYOUTS) >= _LIMIT:
            _PLAIN_LAYOUTS.clear()
        found = _PLAIN_LAYOUTS[key] = _is_row_major(sizes, strides) or _is_dense(sizes, strides)
    return found


def _is_row_major(sizes: Sequence[Any], strides: Sequence[Any]) -> bool:
    step, below = 1, 1  # stride and size of the axis before
    for size, stride in zip(reversed(sizes), reversed(strides), strict=True):
        if stride != step * below and (type(below) is int or stride != step * _at_least_one(below)):
            return False
        if type(size) is int and size == 0:
            return False
        step, below = stride, size
    return True


def _at_least_one(size: Any) -> Any:
    """Return the size as PyTorch's strides have it where it might be 0."""
    return torch_private.sympy_functions.Max(1, size)


def _is_dense(sizes: Sequence[Any], strides: Sequence[Any]) -> bool:
    if not all(type(number) is int and number > 1 for number in sizes):
        return False
    if not all(type(number) is int for number in strides):
        return False
    order = sorted(range(len(sizes)), key=strides.__getitem__, reverse=True)
    return _is_row_major([sizes[axis] for axis in order], [strides[axis] for axis in order])


def _rows(sizes: Sequence[Any], last: Sequence[Any] = (1,)) -> list[Any]:
    """Return the strides of a tensor that lies row by row, of which the last ones are known."""
    strides = [*last][: len(sizes)]
    while len(strides) < len(sizes):
        size = sizes[len(sizes) - len(strides)]
        strides.insert(0, strides[0] * (size if type(size) is int else torch.sym_max(size, 1)))
    return strides


def _like(tensor: torch.Tensor, form: Form, dtype: torch.dtype | None = None) -> Unasked:
    return Unasked(tuple(tensor.shape), tensor.stride(), dtype or form.dtype, form.device)


def _rule(*operators: Any) -> Callable[[Rule], Rule]:
    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(operators, rule))
        return rule

    return register


# ---- elementwise -----------------------------------------------------------------------------------------------------


@_rule(
    *(_aten.relu.default, _aten.hardswish.default, _aten.hardsigmoid.default, _aten.silu.default, _aten.mish.default),
    *(_aten.gelu.default, _aten.sigmoid.default, _aten.tanh.default, _aten.leaky_relu.default, _aten.elu.default),
    *(_aten.hardtanh.default, _aten.softplus.default, _aten.exp.default, _aten.log.default, _aten.log1p.default),
    *(_aten.sqrt.default, _aten.rsqrt.default, _aten.reciprocal.default, _aten.neg.default, _aten.abs.default),
    *(_aten.erf.default, _aten.sin.default, _aten.cos.default, _aten.floor.default, _aten.ceil.default),
    *(_aten.add.Scalar, _aten.sub.Scalar, _aten.mul.Scalar, _aten.div.Scalar, _aten.pow.Tensor_Scalar),
    *(_aten.clamp_min.default, _aten.clamp_max.default, _aten.rsub.Scalar),
)
def _of_one_float(call: _Call) -> Unasked | None:
    form = call.form(call.args[0])
    if form is None or not form.dtype.is_floating_point or not _are_numbers(call.args[1:], call.kwargs):
        return None
    return _like(call.args[0], form)


def _are_numbers(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether what an operator gets beside its tensor has no say in sizes and types."""
    named = all(
        type(value) in _REAL or (name == "approximate" and type(value) is str) for name, value in kwargs.items()
    )
    return named and all(type(value) in _REAL for value in args)


@_rule(_aten.clamp.default)
def _clamp(call: _Call) -> Unasked | None:
    form = call.form(call.args[0])
    bounds = [bound for bound in (*call.args[1:], *call.kwargs.values()) if bound is not None]
    if form is None or not form.dtype.is_floating_point or not bounds or not _are_numbers(bounds, {}):
        return None
    return _like(call.args[0], form)


@_rule(_aten.logical_not.default, _aten.isnan.default, _aten.isinf.default)
def _yes_or_no(call: _Call) -> Unasked | None:
    form = call.form(call.args[0])
    return None if form is None else _like(call.args[0], form, torch.bool)


@_rule(*(getattr(_aten, name).Scalar for name in ("eq", "ne", "lt", "le", "gt", "ge")))
def _compared_with_a_number(call: _Call) -> Unasked | None:
    form = call.form(call.args[0])
    if form is None or not _are_numbers(call.args[1:], call.kwargs):
        return None
    return _like(call.args[0], form, torch.bool)


@_rule(*(getattr(_aten, name).Tensor for name in ("add", "sub", "mul", "div")), _aten.maximum.default)
@_rule(_aten.minimum.default)
def _of_two(call: _Call) -> Unasked | None:
    if len(call.args) != 2 or not _are_numbers((), call.kwargs):
        return None
    left, right = call.args
    if type(right) in _REAL:
        return _of_one_float(call)
    found = _broadcast(call, left, right)
    return found if found is not None and found.dtype.is_floating_point else None


@_rule(*(getattr(_aten, name).Tensor for name in ("eq", "ne", "lt", "le", "gt", "ge")))
def _compared(call: _Call) -> Unasked | None:
    if len(call.args) != 2 or call.kwargs or type(call.args[1]) is not FakeTensor:
        return None
    found = _broadcast(call, *call.args)
    return None if found is None else attrs.evolve(found, dtype=torch.bool)


@_rule(*(getattr(_aten, name).Tensor for name in ("bitwise_and", "bitwise_or", "bitwise_xor")))
@_rule(_aten.logical_and.default, _aten.logical_or.default)
def _of_two_conditions(call: _Call) -> Unasked | None:
    if len(call.args) != 2 or call.kwargs:
        return None
    found = _broadcast(call, *call.args)
    return found if found is not None and found.dtype is torch.bool else None


def _broadcast(call: _Call, left: Any, right: Any) -> Unasked | None:
    """The result of two tensors of one type, one of which has the sizes of both together."""
    forms = call.form(left), call.form(right)
    one, other = forms
    if one is None or other is None or one.dtype != other.dtype or one.device != other.device:
        return None
    if one.sizes == other.sizes and one.strides == other.strides:
        return _like(left, one)
    if not (_is_row_major(one.sizes, one.strides) and _is_row_major(other.sizes, other.strides)):
        return None
    if _fits_into(other.sizes, one.sizes):
        return _like(left, one)
    return _like(right, other) if _fits_into(one.sizes, other.sizes) else None


def _fits_into(small: tuple[Any, ...], large: tuple[Any, ...]) -> bool:
    if not 0 < len(small) <= len(large):
        return False
    aligned = zip(small, large[len(large) - len(small) :], strict=True)
    return all(size == whole or (type(size) is int and size == 1) for size, whole in aligned)


@_rule(_aten._to_copy.default)
def _converted(call: _Call) -> Unasked | None:
    form = call.form(call.args[0])
    given = {name for name, value in call.kwargs.items() if value is not None and value is not False}
    if form is None or given != {"dtype"} or call.kwargs["dtype"].is_complex or form.dtype.is_complex:
        return None
    return _like(call.args[0], form, call.kwargs["dtype"])


@_rule(_aten._softmax.default, _aten._log_softmax.default)
def _softmax(call: _Call) -> Unasked | None:
    form = call.form(call.args[0])
    if form is None or len(call.args) != 3 or call.args[2] is not False or not form.dtype.is_floating_point:
        return None
    rank, axis = len(form.sizes), call.args[1]
    if not -rank <= axis < rank or not _is_row_major(form.sizes, form.strides):
        return None
    return _like(call.args[0], form)


# ---- others that make new tensors ------------------------------------------------------------------------------------


@_rule(_aten.cat.default)
def _cat(call: _Call) -> Unasked | None:
    tensors = call.args[0]
    axis = call.args[1] if len(call.args) > 1 else 0
    forms = [call.form(tensor) for tensor in tensors]
    first = forms[0] if forms else None
    if first is None or call.kwargs or len(first.sizes) < 2 or not -len(first.sizes) <= axis < len(first.sizes):
        return None
    axis %= len(first.sizes)
    around = (first.sizes[:axis], first.sizes[axis + 1 :])
    for form in forms:
        if form is None or form.dtype != first.dtype or form.device != first.device:
            return None
        if len(form.sizes) != len(first.sizes) or (form.sizes[:axis], form.sizes[axis + 1 :]) != around:
            return None
        if not _is_row_major(form.sizes, form.strides) or _lies_by_channels_too(form.sizes):
            return None
    size = list(tensors[0].shape)
    for tensor in tensors[1:]:
        size[axis] = size[axis] + tensor.shape[axis]
    # Behind the axis rows are as long as before, and need not be counted anew.
    return Unasked(size, _rows(size, tensors[0].stride()[axis:]), first.dtype, first.device)


def _lies_by_channels_too(sizes: Sequence[Any]) -> bool:
    """Whether PyTorch may take a tensor that lies row by row for one with the channels last."""
    if len(sizes) not in (4, 5):
        return False
    return any(type(size) is int and size == 1 for size in (sizes[1], *sizes[2:]))


@_rule(_aten.convolution.default)
def _convolution(call: _Call) -> Unasked | None:
    if len(call.args) != 9 or call.kwargs:
        return None
    data, weight, bias, steps, padding, dilation, transposed, _, groups = call.args
    given, kernel = call.form(data), call.form(weight)
    if given is None or kernel is None or transposed or given.dtype != kernel.dtype or given.device != kernel.device:
        return None
    around = len(given.sizes) - 2
    if around < 1 or not len(kernel.sizes) - 2 == len(steps) == len(padding) == len(dilation) == around:
        return None
    numbers = (given.sizes[1], *kernel.sizes, *steps, *padding, *dilation, groups)
    if not all(type(number) is int for number in numbers) or min(*steps, *dilation, groups) < 1 or min(padding) < 0:
        return None
    if not _is_row_major(given.sizes, given.strides) or not _is_row_major(kernel.sizes, kernel.strides):
        return None
    if _lies_by_channels_too(given.sizes) or not given.dtype.is_floating_point:
        return None
    if given.sizes[1] != kernel.sizes[1] * groups or kernel.sizes[0] % groups:
        return None
    if bias is not None and (
        (of := call.form(bias)) is None or of.sizes != kernel.sizes[:1] or of.dtype != given.dtype
    ):
        return None
    if any(type(size) is not int for size in given.sizes[2:]):
        size = torch_private.convolved_sizes(data, weight, steps, padding, dilation, groups)
        return Unasked(size, _rows(size), given.dtype, given.device)
    reaches = [step * (length - 1) + 1 for step, length in zip(dilation, kernel.sizes[2:], strict=True)]
    room = [size + 2 * more - reach for size, more, reach in zip(given.sizes[2:], padding, reaches, strict=True)]
    if min(room) < 0:
        return None
    size = [data.shape[0], kernel.sizes[0], *[left // step + 1 for left, step in zip(room, steps, strict=True)]]
    return Unasked(size, _rows(size), given.dtype, given.device)


# ---- views -----------------------------------------------------------------------------------------------------------


def _view_of(tensor: torch.Tensor, form: Form, size: Sequence[Any], stride: Sequence[Any]) -> Unasked:
    return Unasked(size, stride, form.dtype, form.device, tensor.storage_offset(), tensor)


@_rule(_aten.view.default, _aten._unsafe_view.default)
def _viewed(call: _Call) -> Unasked | None:
    tensor, wanted = call.args[0], list(call.args[1])
    form = call.form(tensor)
    if form is None or not all(type(number) is int for number in (*form.sizes, *wanted)):
        return None
    total, open_places = math.prod(form.sizes), [place for place, size in enumerate(wanted) if size == -1]
    known = math.prod(size for size in wanted if size != -1)
    if len(open_places) > 1 or known < 1 or not _is_row_major(form.sizes, form.strides):
        return None
    for place in open_places:
        wanted[place] = total // known
    return _view_of(tensor, form, wanted, _rows(wanted)) if math.prod(wanted) == total else None


@_rule(_aten.permute.default)
def _permuted(call: _Call) -> Unasked | None:
    tensor, order = call.args
    form = call.form(tensor)
    if form is None:
        return None
    rank = len(form.sizes)
    axes = [axis % rank for axis in order if -rank <= axis < rank] if rank else []
    if len(order) != rank or sorted(axes) != list(range(rank)):
        return None
    size, stride = tensor.shape, tensor.stride()
    return _view_of(tensor, form, [size[axis] for axis in axes], [stride[axis] for axis in axes])


@_rule(_aten.transpose.int)
def _transposed(call: _Call) -> Unasked | None:
    tensor, *pair = call.args
    form = call.form(tensor)
    if form is None or not form.sizes or not all(-len(form.sizes) <= axis < len(form.sizes) for axis in pair):
        return None
    one, other = (axis % len(form.sizes) for axis in pair)
    size, stride = list(tensor.shape), list(tensor.stride())
    size[one], size[other] = size[other], size[one]
    stride[one], stride[other] = stride[other], stride[one]
    return _view_of(tensor, form, size, stride)


@_rule(_aten.unsqueeze.default)
def _unsqueezed(call: _Call) -> Unasked | None:
    tensor, axis = call.args
    form = call.form(tensor)
    if form is None or not -len(form.sizes) - 1 <= axis <= len(form.sizes):
        return None
    axis %= len(form.sizes) + 1
    size, stride = list(tensor.shape), list(tensor.stride())
    step = size[axis] * stride[axis] if axis < len(size) else 1
    return _view_of(tensor, form, [*size[:axis], 1, *size[axis:]], [*stride[:axis], step, *stride[axis:]])
