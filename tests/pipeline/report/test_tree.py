# SPDX-License-Identifier: Apache-2.0
"""A run as a tree, as text and for a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lading.pipeline.facts import Fact
from lading.pipeline.report.runs import Run
from lading.pipeline.report.tree import rows_of, tree_table, tree_text
from rich.console import Console
from support.fake_passes import fake
from support.recorded_runs import editing, lowered, recorded

GOLDEN = Path(__file__).parent / "golden"


def shown(run: Run, width: int = 200) -> str:
    console = Console(file=io.StringIO(), width=width)
    console.print(tree_table(run, width))
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


def fail(self: Any, work: Any, note: Any) -> None:
    raise ZeroDivisionError("[red]oh[/red]")


BROKEN = fake("broken", fail, requires=(Fact.ONNX,))


def test_a_run_as_text(tmp_path: Path, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / "tree.txt", tree_text(recorded(tmp_path, model={"class": "Chain", "parameters": 1200})))


def test_a_run_on_a_terminal(tmp_path: Path, golden: Callable[[Path, str], None]) -> None:
    lines = [line.rstrip() for line in shown(recorded(tmp_path), width=120).splitlines()]
    golden(GOLDEN / "tree-terminal.txt", "\n".join(lines) + "\n")


def test_a_narrow_terminal_has_no_bars(tmp_path: Path) -> None:
    assert "█" not in shown(recorded(tmp_path), width=80)


def test_text_is_ascii(tmp_path: Path) -> None:
    run = lowered(tmp_path, editing("tidy", lambda graph, note: note.warned("zu groß")))
    assert tree_text(run).isascii()


def test_brackets_are_shown_as_they_are(tmp_path: Path) -> None:
    assert "[red]oh[/red]" in shown(recorded(tmp_path, "[step.capture]\n[step.broken]\n", BROKEN))


def test_a_failed_step_tells_of_what_and_where(tmp_path: Path) -> None:
    run = recorded(tmp_path, "[step.capture]\n[step.broken]\n", BROKEN)
    remarks = [leaf.text for leaf in rows_of(run)[-1].leaves]
    assert "pass 'broken' failed: ZeroDivisionError: [red]oh[/red]" in remarks[0]
    assert remarks[1].startswith("at step 'broken'")


def test_a_killed_run_names_the_pass_that_was_running(tmp_path: Path) -> None:
    events = list(recorded(tmp_path).events)
    started = [index for index, event in enumerate(events) if event["event"] == "pass.started"]
    text = tree_text(Run(events[: started[1] + 1]))
    assert "the log ends before the run did, while 'negate-twice' was running" in text


def test_a_run_killed_between_passes_says_so(tmp_path: Path) -> None:
    events = list(recorded(tmp_path).events)
    applied = [index for index, event in enumerate(events) if event["event"] == "pass.applied"]
    assert tree_text(Run(events[: applied[0] + 1])).endswith("the log ends before the run did\n")


def test_a_round_that_changes_nothing_is_one_row(tmp_path: Path) -> None:
    (group,) = (row for row in rows_of(recorded(tmp_path)) if row.label == "wide-tidy")
    assert ["settle #1", "look #1", "#2"] == [row.label for row in group.rows]


def test_a_group_that_was_cut_short_says_so(tmp_path: Path) -> None:
    text = '[step.capture]\n[step.tidy]\nuntil-stable = ["broken"]\n'
    (group,) = (row for row in rows_of(recorded(tmp_path, text, BROKEN)) if row.label == "tidy")
    assert "cut short" == group.outcome


@pytest.mark.parametrize("width", [80, 200])
def test_every_step_of_the_plan_is_there(width: int, tmp_path: Path) -> None:
    text = shown(recorded(tmp_path), width)
    assert all(step in text for step in ("capture", "negate-twice", "drop-pair #1", "write", "look-around"))
