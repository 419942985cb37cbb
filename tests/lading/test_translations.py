# SPDX-License-Identifier: Apache-2.0
"""`custom_translation_table`: functions of onnxscript, or of Python, in the place of lowerings."""

from __future__ import annotations

import operator

import numpy as np
import pytest
import torch
from onnxscript import FLOAT, opset13, opset18, script
from onnxscript.values import Op, Opset
from torch import nn

import lading
from lading import UsageError

aten = torch.ops.aten
own = Opset("test.functions", 1)

X = torch.tensor([[0.5, -2.0, 1.0], [3.0, 0.0, -0.5]])


@script(own, default_opset=opset18)
def doubled(x: FLOAT[...]):
    return x * 2.0


@script(own, default_opset=opset18)
def leaning(x: FLOAT[...], negative_slope: float = 0.5):
    """Another leaky ReLU: doubled above zero, and where the sum is negative all is shifted."""
    if opset18.ReduceSum(x, keepdims=0) < 0.0:
        shifted = x + 10.0
    else:
        shifted = opset18.Where(x > 0.0, doubled(x), x * negative_slope)
    return shifted


@script(own, default_opset=opset13)
def halves(x: FLOAT[...]):
    first, second = opset13.Split(x, axis=1)
    return first + second


def weighted(self, other, *, alpha=1):
    return opset18.Sub(self, other * float(alpha)) + 1


def filled(self, mask, value):
    if self.dtype.is_floating_point():
        return opset18.Where(mask, opset18.Expand(opset18.CastLike(value, self), opset18.Shape(self)), self)
    raise NotImplementedError("only floats")


def of_another_domain(self):
    return Op(Opset("their.domain", 3), "Softest")(self, beta=2.0)


def looks_at_values(self):
    return opset18.Neg(self) if self > 0 else self


class Model(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def exported(function, table, **options):
    axes = {"x": {0: "n"}}
    return lading.export(Model(function), X, dynamic_axes=axes, custom_translation_table=table, **options)


def decisions(result, what):
    found = [decision for event in result.events for decision in event.get("decisions") or ()]
    return [decision["details"]["operator"] for decision in found if decision["what"] == what]


def test_a_function_of_onnxscript_with_a_branch_and_a_call():
    result = exported(lambda x: nn.functional.leaky_relu(x, 0.25), {aten.leaky_relu.default: leaning})
    np.testing.assert_array_equal(np.float32([[1, -0.5, 2], [6, 0, -0.125]]), result(X)[0])
    np.testing.assert_array_equal(np.full((4, 3), 9, np.float32), result(-torch.ones(4, 3))[0])
    assert ["aten::leaky_relu"] == decisions(result, "lowered by a translation")
    assert {""} == set(result.model.opset_imports)
    assert not result.model.functions


def test_the_default_of_an_attribute():
    result = exported(nn.functional.relu, {aten.relu.default: leaning})
    np.testing.assert_array_equal(np.float32([[1, -1, 2], [6, 0, -0.25]]), result(X)[0])


def test_a_function_of_python_with_keywords_and_signs():
    result = exported(lambda x: torch.add(x, x.flip(1), alpha=2), {aten.add.Tensor: weighted})
    np.testing.assert_array_equal((X - X.flip(1) * 2 + 1).numpy(), result(X)[0])


def test_the_first_function_that_can_is_taken():
    table = {aten.masked_fill.Scalar: [looks_at_values, filled]}
    result = exported(lambda x: x.masked_fill(x > 0.75, 7.0), table)
    np.testing.assert_array_equal(X.masked_fill(X > 0.75, 7.0).numpy(), result(X)[0])


def test_an_operator_of_another_domain():
    model = exported(torch.sigmoid, {aten.sigmoid.default: of_another_domain}).model
    (node,) = model.graph
    assert ("their.domain", "Softest", 2.0) == (node.domain, node.op_type, node.attributes["beta"].value)
    assert 3 == model.opset_imports["their.domain"]


def test_what_the_graph_does_not_have_is_on_record():
    result = exported(torch.relu, {aten.sigmoid.default: doubled})
    assert ["Relu"] == [node.op_type for node in result.model.graph]
    assert ["aten::sigmoid"] == decisions(result, "translation not used")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({aten.sigmoid.default: looks_at_values}, "looks_at_values: its Python asks for the value of a tensor"),
        ({aten.sigmoid.default: halves}, "halves: it writes Split as it is at opset 13"),
        ({aten.sigmoid.default: lambda: None}, "TypeError"),
    ],
    ids=["value", "opset", "signature"],
)
def test_a_function_that_cannot_be_written_is_an_error_though_lading_has_a_lowering(table, reason):
    with pytest.raises(UsageError, match=f"translation of aten::sigmoid cannot be written at opset 18: .*{reason}"):
        exported(torch.sigmoid, table)


def test_where_exports_are_taken_over_arithmetic_of_python_is_noted():
    table = {operator.floordiv: print, aten.relu.default: doubled}
    with lading.taking_over() as takeover:
        program = torch.onnx.export(Model(torch.relu), (X,), dynamo=True, custom_translation_table=table)
    (remark,) = [one for one in takeover.exports[0].remarks if one.startswith("custom_translation_table")]
    assert "arithmetic of sizes" in remark
    assert ["Mul"] == [node.op_type for node in program.model.graph]
