# SPDX-License-Identifier: Apache-2.0
"""Operators that a model names by `torch.onnx.ops.symbolic`; PyTorch itself gives zeros for them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from lading.pipeline.errors import UnsupportedOperators
from torch import nn
from torch.onnx import ops

import lading

X = torch.tensor([[0.2, -0.7, 1.4], [3.0, 0.1, -9.0]])


class Rounded(nn.Module):
    def forward(self, x):
        scale, zero = torch.tensor([0.5, 0.25, 2.0]), torch.tensor([0, 0, 0], dtype=torch.int8)
        ints = ops.symbolic("QuantizeLinear", (x, scale, zero), {"axis": 1}, dtype=torch.int8, shape=x.shape)
        return ops.symbolic("DequantizeLinear", (ints, scale, zero), {"axis": 1}, dtype=x.dtype, shape=x.shape) + 1


class Halves(nn.Module):
    def forward(self, x):
        first, second = ops.symbolic_multi_out(
            "Split", (x,), {"axis": 0}, dtypes=(x.dtype, x.dtype), shapes=((1, 3), (1, 3)), version=13
        )
        return first - second


class Foreign(nn.Module):
    def forward(self, x):
        attributes = {
            "count": 3,
            "ratio": 0.5,
            "word": "a",
            "counts": [1, 2],
            "ratios": [0.5, 2.0],
            "words": ["a", "b"],
        }
        return ops.symbolic(
            "my.domain::Thing",
            (x, None, x),
            attributes,
            dtype=torch.int64,
            shape=(x.shape[0], 7),
            version=4,
            metadata_props={"made": "here"},
        )


def test_an_operator_of_onnx_is_written_as_it_is_said():
    exported = lading.export(Rounded(), X, dynamic_axes={"x": {0: "n"}}, opset_version=17)
    assert ["QuantizeLinear", "DequantizeLinear", "Add"] == [node.op_type for node in exported.model.graph]
    expected = np.float32([[1, 0.25, 3], [4, 1, -7], [1, 1, 1]])
    (found,) = exported(torch.cat([X, torch.zeros(1, 3)]))
    np.testing.assert_array_equal(expected, found)


def test_several_outputs():
    (found,) = lading.export(Halves(), X, opset_version=13)(X)
    np.testing.assert_array_equal((X[:1] - X[1:]).numpy(), found)


def test_an_operator_that_has_changed_since_is_refused():
    with pytest.raises(UnsupportedOperators, match="the model writes Split as it is at opset 13"):
        lading.export(Halves(), X, opset_version=18)


def test_an_operator_of_another_domain():
    model = lading.export(Foreign(), X, dynamic_axes={"x": {0: "n"}}).model
    (node,) = model.graph
    assert ("my.domain", "Thing", 4) == (node.domain, node.op_type, model.opset_imports["my.domain"])
    assert [True, False, True] == [value is not None for value in node.inputs]
    found = {name: attribute.value for name, attribute in node.attributes.items()}
    assert (3, 0.5, "a") == (found["count"], found["ratio"], found["word"])
    assert ([1, 2], [0.5, 2.0], ["a", "b"]) == tuple(list(found[name]) for name in ("counts", "ratios", "words"))
    assert "here" == node.metadata_props["made"]
    assert "INT64[n,7]" == f"{node.outputs[0].dtype}[{','.join(map(str, node.outputs[0].shape))}]"


def test_custom_opsets_go_before_what_the_model_says():
    model = lading.export(Foreign(), X, custom_opsets={"my.domain": 9}).model
    assert 9 == model.opset_imports["my.domain"]
