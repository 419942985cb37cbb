# SPDX-License-Identifier: Apache-2.0
"""Runs of fake passes as a log has them, with the volatile values fixed."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lading.pipeline.errors import InternalError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.origin import Origin, set_origin
from lading.pipeline.report.runs import Run
from lading.pipeline.run import run_plan
from lading.pipeline.work import Target, Work
from support.fake_passes import STANDARD, chain_model, fake, plan_of, registry_of

TEXT = (
    "[step.capture]\nnodes = 6\n[step.negate-twice]\n"
    '[step.tidy]\nuntil-stable = ["drop-pair"]\nrounds = 3\n'
    '[step.wide-tidy]\nuntil-stable = ["settle", "look"]\nrounds = 4\n[step.settle]\n[step.look]\n'
    "[step.look-around]\nenabled = false\n[step.write]\n"
)


def settle(self: Any, work: Work, note: Note) -> None:
    """Edit once, so that a second round has nothing to do."""
    for node in work.need_model().graph:
        if node.op_type == "Relu":
            node.op_type = "Abs"
    note.declined(work.need_model().graph[0], "already settled")


FURTHER = (
    fake("settle", settle, requires=(Fact.ONNX,), after=("drop-pair",)),
    fake("look", requires=(Fact.ONNX,), after=("settle",)),
)


def recorded(
    folder: Path, text: str = TEXT, *more: Any, model: dict[str, Any] | None = None, level: Any = "nodes"
) -> Run:
    """The run of a recipe of fake passes, also where it fails."""
    events: list[Any] = []
    plan = plan_of(folder, text, registry_of(*STANDARD, *FURTHER, *more))
    with contextlib.suppress(InternalError):
        run_plan(plan, Work(target=Target(18)), [events.append], model=model or {"class": "Chain"}, level=level)
    return Run([steady(event) for event in events])


def steady(event: dict[str, Any]) -> dict[str, Any]:
    """An event with the same times and versions in every process."""
    fixed: dict[str, Any] = {"ms": 1.5, "cpu_ms": 1.5, "at_ms": 1.5, "peak_mb": 64.0, "versions": {"python": "3.12.1"}}
    return {**event, **{key: value for key, value in fixed.items() if key in event}}


def lowered(folder: Path, *passes: Any, text: str | None = None, level: Any = "nodes") -> Run:
    """The run of a capture with origins (`aten::linear #1`, `aten::relu #2` of module `encoder.0`) and of `passes`."""

    def capture(self: Any, work: Work, note: Note) -> None:
        work.model = chain_model(2, ("linear", "relu"))
        for node in work.model.graph:
            node.domain = "aten"
            set_origin(node, Origin("encoder.0", "Block", "model.py:7"))

    first = fake("trace", capture, provides=(Fact.ONNX,))
    steps = text or "".join(f"[step.{step.declaration.name}]\n" for step in (first, *passes))
    return recorded(folder, steps, first, *passes, level=level)


def editing(name: str, edit: Callable[[Any, Note], Any], *after: str) -> Any:
    """A pass that does `edit` to the graph."""

    def run(self: Any, work: Work, note: Note) -> None:
        edit(work.need_model().graph, note)

    return fake(name, run, requires=(Fact.ONNX,), after=after)
