# SPDX-License-Identifier: Apache-2.0
"""RNN, LSTM and GRU: the layout with the batch first.

Opset 14 has an attribute for it, but onnxruntime refuses it on the CPU; the transpositions mean the same anywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..registry import spells
from .forms import alike

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

# Positions of the initial states among the inputs, and the number of outputs.
_STATES = {"RNN": ((5,), 2), "GRU": ((5,), 2), "LSTM": ((5, 6), 3)}


def _register(op_type: str, states: tuple[int, ...], output_count: int) -> None:
    @spells(op_type)
    def recurrent(op: Emitter, *inputs: Operand, layout: int = 0, outputs: int | None = None, **attributes: Any) -> Any:
        count = outputs or output_count
        if not layout:
            return op.raw(op_type, *inputs, outputs=count, **attributes)
        turned = list(inputs)
        for place in (0, *states):
            if place < len(turned) and turned[place] is not None:
                turned[place] = op.Transpose(alike(op, turned[place])[0], perm=[1, 0, 2])
        made = op.raw(op_type, *turned, outputs=count, **attributes)
        sequence, *last = made if isinstance(made, tuple) else (made,)
        results = (op.Transpose(sequence, perm=[2, 0, 1, 3]), *(op.Transpose(y, perm=[1, 0, 2]) for y in last))
        return results[0] if count == 1 else results


for _op_type, (_places, _count) in _STATES.items():
    _register(_op_type, _places, _count)
