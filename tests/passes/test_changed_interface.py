# SPDX-License-Identifier: Apache-2.0
"""Verification of files whose inputs and outputs a pass has renamed, put into another order, or added to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from lading.passes.signature.interface import METADATA_KEY, Interface

import lading
from lading import Fact, UsageError, VerificationFailed
from lading.verifying import verify_file


class Divide(torch.nn.Module):
    """Exchange its inputs, or its outputs, and the numbers are others."""

    def forward(self, above: torch.Tensor, below: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return above / below, above - below


ARGS = (torch.tensor([[6.0, 8.0], [1.0, 2.0]]), torch.tensor([[2.0, 4.0], [3.0, 5.0]]))
AXES = {"above": {0: "rows"}, "below": {0: "rows"}}


@lading.a_pass("rearrange", requires=(Fact.ONNX, Fact.AXES, Fact.INITIALIZERS))
class Rearrange:
    """Exchange the names of the inputs, then their places and those of the outputs."""

    def run(self, work: Any, note: Any) -> None:
        graph = work.need_model().graph
        graph.inputs[0].name, graph.inputs[1].name = "below", "above"
        graph.inputs[:] = list(reversed(graph.inputs))
        graph.outputs[:] = list(reversed(graph.outputs))


@lading.a_pass("show-more", requires=(Fact.ONNX, Fact.AXES, Fact.INITIALIZERS))
class ShowMore:
    """Put a further output before those of the model."""

    def run(self, work: Any, note: Any) -> None:
        import onnx_ir as ir

        graph = work.need_model().graph
        more = ir.node("Neg", [graph.inputs[0]])
        more.outputs[0].name, more.outputs[0].type = "more", graph.inputs[0].type
        more.outputs[0].shape = graph.inputs[0].shape
        graph.append(more)
        graph.outputs.insert(0, more.outputs[0])


@lading.a_pass("cast-result", requires=(Fact.ONNX, Fact.AXES, Fact.INITIALIZERS))
class CastResult:
    """Give an output that is another value, under the name of the first."""

    def run(self, work: Any, note: Any) -> None:
        import onnx_ir as ir

        graph = work.need_model().graph
        old = graph.outputs[0]
        new = ir.node("Identity", [old])
        new.outputs[0].type, new.outputs[0].shape = old.type, old.shape
        new.outputs[0].name, old.name = old.name, "before"
        graph.append(new)
        graph.outputs[0] = new.outputs[0]


@lading.a_pass("drop-result", requires=(Fact.ONNX, Fact.AXES, Fact.INITIALIZERS))
class DropResult:
    """Leave the first output out."""

    def run(self, work: Any, note: Any) -> None:
        del work.need_model().graph.outputs[0]


def export(*passes: Any, file: Any = None, **more: Any) -> lading.Exported:
    more.setdefault("verify", True)
    return lading.export(Divide(), ARGS, file, dynamic_axes=AXES, passes=passes, **more)


@pytest.fixture(scope="module")
def rearranged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("files") / "rearranged.onnx"
    export(Rearrange(), file=str(file), verify=False)
    return file


def test_what_stands_elsewhere_under_another_name_is_compared_with_what_it_is() -> None:
    found = export(Rearrange()).verification
    assert ("passed", ["output.0", "output.1"]) == (found.status, [error.name for error in found.worst()])


def test_other_sizes_are_tried_as_without() -> None:
    labels = [[check.label for check in export(*passes).verification.checks] for passes in ([], [Rearrange()])]
    assert labels[0] == labels[1]


def test_the_file_alone_says_which_is_which(rearranged: Path) -> None:
    assert "passed" == verify_file(rearranged, Divide(), ARGS).status


def test_names_that_are_given_count(rearranged: Path) -> None:
    assert "passed" == verify_file(rearranged, Divide(), ARGS, input_names=["below", "above"]).status
    assert "failed" == verify_file(rearranged, Divide(), ARGS, input_names=["above", "below"]).status


def test_inputs_of_an_npz_go_by_the_names_of_the_file(rearranged: Path, tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "given.npz", below=np.float32([[9.0, 1.0]]), above=np.float32([[3.0, 2.0]]))
    found = verify_file(rearranged, Divide(), ARGS, inputs=[tmp_path / "given.npz"])
    assert ["passed"] == [check.status for check in found.checks if check.name.endswith("given.npz")]


def test_an_output_that_was_added_is_on_record_and_not_compared() -> None:
    exported = export(ShowMore())
    assert ("passed", ("more",)) == (exported.verification.status, exported.verification.added_outputs)
    assert "an output is none of the model's, and was not compared" in exported.warnings


def test_an_output_of_the_same_name_is_still_the_models() -> None:
    found = export(CastResult()).verification
    assert ("passed", ()) == (found.status, found.added_outputs)


def test_an_output_that_is_missing_fails() -> None:
    with pytest.raises(VerificationFailed, match="the file does not give output 1 of the model's 2"):
        export(DropResult())


def test_a_file_like_its_call_says_nothing_of_it() -> None:
    assert METADATA_KEY not in export(verify=False).model.metadata_props


def test_a_call_of_another_size_is_refused(rearranged: Path) -> None:
    with pytest.raises(UsageError, match="from a call of 2 tensors, this one has 1"):
        verify_file(rearranged, torch.nn.ReLU(), ARGS[:1])


@pytest.mark.parametrize("text", ["[]", "{}", json.dumps({"called": ["x"], "inputs": {"x": 3}, "outputs": []})])
def test_metadata_that_are_none_are_refused(text: str, rearranged: Path, tmp_path: Path) -> None:
    model = onnx.load(rearranged)
    next(entry for entry in model.metadata_props if entry.key == METADATA_KEY).value = text
    onnx.save(model, tmp_path / "strange.onnx")
    with pytest.raises(UsageError, match=METADATA_KEY):
        verify_file(tmp_path / "strange.onnx", Divide(), ARGS)


def test_an_interface_comes_back_from_its_text() -> None:
    interface = Interface(("a", "b"), {"y": 1, "x": 0}, (1, None, 0))
    assert interface == Interface.from_text(interface.to_text())


def test_the_result_is_called_in_the_order_of_the_file() -> None:
    exported = export(Rearrange(), verify=False)
    (difference, quotient) = exported(*reversed(ARGS))
    assert (ARGS[0] - ARGS[1]).tolist() == difference.tolist()
    assert (ARGS[0] / ARGS[1]).tolist() == quotient.tolist()


def test_a_departure_is_found_behind_other_names(tmp_path: Path, rearranged: Path) -> None:
    model = onnx.load(rearranged)
    (node,) = [node for node in model.graph.node if node.op_type == "Sub"]
    node.op_type = "Add"
    onnx.save(model, tmp_path / "wrong.onnx")
    found = lading.find_departure(Divide(), ARGS, file=tmp_path / "wrong.onnx", passes=[Rearrange()])
    assert found.place is not None
    assert (node.name, "Add", None) == (found.place.node, found.place.op_type, found.step)
