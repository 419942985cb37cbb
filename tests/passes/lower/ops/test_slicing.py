# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, symbolic_model, tensor

A = torch.ops.aten

X = tensor(5, 6, 4)
CALLS = [
    call(A.slice.Tensor, X, 1, 1, 4),
    call(A.slice.Tensor, X, 1, -3),
    call(A.slice.Tensor, X, 0, None, -1),
    call(A.slice.Tensor, X, 0, 1, None, 2, floor=10),
    call(A.slice.Tensor, X, 0, 1, None, 2, free=False),
    call(A.slice.Tensor, X, 2, 0, 9223372036854775807),
    call(A.slice.Tensor, X, 2, 3, 1),
    call(A.slice.Tensor, tensor(4, dtype=torch.bool), 0, 1, 3),
    call(A.narrow.default, X, 1, 2, 3),
    call(A.narrow.default, X, 1, -2, 2),
    call(A.select.int, X, 0, 2),
    call(A.select.int, X, -1, -1),
    call(A.select.int, tensor(3, dtype=torch.bool), 0, -2),
    call(A.unbind.int, X, 2),
    call(A.split.Tensor, X, 2, 1),
    call(A.split.Tensor, X, 2, 0),
    call(A.split.Tensor, X, 9),
    call(A.split_with_sizes.default, X, [1, 3, 2], 1),
    call(A.split.sizes, X, [2, 3]),
    call(A.chunk.default, X, 2, 0),
    call(A.chunk.default, X, 4, 1, floor=11),
    call(A.tensor_split.sections, X, 4, 1, floor=13),
    call(A.tensor_split.sections, X, 4, 1, free=False),
    call(A.tensor_split.indices, X, [1, 4], 1),
    call(A.slice_scatter.default, X, tensor(5, 2, 4), 1, 2, 4),
    call(A.slice_scatter.default, X, tensor(2, 6, 4), 0, 3),
    call(A.slice_scatter.default, X, tensor(5, 3, 4), 1, 0, 6, 2, floor=10),
    call(A.slice_scatter.default, X, tensor(5, 3, 4), 1, 0, 6, 2, free=False),
    call(A.slice_scatter.default, X, tensor(5, 2, 4), 1, -4, 6, 2, floor=10),
    call(A.slice_scatter.default, X, X + 1, 0, 0, 5),
    call(A.slice_scatter.default, X, tensor(5, 0, 4), 1, -3, 0),
    call(A.slice_scatter.default, X, tensor(5, 0, 4), 1, 4, 2),
    call(A.slice_scatter.default, X, tensor(5, 2, 4), 1, -4, 4, floor=10),
    call(A.select_scatter.default, X, tensor(5, 4), 1, 2),
    call(A.select_scatter.default, X, tensor(6, 4), 0, -1),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 9, 10, 11, 13, 18)))
def test_parts_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("expected", "item"),
    [
        pytest.param(["Gather"], call(A.select.int, X, 1, -1), id="select"),
        pytest.param(["Slice"], call(A.slice.Tensor, X, 1, 0, 2), id="slice"),
        pytest.param(["Identity"], call(A.slice.Tensor, X, 1, 0, 6), id="whole-slice"),
        pytest.param(["Split"], call(A.split.Tensor, X, 2, 1), id="split"),
        pytest.param(["Split"], call(A.chunk.default, X, 3, 1), id="chunk"),
    ],
)
def test_a_part_is_one_node(expected: list[str], item: Call) -> None:
    assert expected == operators(agrees(item, 18, False))


def test_a_slice_up_to_the_size_of_its_axis_is_the_axis() -> None:
    assert ["Identity"] == operators(symbolic_model(A.slice.Tensor, [["b", "s"]], [1, 0, "s"], ["b", "s"]))


def test_a_slice_up_to_a_symbol_reads_no_shape() -> None:
    assert "Shape" not in operators(symbolic_model(A.slice.Tensor, [["b", 512]], [1, 0, "s"], ["b", "s"]))
