# SPDX-License-Identifier: Apache-2.0
"""What the sweep leaves out to be quicker changes no answer; what it keeps says what was measured."""

from __future__ import annotations

import json
import multiprocessing
import multiprocessing.connection
import os
from pathlib import Path
from typing import Any

import onnx
import pytest

pytest.importorskip("expecttest", reason="PyTorch's operator database needs it")

from operators import isolation, measuring
from operators.captured import Captures
from operators.entries import DTYPES, calls, database
from operators.isolation import Result
from operators.measuring import NEWEST, PASSED, Outcome, meaning, measure, with_lading
from operators.sweep import summarised


@pytest.mark.parametrize("opset", [7, 13, NEWEST])
@pytest.mark.parametrize("entry", ["amin", "nn.functional.conv2d", "cumsum", "linalg.det", "nn.functional.gelu"])
def test_a_capture_that_is_used_again_gives_the_file_of_an_export_of_its_own(entry: str, opset: int) -> None:
    exporter = Captures()
    call = calls(entry, "float32", 2)[-1]
    exporter(call, 11)
    again, alone = (onnx.load_from_string(export(call, opset)) for export in (exporter, with_lading))
    assert meaning(alone) == meaning(again)


def test_files_of_other_schema_versions_or_attributes_mean_something_else() -> None:
    call, other = calls("softmax", "float32", 2)
    files = [onnx.load_from_string(with_lading(call, opset)) for opset in (11, 12, 13)]
    assert meaning(files[0]) == meaning(files[1])
    assert meaning(files[1]) != meaning(files[2])
    assert meaning(files[0]) != meaning(onnx.load_from_string(with_lading(other, 11)))


def test_a_file_that_is_known_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []

    def ran(call: Any, model: onnx.ModelProto) -> Outcome:
        runs.append(model.opset_import[0].version)
        return PASSED

    monkeypatch.setattr(measuring, "_ran", ran)
    call, known = calls("softmax", "float32", 1)[0], {}
    assert [PASSED] * 3 == [measure(call, opset, with_lading, known) for opset in (11, 12, 13)]
    assert [11, 13] == runs


class _Starts:
    """Stands in for processes, of which the first ones end before they are ready."""

    def __init__(self, failing: int) -> None:
        self.failing = failing
        self.started = 0

    Pipe = staticmethod(multiprocessing.Pipe)

    def Process(self, target: Any, args: Any, daemon: bool) -> _Starts:
        self.pipe = args[0]
        return self

    def start(self) -> None:
        self.started += 1
        if self.started > self.failing:
            # The caller closes its copy of this end; a process has one of its own.
            self.kept = multiprocessing.connection.Connection(os.dup(self.pipe.fileno()))
            self.kept.send("ready")

    def kill(self) -> None:
        pass

    def join(self) -> None:
        pass


@pytest.mark.parametrize(("failing", "ends_well"), [(0, True), (2, True), (3, False)])
def test_a_process_that_does_not_start_is_started_again(
    monkeypatch: pytest.MonkeyPatch, failing: int, ends_well: bool
) -> None:
    context = _Starts(failing)
    monkeypatch.setattr(multiprocessing, "get_context", lambda kind: context)
    process = isolation._Process("nothing:NOTHING")
    if not ends_well:
        with pytest.raises(RuntimeError, match="did not start, 3 times"):
            process.give(isolation.Task("lading", "amin", "float32", (13,), 1))
        return
    process.give(isolation.Task("lading", "amin", "float32", (13,), 1))
    assert failing + 1 == context.started


def test_a_summary_says_for_each_opset_what_came_of_an_entry_and_of_its_operators() -> None:
    results = [
        Result("lading", "one", "float32", 7, unsupported=1, why="[0] no", operators=("aten::a",)),
        Result("lading", "one", "float32", 9, passed=2, operators=("aten::a",)),
        Result("lading", "two", "float32", 7, passed=1, operators=("aten::a", "aten::b")),
        Result("lading", "two", "float32", 9, passed=1, failed=1, operators=("aten::b",)),
    ]
    asked = [("one", "float32"), ("two", "float32"), ("two", "int64")]
    found = summarised(results, asked, [7, 9, 11], ["float32", "int64"], 2)
    assert {"one": {"float32": "up?"}, "two": {"float32": "pf?", "int64": "???"}} == found["entries"]
    assert {"aten::a": {"float32": "pp?"}, "aten::b": {"float32": "pf?"}} == found["operators"]
    assert {"aten::a": 2, "aten::b": 1} == found["callers"]
    assert {"one": {"float32": "opset 7: [0] no"}} == found["reasons"]


def test_the_page_has_every_entry_that_takes_one_of_the_dtypes() -> None:
    found = json.loads((Path(__file__).parents[2] / "docs" / "operators.json").read_text(encoding="utf-8"))
    taken = {name for name, entry in database().items() if set(entry.dtypes) & set(DTYPES.values())}
    assert taken == set(found["entries"])
