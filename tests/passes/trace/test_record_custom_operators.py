# SPDX-License-Identifier: Apache-2.0
"""Operators of the user's: of torch.library and autograd Functions."""

from __future__ import annotations

import pytest
import torch
from lading.pipeline.errors import CaptureError, UnsupportedOperators, UsageError

import lading

LIBRARY = torch.library.Library("lading_tests", "DEF")
LIBRARY.define("composite(Tensor x, float factor) -> Tensor")
LIBRARY.impl("composite", lambda x, factor: torch.relu(x) * factor, "CompositeImplicitAutograd")


@torch.library.custom_op("lading_tests::opaque", mutates_args=())
def opaque(x: torch.Tensor, factor: float) -> torch.Tensor:
    return x * factor


@opaque.register_fake
def _(x, factor):
    return torch.empty_like(x)


@torch.library.custom_op("lading_tests::without_fake", mutates_args=())
def without_fake(x: torch.Tensor) -> torch.Tensor:
    return x * 2


@torch.library.custom_op("lading_tests::scale_", mutates_args=("x",))
def scale_(x: torch.Tensor, factor: float) -> torch.Tensor:
    x.mul_(factor)
    return x.sum(0)


@scale_.register_fake
def _(x, factor):
    return x.new_empty(x.shape[1:])


class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor, shifted=True):
        return x**3 * factor, x + 1

    @staticmethod
    def backward(ctx, grad, _):
        return grad, None, None


@pytest.fixture
def lowers():
    """Register lowerings that are gone after the test."""
    names = []

    def register(name, function):
        lading.lowers(name)(function)
        names.append(name)

    yield register
    for name in names:
        lading.unregister_lowering(name)


AXES = {"x": {0: "n"}}
CALLS = (torch.randn(2, 3),), (torch.randn(4, 3),)


def test_operator_without_a_lowering_is_reported(agrees):
    with pytest.raises(UnsupportedOperators, match="lading_tests::opaque, once"):
        agrees(lambda x: torch.ops.lading_tests.opaque(x, 2.0), *CALLS)


def test_operator_with_a_lowering(agrees, lowers):
    lowers("lading_tests::opaque", lambda op, x, *, factor: op.Mul(x, factor))
    agrees(lambda x: opaque(x, 2.0) + 1, *CALLS, axes=AXES)


def test_operator_without_a_fake_kernel_says_what_to_register(agrees):
    with pytest.raises(CaptureError, match="shape of what lading_tests::without_fake returns") as raised:
        agrees(lambda x: without_fake(x), *CALLS)
    assert "register_fake" in raised.value.hint


def test_composite_is_inlined(captured):
    model = lambda x: torch.ops.lading_tests.composite(x, 2.0)  # noqa: E731
    assert {"aten::relu": 1, "aten::mul": 1} == captured(model, torch.randn(2)).ops()


def test_composite_with_a_lowering_stays_whole(captured, lowers):
    lowers("lading_tests::composite", lambda op, x, *, factor: op.Mul(op.Relu(x), factor))
    model = lambda x: torch.ops.lading_tests.composite(x, factor=2.0)  # noqa: E731
    assert {"lading_tests::composite": 1} == captured(model, torch.randn(2)).ops()


def test_operator_that_writes_returns_what_it_wrote(agrees, lowers):
    def lowering(op, x, *, factor):
        scaled = op.Mul(x, factor)
        return op.ReduceSum(scaled, op.i64([0]), keepdims=0), scaled

    def model(x):
        y = x + 1
        total = scale_(y[1:], 3.0)
        return y, total

    lowers("lading_tests::scale_", lowering)
    agrees(model, *CALLS, axes=AXES)


def test_function_is_inlined(captured):
    result = captured(lambda x: Cube.apply(x, 2.0), torch.randn(2))
    assert not [name for name in result.ops() if name.startswith("autograd::")]


def test_function_with_a_lowering_stays_whole(agrees, lowers):
    def lowering(op, x, *, factor, shifted=True):
        return op.Mul(op.Mul(x, op.Mul(x, x)), factor), op.Add(x, 1.0)

    lowers("autograd::Cube", lowering)
    agrees(lambda x: Cube.apply(x, 2.0)[0] + Cube.apply(x, 0.5, False)[1], *CALLS, axes=AXES)


def test_function_with_a_lowering_is_one_operator(captured, lowers):
    lowers("autograd::Cube", lambda op, x, *, factor: op.custom("mine::Cube", x, factor=factor, outputs=2))
    assert {"autograd::Cube": 1} == captured(lambda x: Cube.apply(x, 2.0), torch.randn(2)).ops()


def test_two_functions_of_one_name_cannot_both_be_kept(captured, lowers):
    other = type("Cube", (torch.autograd.Function,), {"forward": staticmethod(lambda ctx, x: x * 2)})
    lowers("autograd::Cube", lambda op, x: (x, x))
    with pytest.raises(UsageError, match="two autograd Functions are named Cube"):
        captured(lambda x: Cube.apply(x, 2.0)[0] + other.apply(x), torch.randn(2))


def test_apply_is_put_back(captured, lowers):
    before = torch.autograd.Function.__dict__["apply"]
    lowers("autograd::Cube", lambda op, x, *, factor: (x, x))
    captured(lambda x: Cube.apply(x, 2.0), torch.randn(2))
    assert before is torch.autograd.Function.__dict__["apply"]
