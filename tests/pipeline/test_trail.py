# SPDX-License-Identifier: Apache-2.0
"""Each node is followed from step to step, whatever a pass does and without its help."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lading.pipeline.trail as trail_module
import onnx_ir as ir
import pytest
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.origin import Origin, came_from, origin_of, set_origin
from lading.pipeline.run import run_plan
from lading.pipeline.work import Target, Work
from support.fake_passes import STANDARD, fake, plan_of, registry_of

Edit = Callable[[ir.Graph, Note], Any]


def record_of(folder: Path, edit: Edit, **more: Any) -> dict[str, Any]:
    """The `pass.nodes` event of a pass that does `edit` to the chain Relu #1, Neg #2, Relu #3, Neg #4."""
    (found,) = (event for event in events_of(folder, edit, **more) if event["event"] == "pass.nodes")
    return found


def events_of(folder: Path, edit: Edit, **more: Any) -> list[dict[str, Any]]:
    def run(self: Any, work: Work, note: Note) -> None:
        edit(work.need_model().graph, note)

    edits = fake("edits", run, requires=(Fact.ONNX,))
    plan = plan_of(folder, "[step.capture]\n[step.edits]\n", registry_of(*STANDARD, edits))
    events = run_plan(plan, Work(target=Target(18)), **more)
    return [event for event in events if event.get("step") in (None, "edits")]


def put_after(graph: ir.Graph, node: ir.Node, op_type: str) -> ir.Node:
    """Insert a node behind another one, for all who read that."""
    value = node.outputs[0]
    made = ir.node(op_type, [value])
    ir.convenience.replace_all_uses_with(value, made.outputs[0], replace_graph_outputs=True)
    made.replace_input_with(0, value)
    graph.insert_after(node, made)
    return made


def put_in_place(graph: ir.Graph, node: ir.Node, *op_types: str) -> list[ir.Node]:
    """Replace a node by a chain of others that says nothing of where it came from."""
    made: list[ir.Node] = []
    value = node.inputs[0]
    for op_type in op_types:
        made.append(ir.node(op_type, [value]))
        value = made[-1].outputs[0]
    graph.insert_before(node, made)
    assert value is not None
    ir.convenience.replace_all_uses_with(node.outputs[0], value, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    return made


def test_a_node_made_with_the_origin_of_another_comes_from_it(tmp_path: Path) -> None:
    def edit(graph: ir.Graph, note: Note) -> None:
        set_origin(put_after(graph, graph[1], "Abs"), origin_of(graph[1]) or Origin())

    event = record_of(tmp_path, edit)
    assert (5, [["Abs", 2]]) == (event["first"], event["made"])


def test_a_node_may_come_from_several(tmp_path: Path) -> None:
    def edit(graph: ir.Graph, note: Note) -> None:
        one, other = graph[0], graph[1]
        came_from(put_after(graph, other, "Abs"), one, other)

    assert [["Abs", [1, 2]]] == record_of(tmp_path, edit)["made"]


def test_a_node_that_takes_the_place_of_another_comes_from_it(tmp_path: Path) -> None:
    event = record_of(tmp_path, lambda graph, note: put_in_place(graph, graph[1], "Abs"))
    assert ([["Abs", 2]], [2]) == (event["made"], event["removed"])


def test_so_it_is_for_an_output_of_the_model(tmp_path: Path) -> None:
    assert [["Abs", 4]] == record_of(tmp_path, lambda graph, note: put_in_place(graph, graph[3], "Abs"))["made"]


def test_each_node_of_a_chain_comes_from_the_one_it_replaces(tmp_path: Path) -> None:
    event = record_of(tmp_path, lambda graph, note: put_in_place(graph, graph[1], "Abs", "Exp", "Log"))
    assert [["Abs", 2], ["Exp", 2], ["Log", 2]] == event["made"]


def test_the_module_of_the_replaced_node_is_inherited(tmp_path: Path) -> None:
    made: list[ir.Node] = []

    def edit(graph: ir.Graph, note: Note) -> None:
        set_origin(graph[1], Origin("encoder", "Encoder", "model.py:3", ("capture",), (2,)))
        made.extend(put_in_place(graph, graph[1], "Abs"))

    record_of(tmp_path, edit)
    assert Origin("encoder", "Encoder", "model.py:3", ("capture", "edits")) == origin_of(made[0])


def test_a_node_put_between_others_names_what_it_reads(tmp_path: Path) -> None:
    assert [["Abs", None, None, 2]] == record_of(tmp_path, lambda g, note: put_after(g, g[1], "Abs"))["made"]


def test_an_edit_of_the_operator_is_seen(tmp_path: Path) -> None:
    def edit(graph: ir.Graph, note: Note) -> None:
        graph[1].op_type = "Abs"

    assert [[2, "Abs"]] == record_of(tmp_path, edit)["changed"]


def test_an_edit_of_an_attribute_is_seen(tmp_path: Path) -> None:
    def edit(graph: ir.Graph, note: Note) -> None:
        graph[1].attributes["axis"] = ir.AttrInt64("axis", 1)

    assert [[2, None]] == record_of(tmp_path, edit)["changed"]


def test_a_name_is_seen_and_is_in_the_last_list(tmp_path: Path) -> None:
    def edit(graph: ir.Graph, note: Note) -> None:
        graph[1].name = "second"

    events = events_of(tmp_path, edit)
    (record,) = (event for event in events if event["event"] == "pass.nodes")
    (last,) = (event for event in events if event["event"] == "run.nodes")
    assert ([2], [2, "second"]) == (record["renamed"], last["names"][1])


def test_who_reads_past_a_removed_node_is_seen(tmp_path: Path) -> None:
    def edit(graph: ir.Graph, note: Note) -> None:
        node = graph[1]
        value = node.inputs[0]
        assert value is not None
        node.outputs[0].replace_all_uses_with(value)
        graph.remove(node, safe=True)

    event = record_of(tmp_path, edit)
    assert ([[3, 2, 1]], [2]) == (event["rewired"], event["removed"])


def test_where_a_pass_declined_is_told_by_number(tmp_path: Path) -> None:
    assert {"too large": [2]} == record_of(tmp_path, lambda g, note: note.declined(g[1], "too large"))["declined_at"]


def test_where_a_pass_decided_is_told_by_number(tmp_path: Path) -> None:
    assert [[0, 3]] == record_of(tmp_path, lambda graph, note: note.decided("so", "because", graph[2]))["decided_at"]


def test_a_pass_that_touches_no_node_leaves_no_record(tmp_path: Path) -> None:
    assert "pass.nodes" not in [event["event"] for event in events_of(tmp_path, lambda graph, note: None)]


def test_the_outputs_of_the_model_are_told(tmp_path: Path) -> None:
    (last,) = (event for event in events_of(tmp_path, lambda g, note: None) if event["event"] == "run.nodes")
    assert [["v3", 4]] == last["outputs"]


def test_the_level_of_steps_follows_no_node(tmp_path: Path) -> None:
    events = events_of(tmp_path, lambda graph, note: put_after(graph, graph[1], "Abs") and None, level="steps")
    assert not {"pass.nodes", "run.nodes"} & {event["event"] for event in events}


def test_the_level_of_steps_still_says_which_step_made_a_node(tmp_path: Path) -> None:
    made: list[ir.Node] = []
    events_of(tmp_path, lambda graph, note: made.append(put_after(graph, graph[1], "Abs")), level="steps")
    assert ("edits",) == getattr(origin_of(made[0]), "passes", None)


def test_a_record_that_grows_too_long_is_counted_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trail_module, "ENTRIES_KEPT", 5)
    event = record_of(tmp_path, lambda graph, note: put_in_place(graph, graph[1], "Abs", "Exp"))
    assert ([], 3) == (event["made"], event["left_out"])
