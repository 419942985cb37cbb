# SPDX-License-Identifier: Apache-2.0
"""Activations that PyTorch would take apart."""

from __future__ import annotations

from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule

_aten = torch.ops.aten
_NN = torch_private.nn_functions


@rule(torch.prelu, torch.Tensor.prelu)
def _prelu(rec: Recorder, input: Any, weight: Any) -> Any:
    return rec.keep(_aten.prelu.default, (input, weight), (input.shape, input.dtype))


@rule(_NN.log_sigmoid)
def _log_sigmoid(rec: Recorder, input: Any) -> Any:
    return rec.keep(_aten.log_sigmoid.default, (input,), (input.shape, input.dtype))
