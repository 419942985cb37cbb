# SPDX-License-Identifier: Apache-2.0
"""Loops of Python over a free axis: one file for every length, or an error that names the loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lading.passes.signature.structure import leaves
from torch import nn

import lading

AXES = {"x": {0: "batch", 1: "length"}}
RECORDED = ["trace.strategy=record"]
SIZES = [(2, 5), (1, 1), (3, 2), (2, 33)]


class Recurrence(nn.Module):
    """A state that each row changes."""

    def __init__(self):
        super().__init__()
        self.read = nn.Linear(4, 4)
        self.keep = nn.Linear(4, 4)

    def forward(self, x):
        state, states = x.new_zeros(x.shape[0], 4), []
        for t in range(x.shape[1]):
            state = torch.tanh(self.read(x[:, t]) + self.keep(state))
            states.append(state)
        return torch.stack(states, 1), state


class BothWays(nn.Module):
    """One loop from the first row on, one from the last, and their results joined row by row."""

    def __init__(self):
        super().__init__()
        self.step = nn.Linear(4, 4)

    def forward(self, x):
        length = x.shape[1]
        state, forwards = x[:, 0], []
        for t in range(length):
            state = self.step(state) + x[:, t]
            forwards.append(state)
        state, backwards = x[:, length - 1], []
        for t in reversed(range(length)):
            state = self.step(state) - x[:, t]
            backwards.insert(0, state)
        return torch.stack([torch.cat(pair, -1) for pair in zip(forwards, backwards, strict=True)], 1)


class InTurn(nn.Module):
    """Two layers, each with its loop, and something else between them."""

    def __init__(self):
        super().__init__()
        self.first = Recurrence()
        self.second = Recurrence()

    def forward(self, x):
        y, _ = self.first(x)
        return self.second((y + x).relu())[0].reshape(x.shape[0], -1)


class FirstApart(nn.Module):
    """The first iteration has nothing to add to."""

    def forward(self, x):
        total = None
        for row in x.unbind(1):
            total = row if total is None else total * 0.5 + row
        return total


class Concatenated(nn.Module):
    """Rows of two, joined along the axis of the loop."""

    def forward(self, x):
        state, rows = torch.zeros_like(x[:, 0]), []
        for row in x.unbind(1):
            state = state + row
            rows += [state.unsqueeze(1), row.unsqueeze(1)]
        return torch.cat(rows, 1)


class WrittenInPlace(nn.Module):
    """A result that is filled row by row."""

    def forward(self, x):
        result = torch.zeros_like(x)
        for t in range(x.shape[1]):
            result[:, t] = x[:, : t + 1].sum(1)
        return result


class Numbered(nn.Module):
    """Numbers that follow the iteration and the length."""

    def forward(self, x):
        length, total = x.shape[1], torch.zeros_like(x[:, 0])
        for t in range(length):
            total = total + (2 * t - length) * x[:, t]
        return total


class Within(nn.Module):
    """All but the first and the last row."""

    def forward(self, x):
        total = x[:, 0]
        for t in range(1, x.shape[1] - 1):
            total = torch.maximum(total, x[:, t] - x[:, t - 1])
        return total


class Alternating(nn.Module):
    """Every second iteration does something else."""

    def forward(self, x):
        total = torch.zeros_like(x[:, 0])
        for t in range(x.shape[1]):
            total = total + x[:, t] if t % 2 else total.exp()
        return total


class Squares(nn.Module):
    """A number that grows faster than the iteration."""

    def forward(self, x):
        total = torch.zeros_like(x[:, 0])
        for t in range(x.shape[1]):
            total = total + t * t * x[:, t]
        return total


class ShortOnly(nn.Module):
    """A table of the model's holds twelve rows."""

    def __init__(self):
        super().__init__()
        self.table = nn.Parameter(torch.randn(12, 4))

    def forward(self, x):
        table, total = self.table[: x.shape[1]], torch.zeros_like(x[:, 0])
        for t in range(x.shape[1]):
            total = total + x[:, t]
        return total + table.sum(0)


def export(model, **options):
    torch.manual_seed(0)
    return lading.export(model.eval(), torch.randn(2, 5, 4), dynamic_axes=AXES, settings=RECORDED, **options)


def differs(exported, model, batch, length):
    x = torch.randn(batch, length, 4)
    with torch.no_grad():
        expected = [leaf.numpy() for _, leaf in leaves(model(x))]
    result = exported(x)
    given = result if isinstance(result, (tuple, list)) else (result,)
    return [
        (left.shape, np.shape(right))
        for left, right in zip(expected, given, strict=True)
        if left.shape != np.shape(right) or not np.allclose(left, right, rtol=1e-4, atol=1e-5)
    ]


@pytest.mark.parametrize("opset", [9, 13, 25])
@pytest.mark.parametrize("model", [Recurrence, BothWays, InTurn, Concatenated, WrittenInPlace, Numbered])
def test_a_loop_over_a_free_axis_is_right_at_every_length(model, opset):
    network = model()
    exported = export(network, opset_version=opset)
    assert [] == [found for sizes in SIZES for found in differs(exported, network, *sizes)]


@pytest.mark.parametrize("model", [FirstApart, Within])
def test_a_loop_shorter_than_the_axis_is_right_from_its_first_length_on(model):
    network = model()
    exported = export(network)
    assert [] == [found for sizes in [(2, 5), (3, 3), (1, 33)] for found in differs(exported, network, *sizes)]


def test_the_axis_is_free_and_without_limits():
    exported = export(WrittenInPlace())
    assert ({0: "batch", 1: "length"}, ()) == (exported.axes["x"], exported.limits)


def test_what_is_written_does_not_grow_with_the_example():
    short, long = (
        lading.export(Recurrence(), torch.randn(2, length, 4), dynamic_axes=AXES, settings=RECORDED)
        for length in (5, 50)
    )
    assert len(short.model_proto.graph.node) == len(long.model_proto.graph.node)


def test_the_record_says_what_was_rolled_up():
    (event,) = (one for one in export(InTurn()).events if one.get("step") == "roll-loops" and "counts" in one)
    (decision,) = event["decisions"]
    assert ("loop rolled up", 2) == (decision["what"], event["counts"]["loops"])
    assert decision["details"]["source"].startswith("tests/passes/test_roll_loops.py:")


def test_nodes_of_a_body_know_their_module_and_line():
    exported = export(Recurrence())
    (loop,) = (node for node in exported.model_proto.graph.node if node.op_type == "Loop")
    (body,) = (attribute.g for attribute in loop.attribute)
    assert "read" in {name for node in body.node for name in node.name.split("/")}


@pytest.mark.parametrize("model", [Alternating, Squares])
def test_a_loop_that_follows_no_rule_is_an_error_with_its_line_and_another_way_to_write_it(model):
    with pytest.raises(lading.CaptureError, match=r"(?s)'length'.*test_roll_loops.py:\d+.*torch.scan"):
        export(model())


def test_a_limit_of_the_model_stays_one():
    assert ["length at most 12"] == [limit.words for limit in export(ShortOnly()).limits]


def test_the_loop_stays_written_out_where_the_recipe_says_so():
    with pytest.raises(lading.CaptureError, match="Python reads length as a number"):
        export(Recurrence(), overrides={"roll-loops.enabled": False})


def test_a_model_without_such_loops_is_recorded_once():
    events = lading.export(lambda x: x * 2, torch.randn(2, 5, 4), dynamic_axes=AXES, settings=RECORDED).events
    assert "pass.unchanged" in {one["event"] for one in events if one.get("step") == "roll-loops"}


class OtherwiseForOneRow(nn.Module):
    """Asks whether there is one row only, before or behind what runs over the rows."""

    def __init__(self, *, asks_first: bool):
        super().__init__()
        self.rows = Recurrence()
        self.asks_first = asks_first

    def forward(self, x):
        if self.asks_first and x.shape[1] == 1:
            return self.rows.read(x)
        states, _ = self.rows(x)
        return states * 3 if not self.asks_first and x.shape[1] == 1 else states


@pytest.mark.parametrize("asks_first", [True, False])
def test_a_way_for_one_row_alone_is_in_the_file_beside_the_loop(asks_first):
    model = OtherwiseForOneRow(asks_first=asks_first).eval()
    exported = lading.export(model, torch.randn(2, 5, 4), dynamic_axes=AXES, settings=RECORDED)
    assert () == tuple(exported.limits)
    assert [] == [one for sizes in SIZES for one in differs(exported, model, *sizes)]


class OtherwiseLater(nn.Module):
    """Takes another step from the twentieth row on."""

    def __init__(self):
        super().__init__()
        self.step = nn.Linear(4, 4)

    def forward(self, x):
        state, states = x[:, 0], []
        for t in range(x.shape[1]):
            state = torch.tanh(x[:, t] + (self.step(state) if t < 20 else state))
            states.append(state)
        return torch.stack(states, 1)


class OtherwiseWhenLong(nn.Module):
    """Doubles what more than thirty rows give."""

    def forward(self, x):
        rows = [row.softmax(-1) for row in x.unbind(1)]
        whole = torch.stack(rows, 1)
        return whole * 2 if len(rows) > 30 else whole


@pytest.mark.parametrize(("model", "longest"), [(OtherwiseLater, 20), (OtherwiseWhenLong, 30)])
def test_what_iterations_do_from_a_certain_one_on_is_a_limit(model, longest):
    network = model()
    exported = export(network)
    assert [f"length at most {longest}"] == [limit.words for limit in exported.limits]
    assert [] == [found for sizes in [(2, 1), (1, longest)] for found in differs(exported, network, *sizes)]


class LastTwice(nn.Module):
    """Doubles the last row where there are others before it."""

    def forward(self, x):
        *others, last = x.unbind(1)
        return sum(row.tanh() for row in others) + last * 2 if others else last


class Windows(nn.Module):
    """Means over the last three rows, fewer at the beginning."""

    def forward(self, x):
        return torch.stack([x[:, max(0, t - 2) : t + 1].mean(1) for t in range(x.shape[1])], 1)


@pytest.mark.parametrize("model", [LastTwice, Windows])
def test_what_short_loops_do_otherwise_is_in_the_file_beside_the_loop(model):
    network = model()
    exported = export(network)
    assert () == tuple(exported.limits)
    assert [] == [found for length in (1, 2, 3, 4, 5, 6, 33) for found in differs(exported, network, 2, length)]


class Differences(nn.Module):
    """Each row with all rows behind it: iterations make fewer rows each time."""

    def forward(self, x):
        return torch.cat([x[:, t : t + 1] - x[:, t + 1 :] for t in range(x.shape[1] - 1)], 1)


def test_iterations_that_make_tensors_of_different_sizes_are_not_rolled_up():
    with pytest.raises(lading.CaptureError, match="iterations make tensors of different sizes"):
        export(Differences())


class Pieces(nn.Module):
    """Rows in fours, of which the last may be fewer, with a state that each piece hands to the next."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        state, pieces = x.new_zeros(x.shape[0], 4), []
        for piece in torch.split(x, 4, dim=1):
            made = (self.layer(piece) + state[:, None]).softmax(1)
            state = made.amax(1)
            pieces.append(made)
        return torch.cat(pieces, 1), state


class PiecesTogether(nn.Module):
    """Three tensors in pieces at once."""

    def forward(self, x):
        parts = zip(x.split(3, 1), (x * 2).split(3, 1), x.exp().split(3, 1), strict=True)
        return torch.cat([(q @ k.transpose(1, 2)).softmax(-1) @ v for q, k, v in parts], 1)


class InPairs(nn.Module):
    """Runs over half of an axis."""

    def forward(self, x):
        pairs = [x[:, 2 * t : 2 * t + 2].softmax(1).flatten(1) for t in range(x.shape[1] // 2)]
        return torch.stack(pairs, 1) if pairs else x.new_zeros(x.shape[0], 0, 8)


@pytest.mark.parametrize("model", [Pieces, PiecesTogether, InPairs])
@pytest.mark.parametrize("length", [1, 6, 9])
def test_a_loop_that_runs_as_often_as_a_quotient_of_the_axis_is_right_at_every_length(model, length):
    network = model()
    exported = lading.export(network, torch.randn(2, length, 4), dynamic_axes=AXES, settings=RECORDED)
    lengths = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13, 16, 17, 31, 32, 33)
    assert () == tuple(exported.limits)
    assert [] == [found for size in lengths for found in differs(exported, network, 3, size)]
