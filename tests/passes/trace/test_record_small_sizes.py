# SPDX-License-Identifier: Apache-2.0
"""Examples in which a free axis, or a size that is computed from one, is 0 or 1."""

from __future__ import annotations

import pytest
import torch
from lading.pipeline.errors import CaptureError
from torch.nn import functional

HERE = "tests/passes/trace/test_record_small_sizes.py"
WEIGHT = torch.randn(5, 3)

COMPUTED = {
    "one row less": lambda x: x[1:].relu(),
    "differences of rows": lambda x: x[1:] - x[:-1],
    "diff": lambda x: torch.diff(x, dim=0),
    "flat": lambda x: x[1:].reshape(-1),
    "expanded": lambda x: x[1:].unsqueeze(1).expand(-1, 2, -1),
    "product": lambda x: x[1:] @ WEIGHT.T,
    "written in place": lambda x: torch.cat([x[1:].clone().mul_(2), x]),
    "half": lambda x: x[: x.shape[0] // 2] * 2 + x.sum(0),
    "none left": lambda x: x[2:].relu().sum(0),
}


@pytest.mark.parametrize("model", COMPUTED.values(), ids=COMPUTED)
def test_a_computed_size_of_zero_or_one_fixes_nothing(captured, model):
    result = captured(model, torch.randn(2, 3), dynamic_axes={"x": {0: "n"}})
    assert () == result.capture.specialisations
    assert result.same_as_eager()
    assert result.same_as_eager(torch.randn(7, 3))


def test_nor_does_one_that_is_the_length_after_a_convolution(captured):
    weight = torch.randn(2, 2, 3)
    result = captured(
        lambda x: functional.conv1d(x, weight).relu().mean(-1), torch.randn(1, 2, 3), dynamic_axes={"x": {2: "length"}}
    )
    assert () == result.capture.specialisations
    assert result.same_as_eager(torch.randn(1, 2, 9))


def test_such_a_size_leaves_no_guard_where_it_is_larger_either(captured):
    result = captured(COMPUTED["flat"], torch.randn(5, 3), dynamic_axes={"x": {0: "n"}})
    assert () == result.capture.guards
    assert result.same_as_eager(torch.randn(2, 3))


@pytest.mark.parametrize(
    ("model", "size", "condition"),
    [(lambda x: x + WEIGHT, 1, "n == 1"), (lambda x: x[1:] + WEIGHT, 2, "n - 1 == 1")],
    ids=["asked for", "computed"],
)
def test_a_size_of_one_that_is_broadcast_is_a_specialisation(captured, model, size, condition):
    result = captured(model, torch.randn(size, 3), dynamic_axes={"x": {0: "n"}})
    (special,) = result.capture.specialisations
    expected = ("n", size, condition, f"{HERE}:{model.__code__.co_firstlineno}")
    assert expected == (special.axis, special.size, special.condition, special.source)
    assert result.same_as_eager()


def test_only_the_axis_that_is_broadcast_becomes_a_constant(captured):
    axes = {"x": {0: "n", 1: "m"}}
    result = captured(lambda x: x + WEIGHT[:, :1], torch.randn(1, 1), dynamic_axes=axes)
    assert ["n"] == [special.axis for special in result.capture.specialisations]
    assert result.same_as_eager(torch.randn(1, 4))


def test_a_failure_is_told_in_the_names_of_the_user(captured):
    with pytest.raises(CaptureError, match=r"size of tensor a \(rows\) must match"):
        captured(lambda x: x + WEIGHT, torch.randn(3, 3), dynamic_axes={"x": {0: "rows"}})


def test_a_failure_that_is_got_over_is_not_shown(captured, capfd):
    captured(lambda x: x @ WEIGHT, torch.randn(1, 5), dynamic_axes={"x": {0: "n", 1: "m"}})
    assert "" == capfd.readouterr().err


def test_a_rank_that_depends_on_the_size_is_a_limit(captured):
    result = captured(lambda x: x.squeeze(0) * 2, torch.randn(1, 3), dynamic_axes={"x": {0: "n"}})
    (guard,) = result.capture.guards
    assert ("n == 1", False, False) == (guard.condition, guard.outcome, guard.harmless)


@pytest.mark.parametrize("layer", [torch.nn.Conv2d(2, 2, 3), torch.nn.ConvTranspose2d(2, 2, 3)], ids=["to", "from"])
def test_a_convolution_asks_nothing_of_the_batch(captured, layer):
    axes = {"input": {0: "batch", 2: "height", 3: "width"}}
    result = captured(layer, torch.randn(1, 2, 5, 5), dynamic_axes=axes)
    assert not any("batch" in guard.condition for guard in result.capture.guards)
    assert result.same_as_eager(torch.randn(17, 2, 9, 4))
