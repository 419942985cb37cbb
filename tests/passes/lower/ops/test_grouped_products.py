# SPDX-License-Identifier: Apache-2.0
"""Rows multiplied by group, with groups of any size, none at all included."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest
import torch
import transformers.integrations.moe  # registers the operator

import lading

NEWEST = onnx.defs.onnx_opset_version()
assert transformers.integrations.moe


class Grouped(torch.nn.Module):
    def __init__(self, dtype=torch.float32):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(4, 6, 3).to(dtype))

    def forward(self, x, ends):
        return torch.ops.transformers.grouped_mm_fallback(x, self.weight, ends)


def groups(*sizes, rows=None, dtype=torch.float32):
    ends = torch.tensor(sizes).cumsum(0).to(torch.int32)
    return torch.randn(sum(sizes) if rows is None else rows, 6).to(dtype), ends


@pytest.mark.parametrize("opset", [9, 13, NEWEST])
def test_each_group_has_its_own_matrix_whatever_the_sizes(opset):
    model = Grouped().eval()
    example = groups(2, 1, 3, 1)
    exported = lading.export(model, example, dynamic_axes={"x": {0: "rows"}}, opset_version=opset)
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString())
    for x, ends in (example, groups(0, 5, 0, 2), groups(7, 0, 0, 0), groups(0, 0, 0, 1), groups(1, 1, 1, 9)):
        (got,) = session.run(None, {"x": x.numpy(), "ends": ends.numpy()})
        torch.testing.assert_close(torch.from_numpy(got), model(x, ends).detach(), rtol=1e-5, atol=1e-5)


def test_without_groups_each_matrix_multiplies_its_own_batch():
    def model(x, weight):
        return torch.ops.aten._grouped_mm(x, weight)

    x, weight = torch.randn(3, 8, 16, dtype=torch.bfloat16), torch.randn(3, 16, 8, dtype=torch.bfloat16)
    exported = lading.export(model, (x, weight))
    assert ["MatMul"] == [node.op_type for node in exported.model.graph if node.op_type == "MatMul"]
