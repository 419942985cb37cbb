# SPDX-License-Identifier: Apache-2.0
"""An exported program as the model: names, axes, weights, and agreement in the runtime."""

from __future__ import annotations

import pytest
import torch
from lading.pipeline.errors import CaptureError, UsageError
from lading.pipeline.facts import Fact
from lading.pipeline.origin import origin_of
from torch import nn
from torch.export import Dim

import lading


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(64, 5)).eval()


@pytest.fixture(scope="module")
def program(network):
    return torch.export.export(network, (torch.randn(2, 3, 10, 10),), dynamic_shapes=({0: Dim("batch", max=64)},))


def test_a_program_needs_no_arguments(program):
    assert "passed" == lading.export(program, verify=True).verification.status


def test_axes_have_the_names_of_the_dims(program):
    assert {"input": {0: "batch"}, "output": {0: "batch"}} == lading.export(program).axes


def test_weights_keep_their_names_and_their_memory(program, network):
    exported = lading.export(program, do_constant_folding=False)
    weight = exported.model.graph.initializers["5.weight"].const_value
    assert network[5].weight.data_ptr() == weight.raw.data_ptr()


def test_the_strategy_exports_a_module(network):
    exported = lading.export(
        network,
        torch.randn(1, 3, 10, 10),
        dynamic_axes={"input": {0: "n"}},
        settings=["trace.strategy=export"],
        verify=True,
    )
    assert ("passed", {"input": {0: "n"}, "output": {0: "n"}}) == (exported.verification.status, exported.axes)


class Nested(nn.Module):
    def forward(self, x, pair, *, scale=1.0):
        return {"sum": x + pair[0], "sizes": (x.shape[0], pair[1] * scale)}


def nested_program():
    args = (torch.randn(3, 2), (torch.randn(2), torch.randn(4)))
    shapes = {"x": {0: Dim("n")}, "pair": (None, None), "scale": None}
    return torch.export.export(Nested(), args, {"scale": 2.0}, dynamic_shapes=shapes)


def test_inputs_and_outputs_are_named_by_the_structure():
    exported = lading.export(nested_program(), verify=True)
    names = (exported.input_names, exported.output_names)
    assert (["x", "pair.0", "pair.1"], ["sum", "sizes.0", "sizes.1"]) == names
    assert "passed" == exported.verification.status


def test_another_baked_argument_is_refused():
    args = (torch.randn(3, 2), (torch.randn(2), torch.randn(4)), {"scale": 3.0})
    with pytest.raises(UsageError, match=r"'scale' is 3\.0, and the program was exported with 2\.0"):
        lading.export(nested_program(), args)


def test_user_names_take_the_place_of_those_of_the_dims(program):
    exported = lading.export(program, dynamic_axes={"input": {0: "images"}})
    assert {"input": {0: "images"}, "output": {0: "images"}} == exported.axes


def test_an_axis_that_the_program_has_fixed_is_an_error(program):
    with pytest.raises(CaptureError, match="axis 2 of 'input' \\('height'\\) is fixed to 10"):
        lading.export(program, dynamic_axes={"input": {0: "images", 2: "height"}})


def test_ranges_are_limits(program):
    exported = lading.export(program)
    assert "batch <= 64" in [guard.condition for guard in exported.work.need(Fact.GRAPH).guards]


def test_limits_of_a_program_are_simplified_and_said_in_words():
    class Shifted(nn.Module):
        def forward(self, x, y):
            return x + y[1:]

    rows = torch.export.Dim("rows")
    shapes = ({0: rows}, {0: rows + 1})
    program = torch.export.export(Shifted(), (torch.ones(3, 2), torch.ones(4, 2)), dynamic_shapes=shapes)
    assert ["rows other than 1"] == [limit.words for limit in lading.export(program).limits if not limit.declared]


def test_a_mode_that_the_program_is_not_in_is_refused(program):
    with pytest.raises(UsageError, match="in evaluation mode, for good, and training mode was asked for"):
        lading.export(program, training="train")


def test_a_program_in_training_mode_is_refused_for_inference():
    program = torch.export.export(nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5)).train(), (torch.randn(3, 2),))
    with pytest.raises(UsageError, match="in training mode"):
        lading.export(program)


def test_a_program_in_training_mode_writes_its_statistics_nowhere():
    model = nn.BatchNorm1d(3).train()
    program = torch.export.export(model, (torch.randn(4, 3),))
    exported = lading.export(program, training="train", verify=True)
    assert {"running_mean", "running_var", "num_batches_tracked"} == set(exported.work.need(Fact.GRAPH).buffer_writes)
    assert "passed" == exported.verification.status


def test_tied_weights_are_one_initializer():
    model = nn.Sequential(nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False))
    model[1].weight = model[0].weight
    exported = lading.export(torch.export.export(model, (torch.randn(2, 3),)))
    assert 1 == len(exported.model.graph.initializers)


def test_nodes_know_module_and_line(program):
    exported = lading.export(program)
    origins = {node.op_type: origin_of(node) for node in exported.model.graph}
    assert ("5", "Linear") == (origins["Gemm"].module, origins["Gemm"].module_class)
    assert origins["Gemm"].source.startswith("torch/nn/modules/linear.py:")


def test_a_file_of_a_program_is_a_model(program, tmp_path):
    path = tmp_path / "program.pt2"
    torch.export.save(program, path)
    assert "passed" == lading.export(path, verify=True).verification.status


def test_a_text_that_is_no_program_is_refused():
    with pytest.raises(UsageError, match="names no exported program"):
        lading.export("resnet18")


def test_a_file_that_is_no_program_is_refused(tmp_path):
    path = tmp_path / "program.pt2"
    path.write_text("no")
    with pytest.raises(UsageError, match="is no exported program"):
        lading.export(path)


class DerivedSizes(nn.Module):
    def forward(self, x, y):
        return torch.cat([x, y]), y.new_zeros(x.shape[0], 2)


class Halved(nn.Module):
    def forward(self, x, y):
        return y[: y.shape[0] // 2] + x.sum()


N = Dim("n", min=3, max=20)
PAIR = (torch.randn(4, 3), torch.randn(8, 3))


def test_a_derived_dim_is_an_expression_over_the_other():
    program = torch.export.export(DerivedSizes(), PAIR, dynamic_shapes={"x": {0: N}, "y": {0: 2 * N}})
    axes = lading.export(program, verify=True).axes
    assert ({0: "2*n"}, {0: "n"}) == (axes["y"], axes["output.1"])


def test_a_derived_dim_alone_tells_the_one_that_it_is_derived_from():
    program = torch.export.export(Halved(), PAIR, dynamic_shapes={"x": None, "y": {0: 2 * N}})
    assert (6, 3) == lading.export(program)(PAIR[0], torch.randn(12, 3))[0].shape
