# SPDX-License-Identifier: Apache-2.0
"""What became of an operator, and what passes declined."""

from __future__ import annotations

from pathlib import Path

import onnx_ir as ir
import pytest
from lading.pipeline.errors import UsageError
from lading.pipeline.note import Note
from lading.pipeline.report.text import operator_text, refusals_text
from lading.pipeline.report.views import OperatorStep, operator_counts, operator_history, refusals
from support.recorded_runs import editing, lowered, recorded


def swap(graph: ir.Graph, note: Note) -> None:
    """Remove the Relu and make another one elsewhere, which leaves their number as it was."""
    relu = graph[1]
    value = relu.inputs[0]
    assert value is not None
    relu.outputs[0].replace_all_uses_with(value, replace_graph_outputs=True)
    graph.remove(relu, safe=True)
    graph.append(ir.node("relu", [graph.inputs[0]], domain="aten"))


def test_an_operator_is_followed_through_the_steps(tmp_path: Path) -> None:
    assert [
        OperatorStep("capture", 0, 3, 3, 0),
        OperatorStep("negate-twice", 3, 5, 2, 0),
        OperatorStep("tidy/drop-pair #1", 5, 3, 0, 2),
    ] == operator_history(recorded(tmp_path), "Neg").steps


def test_nodes_made_and_removed_in_one_step_are_told_apart(tmp_path: Path) -> None:
    history = operator_history(lowered(tmp_path, editing("swap", swap)), "aten::relu")
    assert OperatorStep("swap", 1, 1, 1, 1) == history.steps[-1]


def test_a_node_that_becomes_another_operator_counts_for_both(tmp_path: Path) -> None:
    run = recorded(tmp_path)
    visit = "wide-tidy/settle #1"
    of = {name: operator_history(run, name).steps for name in ("Relu", "Abs")}
    assert [(0, 3), (3, 0)] == [
        (step.made, step.removed) for name in ("Relu", "Abs") for step in of[name] if step.visit == visit
    ]


def test_the_nodes_that_are_left_are_named(tmp_path: Path) -> None:
    history = operator_history(lowered(tmp_path), "aten::relu")
    assert [{"node": "n1", "place": "encoder.0 (Block), model.py:7"}] == history.left


def test_without_overload_every_overload_is_meant(tmp_path: Path) -> None:
    def overload(graph: ir.Graph, note: Note) -> None:
        graph[0].op_type, graph[0].overload = "relu", "out"

    history = operator_history(lowered(tmp_path, editing("overload", overload)), "aten::relu")
    assert 2 == len(history.left)


def test_a_log_of_steps_knows_sums_only(tmp_path: Path) -> None:
    history = operator_history(recorded(tmp_path, level="steps"), "Neg")
    assert OperatorStep("capture", 0, 3, None, None) == history.steps[0]
    assert "only sums are known" in operator_text(history)


def test_an_operator_that_never_was_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no node of the run was ever a Transpose"):
        operator_history(recorded(tmp_path), "Transpose")


def test_the_text_of_an_operator(tmp_path: Path) -> None:
    expected = (
        "aten::relu\n"
        "step   made  removed  nodes\n"
        "trace  +1             0 -> 1\n"
        "\n"
        "1 in the end\n"
        "  n1  from encoder.0 (Block), model.py:7\n"
    )
    assert expected == operator_text(operator_history(lowered(tmp_path), "aten::relu"))


def test_refusals_of_several_rounds_are_one(tmp_path: Path) -> None:
    (refusal,) = (entry for entry in refusals(recorded(tmp_path)) if entry.step == "wide-tidy/settle")
    assert (["wide-tidy/settle #1", "wide-tidy/settle #2"], 1) == (refusal.visits, refusal.count)


def test_a_refusal_names_the_node_as_the_file_does(tmp_path: Path) -> None:
    run = lowered(tmp_path, editing("tidy", lambda graph, note: note.declined(graph[1], "too large")))
    assert ["aten::relu n1 in encoder.0 (Block), model.py:7"] == refusals(run)[0].nodes


def test_a_log_of_steps_names_what_the_note_pad_had(tmp_path: Path) -> None:
    decline = editing("tidy", lambda graph, note: note.declined(graph[1], "too large"))
    assert ["aten::relu 'n1' in encoder.0 (model.py:7)"] == refusals(lowered(tmp_path, decline, level="steps"))[0].nodes


def test_the_text_of_refusals(tmp_path: Path) -> None:
    decline = editing("tidy", lambda graph, note: note.declined("the graph", "no pair"))
    assert "tidy\n  1 x no pair\n      the graph\n" == refusals_text(refusals(lowered(tmp_path, decline)))


def test_where_nothing_was_declined_the_text_says_so(tmp_path: Path) -> None:
    assert "no pass declined anything\n" == refusals_text(refusals(lowered(tmp_path)))


def test_the_counts_of_operators_step_by_step(tmp_path: Path) -> None:
    counts = operator_counts(recorded(tmp_path))
    assert ("negate-twice", {"Neg": 5, "Relu": 3}) == counts[1]
