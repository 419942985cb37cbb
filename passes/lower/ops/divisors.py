# SPDX-License-Identifier: Apache-2.0
"""Greatest common divisors and least common multiples of integers, by Euclid's algorithm."""

from __future__ import annotations

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers

_INT64, _BOOL = ir.DataType.INT64, ir.DataType.BOOL


def any_of(op: Emitter, flags: ir.Value) -> ir.Value:
    """Whether one of the flags is set; a sum, because the largest of no flags at all is not zero."""
    number = op.cast(flags, ir.DataType.INT32)
    return op.cast(number if op.rank(flags) == 0 else op.ReduceSum(number, None, keepdims=0), _BOOL)


def _divisor(op: Emitter, a: ir.Value, b: ir.Value) -> ir.Value:
    """Divide until nothing is left anywhere; places that are done keep their result."""
    same = op.Mul(op.Add(a, b), 0)
    left, right = op.Abs(op.Add(a, same)), op.Abs(op.Add(b, same))
    dims = None if left.shape is None else list(left.shape)
    body = op.body(("round", _INT64, []), ("go_on", _BOOL, []), ("left", _INT64, dims), ("right", _INT64, dims))
    _, _, x, y = body.inputs
    done = body.Equal(y, 0)
    rest = body.Mod(x, body.Where(done, 1, y))
    after, remaining = body.Where(done, x, y), body.Where(done, 0, rest)
    graph = body.graph([any_of(body, body.Not(body.Equal(remaining, 0))), after, remaining])
    going = any_of(op, op.Not(op.Equal(right, 0)))
    found, _ = op.Loop(None, going, left, right, body=graph, outputs=2)
    found.type, found.shape = ir.TensorType(_INT64), left.shape
    return found


def _wide(op: Emitter, x: ir.Value, y: ir.Value) -> tuple[ir.Value, ir.Value]:
    return op.cast(x, _INT64), op.cast(y, _INT64)


@lowers("aten::gcd", "prims::gcd")
def gcd(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """The greatest common divisor, zero of two zeros."""
    return _divisor(op, *_wide(op, x, y))


@lowers("aten::lcm")
def lcm(op: Emitter, x: ir.Value, y: ir.Value) -> ir.Value:
    """The least common multiple, zero where one of both is."""
    a, b = _wide(op, x, y)
    divisor = _divisor(op, a, b)
    return op.Abs(op.Mul(op.Div(a, op.Where(op.Equal(divisor, 0), 1, divisor)), b))
