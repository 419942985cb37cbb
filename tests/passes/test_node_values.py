# SPDX-License-Identifier: Apache-2.0
"""Every evaluator against onnxruntime, the runtime that would have computed the node."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from lading.passes.tidying.node_values import CannotEvaluate, can_evaluate, evaluate
from onnx import helper

F = np.array([[-2.5, -1.5, -0.5], [0.5, 1.5, 2.5]], np.float32)
P = np.abs(F) + 0.25
N = np.array([[-7, -3, 2], [5, 7, 9]], np.int64)
D = np.array([[2, 2, -2], [-3, 3, 4]], np.int64)
B = np.array([[True, False, True], [False, False, True]])


def i64(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


CASES: list[tuple[str, list[np.ndarray | None], dict[str, Any]]] = [
    *((name, [F], {}) for name in ("Abs", "Ceil", "Cos", "Exp", "Floor", "Identity", "Neg", "Reciprocal", "Round")),
    *((name, [F], {}) for name in ("Sigmoid", "Sign", "Sin", "Tan", "Tanh", "Erf", "Relu", "Softplus", "Elu", "Trilu")),
    *((name, [P], {}) for name in ("Log", "Sqrt")),
    *((name, [F, P], {}) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Pow")),
    *((name, [N, D], {}) for name in ("Add", "Sub", "Mul", "Div", "Max", "Min", "Mod")),
    *((name, [F, P], {}) for name in ("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual")),
    *((name, [B, ~B], {}) for name in ("And", "Or", "Xor")),
    ("Not", [B], {}),
    ("Mod", [F, P], {"fmod": 1}),
    ("Mod", [N, D], {"fmod": 1}),
    ("Where", [B, F, P], {}),
    ("Max", [F, P, -P], {}),
    *(("Cast", [F], {"to": to}) for to in (1, 6, 7, 9, 10, 11)),
    ("Cast", [N], {"to": 1}),
    ("Cast", [B], {"to": 7}),
    ("Concat", [F, P], {"axis": -1}),
    ("Gather", [F, i64(1, -1, 0)], {"axis": 1}),
    ("Gather", [F, np.array(1, np.int64)], {}),
    ("Transpose", [F], {}),
    ("Transpose", [F[None]], {"perm": [2, 0, 1]}),
    ("Reshape", [F, i64(3, -1)], {}),
    ("Reshape", [F, i64(0, 1, -1)], {}),
    ("Reshape", [F[:0], i64(0, 3)], {"allowzero": 1}),
    ("Squeeze", [F[None, :, None], i64(0, -2)], {}),
    ("Squeeze", [F[None, :, None]], {}),
    ("Unsqueeze", [F, i64(0, -1)], {}),
    ("Flatten", [F[None]], {"axis": 2}),
    ("Flatten", [F[None]], {"axis": -1}),
    ("Slice", [F, i64(0), i64(2**62), i64(1), i64(2)], {}),
    ("Slice", [F, i64(-1), i64(-(2**62)), i64(1), i64(-1)], {}),
    ("Slice", [F, i64(1, 0), i64(2, -1)], {}),
    ("Shape", [F[None]], {}),
    ("Shape", [F[None]], {"start": 1, "end": -1}),
    ("Size", [F], {}),
    ("Range", [np.array(2, np.int64), np.array(11, np.int64), np.array(3, np.int64)], {}),
    ("Range", [np.array(1, np.float32), np.array(0, np.float32), np.array(-0.3, np.float32)], {}),
    ("ConstantOfShape", [i64(2, 3)], {}),
    ("ConstantOfShape", [i64(2)], {"value": helper.make_tensor("v", onnx.TensorProto.INT64, [1], [7])}),
    ("Expand", [F[:, None], i64(2, 1)], {}),
    ("Tile", [F, i64(2, 1)], {}),
    ("Split", [F, i64(1, 2)], {"axis": 1}),
    ("Split", [F], {"axis": 1, "num_outputs": 2}),
    *((f"Reduce{kind}", [F, i64(1)], {"keepdims": 0}) for kind in ("Sum", "Prod", "Max", "Min", "Mean")),
    ("ReduceSum", [F], {}),
    ("ReduceSum", [F], {"noop_with_empty_axes": 1}),
    ("MatMul", [F, P.T], {}),
    ("CumSum", [F, np.array(1, np.int64)], {}),
    ("Pad", [F, i64(1, 0, 0, 1)], {}),
    ("OneHot", [i64(0, 2), np.array(3, np.int64), np.array([0, 1], np.float32)], {}),
    ("GatherND", [F, np.array([[1, 2], [0, 0]], np.int64)], {}),
    ("Clip", [F, np.array(-1, np.float32), np.array(1, np.float32)], {}),
    ("Softmax", [F], {"axis": 0}),
    ("ArgMax", [F], {"axis": 1}),
    ("TopK", [F, i64(2)], {}),
]


def run(op_type: str, inputs: list[np.ndarray | None], attributes: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Return what the evaluator and onnxruntime make of a node."""
    opset = 18
    names = ["" if array is None else f"x{index}" for index, array in enumerate(inputs)]
    count = 2 if op_type in ("Split", "TopK") else 1
    node = helper.make_node(op_type, names, [f"y{index}" for index in range(count)], **attributes)
    graph = helper.make_graph(
        [node],
        "node",
        [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in zip(names, inputs, strict=True)
            if array is not None
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model)
    feeds = {name: array for name, array in zip(names, inputs, strict=True) if array is not None}
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    return expected, evaluate(ir.from_proto(model).graph[0], inputs, opset)


@pytest.mark.parametrize(("op_type", "inputs", "attributes"), CASES, ids=[op_type for op_type, _, _ in CASES])
def test_an_evaluator_agrees_with_the_runtime(
    op_type: str, inputs: list[np.ndarray | None], attributes: dict[str, Any]
) -> None:
    for expected, found in zip(*run(op_type, inputs, attributes), strict=True):
        assert (expected.dtype, expected.shape) == (found.dtype, found.shape)
        np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-7)


def single(op_type: str, dtype: ir.DataType, **attributes: Any) -> ir.Node:
    node = ir.node(op_type, [ir.val("a"), ir.val("b")], attributes=attributes)
    node.outputs[0].dtype = dtype
    return node


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)])
def test_halves_are_rounded_once(dtype: np.dtype) -> None:
    a, b = np.array([1.0009766, 3.0], dtype), np.array([3.0, 7.0], dtype)
    (found,) = evaluate(single("Div", ir.DataType.from_numpy(dtype)), [a, b], 17)
    assert (a.astype(np.float32) / b.astype(np.float32)).astype(dtype).tobytes() == found.tobytes()


@pytest.mark.parametrize("op_type", ["Div", "Mod"])
def test_division_of_integers_by_zero_has_no_result(op_type: str) -> None:
    with pytest.raises(CannotEvaluate):
        evaluate(single(op_type, ir.DataType.INT64), [i64(1), i64(0)], 17)


def test_a_type_that_disagrees_with_the_graph_is_refused() -> None:
    with pytest.raises(CannotEvaluate, match="another type"):
        evaluate(single("Add", ir.DataType.FLOAT), [i64(1), i64(1)], 17)


def test_costly_operators_have_no_evaluator() -> None:
    assert not can_evaluate(single("Conv", ir.DataType.FLOAT))
