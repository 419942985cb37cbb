# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lading.pipeline import render
from lading.pipeline.errors import InternalError
from lading.pipeline.plan import Plan
from lading.pipeline.recipe import load_recipe
from lading.pipeline.report.lines import event_line
from lading.pipeline.run import run_plan
from lading.pipeline.work import Target, Work
from support.fake_passes import STANDARD, Capture, plan_of, registry_of, resolved_of

GOLDEN = Path(__file__).parent / "golden"
TEXT = (
    "[step.capture]\nnodes = 6\n[step.negate-twice]\n"
    '[step.tidy]\nuntil-stable = ["drop-pair"]\nrounds = 2\n'
    "[step.look-around]\nenabled = false\n[step.write]\n"
)


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    return plan_of(tmp_path, TEXT, registry_of(*STANDARD))


def events_of(plan: Plan) -> list[Any]:
    events: list[Any] = []
    with contextlib.suppress(InternalError):
        run_plan(plan, Work(target=Target(18)), [events.append])
    for event in events:
        event.update({key: 1.5 for key in ("ms", "cpu_ms", "at_ms", "peak_mb") if key in event})
    return events


def test_a_plan_as_text(plan: Plan, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / "render-plan.txt", render.plan_text(plan))


def test_a_plan_as_mermaid(plan: Plan, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / "render-plan.mmd", render.plan_mermaid(plan))


def test_a_plan_as_data_goes_through_json(plan: Plan, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / "render-plan.json", json.dumps(render.plan_data(plan), indent=2) + "\n")


def test_events_as_lines(plan: Plan, golden: Callable[[Path, str], None]) -> None:
    lines = [line for event in events_of(plan) if (line := event_line(event)) is not None]
    golden(GOLDEN / "render-lines.txt", "\n".join(lines) + "\n")


def test_a_pass_as_text(golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / "render-pass.txt", render.pass_text(Capture))


def test_a_recipe_as_text_says_where_values_come_from(tmp_path: Path) -> None:
    resolved = resolved_of(tmp_path, TEXT, registry_of(*STANDARD), settings=["negate-twice.times=3"])
    assert "times = 3  # override: --set negate-twice.times=3" in render.recipe_text(resolved).splitlines()


def test_a_recipe_as_text_can_be_loaded(tmp_path: Path) -> None:
    registry = registry_of(*STANDARD)
    resolved = resolved_of(tmp_path, TEXT, registry)
    path = tmp_path / "again.toml"
    path.write_text(render.recipe_text(resolved))
    from lading.pipeline.resolve import resolve

    assert resolved.hash == resolve(load_recipe(path), registry).hash


def test_text_is_ascii(plan: Plan) -> None:
    text = render.plan_text(plan) + render.plan_mermaid(plan)
    assert text.isascii()
