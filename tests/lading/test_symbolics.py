# SPDX-License-Identifier: Apache-2.0
"""Symbolic functions written for `torch.onnx`: registered ones, and those of autograd Functions."""

from __future__ import annotations

import subprocess
import sys

import onnx
import pytest
import torch
import torch.onnx
from torch.onnx import symbolic_helper, symbolic_opset11
from torch.onnx.symbolic_helper import parse_args

import lading

LIBRARY = torch.library.Library("lading_symbolics", "DEF")
LIBRARY.define("scaled(Tensor x, float factor, int[] dims, str mode, Tensor? bias=None) -> Tensor")
LIBRARY.define("halves(Tensor x) -> (Tensor, Tensor)")
LIBRARY.define("joined(Tensor[] xs, int dim) -> Tensor")
LIBRARY.define("composite(Tensor x, float factor) -> Tensor")


def scaled(x, factor, dims, mode, bias=None):
    y = (x * factor).sum(dims)
    return y if bias is None else y + bias


def halves(x):
    return x[:, :2].clone(), x[:, 2:].clone()


for name, kernel in (("scaled", scaled), ("halves", halves), ("joined", lambda xs, dim: torch.cat(xs, dim))):
    LIBRARY.impl(name, kernel, "CompositeExplicitAutograd")
LIBRARY.impl("composite", lambda x, factor: torch.relu(x) * factor, "CompositeImplicitAutograd")
OPS = torch.ops.lading_symbolics
X = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def register():
    """Register symbolic functions that are gone after the test."""
    given = []

    def register(name, function, opset=9):
        name = name if "::" in name else f"lading_symbolics::{name}"
        torch.onnx.register_custom_op_symbolic(name, function, opset)
        given.append((name, opset))

    yield register
    for name, opset in given:
        torch.onnx.unregister_custom_op_symbolic(name, opset)


class Call(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def exported(function, *inputs, opset=13, **arguments):
    return lading.export(Call(function).eval(), inputs or (X,), opset_version=opset, **arguments)


def operators(result) -> list[str]:
    return [node.op_type for node in result.model_proto.graph.node]


def check(result, function, *inputs):
    expected = function(*inputs)
    for found, wanted in zip(result(*inputs), expected if isinstance(expected, tuple) else (expected,), strict=True):
        torch.testing.assert_close(torch.from_numpy(found), wanted)


# ---- registered ------------------------------------------------------------------------------------------------------


@parse_args("v", "f", "is", "s", "v")
def scaled_symbolic(g, x, factor, dims, mode, bias):
    assert "sum" == mode
    y = g.op("Mul", x, g.op("Constant", value_t=torch.tensor(factor, dtype=torch.float32)))
    y = g.op("ReduceSum", y, g.op("Constant", value_t=torch.tensor(dims)), keepdims_i=0)
    return y if symbolic_helper._is_none(bias) else g.op("Add", y, bias)


@pytest.mark.parametrize("opset", [13, 18, 22])
@pytest.mark.parametrize("with_bias", [False, True])
def test_attributes_constants_and_parsed_arguments(register, opset, with_bias):
    register("scaled", scaled_symbolic)
    inputs = (X, torch.ones(3)) if with_bias else (X,)
    function = lambda x, bias=None: OPS.scaled(x, 2.5, [1], "sum", bias)  # noqa: E731
    result = exported(function, *inputs, opset=opset)
    assert ["Mul", "ReduceSum", *(["Add"] if with_bias else [])] == operators(result)
    check(result, function, *inputs)


def test_a_dynamic_axis_stays_free(register):
    register("scaled", scaled_symbolic)
    function = lambda x: OPS.scaled(x, 2.5, [1], "sum")  # noqa: E731
    result = exported(function, dynamic_axes={"inputs.0": {0: "n"}})
    check(result, function, torch.randn(7, 4))


def test_several_outputs_and_a_list_attribute(register):
    def symbolic(g, x):
        return g.op("Split", x, g.op("Constant", value_t=torch.tensor([2, 2])), axis_i=1, outputs=2)

    register("halves", symbolic)
    result = exported(OPS.halves)
    assert ["Split"] == operators(result)
    check(result, OPS.halves, X)


def test_a_list_of_tensors_is_unpacked(register):
    @parse_args("v", "i")
    def symbolic(g, xs, dim):
        return g.op("Concat", *symbolic_helper._unpack_list(xs), axis_i=dim)

    register("joined", symbolic)
    function = lambda x, y: OPS.joined([x, y, x], 1)  # noqa: E731
    result = exported(function, X, X + 1)
    check(result, function, X, X + 1)


def test_what_a_function_asks_of_its_values(register):
    seen = []

    def symbolic(g, x):
        seen.append((x.type().scalarType(), x.type().sizes(), x.type().dim(), symbolic_helper._get_tensor_rank(x)))
        seen.append((x.type().kind(), symbolic_helper._is_tensor(x), g.opset, torch.onnx.is_in_onnx_export()))
        first = g.op("Identity", x)
        first.setType(x.type().with_sizes([3, 2]))
        assert ([3, 2], "onnx::Identity") == (first.type().sizes(), first.node().kind())
        return symbolic_opset11.squeeze(g, symbolic_opset11.unsqueeze(g, x, 0), 0), x

    register("halves", symbolic)
    exported(lambda x: OPS.halves(x)[1])
    assert [("Float", [3, 4], 2, 2), ("TensorType", True, 13, True)] == seen


def test_the_newest_that_the_opset_admits_counts(register):
    register("composite", lambda g, x, factor: g.op("Abs", x), 9)
    register("composite", lambda g, x, factor: g.op("Neg", x), 15)
    function = lambda x: OPS.composite(x, 2.0)  # noqa: E731
    assert [["Abs"], ["Abs"], ["Neg"], ["Neg"]] == [
        operators(exported(function, opset=opset)) for opset in (8, 14, 15, 21)
    ]


def test_an_operator_of_a_domain_of_ones_own(register):
    def symbolic(g, x, factor, dims, mode, bias):
        inner = g.op("mine::Inner", x, k_i=3, q_f=[1.0, 2.0], name_s="n", t_t=torch.ones(2), ks_i=[1, 2])
        return g.op("mine::Outer", inner)

    register("scaled", symbolic)
    result = exported(lambda x: OPS.scaled(x, 2.0, [1], "sum"), custom_opsets={"mine": 3})
    proto = result.model_proto
    assert {"mine": 3, "": 13} == {entry.domain: entry.version for entry in proto.opset_import}
    inner, _ = proto.graph.node
    found = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in inner.attribute}
    assert (3, [1.0, 2.0], b"n", [1, 2]) == (found["k"], list(found["q"]), found["name"], list(found["ks"]))
    assert [3] == [dim.dim_value for dim in proto.graph.output[0].type.tensor_type.shape.dim]


def test_it_goes_before_ladings_own_lowering_and_is_on_record(register):
    register("aten::gelu", lambda g, x, approximate: g.op("com.microsoft::Gelu", x))
    result = exported(torch.nn.functional.gelu)
    assert ["Gelu"] == operators(result)
    check(result, torch.nn.functional.gelu, X)
    decisions = [decision for event in result.events for decision in event.get("decisions") or ()]
    (told,) = [decision for decision in decisions if decision["what"] == "lowered by a symbolic function"]
    assert "<lambda>" in told["details"]["function"]


def test_a_lowering_of_the_users_goes_before_it(register):
    register("composite", lambda g, x, factor: g.op("Abs", x))
    lading.lowers("lading_symbolics::composite")(lambda op, x, *, factor: op.Neg(x))
    try:
        assert ["Neg"] == operators(exported(lambda x: OPS.composite(x, 2.0)))
    finally:
        lading.unregister_lowering("lading_symbolics::composite")


def test_one_that_is_unregistered_is_forgotten(register):
    register("aten::gelu", lambda g, x, approximate: g.op("Abs", x))
    assert ["Abs"] == operators(exported(torch.nn.functional.gelu))
    torch.onnx.unregister_custom_op_symbolic("aten::gelu", 9)
    assert "Abs" not in operators(exported(torch.nn.functional.gelu))
    torch.onnx.register_custom_op_symbolic("aten::gelu", print, 9)


BEFORE = """
import torch
import torch.onnx
torch.onnx.register_custom_op_symbolic("aten::erfinv", lambda g, x: g.op("Abs", x), 9)
import lading
result = lading.export(lambda x: torch.erfinv(x), torch.ones(2))
assert {"Abs": 1} == result.to_dict()["operators"]
"""


def test_one_that_was_registered_before_lading_was_imported():
    assert 0 == subprocess.run([sys.executable, "-c", BEFORE]).returncode


# ---- what the adapter does not have ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbolic", "why"),
    [
        (parse_args("i")(lambda g, x: x), "SymbolicValueError"),
        (lambda g, x: g.op("Frobnicate", x), "ONNX has no operator Frobnicate"),
        (lambda g, x: g.op("Unsqueeze", x, axes_i=[0]), "Unsqueeze has no attribute 'axes'"),
        (lambda g, x: x.missing(), "AttributeError"),
        (lambda g, x: symbolic_opset11.nothing(x), "AttributeError"),
        (lambda g: g, "TypeError"),
    ],
    ids=["not constant", "no such operator", "of an older opset", "value method", "helper", "arguments"],
)
def test_the_error_names_the_function_and_shows_the_lowering(register, symbolic, why):
    register("halves", symbolic)
    with pytest.raises(lading.UnsupportedOperators) as caught:
        exported(OPS.halves)
    text = str(caught.value)
    assert why in text
    assert f"{symbolic.__module__}:{symbolic.__qualname__}" in text
    assert '@lading.lowers("lading_symbolics::halves") / def halves(op, x): return op....' in text


# ---- autograd.Function -----------------------------------------------------------------------------------------------


class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor, dims, other):
        return x * factor + other, x.sum(dims)

    @staticmethod
    def backward(ctx, grad, _):
        return grad, None, None, None

    @staticmethod
    def symbolic(g, x, factor, dims, other):
        assert isinstance(factor, float)
        scaled = g.op("Mul", x, g.op("Constant", value_t=torch.tensor(factor)))
        axes = g.op("Constant", value_t=torch.tensor(dims))
        return g.op("Add", scaled, other), g.op("ReduceSum", x, axes, keepdims_i=0)


def test_the_symbolic_of_an_autograd_function():
    def function(x, other):
        return Scale.apply(x, 3.0, [1], other)

    result = exported(function, X, X + 1)
    assert ["Add", "Mul", "ReduceSum"] == sorted(operators(result))
    check(result, function, X, X + 1)


class ForTraining(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, grad):
        return grad


def test_a_function_without_symbolic_is_what_its_forward_does():
    assert ["Sign"] == operators(exported(ForTraining.apply))
