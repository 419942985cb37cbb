# SPDX-License-Identifier: Apache-2.0
"""Many exports: models, recipes and opsets of a file, in processes of this machine or on a Dask cluster."""

from __future__ import annotations

import fnmatch
import json
import os
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import attrs

from ..pipeline.errors import UsageError
from .file import Batch, Job, load_batch
from .job import Result
from .local import run_here

__all__ = ["Batch", "Job", "Result", "Summary", "run_batch"]

PAGE, TABLE = "index.html", "batch.json"


@attrs.frozen(kw_only=True)
class Summary:
    """What a batch came to.

    Attributes:
        batch: the file of exports.
        results: what each job came to, in the order of the file.
        page: the page that was written.
    """

    batch: Batch
    results: tuple[Result, ...]
    page: Path

    @property
    def exit_code(self) -> int:
        """0 where every job has its file, else that of the first that failed."""
        return next((result.exit_code for result in self.results if result.status == "failed"), 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"output": str(self.batch.output), "exports": [result.to_dict() for result in self.results]}


def run_batch(
    file: str | os.PathLike[str],
    *,
    scheduler: str | None = None,
    workers: int | None = None,
    only: str | None = None,
    again: bool = False,
    on_begin: Callable[[Batch], None] | None = None,
    tell: Callable[[Mapping[str, Any]], None] | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> Summary:
    """Run the exports of a file; what is exported already, from the same, is left as it is.

    A job that fails never stops the others. Each writes its record when its file is complete, so that a batch that is
    interrupted goes on where it ended when it is run again.

    Args:
        file: the file of exports, TOML.
        scheduler: the address of a Dask scheduler, whose workers do the jobs; None for processes of this machine.
        workers: how many processes; by default one for each job, up to one for each processor.
        only: a pattern that names of jobs have to match: "resnet/*".
        again: whether jobs are done although nothing has changed.
        on_begin: gets the batch, with the jobs that are left by `only`.
        tell: gets what happens in jobs as it happens, perhaps in another thread.
        on_result: gets what each job came to, as it ends.

    Returns:
        What each job came to.

    Raises:
        RecipeError: the file does not make sense; file, line and key are in the message.
        UsageError: no job matches, or the cluster does not answer.
    """
    batch = load_batch(Path(file))
    jobs = [job for job in batch.jobs if only is None or fnmatch.fnmatchcase(job.name, only)]
    if not jobs:
        names = ", ".join(job.name for job in batch.jobs)
        raise UsageError(f"no export matches '{only}'", where=batch.file, hint=f"one of: {names}")
    processors = os.cpu_count() or 1
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} processes cannot do anything", hint="1 or more")
    team = min(len(jobs), workers or processors)
    threads = 0 if scheduler is not None else max(1, processors // team)
    jobs = [attrs.evolve(job, threads=threads, again=again) for job in jobs]
    batch = attrs.evolve(batch, jobs=tuple(jobs))
    if on_begin is not None:
        on_begin(batch)
    found: dict[str, Result] = {}
    say = tell or _nothing
    running = run_here(jobs, team, say) if scheduler is None else _on_cluster(jobs, scheduler, say)
    try:
        for result in running:
            found[result.job] = result
            if on_result is not None:
                on_result(result)
    finally:
        # Ends the processes, or cancels what has not ended, also where the caller is interrupted.
        running.close()
        summary = _written(batch, [found[job.name] for job in jobs if job.name in found])
    return summary


def _nothing(said: Mapping[str, Any]) -> None:
    pass


def _on_cluster(
    jobs: list[Job], scheduler: str, tell: Callable[[Mapping[str, Any]], None]
) -> Generator[Result, None, None]:
    from .cluster import run_on_cluster

    return run_on_cluster(jobs, scheduler, tell)


def _written(batch: Batch, results: list[Result]) -> Summary:
    """Write the page and the table of a batch into its folder."""
    from ..whole_text import write_whole
    from .summary import summary_page

    summary = Summary(batch=batch, results=tuple(results), page=batch.output / PAGE)
    batch.output.mkdir(parents=True, exist_ok=True)
    title = f"Exports of {Path(batch.file).name}"
    write_whole(summary.page, summary_page(title, results, batch.output))
    write_whole(batch.output / TABLE, json.dumps(summary.to_dict(), indent=2) + "\n")
    return summary
