# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, tensor

A = torch.ops.aten

# Equation, shapes, and the operators that it takes at fixed shapes.
EQUATIONS = [
    ("ij,jk->ik", [(2, 3), (3, 4)], ["MatMul"]),
    ("ij,jk", [(2, 3), (3, 4)], ["MatMul"]),
    ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)], ["MatMul"]),
    ("bhqd,bhkd->bhqk", [(2, 3, 4, 5), (2, 3, 6, 5)], ["Transpose", "MatMul"]),
    ("bhqk,bhkd->bhqd", [(2, 3, 4, 6), (2, 3, 6, 5)], ["MatMul"]),
    ("bqhd,bkhd->bhqk", [(2, 4, 3, 5), (2, 6, 3, 5)], ["Transpose", "Transpose", "MatMul"]),
    ("bsd,hdk->bshk", [(2, 3, 4), (5, 4, 6)], ["Transpose", "Reshape", "MatMul", "Reshape"]),
    ("bshk,hkd->bsd", [(2, 3, 5, 6), (5, 6, 4)], ["Reshape", "Reshape", "MatMul"]),
    ("abc,cd,de->abe", [(2, 3, 4), (4, 5), (5, 6)], ["MatMul", "MatMul"]),
    ("i,j->ij", [(3,), (4,)], ["Unsqueeze", "Mul"]),
    ("i,i->", [(4,), (4,)], ["MatMul"]),
    ("bi,bi->b", [(2, 3), (2, 3)], ["Mul", "ReduceSum"]),
    ("bn,bdn->bd", [(2, 3), (2, 4, 3)], ["Unsqueeze", "Mul", "ReduceSum"]),
    ("bld,n->bldn", [(2, 3, 4), (5,)], ["Unsqueeze", "Mul"]),
    ("ij->ji", [(2, 3)], ["Transpose"]),
    ("ijk->", [(2, 3, 4)], ["ReduceSum"]),
    ("ii->i", [(3, 3)], ["Reshape", "Gather"]),
    ("ii", [(3, 3)], ["Reshape", "Gather", "ReduceSum"]),
    ("...ij,...jk->...ik", [(2, 3, 4), (2, 4, 5)], ["MatMul"]),
    ("...ij,jk->...ik", [(2, 5, 3, 4), (4, 6)], ["MatMul"]),
    ("b d l n, b l n -> b d l", [(2, 3, 4, 5), (2, 4, 5)], ["Unsqueeze", "Mul", "ReduceSum"]),
]


def _call(equation: str, shapes: list[tuple[int, ...]]) -> Call:
    return call(A.einsum.default, equation, [tensor(*shape, seed=i) for i, shape in enumerate(shapes)])


@pytest.mark.parametrize(
    ("item", "opset", "free"), spread([_call(equation, shapes) for equation, shapes, _ in EQUATIONS], (7, 18))
)
def test_equations_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(("equation", "shapes", "expected"), EQUATIONS)
def test_equations_take_few_nodes(equation: str, shapes: list[tuple[int, ...]], expected: list[str]) -> None:
    assert expected == operators(agrees(_call(equation, shapes), 18, False))
