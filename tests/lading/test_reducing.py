# SPDX-License-Identifier: Apache-2.0
"""Failures that are planted in models are found in the smallest piece, whose one command shows them again."""

from __future__ import annotations

import contextlib
import json
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
import torch

import lading
from lading import Fact, Note, Work
from lading.cli import main
from lading.reducing import Reduced, reduce

MODELS = """
import torch
import lading


@torch.library.custom_op("reducing::odd", mutates_args=())
def odd(x: torch.Tensor) -> torch.Tensor:
    return x.sin()


@odd.register_fake
def _(x):
    return torch.empty_like(x)


class Body(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm, self.last = torch.nn.Linear(8, 8), torch.nn.LayerNorm(8), torch.nn.Linear(8, 4)

    def forward(self, x):
        return self.tail(self.last(self.norm(torch.relu(self.first(x)))))


class Unsupported(Body):
    def tail(self, x):
        return torch.ops.reducing.odd(x) + 1


class Departing(Body):
    def tail(self, x):
        return torch.nn.functional.softplus(x).sum(-1)


class Picky(torch.nn.Module):
    def forward(self, x):
        return torch.tensor([float(str(x.flatten()[0].item()))]) + x


class Uncaptured(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Sequential(torch.nn.ReLU(), Picky()))

    def forward(self, x):
        return self.body(x).exp()


def made(kind):
    torch.manual_seed(0)
    return kind().eval(), (torch.randn(3, 8),)


def unsupported():
    return made(Unsupported)


def departing():
    return made(Departing)


def uncaptured():
    return made(Uncaptured)


unsupported.dynamic_axes = departing.dynamic_axes = {"x": {0: "batch"}}
"""
WRONG = """

@lading.lowers("aten::softplus", since=13)
def softplus(op, x, *, beta=1.0, threshold=20.0):
    return op.Log(op.Exp(x))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "reducing_models.py").write_text(MODELS)
    (tmp_path / "reducing_wrong.py").write_text(MODELS.replace("reducing::odd", "reducing::odder") + WRONG)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    for name in ("reducing_models", "reducing_wrong"):
        sys.modules.pop(name, None)
    with contextlib.suppress(lading.UsageError):
        lading.unregister_lowering("aten::softplus", 13)


def leaves_with(command: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(shlex.split(command)[1:])
    return int(leaving.value.code or 0)


def found(command: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert 0 == leaves_with(f"lading reduce {command} --format json")
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_an_operator_without_a_lowering(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    piece = found("reducing_models.py:unsupported -o piece", capsys)
    assert (["reducing::odd"], 1, "unsupported") == (piece["operators"], piece["size"], piece["code"])
    assert "reducing_models.py:" in piece["source"]
    assert 4 == leaves_with(piece["command"])


def test_a_file_that_departs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    piece = found("reducing_wrong.py:departing -o piece", capsys)
    assert (["aten::softplus"], "verification") == (piece["operators"], piece["code"])
    assert [[1, 1]] == list(piece["shapes"].values())
    assert 1 == leaves_with(piece["command"])
    lading.unregister_lowering("aten::softplus", 13)
    failure = folder / "piece" / "failure.json"
    said = json.loads(failure.read_text())
    assert ["../reducing_wrong.py"] == said["registers"]
    failure.write_text(json.dumps({**said, "registers": []}))
    assert 0 == leaves_with(piece["command"])


def test_a_module_that_cannot_be_captured(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    piece = found("reducing_models.py:uncaptured -o piece", capsys)
    assert ("module", "body.1.1", 1, "capture") == (piece["kind"], piece["module"], piece["size"], piece["code"])
    assert {"args.0": [1, 1]} == piece["shapes"]
    assert 3 == leaves_with(piece["command"])
    assert not (folder / "piece" / "module.pt").exists()


def test_what_does_not_fail_is_refused(folder: Path) -> None:
    assert 2 == leaves_with("lading reduce reducing_models.py:departing -o piece")
    assert not (folder / "piece").exists()


@pytest.mark.parametrize("mine", ["mine.txt", "README.md"])
def test_a_folder_with_something_else_is_left_alone(folder: Path, mine: str) -> None:
    (folder / "piece").mkdir()
    (folder / "piece" / mine).write_text("mine")
    assert 2 == leaves_with("lading reduce reducing_models.py:unsupported -o piece")
    assert {mine: "mine"} == {entry.name: entry.read_text() for entry in (folder / "piece").iterdir()}


@lading.a_pass("faulty-norm", requires=(Fact.ONNX,))
class FaultyNorm:
    """Fail at a normalization that something negates."""

    def run(self, work: Work, note: Note) -> None:
        for node in work.need_model().graph:
            if node.op_type == "LayerNormalization" and any(r.op_type == "Neg" for r, _ in node.outputs[0].uses()):
                raise ValueError("on purpose")


class Negated(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = torch.nn.Linear(8, 8), torch.nn.LayerNorm(8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (-self.norm(torch.relu(self.first(x)))).exp().cos()


def test_weights_are_cut_with_the_inputs_that_they_go_with(tmp_path: Path) -> None:
    @lading.lowers("aten::linear", since=14)
    def without_bias(op: Any, x: Any, weight: Any, bias: Any = None) -> Any:
        return op.MatMul(x, op.Transpose(weight, perm=[1, 0]))

    try:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(8, 12), torch.nn.ReLU()).eval()
        reduced = reduce(model, torch.randn(3, 5, 8), tmp_path / "piece")
    finally:
        lading.unregister_lowering("aten::linear", 14)
    graph = ir.load(tmp_path / "piece" / "graph.onnx").graph
    assert (("aten::linear",), [(1, 1, 1)]) == (reduced.operators, list(reduced.shapes.values()))
    assert {"0.weight": (1, 1), "0.bias": (1,)} == {
        name: tuple(value.const_value.shape) for name, value in graph.initializers.items() if value.const_value
    }


def test_two_operators_that_fail_together(tmp_path: Path) -> None:
    piece: Reduced = reduce(Negated().eval(), (torch.randn(2, 8),), tmp_path / "piece", passes=(FaultyNorm(),))
    assert (("aten::layer_norm", "aten::neg"), "", True) == (piece.operators, piece.module, piece.minimal)
    with pytest.raises(lading.InternalError, match="on purpose"):
        lading.replay(tmp_path / "piece", passes=(FaultyNorm,))
