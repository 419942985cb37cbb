# SPDX-License-Identifier: Apache-2.0
"""A last resort of the auto strategy: a module that PyTorch can compile to TorchScript is captured from that."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import attrs
import torch
from lading.passes.model_state import preserved
from lading.pipeline.errors import CaptureError

if TYPE_CHECKING:
    import onnx_ir as ir
    from lading.passes.signature.arguments import Arguments
    from lading.passes.trace.capture import Capture


def scripted(arguments: Arguments) -> tuple[ir.Model, Capture]:
    """Compile a module by `torch.jit.script`, and capture it by the script strategy.

    Raises:
        CaptureError: PyTorch cannot compile the module, or the script strategy cannot capture it.
    """
    from lading.passes.trace.script.strategy import script

    with preserved(arguments.model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            compiled = torch.jit.script(arguments.model)
        except Exception as error:
            line = next((line.strip() for line in str(error).splitlines() if line.strip()), "(no message)")
            raise CaptureError(f"torch.jit.script cannot compile the model: {line}") from error
    model, capture = script(attrs.evolve(arguments, model=compiled))
    return model, attrs.evolve(capture, details={**capture.details, "program": "torch.jit.script"})
