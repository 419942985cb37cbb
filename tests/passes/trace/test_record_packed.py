# SPDX-License-Identifier: Apache-2.0
"""Packed sequences whose lengths are an input."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence, pad_packed_sequence, pad_sequence


class Layer(nn.Module):
    def __init__(self, kind, *, ordered=True, batch_first=True, total=False, **options):
        super().__init__()
        self.layer = kind(3, 4, batch_first=batch_first, **options)
        self.ordered, self.batch_first, self.total = ordered, batch_first, total

    def forward(self, x, lengths, state=None):
        packed = pack_padded_sequence(x, lengths, batch_first=self.batch_first, enforce_sorted=self.ordered)
        output, last = self.layer(packed, state)
        total = x.shape[1 if self.batch_first else 0] if self.total else None
        padded, sizes = pad_packed_sequence(
            output, batch_first=self.batch_first, total_length=total, padding_value=-1.0
        )
        return padded, sizes, last


def call(lengths, steps=None):
    return torch.randn(len(lengths), steps or max(lengths), 3), torch.tensor(lengths)


AXES = {"x": {0: "batch", 1: "steps"}, "lengths": {0: "batch"}}
CALLS = call([5, 3, 2]), call([6, 6, 4, 1]), call([2]), call([3, 2], steps=7)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_over_packed_sequences(agrees, kind):
    agrees(Layer(kind, num_layers=2, bidirectional=True), *CALLS, axes=AXES)


def test_sequences_in_any_order(agrees):
    agrees(Layer(nn.LSTM, ordered=False), call([3, 5, 2]), call([1, 6, 4, 6]), axes=AXES)


def test_total_length(agrees):
    agrees(Layer(nn.GRU, total=True), *CALLS, axes=AXES)


def test_time_first(agrees):
    calls = [(x.transpose(0, 1).contiguous(), lengths) for x, lengths in CALLS]
    agrees(Layer(nn.LSTM, batch_first=False), *calls, axes={"x": {0: "steps", 1: "batch"}, "lengths": {0: "batch"}})


def test_state_of_the_user(agrees):
    calls = [(*call(lengths), torch.randn(1, len(lengths), 4)) for lengths in ([3, 5, 2], [4, 1])]
    agrees(Layer(nn.GRU, ordered=False), *calls, axes={**AXES, "state": {1: "batch"}})


def test_static_sizes(agrees):
    agrees(Layer(nn.LSTM), call([5, 3, 2]), call([5, 4, 1]))


def test_packed_sequence_of_the_users_making(agrees):
    def model(x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True)
        return pad_packed_sequence(PackedSequence(packed.data * 2, packed.batch_sizes), batch_first=True)

    agrees(model, *CALLS, axes=AXES)


def test_lengths_that_are_numbers(agrees):
    def model(x, y):
        packed = pack_sequence([x, y])
        return packed.data, pad_packed_sequence(packed)[0], pad_sequence([x, y])

    agrees(model, (torch.randn(3, 5), torch.randn(2, 5)))


def test_layers_check_their_state_again_after_the_export(agrees):
    before = nn.RNNBase.check_forward_args, nn.LSTM.check_forward_args
    agrees(Layer(nn.GRU), call([2, 1]))
    assert before == (nn.RNNBase.check_forward_args, nn.LSTM.check_forward_args)
