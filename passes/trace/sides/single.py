# SPDX-License-Identifier: Apache-2.0
"""What makes no difference on the side of a decision on which an axis has size one."""

from __future__ import annotations

import onnx_ir as ir
from lading.passes.trace.capture import Guard
from lading.passes.trace.sides.answers import answer

_ATTENTION = "scaled_dot_product_attention"
_FAR = 64


def axis_of_size_one(asked: Guard, outcome: bool) -> str | None:
    """Return the axis that has size 1 wherever a decision has this outcome, None where there is no such axis.

    A relation between one axis and a number that holds at 1 and at no other of the first sizes holds at 1 alone.
    """
    question = asked.expression
    if question is None or not question.is_Relational or len(question.free_symbols) != 1:
        return None
    (symbol,) = question.free_symbols
    if {question.lhs, question.rhs} - {symbol} != {side for side in (question.lhs, question.rhs) if side.is_number}:
        return None
    held = [size for size in range(1, _FAR) if answer(question, {symbol.name: size}) == outcome]
    return str(symbol.name) if held == [1] else None


def agree_on_causality(left: ir.Model, right: ir.Model, axis: str) -> None:
    """Let attention of `right`, where `axis` has size 1, be causal where it is so in `left`.

    With one query and one key, a causal mask hides nothing (PyTorch's documentation of scaled_dot_product_attention).
    """
    ours, theirs = ([node for node in side.graph if node.op_type == _ATTENTION] for side in (left, right))
    if len(ours) != len(theirs):
        return
    for one, other in zip(ours, theirs, strict=True):
        causal = one.attributes.get("is_causal")
        given = other.attributes.get("is_causal")
        if (causal is None) == (given is None) or not _has_one_query_and_key(other, axis):
            continue
        if causal is None:
            other.attributes.pop("is_causal")
        else:
            other.attributes["is_causal"] = causal


def _has_one_query_and_key(node: ir.Node, axis: str) -> bool:
    for value in node.inputs[:2]:
        if value is None or value.shape is None:
            return False
        size = value.shape[len(value.shape) - 2]
        if size != 1 and getattr(size, "value", None) != axis:
            return False
    return True
