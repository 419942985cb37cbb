# SPDX-License-Identifier: Apache-2.0
"""Measure many entries in processes of their own, so that an abort in C++ or a hang costs one result and no more."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import multiprocessing.connection
import os
import time
from collections.abc import Callable, Iterable
from typing import Any

import attrs

PATIENCE = 120.0
"""Seconds that one entry, at one dtype and opset, may take."""

TASKS_PER_PROCESS = 400
"""After so many tasks a process is replaced: what PyTorch and the runtime keep does not pile up."""

STARTS = 3
"""How often a process is started before that it does not start is an error: a machine may be out of memory shortly."""


@attrs.frozen
class Task:
    """One entry at one dtype, by one exporter, at several opsets, with so many of its first samples."""

    exporter: str
    entry: str
    dtype: str
    opsets: tuple[int, ...]
    samples: int


@attrs.frozen
class Result:
    """What came of a task at one opset: the statuses of its calls, the first reason, and the operators captured."""

    exporter: str
    entry: str
    dtype: str
    opset: int
    passed: int = 0
    failed: int = 0
    unsupported: int = 0
    why: str = ""
    operators: tuple[str, ...] = ()

    @property
    def status(self) -> str:
        """Passed if all calls did; else failed before unsupported; "nothing" where there was no call to compare."""
        if self.failed:
            return "failed"
        if self.unsupported:
            return "unsupported"
        return "passed" if self.passed else "nothing"


def _worker(pipe: Any, exporters: str) -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import importlib

    import torch

    torch.set_num_threads(1)
    from operators.entries import calls
    from operators.measuring import measure

    module, _, attribute = exporters.partition(":")
    table = getattr(importlib.import_module(module), attribute)
    pipe.send("ready")
    while (task := pipe.recv()) is not None:
        exporter = table[task.exporter]
        prepared = calls(task.entry, task.dtype, task.samples)
        known: list[dict[bytes, Any]] = [{} for _ in prepared]
        for opset in task.opsets:
            operators: set[str] = set()
            counts: collections.Counter[str] = collections.Counter()
            reasons: list[str] = []
            for index, call in enumerate(prepared):
                outcome = measure(call, opset, exporter, known[index])
                counts[outcome.status] += 1
                if outcome.why:
                    reasons.append(f"[{index}] {outcome.why}")
                if hasattr(exporter, "operators"):
                    operators |= exporter.operators(call)
            pipe.send(
                Result(
                    task.exporter,
                    task.entry,
                    task.dtype,
                    opset,
                    **counts,
                    why=reasons[0] if reasons else "",
                    operators=tuple(sorted(operators)),
                )
            )
        pipe.send(None)


@attrs.define
class _Process:
    """A process at work on a task."""

    exporters: str
    task: Task | None = None
    left: list[int] = attrs.Factory(list)
    since: float = 0.0
    tasks: int = 0
    _process: Any = None
    pipe: Any = None

    def give(self, task: Task) -> None:
        if self._process is None or self.tasks >= TASKS_PER_PROCESS:
            self._start()
            self.tasks = 0
        self.tasks += 1
        self.task, self.left, self.since = task, list(task.opsets), time.monotonic()
        self.pipe.send(task)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        for _ in range(STARTS):
            self.end()
            self.pipe, theirs = context.Pipe()
            self._process = context.Process(target=_worker, args=(theirs, self.exporters), daemon=True)
            self._process.start()
            theirs.close()
            with contextlib.suppress(EOFError):
                self.pipe.recv()
                return
        self.end()
        raise RuntimeError(f"a process that measures did not start, {STARTS} times")

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self.pipe.close()
        self._process = self.pipe = None

    def lost(self, why: str) -> tuple[Result, Task | None]:
        """Say that the task died at the opset it was at, and what of it is left to do."""
        task, opset, *rest = self.task, *self.left
        assert task is not None
        self.end()
        self.task = None
        result = Result(task.exporter, task.entry, task.dtype, opset, failed=1, why=why)
        return result, attrs.evolve(task, opsets=tuple(rest)) if rest else None


def run_tasks(
    tasks: Iterable[Task],
    *,
    exporters: str = "operators.measuring:EXPORTERS",
    processes: int = 2,
    on_result: Callable[[Result], None],
) -> None:
    """Run tasks in processes; `exporters` names the table of exporters as ``module:attribute``."""
    queue = collections.deque(tasks)
    team = [_Process(exporters) for _ in range(processes)]
    try:
        while queue or any(member.task for member in team):
            for member in team:
                if member.task is None and queue:
                    member.give(queue.popleft())
            busy = {member.pipe: member for member in team if member.task}
            for pipe in multiprocessing.connection.wait(list(busy), timeout=1.0):
                member = busy.pop(pipe)
                try:
                    message = pipe.recv()
                except (EOFError, OSError):
                    message = "the process died"
                if message is None:
                    member.task = None
                elif isinstance(message, str):
                    if not member.left:
                        member.end()
                        member.task = None
                        continue
                    result, rest = member.lost(message)
                    on_result(result)
                    if rest:
                        queue.appendleft(rest)
                else:
                    member.left.remove(message.opset)
                    member.since = time.monotonic()
                    on_result(message)
            for member in busy.values():
                if time.monotonic() - member.since > PATIENCE and member.left:
                    result, rest = member.lost(f"took longer than {PATIENCE:.0f} s")
                    on_result(result)
                    if rest:
                        queue.appendleft(rest)
    finally:
        for member in team:
            member.end()
