# SPDX-License-Identifier: Apache-2.0
"""What authors test their passes with: it passes what is right, and fails on each thing that is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from lading.passes.drop_identity import DropIdentity

import lading
from lading import Fact, Note, Work, testing

TEXT = """
<ir_version: 8, opset_import: ["" : 18]>
main (float[N, 4] x, int64[N] index) => (float[N, 4] y) {
    same = Identity(x)
    picked = Gather(same, index)
    y = Neg(picked)
}
"""


def a_pass(change: Any) -> Any:
    """A pass that does `change` to the graph."""

    @lading.a_pass("change-something", requires=(Fact.ONNX,))
    class Change:
        """Change something."""

        def run(self, work: Work, note: Note) -> None:
            change(work.need_model().graph)
            note.count("changed")

    return Change()


def node_of(graph: ir.Graph, op_type: str) -> ir.Node:
    return next(node for node in graph if node.op_type == op_type)


def negate_again(graph: ir.Graph) -> None:
    node_of(graph, "Neg").op_type = "Abs"


def rename(graph: ir.Graph) -> None:
    graph.inputs[0].name = "z"


def append(graph: ir.Graph) -> None:
    twice = ir.node("Identity", [graph.outputs[0]])
    twice.outputs[0].name, graph.outputs[0].name = "y", f"y{len(graph)}"
    twice.outputs[0].type, twice.outputs[0].shape = graph.outputs[0].type, graph.outputs[0].shape
    graph.append(twice)
    graph.outputs[0] = twice.outputs[0]


def break_off(graph: ir.Graph) -> None:
    node_of(graph, "Neg").op_type = "Nag"


def fix_a_size(graph: ir.Graph) -> None:
    shape = ir.node("Constant", [], {"value": ir.tensor([2, 4])})
    reshape = ir.node("Reshape", [node_of(graph, "Gather").outputs[0], shape.outputs[0]])
    graph.insert_before(node_of(graph, "Neg"), [shape, reshape])
    node_of(graph, "Neg").replace_input_with(0, reshape.outputs[0])


def test_a_pass_that_keeps_everything_passes() -> None:
    ran = testing.assert_keeps(DropIdentity(), TEXT)
    assert ["Gather", "Neg"] == [node.op_type for node in ran.model.graph]


def test_the_graph_that_was_given_is_not_changed() -> None:
    model = testing.model_of(TEXT)
    ran = testing.run_pass(DropIdentity(), model)
    assert (3, 3, 2) == (len(model.graph), len(ran.before.graph), len(ran.model.graph))


def test_the_notes_of_a_run_are_there() -> None:
    assert {"changed": 1} == testing.run_pass(a_pass(negate_again), TEXT).note.counts


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (negate_again, "output 'y' .* values differ"),
        (rename, "the signature differs:\n(.*\n)*-input x.*\n(.*\n)*\\+input z"),
        (append, "a second run changes the graph"),
        (break_off, "the graph is not valid"),
    ],
)
def test_a_pass_that_does_not_keep_something_fails(change: Any, what: str) -> None:
    with pytest.raises(AssertionError, match=what):
        testing.assert_keeps(a_pass(change), TEXT)


def test_numbers_are_compared_at_several_sizes() -> None:
    after = testing.run_pass(a_pass(fix_a_size), TEXT).model
    with pytest.raises(AssertionError, match=r"the graph after cannot be run: .*[Rr]eshape"):
        testing.assert_same_numerics(TEXT, after)


def test_inputs_correspond_by_position() -> None:
    testing.assert_same_numerics(TEXT, testing.run_pass(a_pass(rename), TEXT).model)


def test_examples_of_inputs_are_used() -> None:
    after = testing.run_pass(a_pass(fix_a_size), TEXT).model
    example = {"x": np.zeros((2, 4), np.float32), "index": np.array([1, 1])}
    testing.assert_same_numerics(TEXT, after, inputs=example)
    testing.assert_same_numerics(TEXT, after, inputs=[example, example])


def test_another_number_of_outputs_is_said() -> None:
    with pytest.raises(AssertionError, match="2 inputs and 1 outputs became 2 and 2"):
        testing.assert_same_numerics(
            TEXT, testing.run_pass(a_pass(lambda g: g.outputs.append(g[0].outputs[0])), TEXT).model
        )


def test_golden_text_is_written_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "golden" / "graph.txt"
    with pytest.raises(AssertionError, match="LADING_WRITE_GOLDEN"):
        testing.assert_golden(TEXT, file)
    monkeypatch.setenv(testing.WRITE_GOLDEN, "1")
    testing.assert_golden(TEXT, file)
    monkeypatch.delenv(testing.WRITE_GOLDEN)
    testing.assert_golden(TEXT, file)
    with pytest.raises(AssertionError, match=r"\+.*Abs"):
        testing.assert_golden(TEXT.replace("Neg", "Abs"), file)


@pytest.mark.parametrize("form", ["proto", "path", "model", "exported"])
def test_every_form_of_a_graph_serves(form: str, tmp_path: Path) -> None:
    exported = lading.export(torch.nn.Linear(4, 2).eval(), torch.randn(3, 4), tmp_path / "net.onnx")
    forms = {
        "proto": lambda: onnx.load(tmp_path / "net.onnx"),
        "path": lambda: tmp_path / "net.onnx",
        "model": lambda: exported.model,
        "exported": lambda: exported,
    }
    testing.assert_keeps(DropIdentity(), forms[form]())


def test_half_precision_and_booleans_are_drawn() -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 18]>
    main (float16[N] x, bool[N] mask) => (float16[N] y) { same = Identity(x)  y = Where(mask, same, x) }
    """
    testing.assert_keeps(DropIdentity(), text)
