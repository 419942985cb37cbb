# SPDX-License-Identifier: Apache-2.0
"""Recurrent layers: LSTM, GRU and the plain ones, over padded and over packed sequences, and single steps of them.

PyTorch stacks an LSTM's gates as input, forget, cell, output and ONNX as input, output, forget, cell; a GRU's as reset,
update, new against update, reset, hidden.  Weights are put in order by nodes, which constant folding takes away without
a copy being made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .packing import Packed, packed_like, real_places, unpacked


@attrs.frozen
class Kind:
    """One recurrent ONNX operator: how many gates it has and in which order PyTorch's are taken."""

    op_type: str
    order: tuple[int, ...]
    attributes: dict[str, Any]
    has_cell: bool = False

    @property
    def gates(self) -> int:
        """How many gates are stacked in a weight."""
        return len(self.order)


LSTM = Kind("LSTM", (0, 3, 1, 2), {}, has_cell=True)
GRU = Kind("GRU", (1, 0, 2), {"linear_before_reset": 1})
RNN_TANH = Kind("RNN", (0,), {"activations": ["Tanh"]})
RNN_RELU = Kind("RNN", (0,), {"activations": ["Relu"]})


@attrs.frozen
class Weights:
    """The parameters of one layer in one direction; biases and projection may be absent."""

    w_ih: ir.Value
    w_hh: ir.Value
    b_ih: ir.Value | None = None
    b_hh: ir.Value | None = None
    w_hr: ir.Value | None = None


def _in_order(op: Emitter, kind: Kind, parameter: ir.Value, hidden: int) -> ir.Value:
    """Put the gates of a stacked parameter in ONNX's order; neighbours that stay together are cut together."""
    if kind.gates == 1:
        return parameter
    runs: list[list[int]] = []
    for gate in kind.order:
        if runs and gate == runs[-1][-1] + 1:
            runs[-1].append(gate)
        else:
            runs.append([gate])
    parts = [
        op.Slice(parameter, op.i64([run[0] * hidden]), op.i64([(run[-1] + 1) * hidden]), op.i64([0])) for run in runs
    ]
    return op.Concat(*parts, axis=0)


def _by_direction(op: Emitter, parameters: Sequence[ir.Value]) -> ir.Value:
    stacked = [op.Unsqueeze(parameter, [0]) for parameter in parameters]
    return stacked[0] if len(stacked) == 1 else op.Concat(*stacked, axis=0)


def _bias(op: Emitter, kind: Kind, weights: Weights, hidden: int) -> ir.Value | None:
    if weights.b_ih is None or weights.b_hh is None:
        return None
    return op.Concat(_in_order(op, kind, weights.b_ih, hidden), _in_order(op, kind, weights.b_hh, hidden), axis=0)


def _is_zero(op: Emitter, value: ir.Value) -> bool:
    """Whether a state is made of zeros on the spot, as by a model that is called without one."""
    producer = value.producer()
    if producer is None:
        # A parameter that happens to be zero may be trained; only what lowering made itself counts.
        return op.is_own_constant(value) and _all_zero(value)
    if producer.op_type == "ConstantOfShape":
        filling = producer.attributes.get("value")
        return filling is None or not filling.as_tensor().numpy().any()
    if producer.op_type in ("Expand", "Unsqueeze", "Cast", "Identity") and producer.inputs[0] is not None:
        return _is_zero(op, producer.inputs[0])
    return False


def _all_zero(value: ir.Value) -> bool:
    return value.const_value is not None and not value.const_value.numpy().any()


def _state_of_layer(op: Emitter, state: ir.Value, layer: int, layers: int, directions: int) -> ir.Value | None:
    if _is_zero(op, state):
        return None
    if layers == 1:
        return state
    return op.Slice(state, op.i64([layer * directions]), op.i64([(layer + 1) * directions]), op.i64([0]))


@attrs.frozen
class LayerOutput:
    """What one layer leaves: ``y`` is time x direction x batch x hidden, the states direction x batch x hidden."""

    y: ir.Value
    h: ir.Value
    c: ir.Value | None


def _layer(
    op: Emitter,
    kind: Kind,
    x: ir.Value,
    weights: Sequence[Weights],
    h: ir.Value | None,
    c: ir.Value | None,
    lengths: ir.Value | None,
) -> LayerOutput:
    """Write one layer as the operator of its kind."""
    hidden = op.dim(weights[0].w_hh, 1)
    if hidden is None:
        raise op.cannot("the hidden size of a recurrent layer is only known at run time")
    biases = [_bias(op, kind, each, hidden) for each in weights]
    attributes = dict(kind.attributes)
    if "activations" in attributes:
        attributes["activations"] = attributes["activations"] * len(weights)
    if len(weights) == 2:
        attributes["direction"] = "bidirectional"
    inputs = [
        x,
        _by_direction(op, [_in_order(op, kind, each.w_ih, hidden) for each in weights]),
        _by_direction(op, [_in_order(op, kind, each.w_hh, hidden) for each in weights]),
        None if None in biases else _by_direction(op, [bias for bias in biases if bias is not None]),
        None if lengths is None else op.cast(lengths, ir.DataType.INT32),
        h,
    ]
    spelled = getattr(op, kind.op_type)
    if kind.has_cell:
        y, last_h, last_c = spelled(*inputs, c, hidden_size=hidden, outputs=3, **attributes)
        return LayerOutput(y, last_h, last_c)
    y, last_h = spelled(*inputs, hidden_size=hidden, outputs=2, **attributes)
    return LayerOutput(y, last_h, None)


def _projected_direction(
    op: Emitter, x: ir.Value, weights: Weights, h: ir.Value, c: ir.Value, real: ir.Value | None, reverse: bool
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Run an LSTM whose hidden state is projected, which the operator lacks, step by step in a Scan.

    Where `real` (time x batch x 1) says that a sequence has no step, its states stay as they are.
    """
    assert weights.w_hr is not None
    inputs = op.MatMul(x, op.Transpose(weights.w_ih, perm=[1, 0]))
    for bias in (weights.b_ih, weights.b_hh):
        if bias is not None:
            inputs = op.Add(inputs, bias)
    recurrent = op.Transpose(weights.w_hh, perm=[1, 0])
    projection = op.Transpose(weights.w_hr, perm=[1, 0])
    cell = op.dim(weights.w_hh, 0)
    if cell is None:
        raise op.cannot("the cell size of a projected LSTM is only known at run time")
    size = cell // 4
    batch, width = x.shape[1], weights.w_hr.shape[0]
    scanned = [inputs] if real is None else [inputs, real]
    step = op.body(
        ("h_before", x.dtype, [batch, width]),
        ("c_before", x.dtype, [batch, size]),
        ("gates_of_input", x.dtype, [batch, cell]),
        *([] if real is None else [("is_real", ir.DataType.BOOL, [batch, 1])]),
    )
    h_before, c_before, gates_of_input = step.inputs[:3]
    gates = step.Add(gates_of_input, step.MatMul(h_before, recurrent))
    i, f, g, o = (step.Slice(gates, step.i64([n * size]), step.i64([(n + 1) * size]), step.i64([-1])) for n in range(4))
    c_after = step.Add(step.Mul(step.Sigmoid(f), c_before), step.Mul(step.Sigmoid(i), step.Tanh(g)))
    h_after = step.MatMul(step.Mul(step.Sigmoid(o), step.Tanh(c_after)), projection)
    if real is not None:
        h_after, c_after = (
            step.Where(step.inputs[3], after, before) for after, before in ((h_after, h_before), (c_after, c_before))
        )
    directions = {"scan_input_directions": [1] * len(scanned), "scan_output_directions": [1]} if reverse else {}
    last_h, last_c, y = op.Scan(
        h,
        c,
        *scanned,
        body=step.graph([h_after, c_after, h_after], "lstm_step"),
        num_scan_inputs=len(scanned),
        outputs=3,
        **directions,
    )
    for made, dims in ((y, [x.shape[0], batch, width]), (last_h, [batch, width]), (last_c, [batch, size])):
        made.type, made.shape = ir.TensorType(x.dtype), ir.Shape(dims)
    return y, last_h, last_c


def _projected_layer(
    op: Emitter,
    x: ir.Value,
    weights: Sequence[Weights],
    h: ir.Value,
    c: ir.Value,
    first: int,
    lengths: ir.Value | None,
) -> LayerOutput:
    ys, hs, cs = [], [], []
    real = None if lengths is None else op.Unsqueeze(real_places(op, lengths, op.size(x, 0)), [2])
    for direction, each in enumerate(weights):
        h_first, c_first = (op.Gather(state, op.i64(first + direction), axis=0) for state in (h, c))
        y, last_h, last_c = _projected_direction(op, x, each, h_first, c_first, real, reverse=direction == 1)
        ys.append(op.Unsqueeze(y, [1]))
        hs.append(last_h)
        cs.append(last_c)
    y = ys[0] if len(ys) == 1 else op.Concat(*ys, axis=1)
    return LayerOutput(y, _by_direction(op, hs), _by_direction(op, cs))


def _grouped(parameters: Sequence[ir.Value], has_biases: bool, count: int) -> list[Weights]:
    """Take PyTorch's flat list of parameters apart, one entry for each layer and direction."""
    each = len(parameters) // count
    biases = 2 if has_biases else 0
    groups = []
    for start in range(0, len(parameters), each):
        w_ih, w_hh, *rest = parameters[start : start + each]
        b_ih, b_hh = rest[:2] if has_biases else (None, None)
        groups.append(Weights(w_ih, w_hh, b_ih, b_hh, rest[biases] if len(rest) > biases else None))
    return groups


def _layers(
    op: Emitter,
    kind: Kind,
    x: ir.Value,
    h: ir.Value,
    c: ir.Value | None,
    parameters: Sequence[ir.Value],
    *,
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool = False,
    lengths: ir.Value | None = None,
) -> tuple[ir.Value, ir.Value, ir.Value | None]:
    """Write all layers, each fed with the one before; returns output and last states."""
    directions = 2 if bidirectional else 1
    weights = _grouped(parameters, has_biases, num_layers * directions)
    if batch_first:
        x = op.Transpose(x, perm=[1, 0, 2])
    states_h: list[ir.Value] = []
    states_c: list[ir.Value] = []
    for layer in range(num_layers):
        if layer and dropout and train:
            x = op.call("aten::dropout", x, p=dropout, train=True)
        here = weights[layer * directions : (layer + 1) * directions]
        if here[0].w_hr is not None and c is not None:
            made = _projected_layer(op, x, here, h, c, layer * directions, lengths)
        else:
            layer_h = _state_of_layer(op, h, layer, num_layers, directions)
            layer_c = None if c is None else _state_of_layer(op, c, layer, num_layers, directions)
            made = _layer(op, kind, x, here, layer_h, layer_c, lengths)
        states_h.append(made.h)
        if made.c is not None:
            states_c.append(made.c)
        batch_leads = batch_first and layer == num_layers - 1
        if directions == 2:
            x = op.Transpose(made.y, perm=[2, 0, 1, 3] if batch_leads else [0, 2, 1, 3])
            width = op.dim(made.h, -1)
            x = op.Reshape(x, op.i64([0, 0, -1 if width is None else 2 * width]))
        elif batch_leads:
            x = op.Transpose(op.Squeeze(made.y, [1]), perm=[1, 0, 2])
        else:
            x = op.Squeeze(made.y, [1])
    last_h = states_h[0] if num_layers == 1 else op.Concat(*states_h, axis=0)
    if not states_c:
        return x, last_h, None
    last_c = states_c[0] if num_layers == 1 else op.Concat(*states_c, axis=0)
    return x, last_h, last_c


def _packed_layers(
    op: Emitter,
    kind: Kind,
    data: ir.Value,
    batch_sizes: ir.Value,
    h: ir.Value,
    c: ir.Value | None,
    parameters: Sequence[ir.Value],
    **flags: Any,
) -> tuple[ir.Value, ir.Value, ir.Value | None]:
    """Run layers over sequences that stand packed behind each other, by unpacking and packing."""
    packed: Packed = unpacked(op, data, batch_sizes)
    y, last_h, last_c = _layers(op, kind, packed.padded, h, c, parameters, lengths=packed.lengths, **flags)
    return packed_like(op, packed, y), last_h, last_c


@lowers("aten::lstm.input")
def lstm(
    op: Emitter, x: ir.Value, hx: Sequence[ir.Value], params: Sequence[ir.Value], **flags: Any
) -> tuple[ir.Value, ...]:
    """Lower an LSTM over padded sequences."""
    return _layers(op, LSTM, x, hx[0], hx[1], params, **flags)


@lowers("aten::lstm.data")
def lstm_over_packed(
    op: Emitter,
    data: ir.Value,
    batch_sizes: ir.Value,
    hx: Sequence[ir.Value],
    params: Sequence[ir.Value],
    **flags: Any,
) -> tuple[ir.Value, ...]:
    """Lower an LSTM over packed sequences."""
    return _packed_layers(op, LSTM, data, batch_sizes, hx[0], hx[1], params, **flags)


def _without_cell(results: tuple[ir.Value, ir.Value, ir.Value | None]) -> tuple[ir.Value, ir.Value]:
    return results[:2]


@lowers("aten::gru.input")
def gru(op: Emitter, x: ir.Value, hx: ir.Value, params: Sequence[ir.Value], **flags: Any) -> tuple[ir.Value, ...]:
    """Lower a GRU over padded sequences."""
    return _without_cell(_layers(op, GRU, x, hx, None, params, **flags))


@lowers("aten::gru.data")
def gru_over_packed(
    op: Emitter, data: ir.Value, batch_sizes: ir.Value, hx: ir.Value, params: Sequence[ir.Value], **flags: Any
) -> tuple[ir.Value, ...]:
    """Lower a GRU over packed sequences."""
    return _without_cell(_packed_layers(op, GRU, data, batch_sizes, hx, None, params, **flags))


@lowers("aten::rnn_tanh.input")
def rnn_tanh(op: Emitter, x: ir.Value, hx: ir.Value, params: Sequence[ir.Value], **flags: Any) -> tuple[ir.Value, ...]:
    """Lower a plain recurrent layer with tanh."""
    return _without_cell(_layers(op, RNN_TANH, x, hx, None, params, **flags))


@lowers("aten::rnn_tanh.data")
def rnn_tanh_over_packed(
    op: Emitter, data: ir.Value, batch_sizes: ir.Value, hx: ir.Value, params: Sequence[ir.Value], **flags: Any
) -> tuple[ir.Value, ...]:
    """Lower a plain recurrent layer with tanh over packed sequences."""
    return _without_cell(_packed_layers(op, RNN_TANH, data, batch_sizes, hx, None, params, **flags))


@lowers("aten::rnn_relu.input")
def rnn_relu(op: Emitter, x: ir.Value, hx: ir.Value, params: Sequence[ir.Value], **flags: Any) -> tuple[ir.Value, ...]:
    """Lower a plain recurrent layer with rectification."""
    return _without_cell(_layers(op, RNN_RELU, x, hx, None, params, **flags))


@lowers("aten::rnn_relu.data")
def rnn_relu_over_packed(
    op: Emitter, data: ir.Value, batch_sizes: ir.Value, hx: ir.Value, params: Sequence[ir.Value], **flags: Any
) -> tuple[ir.Value, ...]:
    """Lower a plain recurrent layer with rectification over packed sequences."""
    return _without_cell(_packed_layers(op, RNN_RELU, data, batch_sizes, hx, None, params, **flags))


# ---- single steps ----------------------------------------------------------------------------------------------------


def _step(
    op: Emitter, kind: Kind, x: ir.Value, h: ir.Value, c: ir.Value | None, weights: Weights
) -> tuple[ir.Value, ir.Value | None]:
    """Run one step as a sequence of length one; the input is batch x features, or features alone."""
    axes = [0] * (3 - op.rank(x))
    lead = op.i64(list(range(len(axes))))
    x, h = op.Unsqueeze(x, lead), op.Unsqueeze(h, lead)
    c = None if c is None else op.Unsqueeze(c, lead)
    made = _layer(op, kind, x, [weights], h, c, None)
    return op.Squeeze(made.h, lead), None if made.c is None else op.Squeeze(made.c, lead)


@lowers("aten::lstm_cell")
def lstm_cell(
    op: Emitter,
    x: ir.Value,
    hx: Sequence[ir.Value],
    w_ih: ir.Value,
    w_hh: ir.Value,
    b_ih: ir.Value | None = None,
    b_hh: ir.Value | None = None,
) -> tuple[ir.Value, ir.Value | None]:
    """Lower one step of an LSTM."""
    return _step(op, LSTM, x, hx[0], hx[1], Weights(w_ih, w_hh, b_ih, b_hh))


@lowers("aten::gru_cell")
def gru_cell(
    op: Emitter,
    x: ir.Value,
    hx: ir.Value,
    w_ih: ir.Value,
    w_hh: ir.Value,
    b_ih: ir.Value | None = None,
    b_hh: ir.Value | None = None,
) -> ir.Value:
    """Lower one step of a GRU."""
    return _step(op, GRU, x, hx, None, Weights(w_ih, w_hh, b_ih, b_hh))[0]


@lowers("aten::rnn_tanh_cell")
def rnn_tanh_cell(
    op: Emitter,
    x: ir.Value,
    hx: ir.Value,
    w_ih: ir.Value,
    w_hh: ir.Value,
    b_ih: ir.Value | None = None,
    b_hh: ir.Value | None = None,
) -> ir.Value:
    """Lower one step of a plain recurrent layer with tanh."""
    return _step(op, RNN_TANH, x, hx, None, Weights(w_ih, w_hh, b_ih, b_hh))[0]


@lowers("aten::rnn_relu_cell")
def rnn_relu_cell(
    op: Emitter,
    x: ir.Value,
    hx: ir.Value,
    w_ih: ir.Value,
    w_hh: ir.Value,
    b_ih: ir.Value | None = None,
    b_hh: ir.Value | None = None,
) -> ir.Value:
    """Lower one step of a plain recurrent layer with rectification."""
    return _step(op, RNN_RELU, x, hx, None, Weights(w_ih, w_hh, b_ih, b_hh))[0]
