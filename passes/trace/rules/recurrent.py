# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule

_aten = torch.ops.aten
_VF = torch_private.variable_functions


@rule(_VF.lstm)
def _lstm(rec: Recorder, input: Any, *rest: Any) -> Any:
    packed = isinstance(rest[0], torch.Tensor)
    hx, weights = rest[1 if packed else 0], rest[2 if packed else 1]
    shapes = (_sequence_shape(rec, input, rest, hx[0], packed), hx[0].shape, hx[1].shape)
    overload = _aten.lstm.data if packed else _aten.lstm.input
    args = [input, *rest]
    args[2 if packed else 1], args[3 if packed else 2] = list(hx), list(weights)
    return rec.keep(overload, args, *((shape, input.dtype) for shape in shapes))


def _recurrent_rule(builtin: Any, packet: Any) -> None:
    def recurrent(rec: Recorder, input: Any, *rest: Any) -> Any:
        packed = isinstance(rest[1], torch.Tensor)
        hx, weights = rest[1 if packed else 0], rest[2 if packed else 1]
        args = [input, *rest]
        args[3 if packed else 2] = list(weights)
        shapes = (_sequence_shape(rec, input, rest, hx, packed), hx.shape)
        overload = packet.data if packed else packet.input
        return rec.keep(overload, args, *((shape, input.dtype) for shape in shapes))

    rule(builtin)(recurrent)


def _sequence_shape(rec: Recorder, input: Any, rest: Sequence[Any], hidden: Any, packed: bool) -> tuple[Any, ...]:
    # rest: [batch_sizes,] hx, weights, has_biases, num_layers, dropout, train, bidirectional[, batch_first]
    bidirectional = rest[7] if packed else rest[6]
    return (*input.shape[:-1], hidden.shape[-1] * (2 if bidirectional else 1))


_recurrent_rule(_VF.gru, _aten.gru)
_recurrent_rule(_VF.rnn_tanh, _aten.rnn_tanh)
_recurrent_rule(_VF.rnn_relu, _aten.rnn_relu)
