# SPDX-License-Identifier: Apache-2.0
"""The example outputs that a caller gives, beside the outputs that capture found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from lading.passes.dialect import onnx_dtype
from lading.passes.trace.outputs import result_leaves
from lading.pipeline.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import onnx_ir as ir

_NUMBERS = {bool: torch.bool, int: torch.int64, float: torch.float32}


def compare_example_outputs(given: Any, outputs: Sequence[ir.Value]) -> int:
    """Compare `example_outputs` with the outputs of a captured graph by number, data type and sizes.

    Returns:
        How many outputs were compared; sequences of tensors and dynamic axes are not.

    Raises:
        UsageError: they differ, so the example outputs are of another model, or of other arguments.
    """
    leaves, _ = result_leaves(given)
    hint = "leave example_outputs out: the outputs are found without them"
    if len(leaves) != len(outputs):
        raise UsageError(
            f"example_outputs has {len(leaves)} tensors, and the model {len(outputs)} outputs",
            where="outputs: " + ", ".join(output.name or "" for output in outputs),
            hint=hint,
        )
    compared = 0
    for (path, leaf), output in zip(leaves, outputs, strict=True):
        if output.dtype is None or output.shape is None:
            continue
        compared += 1
        dtype = leaf.dtype if isinstance(leaf, torch.Tensor) else _NUMBERS[type(leaf)]
        sizes = list(leaf.shape) if isinstance(leaf, torch.Tensor) else []
        found = list(output.shape)
        same = len(sizes) == len(found) and all(
            not isinstance(dim, int) or dim == size for dim, size in zip(found, sizes, strict=True)
        )
        if not same or onnx_dtype(dtype) != output.dtype:
            raise UsageError(
                f"the model's output '{output.name}' is {output.dtype.name.lower()}{found}, "
                f"and example_outputs says {onnx_dtype(dtype).name.lower()}{sizes}",
                where=f"example_outputs, {path or 'the only one'}",
                hint=hint,
            )
    return compared
