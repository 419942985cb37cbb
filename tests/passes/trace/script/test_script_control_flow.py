# SPDX-License-Identifier: Apache-2.0
"""What control flow of TorchScript becomes in the ATen dialect, and what is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import onnx_ir as ir
import pytest
import torch
from lading.passes.request import Request
from lading.passes.signature.binding import bind_arguments
from lading.passes.trace.script.strategy import script
from lading.pipeline.errors import CaptureError
from torch import Tensor

import lading


def captured(function: Any, *args: Any, axes: Any = None) -> tuple[ir.Model, Any]:
    made = function if isinstance(function, torch.jit.ScriptModule) else torch.jit.script(function)
    return script(bind_arguments(Request(model=made, args=(*args, {})), dynamic_axes=axes))


def operators(model: ir.Model) -> Counter[str]:
    return Counter(f"{node.domain}::{node.op_type}" for node in ir.traversal.RecursiveGraphIterator(model.graph))


def only(model: ir.Model, op_type: str) -> ir.Node:
    (node,) = [node for node in model.graph if node.op_type == op_type]
    return node


def _choice(x: Tensor) -> Tensor:
    if x.sum() > 0:
        return x * 2
    return x[1:]


def test_condition_of_the_run_becomes_an_if() -> None:
    model, _ = captured(_choice, torch.ones(3))
    node = only(model, "If")
    assert {"then_branch", "else_branch"} == set(node.attributes)


def test_a_size_that_differs_between_branches_is_a_symbol() -> None:
    model, _ = captured(_choice, torch.ones(3))
    (size,) = only(model, "If").outputs[0].shape or ()
    assert isinstance(size, ir.SymbolicDim)


def test_branches_take_no_inputs_and_read_from_outside() -> None:
    model, _ = captured(_choice, torch.ones(3))
    branch = only(model, "If").attributes["then_branch"].as_graph()
    assert [] == list(branch.inputs)


def _known(x: Tensor) -> Tensor:
    if x.dim() == 1 and x.size(0) == 3:
        for i in range(2):
            x = x + i
    return x


def test_conditions_and_trip_counts_known_at_capture_are_resolved() -> None:
    model, _ = captured(_known, torch.ones(3))
    assert not {"prim::If", "prim::Loop"} & set(operators(model))


def _rows(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    h = torch.zeros(2)
    for i in range(x.size(0)):
        h = h + x[i]
        out.append(h)
    return torch.stack(out)


def test_appending_is_stacking_by_the_loop() -> None:
    model, _ = captured(_rows, torch.ones(3, 2), axes={"x": {0: "n"}})
    loop = only(model, "Loop")
    assert (1, 2) == (len(loop.inputs) - 2, len(loop.outputs))


def _growing(x: Tensor, n: Tensor) -> list[Tensor]:
    found: list[Tensor] = []
    for length in range(int(n)):
        found.append(x[: length + 1])
    return found


def test_a_list_that_grows_to_members_of_several_shapes_is_one_output() -> None:
    model, _ = captured(_growing, torch.ones(4), torch.tensor(3))
    assert [True] == [isinstance(value.type, ir.SequenceType) for value in model.graph.outputs]


def test_what_a_loop_stacks_is_as_long_as_the_loop() -> None:
    model, _ = captured(_rows, torch.ones(3, 2), axes={"x": {0: "n"}})
    assert ["n", "2"] == [str(dim) for dim in model.graph.outputs[0].shape or ()]


def _assertion(x: Tensor) -> Tensor:
    assert bool(x.sum() > 0), "must be positive"
    return x.sqrt()


def test_an_assertion_on_values_is_left_out_and_on_record() -> None:
    model, capture = captured(_assertion, torch.ones(3))
    assert "prim::If" not in operators(model)
    assert "must be positive" in capture.decisions[0][1]


def _raising(x: Tensor) -> Tensor:
    if x.dim() == 1:
        raise ValueError("no vectors")
    return x


def test_a_raise_that_the_example_meets_is_an_error_in_its_words() -> None:
    with pytest.raises(CaptureError, match="no vectors"):
        captured(_raising, torch.ones(3))


def _two_dtypes(x: Tensor) -> Tensor:
    y = x if bool(x.sum() > 0) else x.to(torch.int64)
    return y + 1


def test_a_value_of_two_dtypes_is_refused_with_the_line_of_its_use() -> None:
    with pytest.raises(CaptureError, match=r"float32 on one side .* int64") as caught:
        captured(_two_dtypes, torch.ones(3))
    assert "test_script_control_flow.py" in str(caught.value.where)


def _two_ranks(x: Tensor) -> Tensor:
    if x.sum() > 0:
        return x
    return x.sum()


def test_a_value_of_two_ranks_is_refused() -> None:
    with pytest.raises(CaptureError, match=r"1 dimensions on one side .* and 0"):
        captured(_two_ranks, torch.ones(3))


def _maybe_none(x: Tensor) -> Tensor | None:
    if x.sum() > 0:
        return x
    return None


def test_a_result_that_may_be_none_is_refused() -> None:
    with pytest.raises(CaptureError, match="None on some inputs"):
        captured(_maybe_none, torch.ones(3))


def _write(x: Tensor) -> Tensor:
    y = torch.zeros(3)
    v = y[1:]
    if x.sum() > 0:
        v.add_(1)
    return y


def test_a_write_through_a_view_in_a_branch_is_an_output_of_the_if() -> None:
    model, _ = captured(_write, torch.ones(3))
    assert model.graph.outputs[0].producer() is only(model, "If")


def _counter_as_axis(x: Tensor) -> Tensor:
    if x.size(0) > 5:
        return x * 2
    return x


def test_a_condition_on_a_free_axis_becomes_an_if_and_leaves_no_guard() -> None:
    model, capture = captured(_counter_as_axis, torch.ones(3), axes={"x": {0: "n"}})
    assert 1 == operators(model)["prim::If"]
    assert () == capture.guards


def _far(x: Tensor) -> Tensor:
    if x.size(0) * 4 > 4096:
        return x * 2
    return x + 1


def _no_size_at_all(x: Tensor) -> Tensor:
    if x.size(0) * x.size(0) == 1000003:
        return x * 2
    return x + 1


def _refused_beyond(x: Tensor) -> Tensor:
    if x.size(0) > 512:
        raise ValueError(f"{x.size(0)} rows are too many")
    assert x.size(1) < 1000, f"{x.shape} is too wide"
    return x + 1


@pytest.mark.parametrize(
    ("function", "sizes"),
    [(_far, (3, 1024, 1025)), (_no_size_at_all, (3, 7)), (_refused_beyond, (3, 512))],
)
def test_a_border_may_be_far_from_the_example(function: Any, sizes: tuple[int, ...]) -> None:
    made = lading.export(torch.jit.script(function), torch.ones(3, 2), dynamic_axes={"x": {0: "n", 1: "m"}})
    assert () == made.limits
    for size in sizes:
        x = torch.rand(size, 2)
        torch.testing.assert_close(function(x), torch.from_numpy(made(x)[0]))


def _size_one(x: Tensor) -> Tensor:
    if x.size(0) == 1:
        return x.squeeze(0)
    return x.sum(0)


def test_a_condition_that_only_size_one_meets_is_decided_and_on_record() -> None:
    _, capture = captured(_size_one, torch.ones(3, 2), axes={"x": {0: "n"}})
    assert [("n == 1", False)] == [(guard.condition, guard.outcome) for guard in capture.guards]


def _fits_one_size(x: Tensor) -> Tensor:
    if x.size(0) > 4:
        return x[:4].reshape(2, 2)
    return x.sum() * torch.ones(2, 2)


def test_the_side_that_the_example_does_not_take_is_captured_for_sizes_that_take_it() -> None:
    model, capture = captured(_fits_one_size, torch.ones(3), axes={"x": {0: "n"}})
    assert ((), ()) == (capture.guards, capture.specialisations)
    assert [2, 2] == list(model.graph.outputs[0].shape or ())


def _sizes_agree_on_one_side(x: Tensor, y: Tensor) -> Tensor:
    if x.size(0) > 4:
        return x * 2 + y
    return x


def test_what_one_side_needs_of_the_sizes_is_asked_of_sizes_that_take_it() -> None:
    axes = {"x": {0: "n"}, "y": {0: "m"}}
    _, capture = captured(_sizes_agree_on_one_side, torch.ones(6), torch.ones(6), axes=axes)
    assert [("(n <= 4) or (n == m)", True)] == [(guard.condition, guard.outcome) for guard in capture.guards]


def _fixes_on_one_side(x: Tensor) -> Tensor:
    if x.size(0) > 4:
        return x
    return x + torch.ones(3)


def test_an_axis_that_one_side_fixes_is_a_specialisation() -> None:
    _, capture = captured(_fixes_on_one_side, torch.ones(3), axes={"x": {0: "n"}})
    assert [("n", 3)] == [(special.axis, special.size) for special in capture.specialisations]
