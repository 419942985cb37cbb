# SPDX-License-Identifier: Apache-2.0
"""A branch of the model's Python on a value: the file has both sides, and chooses when it runs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import lading

X = torch.tensor([[0.5, -2.0, 1.0], [3.0, 0.25, -1.5]])
INPUTS = (X, -X, X.abs(), -X.abs(), X * 100, X * 0)


class Layers(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.other = nn.Linear(3, 3)

    def forward(self, x):
        x = self.layer(x) if x.sum() > 0 else self.other(x)
        return x * 2


class Counts(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        if x.max() > 1:
            self.count += 1
        return x + self.count


def clamped_if_negative(x):
    if x.lt(0).any():
        x = x.clamp(min=0)
    return x + 1


def one_after_another(x):
    if x.lt(0).any():
        x = x.clamp(min=0)
    if x.max() > 5:
        x = x / x.max()
    if x.mean() > 0.1:
        return x + 1
    return x


def nested(x):
    if x.sum() > 0:
        if x.max() > 1:
            return x * 3
        return x * 2
    return x


def leaves_a_loop(x):
    for _ in range(4):
        x = x * 2
        if x.max() > 10:
            break
    return x - 1


def early_return(x):
    if torch.isinf(x.exp()).any():
        return torch.zeros_like(x)
    return x.exp()


def both_asked_together(x):
    return x * (2 if x.max() > 1 and x.min() < -1 else 3)


def asked_of_a_number(x):
    largest = x.max().item()
    return x / largest if largest > 1 else x


def counted(x):
    return x * int((x > 0).sum().item() > 2)


def of_other_sizes(x):
    return x[:1] if x.max() > 1 else x


def members_of_an_output_each(x):
    low = x.min() < 0
    return (x.abs() if low else x), (x.sum() if low else x.prod())


FUNCTIONS = [
    clamped_if_negative,
    one_after_another,
    nested,
    leaves_a_loop,
    early_return,
    both_asked_together,
    asked_of_a_number,
    counted,
    of_other_sizes,
    members_of_an_output_each,
]


@pytest.mark.parametrize("model", [*FUNCTIONS, Layers().eval(), Counts()], ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("axes", [{}, {"x": {0: "rows"}}], ids=["fixed", "free"])
def test_a_file_is_right_whichever_way_the_values_go(free, model, axes):
    exported = free(model, [X], axes)
    for x in INPUTS:
        assert "" == exported.differs(*_state_kept(model, x))
    if axes:
        for rows in (1, 4):
            assert "" == exported.differs(*_state_kept(model, X[:1].repeat(rows, 1) * 3))
    assert exported.count("If")


def _state_kept(model, x):
    """Return the inputs after the state of the model is what it was at the export."""
    if isinstance(model, Counts):
        model.count = torch.zeros(())
    return [x]


def test_the_file_says_where_it_chooses(free):
    decided = free(clamped_if_negative, [X], {}).decided("both sides kept")
    assert ["the file chooses at run time: if x.lt(0).any():"] == decided


def test_what_differs_alone_is_in_the_branches(free):
    exported = free(clamped_if_negative, [X], {})
    top = [node.op_type for node in exported.exported.model_proto.graph.node]
    assert ("Add" in top, "Clip" in top or "Relu" in top) == (True, False)


def test_a_branch_without_effect_leaves_no_trace(free):
    def model(x):
        if x.max() > 1:
            return x * 2
        return x * 2

    exported = free(model, [X], {})
    assert (0, ["Mul"]) == (exported.count("If"), [node.op_type for node in exported.exported.model_proto.graph.node])
    assert "" == exported.differs(X)


def test_a_branch_on_values_and_one_on_sizes(free):
    def model(x):
        if x.shape[0] > 3:
            x = x[1:]
        if x.max() > 1:
            x = x - x.max()
        return x

    exported = free(model, [X], {"x": {0: "rows"}})
    for rows in (1, 2, 3, 4, 5, 7):
        for scale in (1, 10):
            assert "" == exported.differs(torch.linspace(-0.5, 0.9, rows * 3).reshape(rows, 3) * scale)
    assert [] == exported.limits


def test_more_branches_than_recordings_are_an_error_that_says_so():
    def model(x):
        while x.max() < 100:
            x = x * 2
        return x

    with pytest.raises(lading.CaptureError, match="3 further recordings do not show all ways") as caught:
        lading.export(model, X, settings=["trace.strategy=record", "trace.value_sides=3"])
    assert "while x.max() < 100:" in str(caught.value)


def test_a_loop_that_one_answer_never_ends_is_an_error():
    def model(x):
        while True:
            x = x * 2
            if x.max() > 100:
                return x

    with pytest.raises(lading.CaptureError, match="asks for the value of a tensor"):
        lading.export(model, X, settings=["trace.strategy=record"])


def test_without_further_recordings_a_branch_is_an_error():
    with pytest.raises(lading.CaptureError, match="asks for the value of a tensor"):
        lading.export(nested, X, settings=["trace.strategy=record", "trace.value_sides=0"])


def test_a_side_that_cannot_be_captured_is_an_error_with_its_reason():
    def model(x):
        if x.max() > 1:
            return torch.from_numpy(x.numpy())
        return x

    with pytest.raises(lading.CaptureError, match="one of the two sides cannot be captured: the model leaves PyTorch"):
        lading.export(model, X, settings=["trace.strategy=record"])


def test_sides_of_other_types_are_an_error_with_its_reason():
    def model(x):
        return x.int() if x.max() > 1 else x

    with pytest.raises(lading.CaptureError, match="the two sides have no common graph"):
        lading.export(model, X, settings=["trace.strategy=record"])


def kept_answer(x):
    is_large = bool(x.max() > 1)
    if x.min() < 0:
        x = x * (2 if is_large else 3)
    return x


def two_kept_answers(x):
    is_large, is_mixed = bool(x.max() > 1), bool(x.min() < 0)
    return x * 3 if is_large and is_mixed else x


@pytest.mark.parametrize("model", [kept_answer, two_kept_answers], ids=lambda model: model.__name__)
def test_an_answer_that_is_kept_has_its_effect_where_another_goes_the_other_way(free, model):
    exported = free(model, [X], {})
    for x in (*INPUTS, X.abs() * 0.1, -X.abs() * 0.1):
        assert "" == exported.differs(x)
