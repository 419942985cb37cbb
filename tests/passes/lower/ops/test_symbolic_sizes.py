# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from lading.passes import dialect
from support.calls import operators
from support.operator_check import NEWEST, lowered, run

A, P = torch.ops.aten, torch.ops.prim
OPSETS = (7, 9, 13, NEWEST)
ROWS, COLUMNS = 7, 3


class Sizes:
    """Writes arithmetic on the two free sizes of one input."""

    def __init__(self) -> None:
        dims = ir.Shape([ir.SymbolicDim("rows"), ir.SymbolicDim("columns")])
        self.input = ir.Value(name="x", shape=dims, type=ir.TensorType(ir.DataType.FLOAT))
        self.nodes: list[ir.Node] = []
        self._values: dict[int, tuple[Any, ir.Value]] = {}
        self.rows = self(A.sym_size.int, self._token(self.input), 0)
        self.columns = self(A.sym_size.int, self._token(self.input), 1)

    def _token(self, value: ir.Value) -> torch.Tensor:
        # The dialect takes a tensor in the place of a number for a symbol.
        token = torch.empty(0)
        self._values[id(token)] = (token, value)
        return token

    def __call__(self, overload: Any, *args: Any, dtype: ir.DataType = ir.DataType.INT64) -> torch.Tensor:
        output = ir.Value(shape=ir.Shape([]), type=ir.TensorType(dtype))
        dialect.encode(
            overload, args, {}, [output], value_of=lambda token: self._values[id(token)][1], append=self.nodes.append
        )
        return self._token(output)

    def model(self, result: torch.Tensor, opset: int) -> onnx.ModelProto:
        output = self._values[id(result)][1]
        output.name = "y"
        graph = ir.Graph([self.input], [output], nodes=self.nodes, name="sizes")
        return lowered(ir.Model(graph, ir_version=10), opset)


def evaluated(sizes: Sizes, result: torch.Tensor, opset: int) -> Any:
    (got,) = run(sizes.model(result, opset), [torch.zeros(ROWS, COLUMNS)])
    assert () == got.shape
    return got.item()


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("overload", "right", "expected"),
    [
        (A.add.int, 2, ROWS + 2),
        (A.sub.int, 9, ROWS - 9),
        (A.mul.int, -3, ROWS * -3),
        (A.floordiv.int, 2, ROWS // 2),
        (A.floordiv.int, -2, ROWS // -2),
        (A.remainder.int, 4, ROWS % 4),
        (A.remainder.int, -4, ROWS % -4),
        (A.pow.int_to_int, 2, ROWS**2),
        (A.pow.int_to_int, 3, ROWS**3),
        (P.max.int, 9, 9),
        (P.min.int, 9, ROWS),
    ],
    ids=str,
)
def test_integers(overload: Any, right: int, expected: int, opset: int) -> None:
    sizes = Sizes()
    assert expected == evaluated(sizes, sizes(overload, sizes.rows, right), opset)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("overload", "expected"),
    [
        (A.add.int, ROWS + COLUMNS),
        (A.mul.int, ROWS * COLUMNS),
        (A.floordiv.int, ROWS // COLUMNS),
        (A.remainder.int, ROWS % COLUMNS),
    ],
    ids=str,
)
def test_two_sizes(overload: Any, expected: int, opset: int) -> None:
    sizes = Sizes()
    assert expected == evaluated(sizes, sizes(overload, sizes.rows, sizes.columns), opset)


@pytest.mark.parametrize("opset", OPSETS)
def test_a_negative_dividend_rounds_down(opset: int) -> None:
    sizes = Sizes()
    below = sizes(A.neg.int, sizes.rows)
    assert -ROWS // 2 == evaluated(sizes, sizes(A.floordiv.int, below, 2), opset)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize(
    ("overload", "expected"),
    [(A.eq.int, False), (A.ne.int, True), (A.lt.int, True), (A.le.int, True), (A.gt.int, False), (A.ge.int, False)],
    ids=str,
)
def test_comparisons(overload: Any, expected: bool, opset: int) -> None:
    sizes = Sizes()
    result = sizes(overload, sizes.rows, 8, dtype=ir.DataType.BOOL)
    assert expected is evaluated(sizes, result, opset)


@pytest.mark.parametrize("opset", OPSETS)
def test_a_quotient_of_sizes_is_rounded_up(opset: int) -> None:
    sizes = Sizes()
    quotient = sizes(A.div.int, sizes.rows, 2, dtype=ir.DataType.FLOAT)
    assert math.ceil(ROWS / 2) == evaluated(sizes, sizes(A.ceil.float, quotient), opset)


@pytest.mark.parametrize("opset", OPSETS)
def test_a_root_of_a_size(opset: int) -> None:
    sizes = Sizes()
    root = sizes(A.sqrt.int, sizes.rows, dtype=ir.DataType.FLOAT)
    assert math.sqrt(ROWS) == pytest.approx(evaluated(sizes, root, opset))


def test_sizes_divide_by_one_operator() -> None:
    sizes = Sizes()
    doubled = sizes(A.mul.int, sizes.rows, 2)
    model = sizes.model(sizes(A.floordiv.int, doubled, 3), 15)
    assert ["Mul", "Div", "Squeeze"] == [name for name in operators(model) if name != "Shape"]


def test_an_element_becomes_a_number() -> None:
    x = ir.Value(name="x", shape=ir.Shape([1]), type=ir.TensorType(ir.DataType.INT32))
    y = ir.Value(name="y", shape=ir.Shape([]), type=ir.TensorType(ir.DataType.INT64))
    node = ir.Node("aten", "_local_scalar_dense", [x], outputs=[y])
    model = ir.Model(ir.Graph([x], [y], nodes=[node], name="item"), ir_version=10)
    (got,) = run(lowered(model, 13), [torch.tensor([5], dtype=torch.int32)])
    assert np.asarray(5, np.int64) == got
