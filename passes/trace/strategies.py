# SPDX-License-Identifier: Apache-2.0
"""The capture strategies by name, and which one `auto` means for a model.

A strategy is a function `capture(arguments) -> (model, Capture)` that ends in the ATen dialect. To add one, write its
module and name it here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx_ir as ir
    from lading.passes.arguments import Arguments
    from lading.passes.trace.capture import Capture

    Strategy = Callable[[Arguments], tuple[ir.Model, Capture]]

_STRATEGIES = {"record": "lading.passes.trace.record:record"}

NAMES = ("auto", *_STRATEGIES)


def find(name: str) -> Strategy:
    """Return the strategy of a name other than "auto"."""
    module, _, function = _STRATEGIES[name].partition(":")
    found: Any = getattr(importlib.import_module(module), function)
    return found


def for_model(model: Any) -> str:
    """Return the strategy that "auto" stands for, given the kind of model."""
    del model  # every kind is recorded as long as there is one strategy
    return "record"
