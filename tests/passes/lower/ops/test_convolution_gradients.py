# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

import lading

A = torch.ops.aten

ALL = [True, True, True]


def _gradient(
    x: torch.Tensor,
    weight: torch.Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool = False,
    output_padding: list[int] | None = None,
    groups: int = 1,
    mask: list[bool] = ALL,
) -> Call:
    extra = output_padding or [0] * len(stride)
    y = A.convolution.default(x, weight, None, stride, padding, dilation, transposed, extra, groups)
    g = tensor(*y.shape, seed=7)
    arguments: tuple[Any, ...] = ([y.shape[1]], stride, padding, dilation, transposed, extra, groups, mask)
    return call(A.convolution_backward.default, g, x, weight, *arguments, free=False)


LINE, PLANE, SPACE = tensor(2, 4, 11), tensor(3, 4, 8, 9), tensor(1, 2, 5, 6, 4)

CALLS = [
    _gradient(PLANE, tensor(6, 4, 3, 3), [1, 1], [1, 1], [1, 1]),
    _gradient(PLANE, tensor(6, 4, 3, 2), [2, 3], [1, 0], [1, 2]),
    _gradient(PLANE, tensor(6, 4, 2, 2), [3, 3], [0, 0], [1, 1]),
    _gradient(PLANE, tensor(6, 2, 3, 3), [2, 2], [1, 1], [1, 1], groups=2),
    _gradient(PLANE, tensor(4, 1, 3, 3), [1, 1], [1, 1], [1, 1], groups=4),
    _gradient(LINE, tensor(3, 4, 3), [2], [2], [2]),
    _gradient(SPACE, tensor(3, 2, 2, 3, 2), [2, 1, 1], [1, 0, 1], [1, 1, 1]),
    _gradient(PLANE, tensor(4, 3, 3, 3), [2, 2], [1, 1], [1, 1], True, [1, 1]),
    _gradient(PLANE, tensor(4, 3, 3, 2), [1, 2], [0, 1], [2, 1], True, [1, 0], groups=2),
    _gradient(LINE, tensor(4, 3, 3), [1], [1], [3], True, [2]),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 11, 22)))
def test_convolution_gradients_agree(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free, rtol=1e-3, atol=1e-4)


def _exported(mask: list[bool], opset: int, **options: Any) -> Any:
    class Gradients(torch.nn.Module):
        def forward(self, g: torch.Tensor, x: torch.Tensor, w: torch.Tensor) -> list[torch.Tensor]:
            found = A.convolution_backward.default(g, x, w, [6], [2, 2], [1, 0], [1, 1], False, [0, 0], 2, mask)
            return [gradient for gradient, asked in zip(found, mask, strict=True) if asked]

    args = tensor(3, 6, 4, 4), tensor(3, 4, 8, 9), tensor(6, 2, 3, 3)
    return lading.export(Gradients(), args, None, opset_version=opset, **options), Gradients()


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        ([True, False, False], ["ConvTranspose"]),
        ([False, True, False], ["Reshape", "Transpose", "Reshape", "Transpose", "Conv", "Transpose", "Slice"]),
        ([False, False, True], ["ReduceSum"]),
        ([True, False, True], ["ConvTranspose", "ReduceSum"]),
    ],
)
def test_a_gradient_that_nobody_asks_for_costs_no_node(mask: list[bool], expected: list[str]) -> None:
    exported, module = _exported(mask, 18)
    assert expected == [node.op_type for node in exported.model.graph]
    args = tensor(3, 6, 4, 4, seed=1), tensor(3, 4, 8, 9, seed=2), tensor(6, 2, 3, 3, seed=3)
    for wanted, found in zip(module(*args), exported(*args), strict=True):
        torch.testing.assert_close(torch.as_tensor(found), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("opset", [10, 13, NEWEST])
def test_batch_and_planes_of_free_size(opset: int) -> None:
    free = {0: "batch", 2: "height", 3: "width"}
    result = {0: "batch", 2: "rows", 3: "columns"}
    exported, module = _exported(ALL, opset, dynamic_axes={"x": free, "g": result})
    args = tensor(2, 6, 6, 5, seed=1), tensor(2, 4, 11, 12, seed=2), tensor(6, 2, 3, 3, seed=3)
    for wanted, found in zip(module(*args), exported(*args), strict=True):
        torch.testing.assert_close(torch.as_tensor(found), wanted, rtol=1e-3, atol=1e-4)
