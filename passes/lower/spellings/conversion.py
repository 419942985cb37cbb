# SPDX-License-Identifier: Apache-2.0
"""Cast and CastLike, and random numbers that are not floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from ..registry import spells
from ..schemas import facts_of
from .forms import alike, as_is, dtype_of, kept

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

as_is("Cast", "CastLike", since=24)

_NEWER = {"saturate": 1, "round_mode": "up"}


def _register_cast(since: int, newer: dict[str, Any]) -> None:
    @spells("Cast", since=since)
    def cast(op: Emitter, input: Operand, *, to: int, **attributes: Any) -> ir.Value:
        facts = facts_of("Cast", since)
        if facts is not None and ir.DataType(to) not in facts.allowed("T2"):
            raise op.cannot(f"Cast does not make {ir.DataType(to).name.lower()} at opset {since}")
        return op.raw("Cast", input, to=to, **kept("Cast", attributes, newer))


for _since in (7, 9, 13):
    _register_cast(_since, _NEWER)
for _since in (19, 21, 23):
    _register_cast(_since, {"round_mode": "up"})


@spells("CastLike", since=19)
def cast_like_19(op: Emitter, input: Operand, target_type: Operand, **attributes: Any) -> ir.Value:
    """CastLike 19 has no rounding mode."""
    return op.raw("CastLike", input, target_type, **kept("CastLike", attributes, {"round_mode": "up"}))


@spells("CastLike", since=15)
def cast_like_15(op: Emitter, input: Operand, target_type: Operand, **attributes: Any) -> ir.Value:
    """CastLike 15 does not saturate."""
    return op.raw("CastLike", input, target_type, **kept("CastLike", attributes, _NEWER))


@spells("CastLike")
def cast_like_by_cast(op: Emitter, input: Operand, target_type: Operand, **attributes: Any) -> ir.Value:
    """Before CastLike: the dtype is known now."""
    kept("CastLike", attributes, _NEWER)
    (like,) = alike(op, target_type)
    return op.cast(input, dtype_of(like))


@spells("Bernoulli", since=15)
def bernoulli(op: Emitter, input: Operand, *, dtype: int | None = None, seed: float | None = None) -> ir.Value:
    """Bernoulli 15, its dtype stated."""
    (x,) = alike(op, input)
    return op.raw("Bernoulli", x, dtype=int(dtype_of(x)) if dtype is None else dtype, seed=seed)


@spells("Bernoulli")
def bernoulli_by_uniform(
    op: Emitter, input: Operand, *, dtype: int | None = None, seed: float | None = None
) -> ir.Value:
    """Before Bernoulli: one where a uniform number lies below the probability."""
    (x,) = alike(op, input)
    drawn = op.Less(op.RandomUniformLike(x, seed=seed), x)
    return op.cast(drawn, dtype_of(x) if dtype is None else ir.DataType(dtype))
