# SPDX-License-Identifier: Apache-2.0
"""Activations that PyTorch would take apart, and those that write into their argument.

Functionalization runs a call that writes once more, on a tensor without data, to find a shape that does not fit: with
symbolic sizes that takes longer than all else about it. An activation of floats has the shape that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import RULES, rule

_aten = torch.ops.aten
_NN = torch_private.nn_functions


@rule(torch.prelu, torch.Tensor.prelu)
def _prelu(rec: Recorder, input: Any, weight: Any) -> Any:
    return rec.keep(_aten.prelu.default, (input, weight), (input.shape, input.dtype))


@rule(_NN.log_sigmoid)
def _log_sigmoid(rec: Recorder, input: Any) -> Any:
    return rec.keep(_aten.log_sigmoid.default, (input,), (input.shape, input.dtype))


_WRITTEN = (
    *("celu", "clamp", "clamp_max", "clamp_min", "elu", "gelu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu"),
    *("mish", "relu", "relu6", "selu", "sigmoid", "silu", "tanh"),
)


def _writing(whole: Callable[..., Any], written: Callable[..., Any]) -> Callable[..., Any]:
    def write(rec: Recorder, input: Any, *args: Any, **kwargs: Any) -> Any:
        # Tensors among the other arguments have a say in sizes.
        plain = not any(isinstance(argument, torch.Tensor) for argument in (*args, *kwargs.values()))
        if not plain or not torch_private.is_functional(input) or not input.is_floating_point():
            return written(input, *args, **kwargs)
        torch_private.replace_functional(input, torch_private.unwrap_functional(whole(input, *args, **kwargs)))
        return input

    return write


for _owner in (torch, _NN, torch.Tensor):
    for _name in _WRITTEN:
        _whole, _written = getattr(_owner, _name, None), getattr(_owner, f"{_name}_", None)
        if _whole is not None and _written is not None:
            RULES[_written] = _writing(_whole, _written)
