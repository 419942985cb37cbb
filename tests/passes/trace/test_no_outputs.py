# SPDX-License-Identifier: Apache-2.0
"""Models that return nothing that a file could give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import lading

X = torch.ones(2, 3)


class Returning(nn.Module):
    def __init__(self, result):
        super().__init__()
        self.result = result

    def forward(self, x):
        return self.result


class Keeping(nn.Module):
    """Gives its result to a buffer only."""

    def __init__(self):
        super().__init__()
        self.register_buffer("total", torch.zeros(3))

    def forward(self, x) -> None:
        self.total += x.sum(0)


@pytest.mark.parametrize("strategy", ["auto", "export"])
@pytest.mark.parametrize(
    ("result", "told"),
    [
        (None, "its result is None"),
        ((), "its result is None, or has nothing else in it"),
        ({"a": [None]}, "has nothing else in it"),
        ("text", "its result is of type str"),
        ({"a": None, "b": "text"}, "its result is 'b' of type str"),
    ],
    ids=["none", "empty", "dict of none", "text", "dict of text"],
)
def test_a_model_without_a_tensor_to_return_is_refused_with_what_it_returned(strategy, result, told):
    with pytest.raises(lading.CaptureError) as raised:
        lading.export(Returning(result), X, settings=[f"trace.strategy={strategy}"])
    assert "Returning returns no tensor and no number" in raised.value.what
    assert told in raised.value.what


def test_a_scripted_model_is_called_by_its_class():
    with pytest.raises(lading.CaptureError, match="Keeping returns no tensor and no number"):
        lading.export(torch.jit.script(Keeping()), X)


def test_a_function_is_called_by_its_name():
    def silent(x):
        x + 1

    with pytest.raises(lading.CaptureError, match="silent returns no tensor"):
        lading.export(silent, X)


def test_numbers_are_outputs():
    assert 6 == lading.export(Returning(6), X)(X)[0]


@pytest.mark.parametrize("strategy", ["record", "export"])
def test_what_the_model_writes_to_its_buffers_is_enough(strategy):
    settings = [f"trace.strategy={strategy}", "trace.buffer_outputs=true"]
    exported = lading.export(Keeping(), X, settings=settings)
    assert ["total.updated"] == list(exported.output_names)
    assert [2.0, 2.0, 2.0] == exported(X)[0].tolist()
