# SPDX-License-Identifier: Apache-2.0
"""What `torch.cond` and its kin become while a model is recorded, and what is refused."""

from __future__ import annotations

import onnx_ir as ir
import pytest
import torch
from lading.passes import torch_private
from lading.pipeline.errors import CaptureError
from torch._higher_order_ops import map as mapped
from torch._higher_order_ops import scan, while_loop


def control_flow(result):
    return [node for node in ir.traversal.RecursiveGraphIterator(result.graph) if node.op_type in ("If", "Loop")]


def test_a_choice_reads_what_it_closes_over_from_the_graph_around_it(captured):
    def model(x):
        shift = x.sum()
        return torch.cond(shift > 0, lambda x: x + shift, lambda x: x * 2, (x,))

    (node,) = control_flow(captured(model, torch.ones(3)))
    assert [] == list(node.attributes["then_branch"].as_graph().inputs)


def test_a_condition_that_is_known_leaves_one_side(captured):
    def model(x):
        return torch.cond(torch.tensor(True), lambda x: x + 1, lambda x: x * 2, (x,))

    result = captured(model, torch.ones(3))
    assert [] == control_flow(result)
    assert result.same_as_eager()


def test_a_loop_without_a_first_iteration_is_none(captured):
    def model(x):
        return while_loop(lambda i, x: i < 0, lambda i, x: (i + 1, x * 2), (0, x))[1]

    assert [] == control_flow(captured(model, torch.ones(3)))


def test_a_scan_over_a_free_axis_runs_as_often_as_the_axis_is_long(captured):
    def model(x):
        return scan(lambda total, row: (total + row, total * 1), torch.zeros(2), x)[1]

    result = captured(model, torch.ones(3, 2), dynamic_axes={"x": {0: "n"}})
    (node,) = control_flow(result)
    assert "sym_size" == node.inputs[0].producer().op_type
    assert ["n", 2] == [dim if isinstance(dim, int) else dim.value for dim in result.graph.outputs[0].shape]


def test_a_write_to_an_operand_on_one_side_is_seen_after_the_choice(agrees):
    def model(x):
        y = x + 0
        z = torch.cond(x.sum() > 0, lambda y: y.mul_(2) + 1, lambda y: y - 1, (y,))
        return y, z

    agrees(model, (torch.ones(3),), (-torch.ones(3),))


def test_structures_that_differ_are_refused(captured):
    def model(x):
        return torch.cond(x.sum() > 0, lambda x: (x, x), lambda x: x, (x,))

    with pytest.raises(CaptureError, match="return different structures"):
        captured(model, torch.ones(3))


def test_dtypes_that_differ_are_refused(captured):
    def model(x):
        return torch.cond(x.sum() > 0, lambda x: x, lambda x: x.int(), (x,))

    with pytest.raises(CaptureError, match=r"float32 on one side .* int32"):
        captured(model, torch.ones(3))


def test_a_loop_that_changes_a_dtype_is_refused(captured):
    def model(x):
        return while_loop(lambda x: x.sum() < 9, lambda x: (x.double(),), (x,))

    with pytest.raises(CaptureError, match="float32 becomes one of float64"):
        captured(model, torch.ones(3))


def test_slices_of_different_shapes_are_refused(captured):
    def model(x):
        return mapped(lambda row: row[row > 0], x)

    with pytest.raises(CaptureError, match="different shapes"):
        captured(model, torch.ones(3, 2))


@pytest.mark.parametrize("fails", [False, True])
def test_the_operators_are_put_back(captured, fails):
    operator = torch_private.find("torch._higher_order_ops.cond", "cond_op")
    before = type(operator).__call__, torch_private.find("torch._higher_order_ops.utils", "_hop_compile_and_call")

    def model(x):
        if fails:
            raise ValueError("no luck")
        return torch.cond(x.sum() > 0, lambda x: x, lambda x: x * 2, (x,))

    if fails:
        with pytest.raises(CaptureError):
            captured(model, torch.ones(3))
    else:
        captured(model, torch.ones(3))
    after = type(operator).__call__, torch_private.find("torch._higher_order_ops.utils", "_hop_compile_and_call")
    assert before == after


def test_nodes_in_bodies_know_module_and_line(captured):
    from lading.pipeline.origin import origin_of

    layer = torch.nn.Linear(3, 3)

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = layer

        def forward(self, x):
            return torch.cond(x.sum() > 0, self.layer, lambda x: x * 2, (x,))

    (node,) = control_flow(captured(Model(), torch.ones(3)))
    (inner,) = [n for n in node.attributes["then_branch"].as_graph() if n.op_type == "linear"]
    assert ("layer", "Linear") == (origin_of(inner).module, origin_of(inner).module_class)
