# SPDX-License-Identifier: Apache-2.0
"""What the model's Python asks of values and is no branch with two sides: settled, or an error that says what to do."""

from __future__ import annotations

import copy

import pytest
import torch
from lading.pipeline.errors import CaptureError
from torch import nn


def loop(x):
    while (x < 10).any():
        x = x * 2
    return x


def test_error_quotes_the_line_of_the_user(captured):
    with pytest.raises(CaptureError) as caught:
        captured(loop, torch.ones(3))
    assert caught.value.where.endswith(": while (x < 10).any():")


def test_error_says_what_to_do(captured):
    with pytest.raises(CaptureError) as caught:
        captured(loop, torch.ones(3))
    assert "torch.where" in caught.value.hint


def test_branch_on_a_constant_is_decided(captured):
    def model(x):
        return x + 1 if torch.tensor(3).item() > 2 else x

    assert {"aten::add": 1} == captured(model, torch.ones(3)).ops()


def test_reading_memory_is_an_error_of_its_own(captured):
    def model(x):
        return torch.from_numpy(x.numpy() + 1)

    with pytest.raises(CaptureError, match="leaves PyTorch"):
        captured(model, torch.ones(3))


def test_exception_of_the_model_is_the_cause(captured):
    def model(x):
        raise KeyError("absent")

    with pytest.raises(CaptureError, match="KeyError: 'absent'") as caught:
        captured(model, torch.ones(3))
    assert isinstance(caught.value.__cause__, KeyError)


def test_interrupt_is_passed_on(captured):
    def model(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        captured(model, torch.ones(3))


def test_values_of_buffers_may_be_read_and_are_on_record(captured):
    class Reads(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("sizes", torch.tensor([2, 3]))
            self.register_buffer("steps", torch.tensor(4))

        def forward(self, x):
            if self.steps + 1 > 3:
                x = x * 2
            return x.reshape(self.sizes.tolist()) * self.sizes[1].item()

    result = captured(Reads(), torch.ones(6))
    assert [True, [2, 3], 3] == [baked.value for baked in result.capture.baked]
    assert result.same_as_eager()


def test_list_of_values_becomes_sizes(captured):
    def model(x, lengths):
        first, second = lengths.tolist()
        return x.new_ones(first + second)

    assert captured(model, (torch.ones(6), torch.tensor([1, 2]))).same_as_eager(torch.ones(6), torch.tensor([3, 4]))


def test_copies_and_prints_do_no_harm(captured, capsys):
    def model(x):
        print(x)
        return copy.deepcopy(x) + 1

    assert captured(model, torch.ones(3)).same_as_eager()
