# SPDX-License-Identifier: Apache-2.0
"""Two runs side by side, and the limits that a build holds their difference to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lading.pipeline.errors import UsageError
from lading.pipeline.report.compare import FIGURES, SWITCHES, Limit, compare, comparison_text
from lading.pipeline.report.runs import Run
from support.recorded_runs import TEXT, recorded

MORE = TEXT.replace("nodes = 6", "nodes = 9")


def pair(folder: Path, text: str = MORE) -> tuple[Run, Run]:
    return recorded(folder), recorded(folder, text)


def changed(run: Run, event: str, **values: Any) -> Run:
    """The run with other values in one of its events."""
    return Run([{**entry, **values} if entry["event"] == event else entry for entry in run.events])


def test_a_run_is_equal_to_itself(tmp_path: Path) -> None:
    found = compare(*pair(tmp_path, TEXT))
    assert ({}, {}, [], {}, {}, True) == (
        *(found.recipe, found.versions, found.plan, found.operators, found.steps),
        found.same_graph,
    )


def test_values_of_the_recipe_that_differ(tmp_path: Path) -> None:
    assert {"capture.nodes": (6, 9)} == compare(*pair(tmp_path)).recipe


def test_values_of_the_recipe_are_written_as_a_recipe_has_them(tmp_path: Path) -> None:
    text = TEXT.replace("[step.negate-twice]\n", "[step.negate-twice]\nenabled = false\n")
    assert "  negate-twice.enabled  true -> false\n" in comparison_text(compare(*pair(tmp_path, text)))


def test_operators_whose_count_differs_in_the_end(tmp_path: Path) -> None:
    assert {"Abs": (3, 5), "Neg": (3, 4)} == compare(*pair(tmp_path)).operators


def test_steps_that_no_longer_run(tmp_path: Path) -> None:
    text = TEXT.replace("[step.negate-twice]\n", "[step.negate-twice]\nenabled = false\n")
    assert ["negate-twice no longer runs"] == compare(*pair(tmp_path, text)).plan


def test_an_order_that_differs(tmp_path: Path) -> None:
    one = recorded(tmp_path)
    other = changed(one, "run.started", plan=[one.opening["plan"][index] for index in (1, 0, 2, 3, 4, 5)])
    assert ["the order differs from negate-twice on"] == compare(one, other).plan


def test_versions_that_differ(tmp_path: Path) -> None:
    one = recorded(tmp_path)
    assert {"python": ("3.12.1", "3.13.0")} == compare(
        one, changed(one, "run.started", versions={"python": "3.13.0"})
    ).versions


def test_the_figures_of_both_runs(tmp_path: Path) -> None:
    figure = compare(*pair(tmp_path)).figure("node-count")
    assert (6, 9, 50.0) == (figure.before, figure.after, figure.growth)


HOLDS = ["node-count+50%", "node-count+3", "time+0", "op:Neg+1", "new-op", "lost-op", "plan", "warnings+0", "op:None+0"]
BROKEN = ["node-count+49%", "node-count+2", "op:Neg+0", "op:Abs+10%", "graph", "recipe"]


@pytest.mark.parametrize("text", HOLDS)
def test_a_limit_that_holds(text: str, tmp_path: Path) -> None:
    assert [] == Limit.parse(text).broken_by(compare(*pair(tmp_path)))


@pytest.mark.parametrize("text", BROKEN)
def test_a_limit_that_is_broken(text: str, tmp_path: Path) -> None:
    (said,) = Limit.parse(text).broken_by(compare(*pair(tmp_path)))
    assert said.startswith(f"{text}: ")


def test_an_operator_that_is_new(tmp_path: Path) -> None:
    text = TEXT.replace("[step.settle]\n", "[step.settle]\nenabled = false\n").replace('"settle", ', "")
    found = compare(*pair(tmp_path, text))
    assert ["new-op: Relu is new"] == Limit.parse("new-op").broken_by(found)
    assert ["lost-op: Abs is gone"] == Limit.parse("lost-op").broken_by(found)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("node-count", "states no limit"),
        ("node-count+", "states no limit"),
        ("node-count+-5", "states no limit"),
        ("node-cuont+5", "nothing is called 'node-cuont'"),
        ("new-op+5", "new-op takes no number"),
        ("", "nothing is called ''"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Limit.parse(text)


def test_a_figure_that_a_run_does_not_say_is_an_error_and_not_a_pass(tmp_path: Path) -> None:
    one = recorded(tmp_path)
    found = compare(one, changed(one, "run.finished", peak_mb=None))
    with pytest.raises(UsageError, match="the second run does not say its peak-memory"):
        Limit.parse("peak-memory+5%").broken_by(found)


def test_a_run_that_was_killed_has_no_figures_of_its_end(tmp_path: Path) -> None:
    one = recorded(tmp_path)
    with pytest.raises(UsageError, match="the second run does not say its time"):
        Limit.parse("time+5%").broken_by(compare(one, Run(one.events[:-1])))


@pytest.mark.parametrize("name", [*FIGURES, *SWITCHES])
def test_every_name_can_be_parsed(name: str) -> None:
    assert name == Limit.parse(name if name in SWITCHES else f"{name}+5%").name


def test_the_text_says_what_differs(tmp_path: Path) -> None:
    text = comparison_text(compare(*pair(tmp_path)))
    for line in ("node-count         6       9       +50.0 %", "  capture.nodes  6 -> 9", "the graphs differ"):
        assert line in text.splitlines()
