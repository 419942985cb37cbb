# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from lading.pipeline.errors import InternalError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.recipe import load_recipe
from lading.pipeline.reproduce import LEFT_OUT, FolderReproducer
from lading.pipeline.run import run_plan
from lading.pipeline.work import Target, Work
from support.fake_passes import STANDARD, chain_model, fake, plan_of, registry_of


def break_half_way(self: Any, work: Work, note: Note) -> None:
    assert work.model is not None
    work.model.graph[0].op_type = "Broken"
    raise ZeroDivisionError("oh")


BROKEN = fake("broken", break_half_way, requires=(Fact.ONNX,), after=("drop-pair",))
TEXT = '[step.capture]\n[step.tidy]\nuntil-stable = ["drop-pair"]\n[step.broken]\n[step.write]\n'


def reproduced(folder: Path, *passes: Any, text: str = TEXT) -> tuple[Path, list[Any]]:
    seen: list[Any] = []
    plan = plan_of(folder, text, registry_of(*passes))
    with pytest.raises(InternalError):
        run_plan(plan, Work(target=Target(18)), [seen.append], reproducer=FolderReproducer(folder / "out"))
    return folder / "out" / "test-broken", seen


def test_the_graph_is_the_one_before_the_failing_step(tmp_path: Path) -> None:
    place, _ = reproduced(tmp_path, *STANDARD, BROKEN)
    graph = onnx.load(place / "graph.onnx").graph
    assert ["Relu", "Neg", "Relu", "Neg"] == [node.op_type for node in graph.node]


def test_the_recipe_is_what_was_left(tmp_path: Path) -> None:
    place, _ = reproduced(tmp_path, *STANDARD, BROKEN)
    assert ["broken", "write"] == sorted(load_recipe(place / "recipe.toml").steps)


def test_the_failure_is_told(tmp_path: Path) -> None:
    place, _ = reproduced(tmp_path, *STANDARD, BROKEN)
    assert "ZeroDivisionError: oh" in json.loads((place / "failure.json").read_text())["traceback"]


def test_the_failure_shows_the_line_of_the_pass(tmp_path: Path) -> None:
    place, _ = reproduced(tmp_path, *STANDARD, BROKEN)
    assert "in break_half_way" in json.loads((place / "failure.json").read_text())["traceback"]


def test_the_event_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    _, events = reproduced(tmp_path, *STANDARD, BROKEN)
    assert "out/test-broken" == events[-2]["reproducer"]


def test_before_capture_there_is_no_graph(tmp_path: Path) -> None:
    place, _ = reproduced(tmp_path, fake("broken", break_half_way), text="[step.broken]\n")
    assert not (place / "graph.onnx").exists()


def test_a_folder_that_cannot_be_written_does_not_hide_the_failure(tmp_path: Path) -> None:
    tmp_path.joinpath("out").write_text("a file in the way")
    _, events = reproduced(tmp_path, *STANDARD, BROKEN)
    assert "no reproducer: " in events[-2]["warnings"][0]["message"]


def test_a_run_that_ends_well_writes_nothing(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "[step.capture]\n", registry_of(*STANDARD))
    run_plan(plan, Work(target=Target(18)), reproducer=FolderReproducer(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_references_to_files_are_seen_from_the_new_folder(tmp_path: Path) -> None:
    source = (
        "from lading.pipeline.declare import a_pass\n"
        "@a_pass('broken')\n"
        "class Broken:\n"
        "    '''Fail.'''\n"
        "    def run(self, work, note):\n"
        "        raise ZeroDivisionError('oh')\n"
    )
    tmp_path.joinpath("mine.py").write_text(source)
    place, _ = reproduced(tmp_path, text='[step.broken]\npass = "mine.py:Broken"\n')
    assert "../../mine.py:Broken" == load_recipe(place / "recipe.toml").steps["broken"]["pass"].value


def kept(model: ir.Model, folder: Path) -> onnx.ModelProto:
    def capture(self: Any, work: Work, note: Note) -> None:
        work.model = model

    captured = fake("capture", capture, provides=(Fact.ONNX,))
    broken = fake("broken", break_half_way, requires=(Fact.ONNX,))
    place, _ = reproduced(folder, captured, broken, text="[step.capture]\n[step.broken]\n")
    return onnx.load(place / "graph.onnx", load_external_data=False)


def test_large_weights_lose_their_bytes(tmp_path: Path) -> None:
    model = chain_model(weights=1)
    model.graph.initializers["w0"].const_value = ir.tensor(np.ones((500, 500), np.float32))
    (weight,) = kept(model, tmp_path).graph.initializer
    assert ([500, 500], LEFT_OUT) == (list(weight.dims), weight.external_data[0].value)


def test_small_weights_keep_their_bytes(tmp_path: Path) -> None:
    (weight,) = kept(chain_model(weights=1), tmp_path).graph.initializer
    assert [0.0, 0.0, 0.0, 0.0] == onnx.numpy_helper.to_array(weight).tolist()


def test_constants_of_the_dialect_are_kept_and_not_changed(tmp_path: Path) -> None:
    model = chain_model()
    constant = ir.Value(const_value=ir.tensor(np.int64(3)))
    model.graph.append(ir.Node("prim", "ListConstruct", [constant], name="list"))
    proto = kept(model, tmp_path)
    assert (["constant.0"], None) == (list(proto.graph.node[-1].input), constant.name)


def test_arguments_of_the_dialect_that_are_none_are_kept(tmp_path: Path) -> None:
    def give_none(self: Any, work: Work, note: Note) -> None:
        assert work.model is not None
        work.model.graph[0].attributes.add(ir.Attr("dim", ir.AttributeType.UNDEFINED, None))

    none = fake("give-none", give_none, requires=(Fact.ONNX,), after=("drop-pair",))
    late = fake("broken", break_half_way, requires=(Fact.ONNX,), after=("give-none",))
    place, _ = reproduced(tmp_path, *STANDARD, none, late, text=TEXT + "[step.give-none]\n")
    attribute = ir.load(place / "graph.onnx").graph[0].attributes["dim"]
    assert (ir.AttributeType.UNDEFINED, None) == (attribute.type, attribute.value)
