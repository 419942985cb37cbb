# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 14, NEWEST)

N = torch.nn
X = tensor(4, 3, 5)


def over_sequences(layer: torch.nn.RNNBase, floor: int = 7) -> Call:
    """A call of a layer over padded sequences, with states that are not zero."""
    directions = 2 if layer.bidirectional else 1
    batch = X.shape[0 if layer.batch_first else 1]
    width = layer.proj_size or layer.hidden_size
    dtype = layer.weight_ih_l0.dtype
    h = tensor(layer.num_layers * directions, batch, width, dtype=dtype)
    kind = {"LSTM": "lstm", "GRU": "gru", "RNN_TANH": "rnn_tanh", "RNN_RELU": "rnn_relu"}[layer.mode]
    cell = tensor(layer.num_layers * directions, batch, layer.hidden_size, seed=1, dtype=dtype)
    state = [h, cell] if kind == "lstm" else h
    weights = [weight.detach() for weight in layer._flat_weights]
    flags = (layer.bias, layer.num_layers, 0.0, False, layer.bidirectional, layer.batch_first)
    return call(getattr(A, kind).input, X.to(dtype), state, weights, *flags, floor=floor, free=False)


def over_packed(layer: torch.nn.RNNBase) -> Call:
    """A call of a layer over packed sequences of lengths 4, 2 and 1."""
    data, batch_sizes = torch._VF._pack_padded_sequence(X, torch.tensor([4, 2, 1]), False)
    item = over_sequences(layer)
    name = item.overload._schema.name.removeprefix("aten::")
    _, state, weights, *flags = item.args
    return call(getattr(A, name).data, data, batch_sizes, state, weights, *flags[:-1], floor=9, free=False)


def step(cell: torch.nn.RNNCellBase, overload: torch._ops.OpOverload) -> Call:
    h = tensor(3, 8)
    state = [h, tensor(3, 8, seed=1)] if isinstance(cell, N.LSTMCell) else h
    return call(overload, tensor(3, 5), state, *(weight.detach() for weight in cell.parameters()), free=False)


torch.manual_seed(0)

CALLS = [
    over_sequences(N.LSTM(5, 8)),
    over_sequences(N.LSTM(5, 8, num_layers=2, bidirectional=True, batch_first=True)),
    over_sequences(N.LSTM(5, 8, bias=False, batch_first=True)),
    over_sequences(N.LSTM(5, 8, proj_size=3), floor=9),
    over_sequences(N.LSTM(5, 8, proj_size=3, num_layers=2, bidirectional=True), floor=9),
    over_sequences(N.GRU(5, 8)),
    over_sequences(N.GRU(5, 8, num_layers=2, bidirectional=True)),
    over_sequences(N.RNN(5, 8, num_layers=2)),
    over_sequences(N.RNN(5, 8, nonlinearity="relu", bidirectional=True, batch_first=True)),
    over_packed(N.LSTM(5, 8, num_layers=2, bidirectional=True)),
    over_packed(N.LSTM(5, 8, proj_size=3, num_layers=2, bidirectional=True)),
    over_packed(N.GRU(5, 8)),
    over_packed(N.RNN(5, 8)),
    over_packed(N.RNN(5, 8, nonlinearity="relu")),
    over_sequences(N.LSTM(5, 8).double()),
    over_sequences(N.GRU(5, 8).double()),
    step(N.LSTMCell(5, 8), A.lstm_cell.default),
    step(N.GRUCell(5, 8, bias=False), A.gru_cell.default),
    step(N.RNNCell(5, 8), A.rnn_tanh_cell.default),
    step(N.RNNCell(5, 8, nonlinearity="relu"), A.rnn_relu_cell.default),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_recurrent_agrees(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
