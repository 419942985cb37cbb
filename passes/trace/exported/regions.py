# SPDX-License-Identifier: Apache-2.0
"""Higher-order operators of an exported program: regions that only say how PyTorch runs, and control flow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lading.passes.trace.exported.places import line_of
from lading.passes.trace.exported.walk import inlined
from lading.pipeline.errors import CaptureError

if TYPE_CHECKING:
    from lading.passes.trace.exported.walk import Walk

# Where the body stands among the arguments, and from which one on its operands; the rest says how PyTorch runs it.
_INLINED = {
    "wrap": (0, 1),
    "wrap_with_set_grad_enabled": (1, 2),
    "wrap_with_autocast": (4, 5),
    "wrap_activation_checkpoint": (0, 1),
    "tag_activation_checkpoint": (0, 1),
    "hints_wrapper": (0, 1),
    "invoke_subgraph": (0, 2),
}


def call_region(walk: Walk, node: torch.fx.Node) -> Any:
    """Write the call of a higher-order operator down, and return what stands for its result.

    Raises:
        CaptureError: the operator has no counterpart in a file.
    """
    target: Any = node.target
    name = target.name() if callable(getattr(target, "name", None)) else str(target)
    place = _INLINED.get(name)
    if place is not None:
        body, first = place
        operands = torch.fx.map_arg(node.args[first:], walk.value)
        if name == "hints_wrapper":
            operands = operands[0]
        return inlined(walk, walk.value(node.args[body]), operands)  # type: ignore[arg-type]
    raise CaptureError(
        f"the exported program calls torch.ops.higher_order.{name}, which has no counterpart in ONNX",
        where=line_of(node) or None,
        hint="write that part of the model with torch operators",
    )
