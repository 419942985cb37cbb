# SPDX-License-Identifier: Apache-2.0
"""Jobs in processes of this machine, each of which does one job after another."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from multiprocessing import connection
from typing import Any

import attrs

from .file import Job
from .job import Result, failed, run_job

ATTEMPTS = 2
"""How often a job is begun whose process ends in the middle: once more, for it may have been another's fault."""

_context = multiprocessing.get_context("spawn")


@attrs.define(eq=False)
class _Worker:
    """A process, our end of the pipe to it, and what it is doing."""

    process: Any
    pipe: Any
    job: Job | None = None
    begun: float = 0.0

    @classmethod
    def start(cls) -> _Worker:
        ours, theirs = _context.Pipe()
        # Not daemonic: a model may start processes of its own.
        process = _context.Process(target=_work, args=(theirs,), name="lading-batch")
        with _interrupts_held():
            process.start()
        theirs.close()
        return cls(process, ours)

    def give(self, job: Job) -> None:
        self.job, self.begun = job, time.perf_counter()
        self.pipe.send(job)

    def stop(self) -> None:
        self.pipe.close()
        if self.job is not None:
            self.process.terminate()
        self.process.join(10)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C from processes that start here, from their first moment on: it is for us, who end them."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    # Started with the first process otherwise, and lets interrupts through when it has.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run_here(
    jobs: Sequence[Job], workers: int, tell: Callable[[Mapping[str, Any]], None]
) -> Generator[Result, None, None]:
    """Run jobs in processes, and yield what each comes to as it ends.

    A process that ends in the middle of a job, whatever killed it, is replaced, and the job is begun once more; then it
    has failed. Leaving the iteration ends the processes.

    Args:
        jobs: the jobs.
        workers: how many processes there are.
        tell: gets what happens: {"job", "begun"}, {"job", "step", "index", "steps"}.
    """
    waiting = deque(jobs)
    attempts: dict[str, int] = {}
    team: list[_Worker] = []
    try:
        while waiting or any(worker.job is not None for worker in team):
            idle = [worker for worker in team if worker.job is None]
            while waiting and (idle or len(team) < workers):
                worker = idle.pop() if idle else _Worker.start()
                if worker not in team:
                    team.append(worker)
                job = waiting.popleft()
                attempts[job.name] = attempts.get(job.name, 0) + 1
                tell({"job": job.name, "begun": True})
                worker.give(job)
            ready = connection.wait([worker.pipe for worker in team if worker.job is not None], timeout=1.0)
            for worker in [worker for worker in team if worker.pipe in ready]:
                try:
                    said = worker.pipe.recv()
                except (EOFError, OSError):
                    lost = worker.job
                    worker.job = None
                    team.remove(worker)
                    worker.stop()
                    assert lost is not None
                    if attempts[lost.name] < ATTEMPTS:
                        waiting.append(lost)
                        tell({"job": lost.name, "again": _ended(worker.process.exitcode)})
                    else:
                        seconds = time.perf_counter() - worker.begun
                        yield failed(lost, f"its process {_ended(worker.process.exitcode)}", seconds=seconds)
                    continue
                if isinstance(said, Result):
                    worker.job = None
                    yield said
                else:
                    tell(said)
    finally:
        for worker in team:
            worker.stop()


def _ended(code: int | None) -> str:
    if code is not None and code < 0:
        return f"was ended by signal {-code}" + (" (out of memory?)" if code == -9 else "")
    return f"ended with {code} in the middle of the job"


def _work(pipe: Any) -> None:
    """Do jobs until the other end is closed."""
    # The terminal's interrupt goes to every process of the group; the parent says when to stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(os.devnull, "w") as nothing:
        # What a model prints would run through the board.
        os.dup2(nothing.fileno(), 1)
        while True:
            try:
                job = pipe.recv()
            except (EOFError, OSError):
                return
            pipe.send(run_job(job, pipe.send))
