# SPDX-License-Identifier: Apache-2.0
"""BatchNormalization before its training mode (14) and before statistics of a type of their own (15)."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import spells


def _at_inference(op: Emitter, x: ir.Value, parameters: tuple[ir.Value, ...], epsilon: float) -> ir.Value:
    # All inputs have one type here; the wider of the two loses nothing.
    wide = parameters[-1].dtype or x.dtype
    y = op.raw("BatchNormalization", op.cast(x, wide), *(op.cast(p, wide) for p in parameters), epsilon=epsilon)
    return op.cast(y, x.dtype)


@spells("BatchNormalization", since=15)
def batch_normalization(op: Emitter, *inputs: ir.Value, **attributes: Any) -> Any:
    """Write the newest form."""
    return op.raw("BatchNormalization", *inputs, **attributes)


@spells("BatchNormalization", since=14)
def batch_normalization_of_one_type(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    bias: ir.Value,
    mean: ir.Value,
    var: ir.Value,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
    outputs: int = 1,
) -> Any:
    """Write the form whose scale and bias are of the input's type."""
    if not training_mode:
        return _at_inference(op, x, (scale, bias, mean, var), epsilon)
    wide = mean.dtype or x.dtype
    y, *statistics = op.raw(
        "BatchNormalization",
        op.cast(x, wide),
        op.cast(scale, wide),
        op.cast(bias, wide),
        mean,
        var,
        epsilon=epsilon,
        momentum=momentum,
        training_mode=1,
        outputs=3,
    )
    y = op.cast(y, x.dtype)
    return y if outputs == 1 else (y, *statistics)


@spells("BatchNormalization", since=7)
def batch_normalization_by_parts(
    op: Emitter,
    x: ir.Value,
    scale: ir.Value,
    bias: ir.Value,
    mean: ir.Value,
    var: ir.Value,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
    outputs: int = 1,
) -> Any:
    """Write inference as the operator, and training, which it lacks, by moments over all axes but the channels'."""
    if not training_mode:
        return _at_inference(op, x, (scale, bias, mean, var), epsilon)
    rank = op.rank(x)
    over = op.i64([axis for axis in range(rank) if axis != 1])
    trailing = op.i64(list(range(1, rank - 1)))

    def by_channel(parameter: ir.Value) -> ir.Value:
        return parameter if rank == 2 else op.Unsqueeze(parameter, trailing)

    wide = op.cast(x, mean.dtype or x.dtype)
    centre = op.ReduceMean(wide, over, keepdims=1)
    centred = op.Sub(wide, centre)
    variance = op.ReduceMean(op.Mul(centred, centred), over, keepdims=1)
    standard = op.Div(centred, op.Sqrt(op.Add(variance, epsilon)))
    y = op.Add(op.Mul(standard, by_channel(op.cast(scale, wide.dtype))), by_channel(op.cast(bias, wide.dtype)))
    y = op.cast(y, x.dtype)
    if outputs == 1:
        return y
    flat = [op.Reshape(centre, op.i64([-1])), op.Reshape(variance, op.i64([-1]))]
    if momentum:
        flat = [
            op.Add(op.Mul(running, momentum), op.Mul(batch, 1.0 - momentum))
            for running, batch in zip((mean, var), flat, strict=True)
        ]
    return (y, *flat)
