# SPDX-License-Identifier: Apache-2.0
"""Decisions about a single size of an axis: free where both sides can be kept, else an axis that is fixed."""

from __future__ import annotations

import pytest
import torch

import lading

ROWS = {"x": {0: "rows"}}


def of_a_pair(x):
    return x * 2 if x.shape[0] == 2 else x + 1


def pairs_only(x):
    if x.shape[0] != 2:
        raise ValueError("no pair")
    return x * 2


def singles_only(x):
    assert x.shape[0] == 1
    return x * 2


@pytest.mark.parametrize("rows", [1, 2, 5])
@pytest.mark.parametrize("example", [1, 2, 3])
def test_a_special_size_leaves_the_axis_free(free, example, rows):
    file = free(of_a_pair, (torch.randn(example, 3),), ROWS)
    assert "" == file.differs(torch.randn(rows, 3))


@pytest.mark.parametrize(("model", "rows"), [(pairs_only, 2), (singles_only, 1)])
def test_an_axis_of_which_one_size_is_left_is_fixed(model, rows):
    with pytest.raises(lading.CaptureError, match=rf"\('rows'\) is fixed to {rows} at .*relies on rows == {rows}"):
        lading.export(model, torch.randn(rows, 3), dynamic_axes=ROWS)


def test_a_fixed_axis_is_a_constant_of_the_file_where_the_recipe_goes_on():
    exported = lading.export(
        pairs_only, torch.randn(2, 3), dynamic_axes=ROWS, overrides={"dynamic-axes.on_fixed_axis": "warn"}
    )
    assert [2, 3] == [dim.dim_value for dim in exported.model_proto.graph.input[0].type.tensor_type.shape.dim]
    assert () == exported.limits
