# SPDX-License-Identifier: Apache-2.0
"""Runs lading and both exporters of PyTorch on the small models of `tests/constructs`, and writes the table.

    python benchmarks/constructs.py --write                       # all of it, into benchmarks/README.md
    python benchmarks/constructs.py --families loops --exporters lading torchscript
    python benchmarks/constructs.py --results all.jsonl --write   # what the file has already is not run again

Each export is right (it runs in onnxruntime and agrees with PyTorch on every call of the model), wrong (it runs and
differs on one, or does not run), or fails. One process does the exports of an exporter, one after the other; where it
dies or says nothing for too long, another one goes on with the next.
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
import selectors
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import measuring

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
# This file has the name of the folder of models, and would be taken for it.
sys.path[:] = [str(ROOT), str(ROOT / "tests"), *(path for path in sys.path if Path(path).resolve() != HERE)]

EXPORTERS = ("lading", "torchscript", "dynamo")
NEWEST_OF = {"torchscript": 20, "dynamo": 23}
"""The newest opset that an exporter has, where that is not the newest of onnx: it is asked for that one."""

FORMS_OF = {
    "lading": ("eager", "script", "traced", "frozen", "optimized", "program"),
    "torchscript": ("eager", "script", "traced", "frozen", "optimized"),
    "dynamo": ("eager", "program", "script"),
}
"""The forms of a model that an exporter is given. dynamo refuses whatever is TorchScript: one
such form is enough for it."""

OPSETS_OF = {"dynamo": 1}
"""At how many opsets an exporter is run, counted from the newest, where not at all of them: dynamo writes older
ones with the version converter of onnx, whatever the model is."""

Case = tuple[str, str, int]
"""The label of a model, the form and the opset."""


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
    from constructs.test_constructs import lowerings_of

    import lading

    args, kwargs = one.arguments()
    axes: dict[str, Any] = {} if form == "program" else {"dynamic_axes": dict(one.axes), "dynamic_shapes": one.shapes}
    with lowerings_of(one):
        exported = lading.export(one.model(form), (*args, kwargs), opset_version=opset, verify=False, **axes)
    return exported.model_proto.SerializeToString()


def _with_torchscript(one: Any, form: str, opset: int) -> bytes:
    import torch

    args, kwargs = one.arguments()
    names, axes = zip(*_inputs(one), strict=True) if _inputs(one) else ((), ())
    file = io.BytesIO()
    torch.onnx.export(
        _module(one, form),
        (*args, kwargs),
        file,
        opset_version=opset,
        dynamo=False,
        input_names=list(names),
        dynamic_axes={name: dict(free) for name, free in zip(names, axes, strict=True) if free} or None,
    )
    return file.getvalue()


def _with_dynamo(one: Any, form: str, opset: int) -> bytes:
    import torch

    args, kwargs = one.arguments()
    shapes = None if form == "program" else one.shapes or _free_shapes(one)
    program = torch.onnx.export(
        _module(one, form), args, kwargs=kwargs, opset_version=opset, dynamo=True, dynamic_shapes=shapes
    )
    return program.model_proto.SerializeToString()


_EXPORT = {"lading": _with_lading, "torchscript": _with_torchscript, "dynamo": _with_dynamo}


def _module(one: Any, form: str) -> Any:
    """Return the model in a form, a function as the module that both exporters of PyTorch want."""
    import torch

    model = one.model(form)
    if not inspect.isfunction(model):
        return model
    return type(one.name, (torch.nn.Module,), {"forward": staticmethod(model)})()


def _bound(one: Any) -> dict[str, Any]:
    """Return the arguments of the example by parameter."""
    made = one.make()
    args, kwargs = one.arguments()
    return inspect.signature(getattr(made, "forward", made)).bind(*args, **kwargs).arguments


def _inputs(one: Any) -> list[tuple[str, dict[int, str]]]:
    """Return the names of the tensors of the example, each with its dynamic axes."""
    import torch
    from lading.passes.signature.structure import leaves

    said = [path.split(".") for path, _ in leaves(_by_name(one, one.shapes))] if one.shapes else []
    shapes = {".".join(path[:end]) for path in said for end in range(len(path) + 1)}
    found = []
    for name, leaf in leaves(_bound(one)):
        if isinstance(leaf, torch.Tensor):
            free = one.axes.get(name, {})
            axes = dict(free) if isinstance(free, dict) else {axis: f"{name}_{axis}" for axis in free}
            axes |= {axis: f"{name}_{axis}" for axis in range(leaf.dim()) if f"{name}.{axis}" in shapes}
            found.append((name, axes))
    return found


def _by_name(one: Any, shapes: Any) -> Any:
    return shapes if isinstance(shapes, dict) else dict(zip(_bound(one), shapes, strict=False))


def _free_shapes(one: Any) -> Any:
    """Return the dynamic axes of a model nested as its arguments are, None where there are none."""
    from lading.passes.signature.structure import leaves, replace_leaves
    from torch.export import Dim

    if not one.axes:
        return None
    bound = _bound(one)
    names = iter([name for name, _ in leaves(bound)])
    return replace_leaves(bound, lambda _: dict.fromkeys(one.axes.get(next(names), ()), Dim.DYNAMIC) or None)


def _compared(data: bytes, one: Any) -> tuple[str, str]:
    import numpy as np
    import onnxruntime
    from constructs.test_constructs import flat_results, flat_sequences, flat_tensors

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    taken = [value.name for value in session.get_inputs()]
    names = [name for name, _ in _inputs(one)]
    if len(taken) == len(names):
        names = taken
    elif not set(taken) <= set(names):
        return "wrong", f"{len(taken)} inputs for {len(names)}"
    for number in range(len(one.calls)):
        expected = flat_results(one, number)
        feeds = dict(zip(names, flat_tensors(one, number), strict=True))
        results = flat_sequences(session.run(None, {name: feeds[name] for name in taken}))
        if len(expected) != len(results):
            return "wrong", f"{len(results)} outputs for {len(expected)}"
        for left, right in zip(expected, results, strict=True):
            # A float of Python's is a double, and a tensor of it a single.
            of_python = left.ndim == 0 and {"float32", "float64"} == {left.dtype.name, right.dtype.name}
            if left.shape != right.shape or (left.dtype != right.dtype and not of_python):
                return "wrong", f"call {number}: {right.dtype}{list(right.shape)} for {left.dtype}{list(left.shape)}"
            if not np.allclose(right, left, rtol=one.tolerance or 1e-4, atol=one.tolerance or 1e-5, equal_nan=True):
                return "wrong", f"call {number}: values differ"
    return "right", ""


# ---- workers ---------------------------------------------------------------------------------------------------------


def cases_of(exporter: str, families: Sequence[str]) -> dict[Case, Any]:
    """Return the cases that an exporter is run on, each with its model."""
    from constructs import collect  # noqa: F401  (fills the table)
    from constructs.registry import OPSETS, cases

    found = {}
    forms = FORMS_OF[exporter]
    asked = cases(forms, OPSETS[-OPSETS_OF.get(exporter, len(OPSETS)) :])
    # What is wanted most comes first: a run that is broken off leaves whole opsets.
    for one, form, opset in sorted(asked, key=lambda case: (-case[2], forms.index(case[1]))):
        # A lowering of the user's is lading's to take.
        if (not families or one.family in families) and (exporter == "lading" or not one.lowerings):
            found[one.label, form, opset] = one
    return found


def work(exporter: str) -> None:
    """Do the exports that are asked for, a line of JSON each, and answer each with one."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what exporters print from C++
    cases = cases_of(exporter, ())
    for line in sys.stdin:
        case = tuple(json.loads(line))
        began = time.process_time()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            outcome, why = outcome_of(exporter, cases[case], *case[1:])
        seconds = round(time.process_time() - began, 3)
        print(json.dumps({"outcome": outcome, "why": why, "seconds": seconds}), file=out, flush=True)


class Worker:
    """A process that exports by one exporter, and is replaced where it dies or hangs."""

    def __init__(self, exporter: str, limit: float) -> None:
        self.exporter, self.limit = exporter, limit
        self._process: subprocess.Popen[str] | None = None

    def outcome(self, case: Case) -> dict[str, Any]:
        """Return what became of an export."""
        if self._process is None:
            command = [sys.executable, __file__, "--worker", self.exporter]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        began = time.monotonic()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(case) + "\n")
            process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            answer = process.stdout.readline() if selector.select(self.limit) else ""
        if answer:
            return json.loads(answer)
        self.close()
        why = "the process died" if time.monotonic() - began < self.limit else f"more than {self.limit:.0f} s"
        return {"outcome": "fails", "why": why, "seconds": round(time.monotonic() - began, 3)}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def measure(options: argparse.Namespace, file: Path) -> Iterator[dict[str, Any]]:
    """Yield one row for each export; those that are in the file are read, the others run and written to it.

    With `--no-run` the others have the outcome "not run".
    """
    known = {}
    if file.exists():
        for row in map(json.loads, file.read_text(encoding="utf-8").splitlines()):
            known[row["exporter"], row["case"], row["form"], row["opset"]] = row
    for exporter in options.exporters:
        worker = Worker(exporter, options.limit)
        try:
            for case, one in cases_of(exporter, options.families).items():
                if options.opsets and case[2] not in options.opsets:
                    continue
                row = {"exporter": exporter, "family": one.family, **dict(zip(_KEYS, case, strict=True))}
                if (exporter, *case) in known:
                    row = known[(exporter, *case)]
                elif options.no_run:
                    row |= {"outcome": NOT_RUN, "why": ""}
                else:
                    row |= worker.outcome(case)
                    with file.open("a", encoding="utf-8") as lines:
                        lines.write(json.dumps(row) + "\n")
                yield row
        finally:
            worker.close()


NOT_RUN = "not run"
_KEYS = ("case", "form", "opset")


# ---- the report ------------------------------------------------------------------------------------------------------


def report(rows: Sequence[dict[str, Any]]) -> str:
    """Return setting, tables and the cases where a peer is right and lading is not, as Markdown."""
    opsets = ", ".join(map(str, sorted({row["opset"] for row in rows})))
    parts = [f"{measuring.setting()} Opsets of this table: {opsets}."]
    run = [row for row in rows if row["outcome"] != NOT_RUN]
    for exporter in EXPORTERS:
        asked, done = (sum(row["exporter"] == exporter for row in some) for some in (rows, run))
        if done < asked:
            parts.append(f"{exporter} was run on {done} of its {asked} cases.")
    parts += [_table("family", ("family",), run), _table("form, opset", ("form", "opset"), run), _in_common(run)]
    behind = _behind(run)
    parts.append("Right in a peer and not in lading: " + ("none." if not behind else "\n\n" + "\n".join(behind)))
    return "\n\n".join(parts)


def _in_common(rows: Sequence[dict[str, Any]]) -> str:
    """Say how many of the cases that every exporter was given each has right."""
    of = {name: {_case(row): row["outcome"] for row in rows if row["exporter"] == name} for name in EXPORTERS}
    shared = set.intersection(*(set(outcomes) for outcomes in of.values()))
    right = ", ".join(f"{name} {sum(of[name][case] == 'right' for case in shared)}" for name in EXPORTERS)
    return f"Right on the {len(shared)} cases that all three were given: {right}."


def _case(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in _KEYS)


def _table(title: str, keys: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    head = [title]
    for exporter in EXPORTERS:
        head += [f"{exporter}: cases", "right", "wrong", "fails"]
    lines = []
    for group in [*sorted({tuple(row[key] for key in keys) for row in rows}), None]:
        line = ["all" if group is None else ", ".join(map(str, group))]
        here = [row for row in rows if group in (None, tuple(row[key] for key in keys))]
        for exporter in EXPORTERS:
            count = collections.Counter(row["outcome"] for row in here if row["exporter"] == exporter)
            line += [str(number) for number in (count.total(), count["right"], count["wrong"], count["fails"])]
        lines.append(line)
    return measuring.table(head, lines)


def _behind(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line for each case that is right in a peer and not in lading, with what lading says."""
    outcomes = {(row["case"], row["form"], row["opset"], row["exporter"]): row for row in rows}
    lines = []
    for case in sorted({key[:3] for key in outcomes}):
        mine = outcomes.get((*case, "lading"))
        peers = [name for name in EXPORTERS[1:] if outcomes.get((*case, name), {}).get("outcome") == "right"]
        if peers and mine is not None and mine["outcome"] != "right":
            name, form, opset = case
            lines.append(f"- {name} ({form}, opset {opset}; {', '.join(peers)}): {mine['outcome']}, {mine['why']}")
    return lines


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="*", default=[], help="modules of tests/constructs; all by default")
    parser.add_argument("--exporters", nargs="*", default=list(EXPORTERS), choices=EXPORTERS)
    parser.add_argument("--opsets", nargs="*", type=int, default=[], help="of the models' opsets; all by default")
    parser.add_argument("--limit", type=float, default=180.0, help="seconds that one export may take")
    parser.add_argument(
        "--results", type=Path, help="file for every single result as JSON lines, read when it is there"
    )
    parser.add_argument("--no-run", action="store_true", help="report what --results has, and run nothing")
    parser.add_argument("--write", action="store_true", help="write the section of benchmarks/README.md")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.worker)
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file = options.results or Path(folder) / "results.jsonl"
        for row in measure(options, file):
            rows.append(row)
            if row["outcome"] not in ("right", NOT_RUN):
                named = f"{row['exporter']:12} {row['case']} {row['form']} {row['opset']}"
                print(f"{named}: {row['outcome']}, {row['why']}", flush=True)
    text = report(rows)
    print(text)
    if options.write:
        measuring.write_section("constructs", text)


if __name__ == "__main__":
    main()
