# SPDX-License-Identifier: Apache-2.0
"""Which composites are kept whole, and the shapes of their results.

A rule has the signature of the public function that it stands for, after the recorder. It writes the call down as one
ATen operator, or returns `NOT_KEPT` where the ordinary way is right: an argument that it does not know, a training form
that updates buffers, shapes that do not fit (so that PyTorch says so in its own words).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from lading.passes import torch_private
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.failures import left_pytorch
from lading.passes.trace.recorder import Recorder

RULES: dict[Any, Callable[..., Any]] = {}
"""Rule by public function, method or builtin."""

R = TypeVar("R", bound=Callable[..., Any])
_aten = torch.ops.aten
_NN = torch_private.nn_functions
_VF = torch_private.variable_functions


def rule(*functions: Any) -> Callable[[R], R]:
    """Let a function be the rule for the given torch functions."""

    def registered(function: R) -> R:
        for target in functions:
            RULES[target] = function
        return function

    return registered


def _same(left: Any, right: Any) -> bool:
    """Whether two sizes are equal; asks the symbols, and so leaves a guard, only where that is not plain."""
    if type(left) is int and type(right) is int:
        return left == right
    if type(left) is not int and type(right) is not int and left.node.expr == right.node.expr:
        return True
    return bool(left == right)


def _broadcast(left: Sequence[Any], right: Sequence[Any]) -> list[Any] | None:
    """Return the broadcast of two shapes, or None if they do not fit."""
    if len(left) < len(right):
        left, right = right, left
    shape = list(left)
    offset = len(left) - len(right)
    for index, size in enumerate(right, start=offset):
        other = shape[index]
        if type(other) is int and other == 1:
            shape[index] = size
        elif not (type(size) is int and size == 1) and not _same(other, size):
            return None
    return shape


def _list(value: Any, count: int) -> list[Any]:
    """Return a size argument as PyTorch reads it: one number stands for every dimension."""
    if isinstance(value, (list, tuple)):
        return list(value) * count if len(value) == 1 else list(value)
    return [value] * count


# ---- products --------------------------------------------------------------------------------------------------------


@rule(F.linear)
def _linear(rec: Recorder, input: Any, weight: Any, bias: Any = None) -> Any:
    shape = input.shape
    if weight.dim() != 2 or len(shape) == 0 or not _same(shape[-1], weight.shape[1]) or input.dtype != weight.dtype:
        return NOT_KEPT
    return rec.keep(_aten.linear.default, (input, weight, bias), ((*shape[:-1], weight.shape[0]), input.dtype))


@rule(torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.linalg.matmul)
def _matmul(rec: Recorder, input: Any, other: Any, *, out: Any = None) -> Any:
    if out is not None or not isinstance(other, torch.Tensor) or input.dtype != other.dtype:
        return NOT_KEPT
    left, right = list(input.shape), list(other.shape)
    if not left or not right:
        return NOT_KEPT
    if not _same(left[-1], right[-2] if len(right) > 1 else right[0]):
        return NOT_KEPT
    rows = left[-2:-1] if len(left) > 1 else []
    columns = right[-1:] if len(right) > 1 else []
    batch = _broadcast(left[:-2], right[:-2])
    if batch is None:
        return NOT_KEPT
    return rec.keep(_aten.matmul.default, (input, other), ((*batch, *rows, *columns), input.dtype))


@rule(F.scaled_dot_product_attention)
def _attention(
    rec: Recorder,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: Any = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if min(query.dim(), key.dim(), value.dim()) < 2 or isinstance(is_causal, torch.Tensor):
        return NOT_KEPT
    batch: list[Any] | None
    if enable_gqa:
        batch = list(query.shape[:-2])
    else:
        batch = _broadcast(query.shape[:-2], key.shape[:-2])
        if batch is not None:
            batch = _broadcast(batch, value.shape[:-2])
    if batch is None or not _same(query.shape[-1], key.shape[-1]):
        return NOT_KEPT
    return rec.keep(
        _aten.scaled_dot_product_attention.default,
        (query, key, value, attn_mask, dropout_p, bool(is_causal), scale, bool(enable_gqa)),
        ((*batch, query.shape[-2], value.shape[-1]), query.dtype),
    )


@rule(_VF.einsum)
def _einsum(rec: Recorder, equation: str, operands: Any, *more: Any, path: Any = None) -> Any:
    tensors = list(operands) if isinstance(operands, (list, tuple)) else [operands, *more]
    shape = _einsum_shape(equation, [tensor.shape for tensor in tensors])
    if shape is None or len({tensor.dtype for tensor in tensors}) > 1:
        return NOT_KEPT
    return rec.keep(_aten.einsum.default, (equation, tensors), (shape, tensors[0].dtype))


def _einsum_shape(equation: str, shapes: Sequence[Sequence[Any]]) -> list[Any] | None:
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        return None
    sizes: dict[str, Any] = {}
    ellipsis: list[Any] = []
    for term, shape in zip(terms, shapes, strict=True):
        before, dots, after = term.partition("...")
        rest = len(shape) - len(before) - len(after)
        if rest < 0 or (rest and not dots):
            return None
        spread = _broadcast(ellipsis, shape[len(before) : len(before) + rest])
        if spread is None:
            return None
        ellipsis = spread
        for label, size in zip(before + after, [*shape[: len(before)], *shape[len(before) + rest :]], strict=True):
            known = sizes.get(label)
            if known is None or (type(known) is int and known == 1):
                sizes[label] = size
            elif not (type(size) is int and size == 1) and not _same(known, size):
                return None
    if not arrow:
        once = sorted(label for label in sizes if left.count(label) == 1)
        right = "..." * bool(ellipsis) + "".join(once)
    before, dots, after = right.partition("...")
    if not set(before + after) <= sizes.keys():
        return None
    return [*(sizes[label] for label in before), *(ellipsis if dots else []), *(sizes[label] for label in after)]


# ---- normalisation and softmax ---------------------------------------------------------------------------------------


@rule(torch.softmax, torch.Tensor.softmax, F.softmax)
def _softmax(rec: Recorder, input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None, **other: Any) -> Any:
    return _softmax_like(rec, _aten.softmax.int, input, dim, dtype, _stacklevel, other)


@rule(torch.log_softmax, torch.Tensor.log_softmax, F.log_softmax)
def _log_softmax(
    rec: Recorder, input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None, **other: Any
) -> Any:
    return _softmax_like(rec, _aten.log_softmax.int, input, dim, dtype, _stacklevel, other)


def _softmax_like(
    rec: Recorder, overload: Any, input: Any, dim: Any, dtype: Any, stacklevel: Any, other: dict[str, Any]
) -> Any:
    if isinstance(stacklevel, torch.dtype):  # torch.softmax and the method take the dtype as their third argument
        dtype = stacklevel
    if other or type(dim) is not int or not (dtype or input.dtype).is_floating_point:
        return NOT_KEPT
    return rec.keep(overload, (input, dim, dtype), (input.shape, dtype or input.dtype))


@rule(F.layer_norm)
def _layer_norm(
    rec: Recorder, input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    return _normalized(rec, _aten.layer_norm.default, (input, list(normalized_shape), weight, bias, eps))


@rule(torch.layer_norm)
def _layer_norm_builtin(
    rec: Recorder,
    input: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:
    return _normalized(rec, _aten.layer_norm.default, (input, list(normalized_shape), weight, bias, eps))


@rule(torch.group_norm)
def _group_norm(
    rec: Recorder,
    input: Any,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:
    if input.dim() < 2 or type(input.shape[1]) is not int or input.shape[1] % num_groups:
        return NOT_KEPT
    return _normalized(rec, _aten.group_norm.default, (input, num_groups, weight, bias, eps))


@rule(torch.rms_norm)
def _rms_norm(rec: Recorder, input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    return _normalized(rec, _aten.rms_norm.default, (input, list(normalized_shape), weight, eps))


@rule(torch.instance_norm)
def _instance_norm(
    rec: Recorder,
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    if use_input_stats and running_mean is not None:
        return NOT_KEPT
    args = (input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, cudnn_enabled)
    return _normalized(rec, _aten.instance_norm.default, args)


@rule(torch.batch_norm)
def _batch_norm(
    rec: Recorder,
    input: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool,
) -> Any:
    if training or running_mean is None:
        return _batch_norm_of_the_batch(rec, input, weight, bias, running_mean, running_var, momentum, eps)
    args = (input, weight, bias, running_mean, running_var, False, momentum, eps, cudnn_enabled)
    return _normalized(rec, _aten.batch_norm.default, args)


def _batch_norm_of_the_batch(
    rec: Recorder, input: Any, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, eps: float
) -> Any:
    """Write the training form down as a function, and let the running statistics take its results."""
    channels, dtype = (input.shape[1],), input.dtype
    results = [(input.shape, dtype), (channels, dtype), (channels, dtype)]
    if mean is None:
        args = (input, weight, bias, True, momentum, eps)
        return rec.keep(_aten._native_batch_norm_legit.no_stats, args, *results)[0]
    args_with_statistics = (input, weight, bias, mean, variance, True, momentum, eps)
    results += [(channels, mean.dtype), (channels, variance.dtype)]
    kept = rec.keep(_aten._native_batch_norm_legit_functional.default, args_with_statistics, *results)
    mean.copy_(kept[3])
    variance.copy_(kept[4])
    return kept[0]


def _normalized(rec: Recorder, overload: Any, args: Sequence[Any]) -> Any:
    if not args[0].is_floating_point():
        return NOT_KEPT
    return rec.keep(overload, args, (args[0].shape, args[0].dtype))


# ---- dropout ---------------------------------------------------------------------------------------------------------


def _dropout(overload: Any, rec: Recorder, input: Any, p: float, training: bool, inplace: bool) -> Any:
    if not training:
        return input
    if not 0 <= p <= 1 or not isinstance(p, (int, float)):
        return NOT_KEPT
    result = rec.keep(overload, (input, float(p), True), (input.shape, input.dtype))
    return input.copy_(result) if inplace else result


def _dropout_rules(overload: Any, python: Sequence[Any], builtin: Any, builtin_inplace: Any) -> None:
    def functional(rec: Recorder, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        return _dropout(overload, rec, input, p, training, inplace)

    def plain(rec: Recorder, input: Any, p: float, train: bool) -> Any:
        return _dropout(overload, rec, input, p, train, False)

    def in_place(rec: Recorder, input: Any, p: float, train: bool) -> Any:
        return _dropout(overload, rec, input, p, train, True)

    rule(*python)(functional)
    rule(builtin)(plain)
    rule(builtin_inplace)(in_place)


_dropout_rules(_aten.dropout.default, (F.dropout,), torch.dropout, torch.dropout_)
_dropout_rules(_aten.feature_dropout.default, (), torch.feature_dropout, torch.feature_dropout_)
_dropout_rules(_aten.alpha_dropout.default, (), torch.alpha_dropout, torch.alpha_dropout_)
_dropout_rules(_aten.feature_alpha_dropout.default, (), torch.feature_alpha_dropout, torch.feature_alpha_dropout_)


# ---- recurrent layers ------------------------------------------------------------------------------------------------


@rule(_VF.lstm)
def _lstm(rec: Recorder, input: Any, *rest: Any) -> Any:
    packed = isinstance(rest[0], torch.Tensor)
    hx, weights = rest[1 if packed else 0], rest[2 if packed else 1]
    shapes = (_sequence_shape(rec, input, rest, hx[0], packed), hx[0].shape, hx[1].shape)
    overload = _aten.lstm.data if packed else _aten.lstm.input
    args = [input, *rest]
    args[2 if packed else 1], args[3 if packed else 2] = list(hx), list(weights)
    return rec.keep(overload, args, *((shape, input.dtype) for shape in shapes))


def _recurrent_rule(builtin: Any, packet: Any) -> None:
    def recurrent(rec: Recorder, input: Any, *rest: Any) -> Any:
        packed = isinstance(rest[1], torch.Tensor)
        hx, weights = rest[1 if packed else 0], rest[2 if packed else 1]
        args = [input, *rest]
        args[3 if packed else 2] = list(weights)
        shapes = (_sequence_shape(rec, input, rest, hx, packed), hx.shape)
        overload = packet.data if packed else packet.input
        return rec.keep(overload, args, *((shape, input.dtype) for shape in shapes))

    rule(builtin)(recurrent)


def _sequence_shape(rec: Recorder, input: Any, rest: Sequence[Any], hidden: Any, packed: bool) -> tuple[Any, ...]:
    # rest: [batch_sizes,] hx, weights, has_biases, num_layers, dropout, train, bidirectional[, batch_first]
    bidirectional = rest[7] if packed else rest[6]
    return (*input.shape[:-1], hidden.shape[-1] * (2 if bidirectional else 1))


_recurrent_rule(_VF.gru, _aten.gru)
_recurrent_rule(_VF.rnn_tanh, _aten.rnn_tanh)
_recurrent_rule(_VF.rnn_relu, _aten.rnn_relu)


# ---- pooling ---------------------------------------------------------------------------------------------------------


def _pooled(size: Any, kernel: int, stride: int, padding: int, dilation: int) -> Any:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _max_pool_rule(rank: int, overload: Any, functions: Sequence[Any], plain: Callable[..., Any]) -> None:
    def max_pool(
        rec: Recorder,
        input: Any,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        if return_indices or input.dim() not in (rank + 1, rank + 2):
            return NOT_KEPT
        kernel = _list(kernel_size, rank)
        steps = _list(stride, rank) if stride is not None and stride != [] else kernel
        pads, spread = _list(padding, rank), _list(dilation, rank)
        if any(pad * 2 > size for pad, size in zip(pads, kernel, strict=True)):
            return NOT_KEPT
        args = (input, kernel, steps, pads, spread, ceil_mode)
        if ceil_mode:
            return rec.keep_run(overload, args, lambda: plain(input, kernel, steps, pads, spread, ceil_mode))
        spatial = [_pooled(*item) for item in zip(input.shape[-rank:], kernel, steps, pads, spread, strict=True)]
        if any(type(size) is int and size <= 0 for size in spatial):
            return NOT_KEPT
        return rec.keep(overload, args, ((*input.shape[:-rank], *spatial), input.dtype))

    rule(*functions)(max_pool)


_max_pool_rule(1, _aten.max_pool1d.default, (F.max_pool1d, torch.max_pool1d), torch.max_pool1d)
_max_pool_rule(2, _aten.max_pool2d.default, (F.max_pool2d, torch.max_pool2d), torch.max_pool2d)
_max_pool_rule(3, _aten.max_pool3d.default, (F.max_pool3d, torch.max_pool3d), torch.max_pool3d)


@rule(torch.avg_pool1d)
def _avg_pool1d(
    rec: Recorder,
    input: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    kernel = _list(kernel_size, 1)
    steps = _list(stride, 1) if stride is not None and stride not in ([], ()) else kernel
    args = (input, kernel, steps, _list(padding, 1), ceil_mode, count_include_pad)
    return rec.keep_run(_aten.avg_pool1d.default, args, lambda: torch.avg_pool1d(*args))


def _adaptive_rule(rank: int, overload: Any, function: Any) -> None:
    def adaptive(rec: Recorder, input: Any, output_size: Any) -> Any:
        if input.dim() not in (rank + 1, rank + 2):
            return NOT_KEPT
        sizes = _list(output_size, rank)
        return rec.keep(overload, (input, sizes), ((*input.shape[:-rank], *sizes), input.dtype))

    rule(function)(adaptive)


_adaptive_rule(1, _aten.adaptive_avg_pool1d.default, torch.adaptive_avg_pool1d)
_adaptive_rule(2, _aten.adaptive_avg_pool2d.default, _NN.adaptive_avg_pool2d)
_adaptive_rule(3, _aten.adaptive_avg_pool3d.default, _NN.adaptive_avg_pool3d)


@rule(torch.adaptive_max_pool1d)
def _adaptive_max_pool1d(rec: Recorder, input: Any, output_size: Any) -> Any:
    sizes = _list(output_size, 1)
    shape = (*input.shape[:-1], *sizes)
    return rec.keep(_aten.adaptive_max_pool1d.default, (input, sizes), (shape, input.dtype), (shape, torch.int64))


# ---- signals ---------------------------------------------------------------------------------------------------------


@rule(_VF.stft)
def _stft(
    rec: Recorder,
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    if align_to_window or input.dim() not in (1, 2) or not input.is_floating_point():
        return NOT_KEPT
    hop = n_fft // 4 if hop_length is None else hop_length
    bins = n_fft // 2 + 1 if onesided is None or onesided else n_fft
    shape = [*input.shape[:-1], bins, (input.shape[-1] - n_fft) // hop + 1]
    dtype = input.dtype
    if return_complex:
        dtype = {torch.float16: torch.complex32, torch.float64: torch.complex128}.get(dtype, torch.complex64)
    else:
        shape.append(2)
    args = (input, n_fft, hop, win_length, window, normalized, onesided, return_complex)
    return rec.keep(_aten.stft.default, args, (shape, dtype))


# ---- the rest --------------------------------------------------------------------------------------------------------


@rule(_NN.pad)
def _pad(rec: Recorder, input: Any, pad: Any, mode: str = "constant", value: Any = None) -> Any:
    pads = list(pad)
    if len(pads) % 2 or len(pads) > 2 * input.dim():
        return NOT_KEPT
    shape = list(input.shape)
    for index in range(len(pads) // 2):
        shape[-1 - index] = shape[-1 - index] + pads[2 * index] + pads[2 * index + 1]
        if type(shape[-1 - index]) is int and shape[-1 - index] < 0:
            return NOT_KEPT
    if mode != "constant" and (value is not None and value != 0.0):
        return NOT_KEPT
    return rec.keep(_aten.pad.default, (input, pads, mode, value), (shape, input.dtype))


@rule(_NN.one_hot)
def _one_hot(rec: Recorder, input: Any, num_classes: int = -1) -> Any:
    if num_classes == -1:
        return NOT_KEPT
    return rec.keep(_aten.one_hot.default, (input, num_classes), ((*input.shape, num_classes), torch.int64))


@rule(torch.prelu, torch.Tensor.prelu)
def _prelu(rec: Recorder, input: Any, weight: Any) -> Any:
    return rec.keep(_aten.prelu.default, (input, weight), (input.shape, input.dtype))


@rule(_NN.log_sigmoid)
def _log_sigmoid(rec: Recorder, input: Any) -> Any:
    return rec.keep(_aten.log_sigmoid.default, (input,), (input.shape, input.dtype))


def _upsample_rule(name: str, rank: int, corners: bool) -> None:
    overload = getattr(_aten, name).vec

    def upsample(rec: Recorder, input: Any, *rest: Any) -> Any:
        if len(rest) != (3 if corners else 2) or input.dim() != rank + 2:
            return NOT_KEPT  # the overloads with one scale for each dimension
        size, scales = rest[0], rest[-1]
        if isinstance(scales, (int, float)) or (size is None) == (scales is None):
            return NOT_KEPT
        if size is not None:
            spatial = list(size)
        else:
            spatial = [_scaled(length, factor) for length, factor in zip(input.shape[2:], scales, strict=True)]
        return rec.keep(overload, (input, *rest), ((*input.shape[:2], *spatial), input.dtype))

    rule(getattr(_NN, name))(upsample)


def _scaled(length: Any, factor: float) -> Any:
    if float(factor).is_integer():
        return length * int(factor)
    return torch.sym_int(length * factor)


for _name, _rank, _corners in (
    ("upsample_nearest1d", 1, False),
    ("upsample_nearest2d", 2, False),
    ("upsample_nearest3d", 3, False),
    ("_upsample_nearest_exact1d", 1, False),
    ("_upsample_nearest_exact2d", 2, False),
    ("_upsample_nearest_exact3d", 3, False),
    ("upsample_linear1d", 1, True),
    ("upsample_bilinear2d", 2, True),
    ("upsample_trilinear3d", 3, True),
    ("upsample_bicubic2d", 2, True),
    ("_upsample_bilinear2d_aa", 2, True),
    ("_upsample_bicubic2d_aa", 2, True),
):
    _upsample_rule(_name, _rank, _corners)


@rule(torch.linspace)
def _linspace(rec: Recorder, start: Any, end: Any, steps: Any, *, dtype: Any = None, **other: Any) -> Any:
    """Write a number of steps that is a size as arithmetic on it; PyTorch takes a plain number only."""
    kind = dtype or torch.get_default_dtype()
    if not isinstance(steps, torch.SymInt) or not kind.is_floating_point or other.get("out") is not None:
        return NOT_KEPT
    if not isinstance(start, (int, float)) or not isinstance(end, (int, float)):
        return NOT_KEPT
    # As PyTorch computes it: the first half counts from the start, the second from the end.
    index = torch.arange(0, steps, dtype=kind, **other)
    step = (end - start) / torch.sym_max(steps - 1, 1)
    return torch.where(index < steps // 2, start + index * step, end - (steps - 1 - index) * step)


@rule(torch.take_along_dim, torch.Tensor.take_along_dim)
def _take_along_dim(rec: Recorder, input: Any, indices: Any, dim: Any = None, *, out: Any = None) -> Any:
    if dim is None or out is not None or input.dim() != indices.dim():
        return NOT_KEPT
    axis = dim % input.dim()
    others = [index for index in range(input.dim()) if index != axis]
    if not all(_same(input.shape[index], indices.shape[index]) for index in others):
        return NOT_KEPT
    return input.gather(dim, indices)


# ---- values read by Python -------------------------------------------------------------------------------------------


@rule(torch.Tensor.tolist)
def _to_list(rec: Recorder, input: Any) -> Any:
    known = rec.known(input)
    if known is not None:
        with torch_private.beneath_modes():
            values = known.tolist()
        rec.note_value(values)
        return values
    if input.dim() == 0:
        return input.item()
    return [_to_list(rec, input[index]) for index in range(input.shape[0])]


@rule(torch.Tensor.numpy, torch.Tensor.__array__)
def _to_numpy(rec: Recorder, input: Any, *args: Any, **kwargs: Any) -> Any:
    known = rec.known(input)
    if known is None:
        raise left_pytorch(rec.places.line())
    rec.note_value(f"array of shape {tuple(known.shape)}")
    with torch_private.beneath_modes():
        return known.detach().numpy().copy()


@rule(torch.Tensor.data_ptr, torch.Tensor.__dlpack__)
def _address(rec: Recorder, input: Any, *args: Any, **kwargs: Any) -> Any:
    raise left_pytorch(rec.places.line())


@rule(torch.Tensor.__deepcopy__)
def _deep_copy(rec: Recorder, input: Any, memo: Any) -> Any:
    return input.clone()


@rule(torch.affine_grid_generator)
def _affine_grid(rec: Recorder, theta: Any, size: Any, align_corners: bool) -> Any:
    sizes = list(size)
    if len(sizes) not in (4, 5) or theta.dim() != 3:
        return NOT_KEPT
    shape = (sizes[0], *sizes[2:], len(sizes) - 2)
    args = (theta, sizes, align_corners)
    return rec.keep(_aten.affine_grid_generator.default, args, (shape, theta.dtype))


# ---- tensors made of sizes -------------------------------------------------------------------------------------------


@rule(torch.tensor, torch.as_tensor)
def _tensor_of_sizes(rec: Recorder, data: Any, *, dtype: Any = None, device: Any = None, **other: Any) -> Any:
    """Join symbolic sizes in a literal to a tensor; PyTorch itself would read them as plain numbers."""
    flat: list[Any] = []
    shape = _flattened(data, flat)
    if shape is None or not any(isinstance(item, _SYMBOLIC) for item in flat):
        return NOT_KEPT
    if dtype is None:
        floating = any(isinstance(item, (float, torch.SymFloat)) for item in flat)
        booleans = all(isinstance(item, (bool, torch.SymBool)) for item in flat)
        dtype = torch.get_default_dtype() if floating else torch.bool if booleans else torch.int64
    scalars = [
        item.to(dtype).reshape(()) if isinstance(item, torch.Tensor) else torch.scalar_tensor(item, dtype=dtype)
        for item in flat
    ]
    made = scalars[0] if not shape else torch.stack(scalars).reshape(shape)
    return made if device is None else made.to(device)


_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)


def _flattened(data: Any, flat: list[Any]) -> list[int] | None:
    """Append the members of a nested list to `flat` and return its shape, or None if it is no regular list."""
    if not isinstance(data, (list, tuple)):
        flat.append(data)
        numbers = (bool, int, float, *_SYMBOLIC)
        single = isinstance(data, torch.Tensor) and data.dim() == 0
        return [] if single or isinstance(data, numbers) else None
    shapes = [_flattened(item, flat) for item in data]
    if not shapes or any(shape is None or shape != shapes[0] for shape in shapes):
        return None
    return [len(shapes), *(shapes[0] or [])]
