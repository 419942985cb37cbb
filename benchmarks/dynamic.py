# SPDX-License-Identifier: Apache-2.0
"""Exports models with every size free, by lading and both exporters of PyTorch, and compares at five other sizes.

    python benchmarks/dynamic.py                                   # all of it, into benchmarks/README.md
    python benchmarks/dynamic.py --models llama_step --exporters lading --no-write
    python benchmarks/dynamic.py --log results.jsonl --recording   # what recording costs, beside the results of a log

What comes of an export is one of these:

- right: the file agrees with eager at all sizes.
- limited: so at all sizes inside of the limits that the export states, and some sizes are outside of them.
- refused: there is no file, but an error.
- stops: at another size the runtime refuses the file, or the file has outputs of another kind.
- wrong: at another size the file gives other values or shapes than eager, without a word.

For lading there are seconds of processor time for recording too, with all sizes fixed and with all of them free:
medians over rounds, taking turns, after a first recording of either.
"""

from __future__ import annotations

import argparse
import collections
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
from measuring import ROOT, setting, write_section

EXPORTERS = ("lading", "dynamo", "torchscript")
PATIENCE = 300.0
"""Seconds of processor time for one export with its comparisons."""
HANGS = 3 * PATIENCE
"""Seconds by the clock after which an export is ended that waits and takes no processor time."""

ROUNDS = 3
LEAST = 0.1
"""Seconds of processor time that each round of recordings takes at least."""
RECORDING = "recording"
"""What the worker is called that measures recording alone."""

OUTCOMES = ("right", "limited", "refused", "stops", "wrong")


@attrs.frozen(kw_only=True)
class Result:
    """What came of one export: the outcome, why it is not right, and seconds of processor time for it."""

    exporter: str
    model: str
    outcome: str
    why: str = ""
    seconds: float = 0.0
    limits: tuple[str, ...] = ()
    record_static: float | None = None
    record_dynamic: float | None = None


# ---- one export ------------------------------------------------------------------------------------------------------


def _names(model: Any, call: Any) -> list[str]:
    """Return a name for each tensor of a call: the parameter's, and the path inside of it."""
    import inspect

    import torch
    from lading.passes.signature.structure import leaves

    args, kwargs = call
    parameters = inspect.signature(model.forward).parameters
    found: list[str] = []
    for place, value in enumerate(args):
        names = list(parameters)
        variadic = place >= len(names) or parameters[names[place]].kind is inspect.Parameter.VAR_POSITIONAL
        name = f"{names[-1]}.{place - len(names) + 1}" if variadic else names[place]
        found += [path for path, leaf in leaves(value, name) if isinstance(leaf, torch.Tensor)]
    for key, value in kwargs.items():
        found += [path for path, leaf in leaves(value, key) if isinstance(leaf, torch.Tensor)]
    return found


class _Flat:
    """A call as a module on its tensors alone, for exporters that take nothing else."""

    def __new__(cls, model: Any, call: Any) -> Any:
        import torch
        from lading.passes.signature.structure import leaves, replace_leaves

        class Flat(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.model = model

            def forward(self, *tensors: torch.Tensor) -> Any:
                given = iter(tensors)
                filled = replace_leaves(call, lambda leaf: next(given) if isinstance(leaf, torch.Tensor) else leaf)
                result = self.model(*filled[0], **filled[1])
                return tuple(leaf for _, leaf in leaves(result) if isinstance(leaf, torch.Tensor))

        return Flat().eval()


def _with_lading(one: Any, file: str) -> tuple[str, ...]:
    import lading

    model = one.build()
    args, kwargs = one.made(one.example)
    names = _names(model, (args, kwargs))
    axes = {name: found for name, found in zip(names, one.axes(), strict=True) if found}
    exported = lading.export(model, (*args, {}), file, kwargs=kwargs, dynamic_axes=axes, verify=False)
    _LIMITS[file] = exported.limits, axes
    return tuple(limit.words for limit in exported.limits)


def _with_dynamo(one: Any, file: str) -> tuple[str, ...]:
    import torch
    from dynamic_models.registry import tensors_of

    model = one.build()
    call = one.made(one.example)
    free = [dict.fromkeys(axes, torch.export.Dim.DYNAMIC) for axes in one.axes()]
    torch.onnx.export(
        _Flat(model, call),
        tuple(tensors_of(call)),
        file,
        dynamic_shapes=(tuple(free),),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return ()


def _with_torchscript(one: Any, file: str) -> tuple[str, ...]:
    import torch
    from dynamic_models.registry import tensors_of

    model = one.build()
    call = one.made(one.example)
    tensors = tensors_of(call)
    names = [f"input_{number}" for number in range(len(tensors))]
    axes = {name: found for name, found in zip(names, one.axes(), strict=True) if found}
    torch.onnx.export(
        _Flat(model, call), tuple(tensors), file, input_names=names, dynamic_axes=axes, opset_version=18, dynamo=False
    )
    return ()


_LIMITS: dict[str, tuple[Any, Any]] = {}
"""What lading stated for a file, and the axes by input."""

_EXPORT = {"lading": _with_lading, "dynamo": _with_dynamo, "torchscript": _with_torchscript}


def measure(exporter: str, name: str) -> Result:
    """Export one model with one exporter and compare the file at all sizes."""
    import torch
    from dynamic_models import MODELS

    one = MODELS[name]
    result = Result(exporter=exporter, model=name, outcome="right")
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "model.onnx")
        begun = time.process_time()
        try:
            limits = _EXPORT[exporter](one, file)
        except Exception as error:
            return attrs.evolve(result, outcome="refused", why=f"{type(error).__name__}: {_line(error)}")
        result = attrs.evolve(result, seconds=time.process_time() - begun, limits=limits)
        with torch.no_grad():
            outcome, why = _compared(one, file, exporter)
    return attrs.evolve(result, outcome=outcome, why=why)


def recording(name: str) -> tuple[float, float]:
    """Return the seconds of processor time that recording a model takes with all sizes fixed, and with all free."""
    from dynamic_models import MODELS
    from lading.passes.trace.record import record

    one = MODELS[name]
    fixed, free = (_arguments(one, axes) for axes in (False, True))
    times: tuple[list[float], list[float]] = [], []
    turns = 1
    for number in range(ROUNDS + 1):
        for arguments, taken in zip((fixed, free), times, strict=True):
            begun = time.process_time()
            for _ in range(turns):
                record(arguments)
            taken.append((time.process_time() - begun) / turns)
        if not number:
            # The clock of the processor has steps of some milliseconds.
            turns = max(1, math.ceil(LEAST / max(min(taken[0] for taken in times), 1e-3)))
    return statistics.median(times[0][1:]), statistics.median(times[1][1:])


def _arguments(one: Any, free: bool) -> Any:
    from lading.passes.normalize_arguments import NormalizeArguments
    from lading.passes.request import Request
    from lading.pipeline.facts import Fact
    from lading.pipeline.note import Note
    from lading.pipeline.work import Target, Work

    model = one.build()
    args, kwargs = one.made(one.example)
    names = _names(model, (args, kwargs))
    axes = {name: found for name, found in zip(names, one.axes(), strict=True) if found and free}
    work = Work(target=Target(opset=18), request=Request(model=model, args=(*args, {}), kwargs=kwargs))
    NormalizeArguments(dynamic_axes=axes).run(work, Note())
    return work.need(Fact.ARGUMENTS)


def _compared(one: Any, file: str, exporter: str) -> tuple[str, str]:
    import onnxruntime
    from dynamic_models.registry import tensors_of

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        return "stops", f"loading: {_line(error)}"
    inputs = [value.name for value in session.get_inputs()]
    outside = False
    for seed, sizes in enumerate((one.example, *one.others)):
        model = one.build()
        call = one.made(sizes, seed + 1)
        expected = [tensor.clone() for tensor in tensors_of(model(*call[0], **call[1]))]
        # Made anew: eager writes into its caches.
        call = one.made(sizes, seed + 1)
        tensors = tensors_of(call)
        if len(inputs) > len(tensors):
            return "stops", f"{len(inputs)} inputs where the call has {len(tensors)} tensors"
        names = _input_names(inputs, model, call, exporter)
        feeds = {name: tensors[place].numpy() for name, place in names.items()}
        at = ", ".join(f"{name} {size}" for name, size in sizes.items())
        if exporter == "lading" and not _inside(file, feeds):
            outside = True
            continue
        try:
            results = session.run(None, feeds)
        except Exception as error:
            return "stops", f"at {at}: {_line(error)}"
        problem = _difference(expected, results)
        if problem:
            return "wrong", f"at {at}: {problem}"
    return ("limited", "some sizes are outside of the stated limits") if outside else ("right", "")


def _input_names(inputs: Sequence[str], model: Any, call: Any, exporter: str) -> dict[str, int]:
    """Return which tensor of the call an input takes; inputs that an exporter drops are missing."""
    names = _names(model, call)
    if exporter == "lading":
        return {name: names.index(name) for name in inputs}
    if exporter == "torchscript":
        return {name: int(name.rpartition("_")[2]) for name in inputs}
    return {name: place for place, name in enumerate(inputs)}


def _inside(file: str, feeds: dict[str, Any]) -> bool:
    """Whether a call lies inside of the limits that lading has written into the file."""
    limits, axes = _LIMITS[file]
    sizes = {n: feeds[i].shape[a] for i, found in axes.items() if i in feeds for a, n in found.items()}
    return all(limit.holds(sizes) for limit in limits)


def _difference(expected: Sequence[Any], results: Sequence[Any]) -> str:
    import numpy as np
    import torch

    if len(expected) != len(results):
        return f"{len(results)} outputs for {len(expected)}"
    for number, (left, right) in enumerate(zip(expected, results, strict=True)):
        wanted = torch.view_as_real(left).numpy() if left.is_complex() else left.numpy()
        if wanted.shape != np.shape(right):
            return f"output {number} has shape {np.shape(right)} for {wanted.shape}"
        scale = float(np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)) if wanted.dtype.kind == "f" else 0.0
        if not np.allclose(right, wanted, rtol=1e-3, atol=1e-5 + 2e-4 * scale, equal_nan=True):
            return f"output {number}: values differ"
    return ""


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


# ---- workers ---------------------------------------------------------------------------------------------------------


def work(exporter: str) -> None:
    """Measure the models that are named on stdin, a JSON line for each on stdout."""
    import logging

    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    import torch
    import transformers

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    for line in sys.stdin:
        name = line.strip()
        signal.setitimer(signal.ITIMER_PROF, PATIENCE)
        signal.setitimer(signal.ITIMER_REAL, HANGS)
        result = _recorded(name) if exporter == RECORDING else measure(exporter, name)
        out.write(json.dumps(attrs.asdict(result)) + "\n")
        out.flush()


def _recorded(name: str) -> Result:
    result = Result(exporter=RECORDING, model=name, outcome="right")
    try:
        fixed, free = recording(name)
    except Exception as error:
        return attrs.evolve(result, outcome="refused", why=f"{type(error).__name__}: {_line(error)}")
    return attrs.evolve(result, record_static=fixed, record_dynamic=free)


def run(exporter: str, models: Sequence[str], done: Any) -> None:
    """Measure models in a process that is started again where it dies or takes too long."""
    process: Any = None
    for name in models:
        if process is None:
            process = subprocess.Popen(
                [sys.executable, __file__, "--work", exporter],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        process.stdin.write(name + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        if line:
            found = json.loads(line)
            done(Result(**{**found, "limits": tuple(found["limits"])}))
            continue
        ends = {
            -signal.SIGPROF: f"took longer than {PATIENCE:.0f} s of processor time",
            -signal.SIGALRM: f"took longer than {HANGS:.0f} s",
        }
        why = ends.get(process.wait(), "the process died")
        done(Result(exporter=exporter, model=name, outcome="refused", why=why))
        process = None
    if process is not None:
        process.stdin.close()
        process.wait()


# ---- the table -------------------------------------------------------------------------------------------------------


def table(results: Sequence[Result]) -> str:
    """Return the tables for the report: totals, by kind, and every model that is not right with lading."""
    from dynamic_models import MODELS

    exporters = [name for name in EXPORTERS if any(result.exporter == name for result in results)]
    by = {(result.exporter, result.model): result for result in results}
    models = [name for name in MODELS if any((exporter, name) in by for exporter in exporters)]
    lines = [setting(), "", "| exporter | " + " | ".join(OUTCOMES) + " | of |"]
    lines.append("| --- |" + " ---: |" * (len(OUTCOMES) + 1))
    for exporter in exporters:
        counts = collections.Counter(by[exporter, name].outcome for name in models if (exporter, name) in by)
        lines.append(f"| {exporter} | " + " | ".join(str(counts[o]) for o in OUTCOMES) + f" | {counts.total()} |")
    lines += ["", "| kind | models | " + " | ".join(f"right with {name}" for name in exporters) + " |"]
    lines.append("| --- | ---: |" + " ---: |" * len(exporters))
    for kind in sorted({MODELS[name].kind for name in models}):
        members = [name for name in models if MODELS[name].kind == kind]
        cells = []
        for exporter in exporters:
            found = [by[exporter, name].outcome == "right" for name in members if (exporter, name) in by]
            cells.append(str(sum(found)) if len(found) == len(members) else f"{sum(found)} of {len(found)}")
        lines.append(f"| {kind} | {len(members)} | " + " | ".join(cells) + " |")
    costs = {result.model: result for result in results if result.record_dynamic is not None}
    heads = [*exporters, *(["recording, fixed ms", "free ms", "ratio"] if costs else [])]
    lines += ["", f"| model | {' | '.join(heads)} |"]
    lines += ["| --- |" + " --- |" * len(exporters) + " ---: |" * (len(heads) - len(exporters))]
    for name in models:
        cells = [by[exporter, name].outcome if (exporter, name) in by else "not run" for exporter in exporters]
        lines.append(f"| {' | '.join([name, *cells, *(_cost(costs.get(name)) if costs else [])])} |")
    if costs:
        lines += ["", _costs([costs[name] for name in models if name in costs])]
    unright = [
        by["lading", name] for name in models if ("lading", name) in by and by["lading", name].outcome != "right"
    ]
    if unright:
        lines += ["", "Not right with lading:", ""]
        lines += [f"- {result.model}, {result.outcome}: {result.why}" for result in unright]
    return "\n".join(lines)


def _cost(result: Result | None) -> list[str]:
    if result is None or not result.record_static or result.record_dynamic is None:
        return [""] * 3
    fixed, free = result.record_static, result.record_dynamic
    return [f"{fixed * 1000:.0f}", f"{free * 1000:.0f}", f"{free / fixed:.2f}"]


def _costs(results: Sequence[Result]) -> str:
    results = [one for one in results if one.record_static and one.record_dynamic]
    ratios = [result.record_dynamic / result.record_static for result in results]  # type: ignore[operator]
    fixed, free = (sum(getattr(one, name) for one in results) for name in ("record_static", "record_dynamic"))
    return (
        f"Recording with free sizes over recording with fixed ones, CPU seconds after a first recording, {len(ratios)} "
        f"models: median {statistics.median(ratios):.2f}, geometric mean {statistics.geometric_mean(ratios):.2f}, "
        f"of the sums {free / fixed:.2f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--models", nargs="*", default=[], help="these alone")
    parser.add_argument("--kinds", nargs="*", default=[], help="those of these kinds alone")
    parser.add_argument("--exporters", nargs="*", default=list(EXPORTERS), choices=EXPORTERS)
    parser.add_argument("--log", type=Path, help="append results here as JSON lines, and skip those that are there")
    parser.add_argument("--recording", action="store_true", help="measure what recording costs, and nothing else")
    parser.add_argument("--no-write", action="store_true", help="print the table, and leave the report alone")
    given = parser.parse_args()
    if given.work:
        work(given.work)
        return
    from dynamic_models import MODELS

    names = [name for name, one in MODELS.items() if not given.models or name in given.models]
    names = [name for name in names if not given.kinds or MODELS[name].kind in given.kinds]
    results = []
    if given.log and given.log.is_file():
        lines = [json.loads(line) for line in given.log.read_text(encoding="utf-8").splitlines()]
        results = [Result(**{**line, "limits": tuple(line["limits"])}) for line in lines]

    def done(result: Result) -> None:
        results.append(result)
        print(
            f"{result.exporter:12} {result.model:28} {result.outcome:8} {result.seconds:6.2f} {result.why[:150]}",
            flush=True,
        )
        if given.log:
            with given.log.open("a", encoding="utf-8") as log:
                log.write(json.dumps(attrs.asdict(result)) + "\n")

    for exporter in (RECORDING,) if given.recording else (*given.exporters, RECORDING):
        if exporter == RECORDING and "lading" not in given.exporters:
            continue
        known = {result.model for result in results if result.exporter == exporter}
        run(exporter, [name for name in names if name not in known], done)
    text = table(results)
    if given.no_write:
        print(text)
    else:
        write_section("dynamic", text)


if __name__ == "__main__":
    sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]
    main()
