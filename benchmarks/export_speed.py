# SPDX-License-Identifier: Apache-2.0
"""Time, memory and result of one export by lading and by the two exporters of PyTorch.

Every measurement is a fresh process; the exporters take turns, so that a change of load on the machine meets them all.
Time runs from the call to the finished file. The modules that an exporter loads are found in a first process and
imported before the clock starts. Each process exports twice: the first call and the second are reported apart.

    python benchmarks/export_speed.py                           # everything, a table on stdout
    python benchmarks/export_speed.py --model resnet50 --axes static --rounds 5
    python benchmarks/export_speed.py --write                   # put the tables into benchmarks/README.md
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import measuring
from exporters import EXPORTERS, Job, import_all
from measuring import MEBIBYTE, Case, load_case, measured, median

MODELS = {
    "resnet50": "examples/resnet.py:resnet50",
    "bert_base": "examples/huggingface.py:bert_base",
    "gpt2_full": "examples/huggingface.py:gpt2_full",
}
VARIANTS = ("static", "dynamic", "external")

TIME_COLUMNS = (
    "export",
    "first CPU s",
    "ratio",
    "wall s",
    "second CPU s",
    "ratio",
    "wall s",
    "imports CPU s",
    "peak MiB over the model",
    "over its weights",
)
FILE_COLUMNS = (
    "file",
    "opset",
    "nodes but Constant",
    "Constant",
    "nodes",
    "MiB",
    "onnxruntime ms",
    "ratio",
    "worst relative error",
)


@dataclasses.dataclass(frozen=True)
class Setup:
    """One line of work: which exporter, on which model, with which axes."""

    exporter: str
    model: str
    variant: str
    opset: int

    @property
    def slug(self) -> str:
        return f"{self.model}-{self.variant}-{self.exporter}"

    def job(self, case: Case, file: str) -> Job:
        return Job(case, file, self.opset, dynamic=self.variant == "dynamic", external=self.variant == "external")


# In the worker processes ----------------------------------------------------------------------------------------------


def quiet() -> None:
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)


def find_modules(setup: Setup, folder: Path) -> dict[str, Any]:
    """Export once and return the modules that this loaded."""
    case = load_case(MODELS[setup.model])
    before = set(sys.modules)
    EXPORTERS[setup.exporter](setup.job(case, str(folder / f"{setup.slug}.onnx")))
    return {"modules": [name for name in sys.modules if name not in before]}


def export_twice(setup: Setup, folder: Path, modules: list[str]) -> dict[str, Any]:
    import torch

    case = load_case(MODELS[setup.model])
    torch.set_num_threads(1)
    started = time.process_time()
    refused = import_all(modules)
    imports = time.process_time() - started
    export = EXPORTERS[setup.exporter]
    file = folder / f"{setup.slug}.onnx"
    with measured() as first:
        export(setup.job(case, str(file)))
    with measured() as second:
        export(setup.job(case, str(file)))
    return {
        "imports": imports,
        "refused": refused,
        "first": dataclasses.asdict(first),
        "second": dataclasses.asdict(second),
        "weights": case.weight_bytes,
    }


def compare_files(setups: list[Setup], folder: Path, runs: int) -> dict[str, Any]:
    """Run the files of all exporters in turns; return for each the latency, the error against eager, and the nodes."""
    import numpy as np
    import onnxruntime
    import torch
    from torch.utils import _pytree as pytree

    case = load_case(MODELS[setups[0].model])
    with torch.no_grad():
        outputs = case.model(*case.args, **case.kwargs)
    expected = [leaf.numpy() for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, torch.Tensor)]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    inputs = [tensor.numpy() for tensor in (*case.args, *case.kwargs.values())]
    sessions: dict[Setup, Any] = {}
    answers: dict[str, dict[str, Any]] = {}
    for setup in setups:
        file = str(folder / f"{setup.slug}.onnx")
        try:
            session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        except Exception as error:
            answers[setup.exporter] = {"problem": f"onnxruntime: {error}"}
            continue
        names = [entry.name for entry in session.get_inputs()]
        feed = dict(zip(Job(case, file, setup.opset, False).input_names, inputs, strict=True))
        sessions[setup] = (session, {name: feed[name] for name in names})
        got = session.run(None, sessions[setup][1])
        nodes = measuring.count_nodes(file)
        answers[setup.exporter] = {
            "constants": nodes.constants,
            "others": nodes.others,
            "opset": measuring.delivered_opset(file),
            "bytes": sum(path.stat().st_size for path in folder.glob(f"{setup.slug}.onnx*")),
            "error": max(
                float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-30)) for a, b in zip(expected, got, strict=False)
            ),
            "outputs": len(got),
        }
    times: dict[str, list[float]] = {setup.exporter: [] for setup in sessions}
    for _ in range(runs):
        for setup, (session, feed) in sessions.items():
            started = time.perf_counter()
            session.run(None, feed)
            times[setup.exporter].append(time.perf_counter() - started)
    for name, values in times.items():
        answers[name]["latency"] = median(values)
    return answers


# In the process that gives out the work -------------------------------------------------------------------------------


def in_fresh_process(task: str, setups: list[Setup], folder: Path, **rest: Any) -> dict[str, Any]:
    fields = [dataclasses.asdict(setup) for setup in setups]
    request = json.dumps({"task": task, "setups": fields, "folder": str(folder), **rest})
    process = subprocess.run(
        [sys.executable, __file__, "--worker"], input=request, capture_output=True, text=True, check=False
    )
    if process.returncode != 0:
        problem = process.stderr.strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
        return {"problem": problem[0]}
    return json.loads(process.stdout.splitlines()[-1])


def serve() -> None:
    """Do the one task that stands on stdin and print its result as the last line of stdout."""
    quiet()
    request = json.load(sys.stdin)
    setups = [Setup(**fields) for fields in request["setups"]]
    folder = Path(request["folder"])
    with contextlib.redirect_stdout(sys.stderr):
        try:
            if request["task"] == "find":
                answer = find_modules(setups[0], folder)
            elif request["task"] == "export":
                answer = export_twice(setups[0], folder, request["modules"])
            else:
                answer = compare_files(setups, folder, request["runs"])
        except Exception as error:
            answer = {"problem": f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"}
    print(json.dumps(answer))


def measure(model: str, variant: str, exporters: list[str], opset: int, rounds: int, runs: int) -> dict[str, Any]:
    """Return, by exporter, the medians over the rounds and what became of the file."""
    setups = {name: Setup(name, model, variant, opset) for name in exporters}
    costs: dict[str, list[dict[str, Any]]] = {name: [] for name in exporters}
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        modules = {}
        for name, setup in setups.items():
            found = in_fresh_process("find", [setup], folder)
            if "problem" in found:
                results[name] = found
            modules[name] = found.get("modules", [])
        for turn in range(rounds):
            able = [name for name in exporters if name not in results]
            for name in able[turn % len(able) :] + able[: turn % len(able)] if able else []:
                say(f"{model} {variant} {name}: round {turn + 1} of {rounds}")
                answer = in_fresh_process("export", [setups[name]], folder, modules=modules[name])
                costs[name].append(answer)
                if "problem" in answer:
                    results[name] = answer
        able = [name for name in exporters if name not in results]
        files = in_fresh_process("compare", [setups[name] for name in able], folder, runs=runs) if able else {}
        if "problem" in files:
            raise RuntimeError(files["problem"])
    for name in able:
        if "problem" in files[name]:
            results[name] = files[name]
            continue
        results[name] = {
            **files[name],
            "weights": costs[name][0]["weights"],
            "imports": median([answer["imports"] for answer in costs[name]]),
            **{
                f"{call}_{what}": median([answer[call][what] for answer in costs[name]])
                for call in ("first", "second")
                for what in ("cpu", "wall", "peak")
            },
        }
    return results


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


def report(measurements: dict[tuple[str, str], dict[str, Any]], opset: int, rounds: int) -> str:
    times, files, problems = [], [], []
    for (model, variant), results in measurements.items():
        base = results.get("lading", {})
        base = {} if "problem" in base else base
        for exporter, result in results.items():
            label = f"{model}, {variant}, {exporter}"
            if "problem" in result:
                problems.append(f"- {label}: no result ({result['problem']})")
                continue

            def ratio(key: str, result: dict[str, Any] = result, base: dict[str, Any] = base) -> str:
                return f"{base[key] / result[key]:.2f}" if key in base else "-"

            times.append(
                [
                    label,
                    f"{result['first_cpu']:.2f}",
                    ratio("first_cpu"),
                    f"{result['first_wall']:.2f}",
                    f"{result['second_cpu']:.2f}",
                    ratio("second_cpu"),
                    f"{result['second_wall']:.2f}",
                    f"{result['imports']:.2f}",
                    f"{result['first_peak'] / MEBIBYTE:.0f}",
                    f"{result['first_peak'] / result['weights']:.2f}",
                ]
            )
            files.append(
                [
                    label,
                    str(result["opset"]),
                    str(result["others"]),
                    str(result["constants"]),
                    str(result["others"] + result["constants"]),
                    f"{result['bytes'] / MEBIBYTE:.1f}",
                    f"{result['latency'] * 1000:.1f}",
                    ratio("latency"),
                    f"{result['error']:.0e}",
                ]
            )
    parts = [
        f"{measuring.setting()} Opset asked for: {opset}. Medians of {rounds} processes for each line; ratios are"
        " lading's figure over that of the line, so below 1 lading needs less.",
        measuring.table(TIME_COLUMNS, times),
        measuring.table(FILE_COLUMNS, files),
    ]
    return "\n\n".join([*parts, *(["\n".join(problems)] if problems else [])])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", action="append", choices=MODELS, help="may be given more than once (default: all)")
    parser.add_argument("--axes", action="append", choices=VARIANTS, help="may be given more than once (default: all)")
    parser.add_argument("--exporter", action="append", choices=EXPORTERS, help="may be given more than once")
    parser.add_argument("--opset", type=int, default=18)
    parser.add_argument("--rounds", type=int, default=3, help="processes for each exporter")
    parser.add_argument("--runs", type=int, default=20, help="runs in onnxruntime for the latency")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        serve()
        return
    measurements = {}
    for model in options.model or list(MODELS):
        for variant in options.axes or list(VARIANTS):
            measurements[model, variant] = measure(
                model, variant, options.exporter or list(EXPORTERS), options.opset, options.rounds, options.runs
            )
    text = report(measurements, options.opset, options.rounds)
    print(text)
    if options.json:
        figures = {f"{model}, {variant}": results for (model, variant), results in measurements.items()}
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")
    if options.write:
        measuring.write_section("export speed", text)


if __name__ == "__main__":
    main()
