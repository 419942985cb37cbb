# SPDX-License-Identifier: Apache-2.0
"""The story of a node goes from the user's line to the file, through each step that touched it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
from lading.pipeline.errors import UsageError
from lading.pipeline.note import Note
from lading.pipeline.origin import came_from, origin_of, set_origin
from lading.pipeline.report.runs import Run
from lading.pipeline.report.stories import Stories
from lading.pipeline.report.text import story_text
from support.recorded_runs import editing, lowered


def lower(graph: ir.Graph, note: Note) -> None:
    """Write `aten::linear` as MatMul and Add, `aten::relu` as Relu."""
    linear, relu = graph
    matmul = ir.node("MatMul", [linear.inputs[0]])
    add = ir.node("Add", [matmul.outputs[0]])
    new = ir.node("Relu", [add.outputs[0]])
    for made, old in ((matmul, linear), (add, linear), (new, relu)):
        origin = origin_of(old)
        assert origin is not None
        set_origin(made, origin)
    graph.insert_before(linear, [matmul, add, new])
    ir.convenience.replace_all_uses_with(relu.outputs[0], new.outputs[0], replace_graph_outputs=True)
    graph.remove([relu, linear], safe=True)


def name(graph: ir.Graph, note: Note) -> None:
    for node in graph:
        node.name = f"/encoder.0/{node.op_type}"
    graph.outputs[0].name = "logits"


LOWER, NAME = editing("lower", lower), editing("name", name, "tidy")
IDLE = editing("tidy", lambda graph, note: None, "lower")


def stories_of(folder: Path, *tidy: Any) -> Stories:
    return Stories.of(lowered(folder, LOWER, *(tidy or (IDLE,)), NAME))


def told(stories: Stories, wanted: str) -> list[tuple[str, str]]:
    return [(chapter.visit, chapter.text) for chapter in stories.story(stories.find(wanted))]


def test_a_story_goes_back_to_the_line_of_the_user(tmp_path: Path) -> None:
    assert [
        ("trace", "aten::linear in encoder.0 (Block), model.py:7"),
        ("lower", "MatMul from aten::linear #1, with Add #4"),
        ("name", "has another name"),
    ] == told(stories_of(tmp_path), "/encoder.0/MatMul")


def test_an_edit_is_part_of_it(tmp_path: Path) -> None:
    def tidy(graph: ir.Graph, note: Note) -> None:
        graph[0].op_type = "Gemm"

    stories = stories_of(tmp_path, editing("tidy", tidy, "lower"))
    assert ("tidy", "MatMul became Gemm") in told(stories, "/encoder.0/Gemm")


def test_what_a_pass_declined_is_part_of_it(tmp_path: Path) -> None:
    stories = stories_of(tmp_path, editing("tidy", lambda graph, note: note.declined(graph[1], "too large"), "lower"))
    assert ("tidy", "too large") in told(stories, "/encoder.0/Add")


def test_what_a_pass_decided_is_part_of_it(tmp_path: Path) -> None:
    decide = editing("tidy", lambda graph, note: note.decided("kept", "it must", graph[1]), "lower")
    assert ("tidy", "kept: it must") in told(stories_of(tmp_path, decide), "/encoder.0/Add")


def bypass(graph: ir.Graph, note: Note) -> None:
    add = graph[1]
    value = add.inputs[0]
    assert value is not None
    add.outputs[0].replace_all_uses_with(value)
    graph.remove(add, safe=True)


def test_a_node_tells_whose_place_another_took_before_it(tmp_path: Path) -> None:
    stories = stories_of(tmp_path, editing("tidy", bypass, "lower"))
    assert ("tidy", "reads MatMul #3 in place of Add #4") in told(stories, "/encoder.0/Relu")


def test_a_node_tells_whose_place_it_took(tmp_path: Path) -> None:
    stories = stories_of(tmp_path, editing("tidy", bypass, "lower"))
    assert ("tidy", "is read in one place in place of Add #4") in told(stories, "/encoder.0/MatMul")


def test_a_removed_node_is_found_by_its_number(tmp_path: Path) -> None:
    assert ("tidy", "is gone") == told(stories_of(tmp_path, editing("tidy", bypass, "lower")), "#4")[-1]


def test_a_replaced_node_names_its_heirs(tmp_path: Path) -> None:
    assert ("lower", "is gone, MatMul #3, Add #4 in its place") == told(stories_of(tmp_path), "#1")[-1]


def fuse(graph: ir.Graph, note: Note) -> None:
    matmul, add = graph[0], graph[1]
    fused = ir.node("FusedMatMul", [matmul.inputs[0]], domain="vendor")
    came_from(fused, matmul, add)
    graph.insert_before(matmul, fused)
    add.outputs[0].replace_all_uses_with(fused.outputs[0])
    graph.remove([add, matmul], safe=True)


def test_a_node_made_from_several_has_the_story_of_each(tmp_path: Path) -> None:
    stories = stories_of(tmp_path, editing("tidy", fuse, "lower"))
    assert ("tidy", "vendor::FusedMatMul from MatMul #3, Add #4") in told(stories, "/encoder.0/FusedMatMul")


def test_an_output_of_the_model_names_its_node(tmp_path: Path) -> None:
    assert "Relu" == stories_of(tmp_path).find("logits").operator


def test_a_value_names_its_node(tmp_path: Path) -> None:
    assert "MatMul" == stories_of(tmp_path).find("/encoder.0/MatMul_output_0").operator


def test_the_end_of_a_name_will_do(tmp_path: Path) -> None:
    assert "Add" == stories_of(tmp_path).find("0/Add").operator


def test_an_end_that_several_have_will_not(tmp_path: Path) -> None:
    def repeat(graph: ir.Graph, note: Note) -> None:
        graph[0].name, graph[1].name = "a/x", "b/x"

    stories = stories_of(tmp_path, IDLE, editing("rename", repeat, "name"))
    with pytest.raises(UsageError, match="2 nodes have a name that ends with 'x'"):
        stories.find("x")


@pytest.mark.parametrize("wanted", ["/encoder.0/MatMul_7", "#99"])
def test_what_is_not_there_is_an_error(wanted: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no node of"):
        stories_of(tmp_path).find(wanted)


def test_the_nearest_name_is_the_hint(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        stories_of(tmp_path).find("/encoder.0/MatMull")
    assert "did you mean '/encoder.0/MatMul'?" == caught.value.hint


def test_a_log_of_steps_has_no_stories(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not follow nodes"):
        Stories.of(lowered(tmp_path, LOWER, level="steps"))


def test_a_log_that_contradicts_itself_is_refused(tmp_path: Path) -> None:
    events = [dict(event) for event in lowered(tmp_path, LOWER).events]
    for event in events:
        if event["event"] == "pass.nodes" and event["step"] == "lower":
            event["made"] = [["MatMul", 9]]
    with pytest.raises(UsageError, match="contradicts itself"):
        Stories.of(Run(events))


def test_the_text_of_a_story(tmp_path: Path) -> None:
    stories = stories_of(tmp_path)
    expected = (
        "MatMul #3  /encoder.0/MatMul\n"
        "from encoder.0 (Block), model.py:7\n\n"
        "trace  #1  made     aten::linear in encoder.0 (Block), model.py:7\n"
        "lower  #3  made     MatMul from aten::linear #1, with Add #4\n"
        "name   #3  renamed  has another name\n"
    )
    assert expected == story_text(stories, stories.find("/encoder.0/MatMul"))
