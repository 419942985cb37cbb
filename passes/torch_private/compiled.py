# SPDX-License-Identifier: Apache-2.0
"""Models and functions that went through torch.compile."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import torch


def uncompiled(model: Any) -> Any:
    """Return the model that `torch.compile` was given, or the model itself where it was given none."""
    if type(model).__module__.startswith("torch._dynamo") and isinstance(model, torch.nn.Module):
        return model._orig_mod
    return getattr(model, "_torchdynamo_orig_callable", model) if inspect.isroutine(model) else model


def forget_compilations() -> None:
    """Throw away what `torch.compile` made while a model ran on fake tensors and failed: eager would use it again.

    `torch.cond` and its kin compile themselves when they are called in eager.
    """
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()
