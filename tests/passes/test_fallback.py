# SPDX-License-Identifier: Apache-2.0
"""Operators without a lowering: what their decomposition makes of them, and what the error says where none helps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from lading.passes.lower.registry import LOWERINGS, lowers
from lading.pipeline.errors import UnsupportedOperators
from torch import nn

import lading

A = torch.ops.aten


class Slope(nn.Module):
    """The gradient of tanh, twice, in a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = Call(A.tanh_backward.default)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(self.inner(x, x), x)


class Call(nn.Module):
    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: torch.Tensor) -> Any:
        return self.function(*tensors)


class Several(nn.Module):
    """Operators that ONNX does not have, in two modules."""

    def __init__(self) -> None:
        super().__init__()
        self.left = Call(torch.ops.lading_fallback.twisted.default)
        self.right = Call(torch.ops.lading_fallback.folded.default)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.left(x) + self.left(x + 1) + self.right(x)


@pytest.fixture(scope="module", autouse=True)
def _operators() -> Iterator[None]:
    library = torch.library.Library("lading_fallback", "DEF")
    for name in ("twisted", "folded"):
        library.define(f"{name}(Tensor x) -> Tensor")
        library.impl(name, torch.clone, "CompositeExplicitAutograd")
    yield
    library._destroy()


def test_what_no_opset_can_say_is_told_with_the_reason_and_what_would_keep_it() -> None:
    with pytest.raises(UnsupportedOperators, match="order in which LAPACK") as caught:
        lading.export(Call(lambda x: torch.linalg.eigvals(x).abs()), (torch.ones(2, 2),), None)
    assert "no opset that this onnx knows can" in str(caught.value)
    assert "ONNX_FALLTHROUGH or ONNX_ATEN_FALLBACK" in str(caught.value)


@pytest.fixture
def late_subtraction() -> Iterator[None]:
    """One part of the definition of tanh's gradient, from opset 11 on only."""
    kept = LOWERINGS.entries("aten::rsub.Scalar")
    LOWERINGS.remove("aten::rsub.Scalar")
    lowers("aten::rsub.Scalar", since=11)(kept[0].function)
    yield
    LOWERINGS.remove("aten::rsub.Scalar")
    for entry in kept:
        LOWERINGS.add(entry.name, entry.since, entry.function)


def _refused(model: nn.Module, *args: torch.Tensor, **options: Any) -> UnsupportedOperators:
    with pytest.raises(UnsupportedOperators) as caught:
        lading.export(model, args, None, **options)
    return caught.value


X = torch.randn(3, 3)


def test_a_decomposition_is_counted() -> None:
    exported = lading.export(Slope(), (X,), None, opset_version=13)
    (event,) = [e for e in exported.events if e["event"] == "pass.applied" and e["step"] == "fallback"]
    assert 2 == event["counts"]["decomposed aten::tanh_backward"]


def test_its_parts_have_the_place_of_the_operator() -> None:
    from lading.pipeline.origin import origin_of

    exported = lading.export(Slope(), (X,), None, opset_version=13)
    assert {"inner"} == {origin_of(node).module for node in exported.model.graph}


def test_a_decomposition_agrees_where_an_axis_is_free() -> None:
    exported = lading.export(Slope(), (X,), None, opset_version=13, dynamic_axes={"x": {0: "rows"}})
    other = torch.randn(5, 3)
    torch.testing.assert_close(torch.as_tensor(exported(other)[0]), Slope()(other))


def test_the_lowest_opset_of_an_operator_is_named() -> None:
    error = _refused(Call(torch.Tensor.bfloat16), torch.randn(1, 2, 4, 4), opset_version=7)
    assert "lowest opset that can: 13" in str(error)
    assert "opset_version=13" in (error.hint or "")


def test_the_lowest_opset_of_a_decomposition_is_named(late_subtraction: None) -> None:
    error = _refused(Slope(), X, opset_version=9)
    assert "its decomposition needs aten::rsub.Scalar: it has no lowering at opset 9" in str(error)
    assert "lowest opset that can: 11" in str(error)


def test_all_are_listed_with_count_module_and_line() -> None:
    message = str(_refused(Several(), X))
    assert "2 operators cannot be expressed" in message
    assert "lading_fallback::twisted, 2 times" in message
    assert "lading_fallback::folded, once" in message
    assert "in left" in message
    assert "test_fallback.py:" in message


def test_it_is_said_that_no_opset_can_and_what_would_keep_the_operators() -> None:
    error = _refused(Several(), X)
    assert "no opset that this onnx knows can" in str(error)
    assert "ONNX_FALLTHROUGH or ONNX_ATEN_FALLBACK" in (error.hint or "")


@pytest.mark.parametrize("kind", ["ONNX_FALLTHROUGH", "ONNX_ATEN_FALLBACK"])
def test_what_the_hint_names_does_keep_them(kind: str) -> None:
    exported = lading.export(Several(), (X,), None, operator_export_type=kind)
    assert 3 == sum(node.domain not in ("", "ai.onnx") for node in exported.model.graph)


def test_why_a_decomposition_fails_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(slope: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        raise ValueError("rows come in pairs")

    monkeypatch.setitem(torch._decomp.decomposition_table, A.tanh_backward.default, picky)
    assert "its decomposition fails: ValueError: rows come in pairs" in str(_refused(Slope(), X))
