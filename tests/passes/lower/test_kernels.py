# SPDX-License-Identifier: Apache-2.0
"""The table of kernels is what the installed runtime does."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from lading.passes.lower.kernels import kernel_types, read_installed, refused_types, shipped
from onnx import TensorProto, helper
from onnxruntime.capi import onnxruntime_pybind11_state as states


def test_the_table_that_is_shipped_is_that_of_the_installed_runtime() -> None:
    assert json.loads(json.dumps(read_installed())) == shipped()


def _runs(op_type: str, opset: int, **attributes: object) -> bool:
    """Whether the runtime has a kernel for an operator that makes a vector out of nothing."""
    node = helper.make_node(op_type, [], ["y"], **attributes)
    graph = helper.make_graph([node], "made", [], [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    try:
        ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {})
    except states.NotImplemented:
        return False
    return True


@pytest.mark.parametrize("opset", [13, 22])
def test_a_kernel_without_a_last_version_serves_no_newer_schema(opset: int) -> None:
    since = onnx.defs.get_schema("RandomNormal", opset).since_version
    assert _runs("RandomNormal", opset, shape=[3]) == bool(kernel_types("RandomNormal", since))


def test_a_kernel_with_a_last_version_serves_the_versions_between() -> None:
    # One kernel serves MaxPool from 8 to 11, of which 10 is a version of the operator.
    assert ir.DataType.FLOAT in kernel_types("MaxPool", 10)["T"]


@pytest.mark.parametrize("dtype", [TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.BOOL, TensorProto.DOUBLE])
@pytest.mark.parametrize("reduction", ["none", "add", "max"])
@pytest.mark.parametrize("op_type", ["ScatterElements", "ScatterND"])
def test_types_that_scattering_refuses_when_it_runs(op_type: str, reduction: str, dtype: int) -> None:
    nodes = [
        helper.make_node("Cast", ["x"], ["wanted"], to=dtype),
        helper.make_node(op_type, ["wanted", "places", "wanted"], ["scattered"], reduction=reduction),
        helper.make_node("Cast", ["scattered"], ["y"], to=TensorProto.FLOAT),
    ]
    places = [2] if op_type == "ScatterElements" else [2, 1]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]),
        helper.make_tensor_value_info("places", TensorProto.INT64, places),
    ]
    graph = helper.make_graph(nodes, "made", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    try:
        session.run(None, {"x": np.ones(2, np.float32), "places": np.zeros(places, np.int64)})
        runs = True
    except states.RuntimeException:
        runs = False
    assert runs == (ir.DataType(dtype) not in refused_types(op_type, {"reduction": reduction}))
