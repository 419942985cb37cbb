# SPDX-License-Identifier: Apache-2.0
"""Lowerings registered by a user for operators of his own, and `custom_opsets`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from support.files import attributes, close, graph, inputs, operators, run
from torch import nn

import lading
from lading import UnsupportedOperators, UsageError

X = torch.linspace(-2, 2, 6).reshape(2, 3)


@torch.library.custom_op("lading_tests::bend", mutates_args=())
def bend(x: torch.Tensor, by: float = 1.0, mode: str = "soft") -> torch.Tensor:
    """An operator with arguments."""
    return torch.tanh(x) * by


@bend.register_fake
def _(x, by=1.0, mode="soft"):
    return torch.empty_like(x)


@torch.library.custom_op("lading_tests::halves", mutates_args=())
def halves(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """An operator with two results."""
    return x[:1].clone(), x[1:].clone()


@halves.register_fake
def _(x):
    return torch.empty_like(x[:1]), torch.empty_like(x[1:])


class Bent(nn.Module):
    """Uses the operator with an argument that is not its default."""

    def __init__(self, mode: str = "soft"):
        super().__init__()
        self.mode = mode

    def forward(self, x):
        return torch.ops.lading_tests.bend(x, 3.0, self.mode) + 1


@pytest.fixture
def lowering() -> Iterator[Callable[..., Any]]:
    """Register lowerings that are gone after the test."""
    names: list[tuple[str, int]] = []

    def register(name: str, since: int = 7) -> Callable[[Any], Any]:
        names.append((name, since))
        return lading.lowers(name, since=since)

    yield register
    for name, since in names:
        lading.unregister_lowering(name, since)


def by_tanh(op, x, *, by):
    return op.Mul(op.Tanh(x), by)


# ---- registering -----------------------------------------------------------------------------------------------------


def test_without_a_lowering_the_error_says_how_to_register_one():
    with pytest.raises(UnsupportedOperators, match=r'lading_tests::bend.*|@lading.lowers\("lading_tests::bend"\)'):
        lading.export(Bent(), X)


@pytest.mark.parametrize("opset", [7, 9, 13, 18, "latest"])
def test_a_registered_lowering_is_used(lowering, opset):
    lowering("lading_tests::bend")(by_tanh)
    result = lading.export(Bent(), X, opset_version=opset)
    assert ["Tanh", "Mul", "Add"] == [name for name in operators(result) if name != "Constant"]
    assert close(3 * torch.tanh(X) + 1, run(result, {"x": X})[0])


@pytest.mark.parametrize(("opset", "expected"), [(9, "Tanh"), (12, "Tanh"), (13, "Softsign"), (18, "Softsign")])
def test_the_highest_since_not_above_the_opset_wins(lowering, opset, expected):
    lowering("lading_tests::bend")(by_tanh)
    lowering("lading_tests::bend", 13)(lambda op, x, *, by: op.Mul(op.Softsign(x), by))
    assert expected == operators(lading.export(Bent(), X, opset_version=opset))[0]


def test_a_lowering_is_not_used_below_its_opset(lowering):
    lowering("lading_tests::bend", 13)(by_tanh)
    with pytest.raises(UnsupportedOperators, match="opset_version=13"):
        lading.export(Bent(), X, opset_version=12)


def test_an_argument_that_the_lowering_does_not_name_is_not_swallowed(lowering):
    lowering("lading_tests::bend")(by_tanh)
    with pytest.raises(UnsupportedOperators, match="its argument 'mode' has no counterpart"):
        lading.export(Bent("hard"), X)


def test_an_unregistered_lowering_is_gone():
    lading.lowers("lading_tests::bend")(by_tanh)
    lading.export(Bent(), X)
    lading.unregister_lowering("lading_tests::bend")
    with pytest.raises(UnsupportedOperators):
        lading.export(Bent(), X)


def test_registering_another_lowering_is_refused(lowering):
    lowering("lading_tests::bend")(by_tanh)
    with pytest.raises(UsageError, match="lading_tests::bend"):
        lading.lowers("lading_tests::bend")(lambda op, x: op.Sigmoid(x))


@pytest.mark.parametrize(("name", "since"), [("lading_tests::bend", None), ("lading_tests::bend", 9)])
def test_unregistering_what_is_not_there_is_refused(name, since):
    with pytest.raises(UsageError, match="lading_tests::bend"):
        lading.unregister_lowering(name, since)


def test_a_lowering_of_ladings_can_be_replaced():
    from lading.passes.lower.registry import LOWERINGS

    kept = list(LOWERINGS.entries("aten::tanh"))
    lading.unregister_lowering("aten::tanh")
    try:
        lading.lowers("aten::tanh")(lambda op, x: op.Identity(op.Atan(x)))
        assert "Atan" in operators(lading.export(lambda x: torch.tanh(x), X))
        lading.unregister_lowering("aten::tanh")
    finally:
        for entry in kept:
            lading.lowers("aten::tanh", since=entry.since)(entry.function)


def test_several_results(lowering):
    lowering("lading_tests::halves")(lambda op, x: tuple(op.Split(x, axis=0, num_outputs=2, outputs=2)))
    result = lading.export(lambda x: torch.ops.lading_tests.halves(x), X)
    assert close(X[1:], run(result, {"x": X})[1])


# ---- operators of one's own domain -----------------------------------------------------------------------------------


def to_own_domain(op, x, *, by, mode):
    return op.custom("my.domain::Bend", x, by=by, mode=mode)


@pytest.mark.parametrize(("given", "version"), [(None, 1), ({"my.domain": 3}, 3)])
@pytest.mark.parametrize("opset", [9, 18])
def test_a_node_of_ones_own_domain(lowering, given, version, opset):
    lowering("lading_tests::bend")(to_own_domain)
    result = lading.export(Bent("hard"), X, custom_opsets=given, opset_version=opset)
    bent = graph(result).node[0]
    assert ("my.domain", "Bend") == (bent.domain, bent.op_type)
    assert {"by": 3.0, "mode": "hard"} == attributes(bent)
    assert {"": opset, "my.domain": version} == {e.domain: e.version for e in result.model_proto.opset_import}


def test_its_result_has_the_shape_that_pytorch_says(lowering):
    lowering("lading_tests::bend")(to_own_domain)
    result = lading.export(Bent(), X, dynamic_axes={"x": {0: "n"}})
    (shape,) = (value.type.tensor_type.shape for value in graph(result).value_info)
    assert ["n", 3] == [dim.dim_param or dim.dim_value for dim in shape.dim]


@pytest.mark.parametrize("version", [1, 4])
def test_fallthrough_keeps_the_operator_in_its_own_domain(version):
    result = lading.export(Bent(), X, operator_export_type="fallthrough", custom_opsets={"lading_tests": version})
    kept = next(node for node in graph(result).node if node.domain)
    assert ("lading_tests", "bend", 3) == (kept.domain, kept.op_type, len(kept.input))
    assert version == {e.domain: e.version for e in result.model_proto.opset_import}["lading_tests"]


# ---- autograd functions ----------------------------------------------------------------------------------------------


class Clipped(torch.autograd.Function):
    """A function with a backward of its own."""

    @staticmethod
    def forward(ctx, x, limit):
        return x.clamp(-limit, limit)

    @staticmethod
    def backward(ctx, gradient):
        return gradient, None


def clipped(x):
    return Clipped.apply(x, 1.5) * 2


def test_an_autograd_function_is_inlined():
    result = lading.export(clipped, X)
    assert ["Clip", "Mul"] == operators(result)
    assert close(clipped(X), run(result, {inputs(result)[0]: X})[0])
