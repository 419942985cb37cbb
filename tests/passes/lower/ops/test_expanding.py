# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, operators, spread, symbolic_model, tensor

A = torch.ops.aten

CALLS = [
    call(A.expand.default, tensor(1, 3), [2, 3]),
    call(A.expand.default, tensor(1, 3), [2, -1]),
    call(A.expand.default, tensor(3), [2, 1, 3]),
    call(A.expand.default, tensor(2, 3), [2, 3]),
    call(A.expand.default, tensor(3), [1, 3]),
    call(A.expand.default, tensor(1, 3, dtype=torch.bool), [2, 3]),
    call(A.broadcast_to.default, tensor(1), [2, 3]),
    call(A.expand_as.default, tensor(1, 3), tensor(2, 3)),
    call(A.broadcast_tensors.default, [tensor(3, 1), tensor(1, 4)]),
    call(A.repeat.default, tensor(2, 3), [2, 1]),
    call(A.repeat.default, tensor(3), [2, 2]),
    call(A.repeat.default, tensor(3), [1]),
    call(A.tile.default, tensor(2, 3), [2]),
    call(A.repeat_interleave.self_int, tensor(2, 3), 2, 1),
    call(A.repeat_interleave.self_int, tensor(2, 3), 2),
    call(A.repeat_interleave.self_Tensor, tensor(3, 2), torch.tensor([2, 0, 1]), 0),
    call(A.repeat_interleave.Tensor, torch.tensor([2, 0, 3])),
    call(A.roll.default, tensor(2, 5), [2], [1]),
    call(A.roll.default, tensor(2, 5), [-1, 2], [0, 1]),
    call(A.roll.default, tensor(2, 5), [3]),
    call(A.flip.default, tensor(2, 5), [0, -1]),
    call(A.flip.default, tensor(2, 5, dtype=torch.bool), [1]),
    call(A.fliplr.default, tensor(2, 5)),
    call(A.flipud.default, tensor(2, 5)),
    *(call(A.rot90.default, tensor(2, 3), turns, [0, 1]) for turns in (-1, 0, 1, 2, 3)),
    call(A.unfold.default, tensor(2, 7), 1, 3, 2),
    call(A.unfold.default, tensor(7, 2), 0, 3, 1),
    call(A.unfold.default, tensor(), 0, 1, 1),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 9, 11, 18)))
def test_repetition_agrees_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize(
    ("expected", "shape", "sizes", "result"),
    [
        pytest.param(["Identity"], ["b", "s"], ["b", "s"], ["b", "s"], id="nothing"),
        pytest.param(["Unsqueeze"], ["s", 4], [1, "s", 4], [1, "s", 4], id="axis-in-front"),
        pytest.param(["Expand"], ["b", 1, "s"], ["b", 8, "s"], ["b", 8, "s"], id="one-axis"),
    ],
)
def test_expanding_reads_no_sizes(
    expected: list[str], shape: list[int | str], sizes: list[int | str], result: list[int | str]
) -> None:
    assert expected == operators(symbolic_model(A.expand.default, [shape], [sizes], result))
