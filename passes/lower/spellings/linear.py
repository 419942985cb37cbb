# SPDX-License-Identifier: Apache-2.0
"""Gemm and Einsum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir

from ..registry import spells
from .forms import alike, as_is

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

as_is("Gemm", since=11)


@spells("Gemm")
def gemm_with_addend(
    op: Emitter,
    A: Operand,
    B: Operand,
    C: Operand = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> ir.Value:
    """Gemm 7 must add something."""
    a, b = alike(op, A, B)
    c = op.const_like([0], a) if C is None else C
    return op.raw("Gemm", a, b, c, alpha=alpha, beta=beta, transA=transA, transB=transB)


as_is("Einsum", since=12)


@spells("Einsum")
def einsum_by_products(op: Emitter, *Inputs: Operand, equation: str) -> ir.Value:
    """Before Einsum: one operand after the other is joined to the product, by MatMul.

    Diagonals (a letter twice in one operand) and ellipses are left to newer opsets.
    """
    operands = alike(op, *Inputs)
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if not arrow:
        right = "".join(sorted(letter for letter in set(left) - {","} if left.count(letter) == 1))
    if any(len(set(term)) != len(term) or "." in term for term in [*terms, right]):
        raise op.cannot(f"the equation {equation!r} needs opset 12")
    result, letters = operands[0], terms[0]
    for index, (operand, term) in enumerate(zip(operands[1:], terms[1:], strict=True), start=2):
        needed = set(right).union(*terms[index:])
        result, letters = _product(op, result, letters, operand, term, needed)
    result, letters = _summed(op, result, letters, set(right))
    return _ordered(op, result, letters, right)


def _ordered(op: Emitter, x: ir.Value, have: str, wanted: str) -> ir.Value:
    return x if have == wanted else op.Transpose(x, perm=[have.index(letter) for letter in wanted])


def _summed(op: Emitter, x: ir.Value, letters: str, needed: set[str]) -> tuple[ir.Value, str]:
    axes = [axis for axis, letter in enumerate(letters) if letter not in needed]
    if axes:
        x = op.ReduceSum(x, axes, keepdims=0)
    return x, "".join(letter for letter in letters if letter in needed)


def _product(op: Emitter, a: ir.Value, in_a: str, b: ir.Value, in_b: str, needed: set[str]) -> tuple[ir.Value, str]:
    """Multiply two operands and sum over the letters that nothing needs any more."""
    a, in_a = _summed(op, a, in_a, needed | set(in_b))
    b, in_b = _summed(op, b, in_b, needed | set(in_a))
    shared = [letter for letter in in_a if letter in in_b]
    batch = [letter for letter in shared if letter in needed]
    inner = [letter for letter in shared if letter not in needed]
    rows = [letter for letter in in_a if letter not in in_b]
    columns = [letter for letter in in_b if letter not in in_a]
    sizes = {letter: op.size(b, axis) for axis, letter in enumerate(in_b)}
    for axis, letter in enumerate(in_a):
        # A size of one broadcasts, so the other operand's size is the letter's.
        if letter not in sizes or sizes[letter] == 1:
            sizes[letter] = op.size(a, axis)
    left = _folded(op, a, in_a, [batch, rows, inner])
    right = _folded(op, b, in_b, [batch, inner, columns])
    letters = "".join([*batch, *rows, *columns])
    product = op.MatMul(left, right)
    return op.Reshape(product, op.int_vector([sizes[letter] for letter in letters])), letters


def _folded(op: Emitter, x: ir.Value, letters: str, groups: Sequence[Sequence[str]]) -> ir.Value:
    """Transpose to groups of letters, and make each but the first one axis."""
    x = _ordered(op, x, letters, "".join(letter for group in groups for letter in group))
    first, second, third = (len(group) for group in groups)
    if second == third == 1:
        return x
    sizes = [op.size(x, axis) for axis in range(op.rank(x))]
    folded = sizes[:first]
    for group in (sizes[first : first + second], sizes[first + second :]):
        static = 1
        dynamic: ir.Value | None = None
        for size in group:
            if isinstance(size, int):
                static *= size
            else:
                dynamic = size if dynamic is None else op.Mul(dynamic, size)
        folded.append(static if dynamic is None else dynamic if static == 1 else op.Mul(dynamic, [static]))
    return op.Reshape(x, op.int_vector(folded))
