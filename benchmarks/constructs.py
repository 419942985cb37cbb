# SPDX-License-Identifier: Apache-2.0
"""Runs lading and both exporters of PyTorch on the small models of `tests/constructs`, and writes the table.

    python benchmarks/constructs.py                      # all of it, into benchmarks/README.md
    python benchmarks/constructs.py --families loops --exporters lading torchscript --no-write

Each export is right (it runs in onnxruntime and agrees with PyTorch on every call of the model), wrong (it runs and
differs on one), or fails. A worker process does the exports of one exporter; where it dies, the next one goes on.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import inspect
import io
import json
import logging
import os
import queue
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# This file has the name of the folder of models, and would be taken for it.
sys.path[:] = [str(ROOT), str(ROOT / "tests"), *(path for path in sys.path if Path(path).resolve() != HERE)]

EXPORTERS = ("lading", "torchscript", "dynamo")
NEWEST_OF = {"torchscript": 20}
"""The newest opset that an exporter has, where that is not the newest of onnx: it is asked for that one."""

README = ROOT / "benchmarks" / "README.md"
BEGIN, END = "<!-- constructs: begin -->", "<!-- constructs: end -->"


# ---- one export ------------------------------------------------------------------------------------------------------


def outcome_of(exporter: str, one: Any, form: str, opset: int) -> tuple[str, str]:
    """Return right, wrong or fails, and why not right."""
    try:
        data = _EXPORT[exporter](one, form, min(opset, NEWEST_OF.get(exporter, opset)))
    except Exception as error:
        return "fails", f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:160]}"
    try:
        return _compared(data, one)
    except Exception as error:
        return "wrong", f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:160]}"


def _with_lading(one: Any, form: str, opset: int) -> bytes:
    import lading

    model, call = one.model(form), (*one.calls[0], {})
    exported = lading.export(model, call, opset_version=opset, dynamic_axes=dict(one.axes), verify=False)
    return exported.model_proto.SerializeToString()


def _module(one: Any, form: str) -> Any:
    import torch

    model = one.model(form)
    if isinstance(model, (torch.nn.Module, torch.jit.ScriptFunction)):
        return model

    class Wrapped(torch.nn.Module):
        def forward(self, *args: Any) -> Any:
            return model(*args)

    Wrapped.__name__ = one.name
    made = Wrapped()
    self_parameter = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    made.forward.__func__.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [self_parameter, *inspect.signature(model).parameters.values()]
    )
    return made


def _with_torch(one: Any, form: str, opset: int, dynamo: bool) -> bytes:
    import torch

    model = _module(one, form)
    call = one.calls[0]
    function = one.make() if not isinstance(one.make(), torch.nn.Module) else one.make().forward
    names = list(inspect.signature(function).parameters)[: len(call)]
    flat = all(isinstance(value, torch.Tensor) for value in call)
    options: dict[str, Any] = {"input_names": names} if flat else {}
    if flat and one.axes and dynamo:
        free = torch.export.Dim.DYNAMIC
        options["dynamic_shapes"] = tuple(dict.fromkeys(one.axes.get(name, ()), free) or None for name in names)
    elif flat:
        options["dynamic_axes"] = dict(one.axes) or None
    file = io.BytesIO()
    program = torch.onnx.export(
        model,
        (*call, {}) if not dynamo else call,
        None if dynamo else file,
        opset_version=opset,
        dynamo=dynamo,
        **options,
    )
    return program.model_proto.SerializeToString() if dynamo else file.getvalue()


_EXPORT = {
    "lading": _with_lading,
    "torchscript": lambda one, form, opset: _with_torch(one, form, opset, False),
    "dynamo": lambda one, form, opset: _with_torch(one, form, opset, True),
}


def _compared(data: bytes, one: Any) -> tuple[str, str]:
    import numpy as np
    import onnxruntime
    from constructs.test_constructs import flat_results, flat_tensors

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    for number, call in enumerate(one.calls):
        expected = flat_results(one, call)
        feeds = dict(zip(names, flat_tensors(call), strict=False))
        results = session.run(None, feeds)
        if len(expected) != len(results):
            return "wrong", f"{len(results)} outputs for {len(expected)}"
        for left, right in zip(expected, results, strict=True):
            if left.shape != np.shape(right):
                return "wrong", f"call {number}: shape {np.shape(right)} for {left.shape}"
            if not np.allclose(right, left, rtol=1e-4, atol=1e-5):
                return "wrong", f"call {number}: values differ"
    return "right", ""


# ---- workers ---------------------------------------------------------------------------------------------------------


def _cases(families: Sequence[str]) -> list[tuple[Any, str, int]]:
    from constructs import collect
    from constructs.registry import cases

    assert collect.LOADED
    return [case for case in cases() if not families or case[0].family in families]


def work(exporter: str, families: Sequence[str], start: int) -> None:
    """Do the exports of one exporter from a case on, and print one JSON line for each."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what exporters print from C++
    for index, (one, form, opset) in enumerate(_cases(families)):
        if index < start:
            continue
        began = time.perf_counter()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            outcome, why = outcome_of(exporter, one, form, opset)
        seconds = round(time.perf_counter() - began, 3)
        row = {"case": one.label, "family": one.family, "form": form, "opset": opset, "outcome": outcome}
        print(json.dumps({**row, "why": why, "seconds": seconds}), file=out, flush=True)


def results_of(exporter: str, families: Sequence[str], limit: float) -> Iterator[dict[str, Any]]:
    """Yield the results of one exporter; a case that kills or holds up its worker fails."""
    total = _cases(families)
    done = 0
    while done < len(total):
        command = [sys.executable, __file__, "--worker", exporter, "--start", str(done), "--families", *families]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as worker:
            assert worker.stdout is not None
            for line in _lines(worker, limit):
                yield {**json.loads(line), "exporter": exporter}
                done += 1
            worker.kill()
        if done < len(total):
            one, form, opset = total[done]
            row = {"case": one.label, "family": one.family, "form": form, "opset": opset, "exporter": exporter}
            yield {**row, "outcome": "fails", "why": "the process died or hung", "seconds": limit}
            done += 1


def _lines(worker: subprocess.Popen[str], limit: float) -> Iterator[str]:
    """Yield the lines of a worker until it ends or says nothing for too long."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert worker.stdout is not None
        for line in worker.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    with contextlib.suppress(queue.Empty):
        while (line := lines.get(timeout=limit)) is not None:
            yield line


# ---- the table -------------------------------------------------------------------------------------------------------


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Return the counts and the cases where a peer is right and lading is not, as Markdown."""
    exporters = [name for name in EXPORTERS if any(row["exporter"] == name for row in rows)]
    keys = sorted({(row["form"], row["opset"]) for row in rows})
    lines = ["| form | opset | cases | " + " | ".join(exporters) + " |", "|" + " --- |" * (3 + len(exporters))]
    for form, opset in keys:
        here = [row for row in rows if (row["form"], row["opset"]) == (form, opset)]
        cells = []
        for exporter in exporters:
            count = collections.Counter(row["outcome"] for row in here if row["exporter"] == exporter)
            cells.append(f"{count['right']} right, {count['wrong']} wrong, {count['fails']} fail")
        cases = len({row["case"] for row in here})
        lines.append(f"| {form} | {opset} | {cases} | " + " | ".join(cells) + " |")
    behind = _behind(rows)
    lines += ["", "Right in a peer and not in lading: " + (", ".join(behind) if behind else "none") + "."]
    return "\n".join(lines)


def _behind(rows: Sequence[dict[str, Any]]) -> list[str]:
    right = {(row["exporter"], row["case"], row["form"], row["opset"]) for row in rows if row["outcome"] == "right"}
    peers = {key[1:] for key in right if key[0] != "lading"}
    mine = {key[1:] for key in right if key[0] == "lading"}
    return sorted(f"{case} ({form}, opset {opset})" for case, form, opset in peers - mine)


def write(text: str) -> None:
    """Put the table into the README, between its marks or at the end."""
    readme = README.read_text(encoding="utf-8")
    if BEGIN not in readme:
        readme = f"{readme.rstrip()}\n\n{_INTRODUCTION}\n\n{BEGIN}\n\n{END}\n"
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    README.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")


_INTRODUCTION = """## Small models, construct by construct

`constructs.py` exports the models of `tests/constructs`, in eager and in scripted form, with lading (strategy auto) and
with `torch.onnx.export`, `dynamo=False` ("torchscript") and `dynamo=True` ("dynamo"). Right: the file runs in
onnxruntime and agrees with PyTorch on every call of the model, with other sizes and on other branches than the
example's. Wrong: it runs and does not agree, or does not run. Where an exporter ends before opset 28, the row shows its
newest one (torchscript: 20). Models that only TorchScript can express have no eager form."""


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="*", default=[], help="modules of tests/constructs; all by default")
    parser.add_argument("--exporters", nargs="*", default=list(EXPORTERS), choices=EXPORTERS)
    parser.add_argument("--limit", type=float, default=120.0, help="seconds that one export may take")
    parser.add_argument("--save", help="file for every single result, as JSON lines")
    parser.add_argument("--no-write", action="store_true", help="leave the README as it is")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.families, options.start)
        return
    rows = []
    for exporter in options.exporters:
        for row in results_of(exporter, options.families, options.limit):
            rows.append(row)
            if row["outcome"] != "right":
                print(f"{exporter:12} {row['case']} {row['form']} {row['opset']}: {row['outcome']}, {row['why']}")
    if options.save:
        Path(options.save).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = table(rows)
    print(text)
    if not options.no_write:
        write(text)


if __name__ == "__main__":
    main()
