# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from lading.passes.fold_batch_norm import FoldBatchNorm
from lading.passes.weights import ComputedWeight, Weight
from lading.pipeline.note import Note
from lading.pipeline.work import Work

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import work_on


def model(body: str, shape: str, opset: int = 17, outputs: str = "float[M, 4] y", **weights: torch.Tensor) -> Work:
    """Make a model with the parts of a normalisation of 4 channels (s, b, m, v) and the weights given."""
    numbers = torch.Generator().manual_seed(3)
    parts = {name: torch.rand(4, generator=numbers) + 0.5 for name in "sbmv"}
    text = f'<ir_version: 8, opset_import: ["" : {opset}]> main (float[{shape}] x) => ({outputs}) {{ {body} }}'
    proto = onnx.parser.parse_model(text)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    for name, tensor in {**parts, **weights}.items():
        proto.graph.initializer.append(onnx.numpy_helper.from_array(tensor.numpy(), name))
    work = work_on(onnx.shape_inference.infer_shapes(proto))
    for name, tensor in {**parts, **weights}.items():
        work.model.graph.initializers[name].const_value = Weight(tensor, name)
    return work


def run(work: Work, shape: tuple[int, ...]) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(ir.to_proto(work.model).SerializeToString(), options)
    return session.run(None, {"x": np.random.default_rng(1).standard_normal(shape).astype(np.float32)})[0]


NORM = "y = BatchNormalization<epsilon = 0.01>(c, s, b, m, v)"
RANDOM = torch.Generator().manual_seed(5)


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=RANDOM)


CASES: dict[str, tuple[str, tuple[int, ...], dict[str, torch.Tensor]]] = {
    "conv": ("c = Conv(x, w)", (2, 3, 5, 5), {"w": normal(4, 3, 2, 2)}),
    "conv-with-bias": ("c = Conv(x, w, a)", (2, 3, 5, 5), {"w": normal(4, 3, 2, 2), "a": normal(4)}),
    "grouped-conv": ("c = Conv<group = 2>(x, w)", (2, 4, 5), {"w": normal(4, 2, 3)}),
    "transposed": ("c = ConvTranspose(x, w, a)", (2, 3, 5), {"w": normal(3, 4, 2), "a": normal(4)}),
    "grouped-transposed": ("c = ConvTranspose<group = 2>(x, w)", (2, 6, 5), {"w": normal(6, 2, 2)}),
    "gemm": ("c = Gemm<alpha = 0.5>(x, w)", (3, 5), {"w": normal(5, 4)}),
    "gemm-turned": ("c = Gemm<transB = 1>(x, w, a)", (3, 5), {"w": normal(4, 5), "a": normal(4)}),
    "gemm-beta": ("c = Gemm<beta = 2.0>(x, w, a)", (3, 5), {"w": normal(5, 4), "a": normal(1, 4)}),
    "gemm-one-bias": ("c = Gemm(x, w, a)", (3, 5), {"w": normal(5, 4), "a": normal(1)}),
    "matmul": ("c = MatMul(x, w)", (3, 5), {"w": normal(5, 4)}),
}


@pytest.mark.parametrize(("body", "shape", "weights"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("opset", [9, 17])
def test_the_folded_operator_computes_the_same(
    body: str, shape: tuple[int, ...], weights: dict[str, torch.Tensor], opset: int
) -> None:
    if opset == 9 and "Gemm" in body and "a" not in weights:
        pytest.skip("Gemm has no optional bias before opset 11")
    work = model(f"{body} {NORM}", ", ".join(map(str, shape)), opset, **weights)
    before = run(work, shape)
    FoldBatchNorm().run(work, Note())
    assert 1 == len(work.model.graph)
    onnx.checker.check_model(ir.to_proto(work.model))
    np.testing.assert_allclose(run(work, shape), before, rtol=1e-5, atol=1e-5)


def test_names_stay_and_nothing_is_kept_twice() -> None:
    work = model(f"c = Conv(x, w) {NORM}", "2, 3, 5, 5", w=normal(4, 3, 2, 2))
    FoldBatchNorm().run(work, Note())
    (conv,) = work.model.graph
    assert ["x", "w", "b"] == [value.name for value in conv.inputs]
    assert all(isinstance(value.const_value, ComputedWeight) for value in conv.inputs[1:])


def test_the_module_is_not_changed() -> None:
    weight = normal(4, 3, 2, 2)
    before = weight.clone()
    work = model(f"c = Conv(x, w) {NORM}", "2, 3, 5, 5", w=weight)
    FoldBatchNorm().run(work, Note())
    work.model.graph.initializers["w"].const_value.tobytes()
    assert torch.equal(before, weight)


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "training": (
        "c = Conv(x, w) y, n, o = BatchNormalization<training_mode = 1>(c, s, b, m, v)",
        {"w": normal(4, 3, 2)},
        "it is in training form",
    ),
    "input-used-twice": (
        "c = Conv(x, w) d = BatchNormalization(c, s, b, m, v) y = Add(c, d)",
        {"w": normal(4, 3, 2)},
        "its input is used elsewhere too",
    ),
    "weight-used-twice": (
        "c = Conv(x, w) d = BatchNormalization(c, s, b, m, v) e = Conv(x, w) y = Add(d, e)",
        {"w": normal(4, 3, 2)},
        "the weight before it is used elsewhere too",
    ),
    "no-linear": ("c = Concat<axis = 1>(x, w) " + NORM, {"w": normal(2, 1, 5)}, "no linear operator is before it"),
    "computed-weight": (
        "u = Neg(w) c = Conv(x, u) " + NORM,
        {"w": normal(4, 3, 2)},
        "the weight before it is not a constant",
    ),
    "batched-matmul": ("c = MatMul(w, x) " + NORM, {"w": normal(2, 4, 3)}, "the weight before it is not a constant"),
    "matmul-in-3d": (
        "c = MatMul(x, w) " + NORM,
        {"w": normal(5, 4)},
        "its channels are not those of the operator before it",
    ),
}


@pytest.mark.parametrize(("body", "weights", "why"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_has_a_reason(body: str, weights: dict[str, Any], why: str) -> None:
    work, note = model(body, "2, 3, 5", **weights), Note()
    before = len(work.model.graph)
    FoldBatchNorm().run(work, note)
    assert (before, [why]) == (len(work.model.graph), [declined.why for declined in note.declines])
