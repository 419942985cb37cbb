# SPDX-License-Identifier: Apache-2.0
"""Powers of integers, by squaring: runtimes compute Pow of them in floating point, which loses digits past 2**53.

All is done in int64, which wraps as PyTorch's narrower types do once it is cut back to them.
"""

from __future__ import annotations

import onnx_ir as ir

from ..emitter import Emitter
from .divisors import any_of

_INT64, _BOOL = ir.DataType.INT64, ir.DataType.BOOL


def constant_power(op: Emitter, base: ir.Value, exponent: int) -> ir.Value:
    """``base ** exponent`` for integers and a number that is not negative."""
    result: ir.Value | None = None
    square = base
    while exponent:
        if exponent & 1:
            result = square if result is None else op.Mul(result, square)
        exponent >>= 1
        if exponent:
            square = op.Mul(square, square)
    return op.Add(op.Mul(base, 0), 1) if result is None else result


def integer_power(op: Emitter, base: ir.Value, exponent: ir.Value) -> ir.Value:
    """``base ** exponent`` for two tensors of one integer type, in a loop over the bits of the largest exponent.

    As in PyTorch a negative exponent gives 1 / base without its fraction: 0, but for a base of 1 or -1.
    """
    of_type = base.dtype
    assert of_type is not None
    number, power = op.cast(base, _INT64), op.cast(exponent, _INT64)
    same = op.Mul(op.Add(number, power), 0)
    squares, left = op.Add(number, same), op.Abs(op.Add(power, same))
    dims = None if left.shape is None else list(left.shape)
    body = op.body(
        ("round", _INT64, []),
        ("go_on", _BOOL, []),
        ("result", _INT64, dims),
        ("squares", _INT64, dims),
        ("left", _INT64, dims),
    )
    _, _, result, square, bits = body.inputs
    odd = body.Equal(body.Mod(bits, 2), 1)
    after, rest = body.Where(odd, body.Mul(result, square), result), body.Div(bits, 2)
    going_on = any_of(body, body.Greater(rest, 0))
    graph = body.graph([going_on, after, body.Mul(square, square), rest])
    begins = any_of(op, op.Greater(left, 0))
    raised, _, _ = op.Loop(None, begins, op.Add(same, 1), squares, left, body=graph, outputs=3)
    raised.type, raised.shape = ir.TensorType(_INT64), left.shape
    vanishes = op.And(op.Less(power, 0), op.Not(op.Equal(op.Abs(number), 1)))
    return op.cast(op.Where(vanishes, 0, raised), of_type)
