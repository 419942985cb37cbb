# SPDX-License-Identifier: Apache-2.0
"""The board shows what runs on a terminal, and says what ends elsewhere."""

from __future__ import annotations

import io

from rich.console import Console

from lading.batch.board import Board
from lading.batch.file import Job
from lading.batch.job import Result

JOBS = [Job(name=name, model="m:f", recipe="inference", opset=None, file=f"{name}.onnx") for name in ("one", "two")]
DONE = Result(job="one", status="exported", file="one.onnx", seconds=1.5, facts={"nodes": 1200, "bytes": 2048})


def shown(*, terminal: bool) -> str:
    told = io.StringIO()
    with Board(JOBS, Console(file=told, force_terminal=terminal, width=100, color_system=None)) as board:
        board.tell({"job": "two", "begun": True})
        board.tell({"job": "two", "step": "lower", "index": 6, "steps": 14})
        board.done(DONE)
        # What arrives late, from another process, changes nothing.
        board.tell({"job": "one", "step": "verify", "index": 14, "steps": 14})
    return told.getvalue()


def test_a_terminal_shows_the_step_of_what_runs_and_how_many_there_are() -> None:
    text = shown(terminal=True)
    assert all(part in text for part in ("running", "6/14 lower", "1 running, 1 exported"))
    assert "14/14 verify" not in text


def test_elsewhere_there_is_a_line_for_each_that_ends() -> None:
    assert "exported   one  1,200 nodes, 2.0 KiB  (1.5 s)\n" == shown(terminal=False)
