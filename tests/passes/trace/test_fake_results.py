# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lading.passes.trace import fake_results


class Padded(torch.nn.Module):
    def forward(self, x):
        x = F.pad(x, (0, 0, 0, -x.shape[1] % 4))
        return x.reshape(x.shape[0], x.shape[1] // 4, -1).softmax(-1)


class Limited(torch.nn.Module):
    def forward(self, x):
        x = x + 1 if x.shape[1] > 3 else x * 2
        return x.view(x.shape[0] * 2, -1, x.shape[2]) + x.narrow(1, 0, 1)[:, 0].sum(0)


class Picked(torch.nn.Module):
    def forward(self, x):
        first, second = x[:, 0, 0] > 0, x[:, 0, 1] > 0
        return x[first], x[second], x[first] * 2


def _said(captured):
    nodes = [(node.op_type, [str(output.shape) for output in node.outputs]) for node in captured.graph]
    return nodes, captured.capture.guards, captured.capture.specialisations


@pytest.fixture(autouse=True)
def table(monkeypatch):
    kept = {}
    monkeypatch.setattr(fake_results, "_TABLE", kept)
    return kept


@pytest.fixture
def capture(captured):
    def once(model, batch=2, length=6):
        axes = {"x": {0: "batch", 1: "length"}}
        return captured(model, (torch.ones(batch, length, 4),), dynamic_axes=axes)

    return once


@pytest.mark.parametrize("kind", [Padded, Limited, Picked])
def test_a_capture_from_the_table_says_what_one_without_it_says(kind, capture, table, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(fake_results.FakeResults, "_is_kept", lambda *_: False)
        expected = _said(capture(kind()))
    first, second = _said(capture(kind())), _said(capture(kind()))
    assert table
    assert (expected, expected) == (first, second)


def test_the_table_is_used(capture, monkeypatch):
    capture(Padded())
    monkeypatch.setattr(fake_results, "_keep", lambda *_: pytest.fail("computed anew"))
    capture(Padded())


def test_another_example_takes_its_own_side(capture):
    capture(Limited(), length=6)
    assert capture(Limited(), length=2).same_as_eager(torch.ones(4, 2, 4))


def test_masks_of_equal_form_pick_different_numbers(capture):
    x = torch.tensor([[1.0, -1.0], [1.0, -1.0], [1.0, 1.0]])[:, None].repeat(1, 5, 2)
    assert capture(Picked()).same_as_eager(x)


def test_a_full_table_is_begun_anew(capture, table, monkeypatch):
    monkeypatch.setattr(fake_results, "_LIMIT", 2)
    capture(Padded())
    assert len(table) <= 2
