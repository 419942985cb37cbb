# SPDX-License-Identifier: Apache-2.0
"""A failed export, run again from the step that failed: in Python and by one command."""

from __future__ import annotations

import json
import re

import pytest
import torch
from lading.pipeline.errors import CaptureError, InternalError, UnsupportedOperators, UsageError
from lading.pipeline.facts import Fact
from lading.pipeline.origin import origin_of

import lading as api

BROKEN = """
import os

from lading import Fact, a_pass


@a_pass("faulty", requires=(Fact.{fact},), {place})
class Faulty:
    '''Fail, unless it is mended.'''

    def run(self, work, note):
        if "MENDED" not in os.environ:
            raise ValueError("on purpose")
"""
PLACES = {
    "before lower": ("FLAT", 'before=("lower",)'),
    "after fallback": ("ONNX", ""),
    "before serialize": ("INITIALIZERS", ""),
}


class Net(torch.nn.Module):
    """With a weight that a reproducer leaves out, a small one, and a size known only at run time."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(300, 200)

    def forward(self, x):
        return torch.relu(self.linear(x)).reshape(x.shape[0], 10, 20).transpose(1, 2) * 2


def write_pass(folder, place):
    fact, placed = PLACES[place]
    (folder / "faulty.py").write_text(BROKEN.format(fact=fact, place=placed))
    recipe = '[recipe]\nname = "mine"\nabout = "With a pass at fault"\nextends = "inference"\n'
    (folder / "mine.toml").write_text(recipe + '[step.faulty]\npass = "faulty.py:Faulty"\n')


def export(folder, **more):
    torch.manual_seed(0)
    return api.export(
        Net().eval(),
        torch.ones(2, 300),
        dynamic_axes={"x": {0: "n"}},
        recipe=folder / "mine.toml",
        reproducer=folder / "failed",
        **more,
    )


def described(model):
    """The nodes of a graph with types, shapes and origins, and the shapes of its initializers."""
    nodes = [
        (node.op_type, node.name, [(str(v.dtype), str(v.shape)) for v in node.outputs], str(origin_of(node)))
        for node in model.graph
    ]
    return nodes, {name: list(value.shape) for name, value in model.graph.initializers.items()}


@pytest.mark.parametrize("place", PLACES)
def test_a_failure_fails_again_in_the_same_way(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pass(tmp_path, place)
    with pytest.raises(InternalError) as first:
        export(tmp_path)
    with pytest.raises(InternalError) as again:
        api.replay(tmp_path / "failed" / "mine-faulty")
    assert (first.value.what, first.value.step) == (again.value.what, again.value.step)


@pytest.mark.parametrize("place", PLACES)
def test_once_the_pass_is_mended_the_rest_makes_what_the_export_makes(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pass(tmp_path, place)
    with pytest.raises(InternalError):
        export(tmp_path)
    monkeypatch.setenv("MENDED", "1")
    replayed = api.replay(tmp_path / "failed" / "mine-faulty")
    assert described(export(tmp_path).model) == described(replayed.model)


def test_the_replay_starts_with_the_step_that_failed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pass(tmp_path, "after fallback")
    with pytest.raises(InternalError):
        export(tmp_path)
    seen = []
    with pytest.raises(InternalError):
        api.replay(tmp_path / "failed" / "mine-faulty", on_event=seen.append)
    assert "faulty" == next(event["step"] for event in seen if event["event"] == "pass.started")


def test_a_member_of_a_group_starts_its_group(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_pass(tmp_path, "after fallback")
    tidy = '["fold-constants", "faulty", "drop-dead"]'
    with (tmp_path / "mine.toml").open("a") as recipe:
        recipe.write(f"[step.tidy]\nuntil-stable = {tidy}\n")
    with pytest.raises(InternalError):
        export(tmp_path)
    seen = []
    with pytest.raises(InternalError):
        api.replay(tmp_path / "failed" / "mine-tidy", on_event=seen.append)
    assert ["faulty"] == [event["step"] for event in seen if event["event"] == "pass.started"]


def test_operators_that_cannot_be_expressed_are_listed_again(tmp_path):
    @torch.library.custom_op("replayed::odd", mutates_args=())
    def odd(x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    odd.register_fake(torch.empty_like)

    class Odd(torch.nn.Module):
        def forward(self, x):
            return odd(x) + 1

    with pytest.raises(UnsupportedOperators) as first:
        api.export(Odd(), torch.ones(2), reproducer=tmp_path)
    with pytest.raises(UnsupportedOperators) as again:
        api.replay(tmp_path / "inference-fallback")
    assert first.value.what == again.value.what


@api.a_pass("local", requires=(Fact.ONNX,))
class Local:
    """Fail."""

    def run(self, work, note):
        raise ValueError("on purpose")


def test_a_pass_from_python_is_handed_in_again(tmp_path, monkeypatch):
    monkeypatch.setattr(Local, "__module__", "a_notebook")
    with pytest.raises(InternalError):
        api.export(Net(), torch.ones(2, 300), passes=[Local()], reproducer=tmp_path)
    with pytest.raises(InternalError, match="on purpose"):
        api.replay(tmp_path / "inference-local", passes=[Local])


def test_a_pass_that_cannot_be_found_is_an_error_of_usage(tmp_path, monkeypatch):
    monkeypatch.setattr(Local, "__module__", "a_notebook")
    with pytest.raises(InternalError):
        api.export(Net(), torch.ones(2, 300), passes=[Local()], reproducer=tmp_path)
    with pytest.raises(UsageError, match="a_notebook"):
        api.replay(tmp_path / "inference-local")


def test_steps_that_need_the_model_are_left_out(tmp_path, monkeypatch):
    with pytest.raises(InternalError):
        api.export(Net(), torch.ones(2, 300), passes=[Local()], reproducer=tmp_path, verify=True)
    monkeypatch.setattr(Local, "run", lambda self, work, note: None)
    assert ["verify"] == api.replay(tmp_path / "inference-local", passes=[Local]).left_out


class Raises(torch.nn.Module):
    def forward(self, x):
        raise RuntimeError("not today")


def test_before_there_is_a_graph_the_model_is_needed(tmp_path):
    with pytest.raises(CaptureError):
        api.export(Raises(), torch.ones(2), reproducer=tmp_path)
    with pytest.raises(UsageError, match="so that the model is needed"):
        api.replay(tmp_path / "inference-trace")


def test_with_the_model_all_of_the_recipe_runs(tmp_path):
    with pytest.raises(CaptureError):
        api.export(Raises(), torch.ones(2), reproducer=tmp_path)
    replayed = api.replay(tmp_path / "inference-trace", model=torch.nn.ReLU(), args=torch.ones(2))
    assert ["Relu"] == [node.op_type for node in replayed.model.graph]


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "the folder is no reproducer"), ("{", "cannot be read"), ("{}", "a format that this lading does not read")],
)
def test_what_is_no_reproducer_is_refused(content, message, tmp_path):
    if content is not None:
        (tmp_path / "failure.json").write_text(content)
    with pytest.raises(UsageError, match=message):
        api.replay(tmp_path)


def test_the_folder_around_a_reproducer_names_it(tmp_path):
    with pytest.raises(InternalError):
        api.export(Net(), torch.ones(2, 300), passes=[Local()], reproducer=tmp_path)
    with pytest.raises(UsageError) as caught:
        api.replay(tmp_path)
    assert "inference-local" in caught.value.hint


def test_a_damaged_graph_is_refused(tmp_path):
    with pytest.raises(InternalError):
        api.export(Net(), torch.ones(2, 300), passes=[Local()], reproducer=tmp_path)
    (tmp_path / "inference-local" / "graph.onnx").write_bytes(b"nonsense")
    with pytest.raises(UsageError, match="the graph cannot be read"):
        api.replay(tmp_path / "inference-local", passes=[Local])


def test_a_failed_export_says_the_command_that_replays_it(tmp_path, monkeypatch, lading):
    monkeypatch.chdir(tmp_path)
    write_pass(tmp_path, "after fallback")
    (tmp_path / "replay_net.py").write_text(
        "import torch\n\n\ndef net():\n    return torch.nn.ReLU(), (torch.ones(2),)\n"
    )
    answer = lading("export", "replay_net.py:net", "-o", "net.onnx", "-r", "mine.toml", "--reproducer", "kept")
    (command,) = re.findall(r"again from there: lading (.+)", answer.err)
    assert (5, 5) == (answer.code, lading(*command.split()).code)


def test_one_command_replays_it(tmp_path, monkeypatch, lading):
    monkeypatch.chdir(tmp_path)
    write_pass(tmp_path, "after fallback")
    with pytest.raises(InternalError):
        export(tmp_path, log="a.jsonl")
    (failed,) = (e for e in map(json.loads, (tmp_path / "a.jsonl").read_text().splitlines()) if "reproducer" in e)
    answer = lading("replay", failed["reproducer"])
    assert 5 == answer.code
    assert "it fails in the same way" in answer.err
    monkeypatch.setenv("MENDED", "1")
    answer = lading("replay", failed["reproducer"])
    assert 0 == answer.code
    assert "faulty no longer fails" in answer.err
