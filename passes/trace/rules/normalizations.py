# SPDX-License-Identifier: Apache-2.0
"""Normalisation and softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule

_aten = torch.ops.aten


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
        return _instance_norm_that_keeps_statistics(rec, input, weight, bias, running_mean, running_var, momentum, eps)
    args = (input, weight, bias, running_mean, running_var, use_input_stats, momentum, eps, cudnn_enabled)
    return _normalized(rec, _aten.instance_norm.default, args)


def _instance_norm_that_keeps_statistics(
    rec: Recorder, input: Any, weight: Any, bias: Any, mean: Any, variance: Any, momentum: float, eps: float
) -> Any:
    """Normalize the channels of each instance as so many channels of one batch.

    The running statistics take the mean over instances of what each of these would make of them. PyTorch's own
    composite does the same in C++, and writes them in a way that no schema shows.
    """
    batch, channels = input.shape[:2]
    weight, bias = (None if part is None else part.repeat(batch) for part in (weight, bias))
    means, variances = mean.repeat(batch), variance.repeat(batch)
    instances = input.reshape(1, batch * channels, *input.shape[2:])
    normalized = _batch_norm_of_the_batch(rec, instances, weight, bias, means, variances, momentum, eps)
    mean.copy_(means.reshape(batch, channels).mean(0))
    variance.copy_(variances.reshape(batch, channels).mean(0))
    return normalized.reshape(input.shape)


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
