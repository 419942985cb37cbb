# SPDX-License-Identifier: Apache-2.0
"""Comparisons of places in tensors with numbers that are out of reach have one answer before the run."""

from __future__ import annotations

import pytest
import torch

import lading

X = torch.tensor([0.5, 2.0, -1.0, 3.0])


def asked(question):
    def model(x):
        return x + 1 if question(x) else x - 1

    return model


@pytest.mark.parametrize(
    "question",
    [
        lambda x: x.argmax() == 4,
        lambda x: x.argmax(0) < 4,
        lambda x: x.topk(2).indices[1] >= 4,
        lambda x: x.sort().indices[0] != -1,
        lambda x: (x > 0).nonzero()[0][0] > 3,
        lambda x: x.reshape(2, 2).nonzero()[0, 1] <= 1,
        lambda x: torch.nn.functional.one_hot(x.topk(2).indices, 9).sum(0).nonzero()[0][0] == 8,
        lambda x: x.max(0).indices == 4,
        lambda x: torch.cat([x.max(0, keepdim=True).indices, x.topk(2).indices])[1] == 4,
    ],
)
def test_a_place_beyond_the_size_is_out_of_reach(question):
    model = asked(question)
    assert model(X).tolist() == pytest.approx(lading.export(model, X)(X)[0].tolist())


@pytest.mark.parametrize(
    "question",
    [
        lambda x: x.argmax(0) == 3,
        lambda x: x.topk(2).indices[1] > 0,
        lambda x: (x > 0).nonzero()[0][0] < 3,
        lambda x: x.reshape(2, 2).nonzero()[0, 0] == 1,
        lambda x: (1 - torch.nn.functional.one_hot(x.topk(2).indices, 9)).sum(0).nonzero()[0][0] == 8,
        lambda x: (x.argmax(0) + 1) == 4,
        lambda x: torch.stack([x.argmax(0), x.long()[3]])[1] == 4,
    ],
)
def test_a_place_within_the_size_is_for_the_run_to_know(question):
    model = asked(question)
    exported = lading.export(model, X, settings=["trace.strategy=record"])
    assert "If" in exported.to_dict()["operators"]
    for x in (X, X.flip(0), -X, X.roll(1)):
        assert model(x).tolist() == pytest.approx(exported(x)[0].tolist())
