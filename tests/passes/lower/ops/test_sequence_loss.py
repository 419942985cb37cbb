# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor

A = torch.ops.aten

SCORES = tensor(7, 3, 5).log_softmax(-1)
# Labels that repeat need a blank between them; what lies behind a row's own labels is any number.
TARGETS = torch.tensor([[1, 1, 2], [3, 4, -1], [2, 99, 99]])
IN_A_ROW = torch.tensor([1, 1, 2, 3, 4, 2])
TIMES, LENGTHS = torch.tensor([7, 5, 6]), torch.tensor([3, 2, 1])
NO_LABELS = torch.tensor([3, 0, 1])
# Three labels, two of them alike, do not fit into three steps.
TOO_SHORT = torch.tensor([3, 5, 6])

CALLS = [
    *(call(A.ctc_loss.Tensor, SCORES, TARGETS, TIMES, LENGTHS, 0, reduction) for reduction in (0, 1, 2)),
    call(A.ctc_loss.IntList, SCORES, TARGETS, [7, 5, 6], [3, 2, 1], 0, 0),
    call(A.ctc_loss.IntList, SCORES, IN_A_ROW, [7, 5, 6], [3, 2, 1], 0, 0, floor=11),
    call(A.ctc_loss.Tensor, SCORES, IN_A_ROW, TIMES, LENGTHS, 0, 0, floor=11),
    call(A.ctc_loss.Tensor, SCORES, TARGETS.clamp(0, 3), TIMES, NO_LABELS, 4, 0),
    call(A.ctc_loss.Tensor, SCORES, TARGETS, TOO_SHORT, LENGTHS, 0, 0),
    call(A.ctc_loss.Tensor, SCORES, TARGETS, TOO_SHORT, LENGTHS, 0, 0, True),
    call(A.ctc_loss.Tensor, SCORES[:, 0], TARGETS[0], torch.tensor(7), torch.tensor(3), 0, 0),
    call(A.ctc_loss.Tensor, SCORES.double(), TARGETS, TIMES, LENGTHS, 0, 0),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, (7, 13, 18)))
def test_losses_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
