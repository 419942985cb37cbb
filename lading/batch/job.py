# SPDX-License-Identifier: Apache-2.0
"""One export of a batch, done in whatever process is told to, and its record beside the file."""

from __future__ import annotations

import contextlib
import json
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from ..pipeline.errors import InternalError, LadingError
from .file import Job

FORMAT = 2
Status = Literal["exported", "unchanged", "failed"]
Tell = Callable[[Mapping[str, Any]], None]
"""Gets what happens while a job runs: {"job", "step", "index", "steps"}."""


@attrs.frozen(kw_only=True)
class Result:
    """What a job came to.

    Attributes:
        job: its name.
        status: exported, unchanged (it was there already), or failed.
        file: the file.
        seconds: how long it took, loading the model included.
        key: the hash of what it is made from; None where the model could not be loaded.
        digest: the hash of the file, with its external data.
        facts: nodes, bytes, opset, verification and the like of the file.
        error: what went wrong, or None.
        code: the code of the error.
        exit_code: what ``lading export`` would leave with.
        reproducer: the folder that replays the failure, or None.
    """

    job: str
    status: Status
    file: str
    seconds: float
    key: str | None = None
    digest: str | None = None
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    error: str | None = None
    code: str | None = None
    exit_code: int = 0
    reproducer: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return attrs.asdict(self)


def counted(statuses: Iterable[str], order: Sequence[str] = ("exported", "unchanged", "failed")) -> str:
    """Return how many there are of each status that is there: "3 exported, 1 failed"."""
    counts = Counter(statuses)
    return ", ".join(f"{counts[status]} {status}" for status in order if counts[status])


def failed(job: Job, error: str, *, code: str = "internal", exit_code: int = 5, seconds: float = 0.0) -> Result:
    """A job that failed outside of lading's own errors."""
    return Result(
        job=job.name, status="failed", file=job.file, seconds=seconds, error=error, code=code, exit_code=exit_code
    )


def run_job(job: Job, tell: Tell | None = None) -> Result:
    """Export, unless the file that is there is made from the same; whatever goes wrong is in the result.

    The record is written when the file is complete, so that a job that is interrupted at any moment is done again.
    """
    begun = time.perf_counter()
    try:
        return _run(job, tell, begun)
    except LadingError as error:
        return Result(
            job=job.name,
            status="failed",
            file=job.file,
            seconds=time.perf_counter() - begun,
            error=str(error),
            code=error.code,
            exit_code=error.exit_code,
            reproducer=_reproducer(job),
        )
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        what = f"{type(error).__name__}: {error}\n  at: {Path(line.filename).name}:{line.lineno}"
        return failed(job, what, exit_code=InternalError.exit_code, seconds=time.perf_counter() - begun)


def _run(job: Job, tell: Tell | None, begun: float) -> Result:
    from ..exporting import planned, run_export
    from ..input_specs import named_call, parse_input
    from ..model_reference import load_model
    from ..passes.request import Request
    from ..pipeline.recipe import load_recipe
    from ..whole_text import write_whole
    from .contents import content_key
    from .own_code import code_of
    from .stamp import stamp_of, stands

    clock = time.time()
    overrides: dict[str, Any] = {"verify.enabled": job.verify}
    if job.opset is not None:
        overrides["target.opset"] = job.opset
    if job.weights is not None:
        overrides["attach-weights.checkpoint"] = job.weights
    asked = planned(load_recipe(job.recipe), overrides, settings=job.settings).recipe
    known = None if job.again else recorded(job)
    if known is not None and stands(known.stamp, job, asked):
        return attrs.evolve(known.result, status="unchanged", seconds=time.perf_counter() - begun)
    named = load_model(job.model)
    import torch

    if job.threads:
        torch.set_num_threads(job.threads)
    specs = [parse_input(text) for text in job.inputs]
    call = named_call(named, specs)
    plan = planned(load_recipe(job.recipe), {**call.overrides(), **overrides}, settings=job.settings)
    code = code_of(named, plan.recipe)
    key = content_key(job, named, call, plan.recipe, code)
    stamp = stamp_of(job, asked, code, clock)
    log, record = job.beside(".audit.jsonl"), job.beside(".record.json")
    if known is not None and known.result.key == key:
        # What it is made from is told by other files now.
        write_whole(record, Record(known.result, stamp).to_text())
        return attrs.evolve(known.result, status="unchanged", seconds=time.perf_counter() - begun)
    Path(job.file).parent.mkdir(parents=True, exist_ok=True)
    for old in (record, log):
        old.unlink(missing_ok=True)
    _drop_reproducer(job)
    steps = 0

    def told(event: Mapping[str, Any]) -> None:
        nonlocal steps
        if event["event"] == "run.started":
            steps = event["steps"]
        elif event["event"] == "pass.started" and tell is not None:
            tell({"job": job.name, "step": event["step"], "index": event["index"], "steps": steps})

    exported = run_export(
        plan,
        # A trailing dict of the model's own would be read as keyword arguments.
        Request(model=named.model, args=(*call.args, {}), kwargs=call.kwargs, file=job.file, reload=named.factory),
        log=log,
        reproducer=job.beside(".failed"),
        on_event=told,
    )
    told_of = exported.to_dict()
    facts = {name: told_of[name] for name in ("nodes", "bytes", "opset", "recipe_hash", "warnings")}
    facts["verification"] = None if exported.verification is None else exported.verification.summary()
    result = Result(
        job=job.name,
        status="exported",
        file=job.file,
        seconds=time.perf_counter() - begun,
        key=key,
        digest=_digest(job.file),
        facts=facts,
    )
    write_whole(record, Record(result, stamp).to_text())
    return result


@attrs.frozen
class Record:
    """What stands beside an exported file.

    Attributes:
        result: what the job that wrote it came to.
        stamp: what tells, without making the model, whether the file is still that of its model; None for nothing.
    """

    result: Result
    stamp: Any

    def to_text(self) -> str:
        """Return it as JSON."""
        return json.dumps({"format": FORMAT, **self.result.to_dict(), "stamp": self.stamp}, indent=2)


def recorded(job: Job) -> Record | None:
    """What an earlier run says of the file that is there; None unless the file is still the same."""
    try:
        said = json.loads(job.beside(".record.json").read_text(encoding="utf-8"))
        if said.pop("format") != FORMAT or said["digest"] != _digest(job.file):
            return None
        stamp = said.pop("stamp")
        return Record(Result(**{**said, "job": job.name, "file": job.file}), stamp)
    except (OSError, ValueError, KeyError, TypeError, LadingError):
        # No record, half of one, or one of another lading, or a file that cannot be read: the export is done again.
        return None


def _digest(file: str) -> str:
    """The hash of a file with the data files that it names."""
    from lading.passes.files.external_data import read_model, tensors_of

    from .contents import file_digest

    whole = [file_digest(Path(file))]
    model = read_model(file)
    names = {entry.value for tensor in tensors_of(model) for entry in tensor.external_data if entry.key == "location"}
    whole += [file_digest(Path(file).parent / name) for name in sorted(names)]
    return "-".join(whole)


def _reproducer(job: Job) -> str | None:
    found = sorted(job.beside(".failed").glob("*/failure.json"))
    return str(found[0].parent) if found else None


def _drop_reproducer(job: Job) -> None:
    import shutil

    folder = job.beside(".failed")
    with contextlib.suppress(OSError):
        if any(folder.glob("*/failure.json")):
            shutil.rmtree(folder)
