# SPDX-License-Identifier: Apache-2.0
"""The runner: walks a plan, takes the difference that each step makes, and puts it on record."""

from __future__ import annotations

import contextlib
import datetime
import functools
import importlib.metadata
import inspect
import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import attrs

from .audit import SCHEMA, AuditLog, Sink
from .delta import delta
from .errors import InternalError, LadingError, UsageError
from .fingerprint import NOTHING, Survey
from .measure import Clock
from .note import Note
from .recipe import LATEST
from .registry import reference_of
from .surveyor import Surveyor
from .trail import Trail
from .work import Target, Work

if TYPE_CHECKING:
    import onnx_ir as ir

    from .plan import Edge, Plan, PlanNode
    from .resolve import ResolvedRecipe, ResolvedStep

DECLINES_SHOWN = 20
Level = Literal["nodes", "steps"]
"""How far a record goes: to each node, or only to each step."""

_PACKAGES = ("lading", "torch", "onnx", "onnx-ir", "onnxruntime", "numpy")


class Reproducer(Protocol):
    """Keeps the graph before each step, and writes it with the rest of the recipe once a step fails."""

    def keep(self, model: ir.Model | None) -> None:
        """Take a copy of the graph that the next step will work on; called only when the graph has changed."""

    def write(self, plan: Plan, node: PlanNode, error: BaseException) -> Path:
        """Write what is needed to see the failure of `node` again, and return the folder it is in."""


def target_of(resolved: ResolvedRecipe) -> Target:
    """The target of a recipe, with "latest" as the newest opset of the installed onnx.

    Raises:
        UsageError: the opset is newer than the installed onnx knows.
    """
    import onnx.defs

    newest = onnx.defs.onnx_opset_version()
    opset = newest if resolved.opset.value == LATEST else resolved.opset.value
    if opset > newest:
        raise UsageError(
            f"opset {opset} is newer than the installed onnx {onnx.__version__} knows",
            where=resolved.opset.where,
            hint=f'opset = {newest}, or "{LATEST}"',
        )
    return Target(opset, dict(resolved.custom_opsets.value))


def run_plan(
    plan: Plan,
    work: Work,
    sinks: Iterable[Sink] = (),
    *,
    model: Mapping[str, Any] | None = None,
    reproducer: Reproducer | None = None,
    level: Level = "nodes",
    start: str | None = None,
) -> list[dict[str, Any]]:
    """Run every step of `plan` on `work`, in place, and return the events, which also went to `sinks` one by one.

    `model` is what the caller says about the model to export, plain data, for the first event.  A group repeats until
    each of its steps has left the graph unchanged or its rounds are used up.  Nodes that a step created get its id in
    their origin.  At the level "nodes" the record follows each node from step to step (`pass.nodes`); at the level
    "steps" its size depends on the plan alone.  `start` is a member of the first group with which a replay begins.

    Raises:
        LadingError: as a pass raised it, with the id of the step in `.step`.
        InternalError: a pass raised anything else; chained from that, with the line of the pass.
        KeyboardInterrupt: and its like, after the events that say so.
    """
    trail = Trail(recording=level == "nodes")
    return _Run(plan, work, AuditLog(sinks), reproducer, trail, start).run(dict(model or {}))


@attrs.define
class _Run:
    plan: Plan
    work: Work
    log: AuditLog
    reproducer: Reproducer | None
    trail: Trail
    start: str | None = None
    before: Survey = NOTHING
    surveyor: Surveyor = attrs.field(factory=Surveyor)
    begun: Clock = attrs.field(factory=Clock.now)
    applied: int = 0
    unchanged: int = 0
    warned: int = 0

    def run(self, model: Mapping[str, Any]) -> list[dict[str, Any]]:
        self._look()
        self.trail.begin(self.before.nodes, self.work.model)
        self.log.emit("run.started", **_opening(self.plan, self.work, model))
        for skip in self.plan.skipped:
            self.log.emit(
                "pass.skipped",
                **{"step": skip.id, "pass": skip.pass_name, "spec": skip.spec, "reason": skip.why},
                **{"group": None, "round": None, "index": None},
            )
        step: ResolvedStep | None = None
        try:
            if self.reproducer is not None:
                self.reproducer.keep(self.work.model)
            for index, node in enumerate(self.plan.nodes, start=1):
                for step, place in self._visits(node, index):
                    self._step(step, node, place)
        except BaseException as error:
            # If the log itself is what cannot be written, what ended the run is still the error to show.
            with contextlib.suppress(UsageError):
                self._finish("failed" if isinstance(error, Exception) else "interrupted", step)
            raise
        if self.trail.recording and self.work.model is not None:
            self.log.emit("run.nodes", **self.trail.end(self.work.model))
        self._finish("done", None)
        return self.log.events

    def _visits(self, node: PlanNode, index: int) -> Iterable[tuple[ResolvedStep, dict[str, Any]]]:
        """Each run of a step of `node`, with its place; a group ends when all its steps agree with the graph."""
        if node.group is None:
            yield node.steps[0], {"group": None, "round": None, "index": index}
            return
        clock, first = Clock.now(self.begun), self.before.hash
        content: dict[str, str] = {}
        number, stable = 0, False
        while number < node.group.rounds and not stable:
            number += 1
            for step in self._members(node, number):
                # A step that left this very graph alone would do so again.
                if content.get(step.id) == self.before.hash:
                    continue
                found = self.before.hash
                yield step, {"group": node.id, "round": number, "index": index}
                if self.before.hash == found:
                    content[step.id] = found
            stable = all(content.get(step.id) == self.before.hash for step in node.steps)
        self.log.emit(
            "group.finished",
            group=node.id,
            index=index,
            rounds=number,
            stable=stable,
            graph=[first, self.before.hash],
            at_ms=clock.at_ms,
            **clock.passed(),
        )

    def _members(self, node: PlanNode, number: int) -> tuple[ResolvedStep, ...]:
        """The steps of a group that run in a round; a run that starts with one of them passes over those before it."""
        ids = [step.id for step in node.steps]
        return node.steps[ids.index(self.start) :] if number == 1 and self.start in ids else node.steps

    def _step(self, step: ResolvedStep, node: PlanNode, place: Mapping[str, Any]) -> None:
        head = {"step": step.id, "pass": step.declaration.name, "spec": step.spec, **place}
        clock, note, before = Clock.now(self.begun), Note(), self.before
        self.log.emit("pass.started", **head, at_ms=clock.at_ms)
        try:
            step.made.run(self.work, note)
            self._look()
        except BaseException as error:
            raised = _attributed(error, step)
            with contextlib.suppress(UsageError):
                self._failed(head, node, note, raised, before, clock)
            if raised is error:
                raise
            raise raised from error
        changed = before.hash != self.before.hash
        self.applied += changed
        self.unchanged += not changed
        event = "pass.applied" if changed else "pass.unchanged"
        self.log.emit(event, **head, **self._record(note, before), at_ms=clock.at_ms, **clock.passed())
        nodes = self.trail.step(step.id, self.before.nodes, self.work.model, note, changed=changed)
        if nodes is not None:
            self.log.emit("pass.nodes", **head, **nodes)
        if changed and self.reproducer is not None:
            self.reproducer.keep(self.work.model)

    def _look(self) -> None:
        self.before = self.surveyor.look(self.work.model)

    def _record(self, note: Note, before: Survey) -> dict[str, Any]:
        self.warned += len(note.warnings)
        declined: dict[str, dict[str, Any]] = {}
        for entry in note.declines:
            reason = declined.setdefault(entry.why, {"count": 0, "nodes": []})
            reason["count"] += 1
            if len(reason["nodes"]) < DECLINES_SHOWN:
                reason["nodes"].append(entry.node)
        return {
            "delta": delta(before, self.before),
            "counts": dict(sorted(note.counts.items())),
            "declined": declined,
            "decisions": [
                {"what": entry.what, "why": entry.why, "node": entry.node, "details": entry.details}
                for entry in note.decisions
            ],
            "warnings": [attrs.asdict(warning, recurse=False) for warning in note.warnings],
            "graph": [before.hash, self.before.hash],
        }

    def _failed(
        self, head: Mapping[str, Any], node: PlanNode, note: Note, error: BaseException, before: Survey, clock: Clock
    ) -> None:
        passed = clock.passed()
        place: Path | None = None
        problem: str | None = None
        try:
            self._look()
        except Exception as unreadable:
            # A pass that failed half-way may leave a graph that cannot be walked; its own error is the one to show.
            problem = f"the graph it left cannot be read: {unreadable}"
        if self.reproducer is not None and isinstance(error, Exception):
            try:
                place = self.reproducer.write(self.plan, node, error)
            except Exception as unwritten:
                problem = f"no reproducer: {type(unwritten).__name__}: {unwritten}"
        if problem is not None:
            note.warned(problem)
        self.log.emit(
            "pass.failed",
            **head,
            **self._record(note, before),
            error=_error_record(error),
            reproducer=None if place is None else _tidy_path(place),
            at_ms=clock.at_ms,
            **passed,
        )

    def _finish(self, status: str, failed: ResolvedStep | None) -> None:
        self.log.emit(
            "run.finished",
            status=status,
            failed_step=None if failed is None else failed.id,
            applied=self.applied,
            unchanged=self.unchanged,
            skipped=len(self.plan.skipped),
            warned=self.warned,
            nodes=len(self.before.nodes),
            final=self.before.hash,
            **self.begun.passed(),
        )


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that take part in an export, where installed; imports none."""
    return dict(_versions())


@functools.cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _opening(plan: Plan, work: Work, model: Mapping[str, Any]) -> dict[str, Any]:
    recipe = plan.recipe
    edges: dict[str, list[Edge]] = {node.id: [] for node in plan.nodes}
    for edge in plan.edges:
        edges[edge.then].append(edge)
    order = [
        {
            "step": step.id,
            "spec": step.spec,
            "group": node.id if node.group else None,
            "why": [edge.why for edge in edges[node.id]],
            "after": [edge.first for edge in edges[node.id]],
            "hard": [edge.hard for edge in edges[node.id]],
        }
        for node in plan.nodes
        for step in node.steps
    ]
    given = {key: setting for key, setting in recipe.sources().items() if setting.source != "default"}
    return {
        "schema": SCHEMA,
        "recipe": recipe.name,
        "recipe_hash": recipe.hash,
        "target": {"opset": work.target.opset, "custom_opsets": dict(work.target.custom_opsets)},
        "steps": len(plan.nodes),
        "model": model,
        "versions": versions(),
        "resolved": recipe.to_dict(),
        "sources": {key: {"source": setting.source, "where": setting.where} for key, setting in given.items()},
        "plan": order,
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def _attributed(error: BaseException, step: ResolvedStep) -> BaseException:
    """The error to raise for what came out of a pass: LadingErrors and interrupts as they are, with the step."""
    if isinstance(error, LadingError):
        error.step = error.step or step.id
        if error.where is None:
            error.where = f"step '{step.id}'"
        return error
    if not isinstance(error, Exception):
        return error
    pass_class = type(step.made)
    line = _line_in_pass(error, pass_class)
    where = f"step '{step.id}', {reference_of(pass_class)}" + (f", {line}" if line else "")
    wrapped = InternalError(
        f"pass '{step.declaration.name}' failed: {type(error).__name__}: {error}",
        where=where,
        hint=f"{step.id}.enabled = false runs without it, if no other step needs it",
    )
    wrapped.step = step.id
    # Set before the event and the reproducer are written, which tell the cause; `raise` would set it after them.
    wrapped.__cause__ = error
    return wrapped


def _line_in_pass(error: BaseException, pass_class: type) -> str | None:
    """The file and line at which the pass itself was when the error came up."""
    try:
        file = inspect.getsourcefile(pass_class)
    except TypeError:
        return None
    line: str | None = None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = f"{_tidy_path(Path(file))}:{trace.tb_lineno}"
        trace = trace.tb_next
    return line


def _tidy_path(path: Path) -> str:
    """A path without what names the machine: from the working directory, or its last two parts."""
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return "/".join(path.parts[-2:])


def _error_record(error: BaseException) -> dict[str, Any]:
    lading = error if isinstance(error, LadingError) else None
    cause = error.__cause__ or error.__context__
    return {
        "type": type(error).__name__,
        "message": lading.what if lading else str(error),
        "where": lading.where if lading else None,
        "hint": lading.hint if lading else None,
        "cause": None if cause is None else type(cause).__name__,
    }
