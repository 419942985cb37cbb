# SPDX-License-Identifier: Apache-2.0
"""Size and speed of the exported graph, beside both exporters of PyTorch and what onnxslim makes of their files.

Every model is exported by all of them at one opset with free axes. Each file is run against eager on the example and
on inputs of other sizes; nodes are counted with Constants, subgraphs and functions; latency is taken in onnxruntime on
one thread, with its optimizations off and on, the files taking turns: a ratio is the median of those of the rounds.

    python benchmarks/graph_quality.py                          # everything, a table on stdout
    python benchmarks/graph_quality.py --model bert --model gpt2 --keep files   # peers' files are made once
    python benchmarks/graph_quality.py --write                  # put the table into benchmarks/README.md
    python benchmarks/graph_quality.py --results found.jsonl    # a run that was broken off goes on where it stopped

It needs onnxslim, which nothing else here does: ``pip install onnxslim``.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import json
import logging
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import measuring
from exporters import EXPORTERS, Job
from measuring import Case, load_case, median

EXAMPLES = "examples/huggingface.py"
OTHERS = "benchmarks/architectures.py"
MODELS = {
    "resnet50": "examples/resnet.py:resnet50",
    "unet": "examples/unet.py:unet",
    "lstm_tagger": "examples/lstm_tagger.py:lstm_tagger",
    "translator": "examples/translator.py:translator",
    **{
        name: f"{EXAMPLES}:{name}"
        for name in ("bert", "distilbert", "roberta", "gpt2", "llama", "qwen2", "t5", "vit", "clip", "whisper")
    },
    **{
        name: f"{OTHERS}:{name}"
        for name in (
            "albert", "electra", "mobilebert", "deberta_v2", "mpnet", "modernbert", "bart", "opt", "bloom", "gpt_neox",
            "mistral", "phi", "gemma", "swin", "convnext", "hf_resnet", "segformer", "dinov2", "wav2vec2",
        )
    },
}  # fmt: skip
OPSET = 18
PEERS = ("dynamo", "torchscript", "dynamo + slim", "torchscript + slim")
TOLERANCE = 1e-3
"""Largest difference from eager, over the scale of the output, that counts as the same result."""

COLUMNS = ("model", "lading", *PEERS, "over best", "off: ms", "over best", "on: ms", "over best")


def export(name: str, case: Case, file: Path) -> None:
    """Export by one of the exporters, or by one and onnxslim after it."""
    exporter, _, slimmed = name.partition(" + ")
    if slimmed:
        import onnxslim

        plain = file.with_name(file.name.replace(f" + {slimmed}", ""))
        onnxslim.slim(str(plain), str(file))
        return
    EXPORTERS[exporter](Job(case, str(file), OPSET, dynamic=True))


def in_order_of_signature(case: Case) -> Case:
    """Return the case with keywords in the order that forward has them: exporters differ in which order they name."""
    order = list(inspect.signature(case.model.forward).parameters)
    names = sorted(case.kwargs, key=lambda name: order.index(name) if name in order else len(order))
    return dataclasses.replace(case, kwargs={name: case.kwargs[name] for name in names})


def as_if_trained(model: Any) -> None:
    """Move parameters whose elements are all equal a little.

    Fresh models have biases of zeros and scales of ones, which onnxslim takes out of a graph; trained models have none.
    """
    import torch

    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in model.parameters():
            if (
                parameter.is_floating_point()
                and parameter.numel() > 1
                and bool((parameter == parameter.flatten()[0]).all())
            ):
                parameter += 0.1 * torch.rand(parameter.shape, generator=generator)


def inputs_of(case: Case, names: list[str], more: Mapping[str, int]) -> dict[str, Any]:
    """Return the example inputs with each named axis grown by a number of repeated elements."""
    import torch

    tensors = dict(zip(names, [*case.args, *case.kwargs.values()], strict=True))
    for name, axes in case.dynamic_axes.items():
        for axis, symbol in axes.items():
            size = tensors[name].shape[axis]
            picked = torch.arange(size + more.get(symbol, 0)) % size
            tensors[name] = tensors[name].index_select(axis, picked)
    return tensors


def flat_tensors(outputs: Any) -> list[Any]:
    import torch
    from torch.utils._pytree import tree_leaves

    values = outputs.to_tuple() if hasattr(outputs, "to_tuple") else outputs
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, torch.Tensor)]


def session_of(file: Path, optimized: bool) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimized else level.ORT_DISABLE_ALL
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def feeds_of(session: Any, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {each.name: tensors[each.name].numpy() for each in session.get_inputs()}


def error_of(session: Any, case: Case, tensors: Mapping[str, Any]) -> float:
    """Return the largest difference from eager over the output's scale, and infinity where there is no comparison."""
    import numpy as np
    import torch

    names = list(case.kwargs)
    with torch.no_grad():
        positional = [tensor for name, tensor in tensors.items() if name not in names]
        expected = flat_tensors(case.model(*positional, **{name: tensors[name] for name in names}))
    try:
        found = session.run(None, feeds_of(session, tensors))
    except Exception as error:  # an export that fixed a size says so in many ways
        print(f"    does not run: {str(error).splitlines()[0][:150]}", file=sys.stderr)
        return float("inf")
    worst = 0.0
    for wanted, got in zip(expected, found, strict=False):
        reference = wanted.double().numpy()
        if reference.shape != got.shape:
            return float("inf")
        scale = max(float(np.abs(reference).max(initial=0)), 1e-6)
        worst = max(worst, float(np.abs(reference - got).max(initial=0)) / scale)
    return worst


def latencies(
    files: Mapping[str, Path], tensors: Mapping[str, Any], optimized: bool, rounds: int
) -> dict[str, list[float]]:
    """Return milliseconds of processor time a run for each file, the mean of a round for every round, in turns."""
    sessions = {name: session_of(file, optimized) for name, file in files.items()}
    feeds = {name: feeds_of(session, tensors) for name, session in sessions.items()}
    taken: dict[str, list[float]] = {name: [] for name in files}
    repeats = 1
    for name, session in sessions.items():
        session.run(None, feeds[name])
        start = time.process_time()
        session.run(None, feeds[name])
        repeats = max(repeats, min(50, int(0.01 / (time.process_time() - start))))
    for _ in range(rounds):
        for name, session in sessions.items():
            start = time.process_time()
            for _ in range(repeats):
                session.run(None, feeds[name])
            taken[name].append((time.process_time() - start) / repeats * 1000)
    return taken


def work(model: str, folder: Path, rounds: int) -> dict[str, Any]:
    """Measure one model: what each exporter made of it."""
    case = in_order_of_signature(load_case(MODELS[model]))
    as_if_trained(case.model)
    names = Job(case, "", OPSET, dynamic=True).input_names
    example = inputs_of(case, names, {})
    grown = inputs_of(
        case,
        names,
        {symbol: 1 if "batch" in symbol else 2 for axes in case.dynamic_axes.values() for symbol in axes.values()},
    )
    answer: dict[str, Any] = {}
    files: dict[str, Path] = {}
    for name in ("lading", *PEERS):
        file = folder / f"{model} {name}.onnx"
        try:
            if name == "lading" or not file.exists():
                export(name, case, file)
            session = session_of(file, optimized=False)
            right, grows = error_of(session, case, example), error_of(session, case, grown)
        except Exception as error:
            print(f"    {name}: {type(error).__name__}: {str(error).splitlines()[0][:200]}", file=sys.stderr)
            answer[name] = {"failed": type(error).__name__}
            continue
        nodes = measuring.count_nodes(str(file)).total
        answer[name] = {"nodes": nodes, "right": right < TOLERANCE, "grows": grows < TOLERANCE}
        if right < TOLERANCE:
            files[name] = file
    for setting, optimized in (("off", False), ("on", True)):
        taken = latencies(files, example, optimized, rounds)
        for name, milliseconds in taken.items():
            answer[name][setting] = median(milliseconds)
            if "lading" in taken:
                ratios = [ours / theirs for ours, theirs in zip(taken["lading"], milliseconds, strict=True)]
                answer[name][f"lading over it, {setting}"] = median(ratios)
    return answer


def over_best(answer: Mapping[str, Any], what: str) -> float | None:
    """Return lading's figure over that of the best peer whose file is right.

    At all sizes, or on the example if none is at all; None where there is none or lading's is not.
    """
    right = [answer[name] for name in PEERS if answer[name].get("right")]
    peers = [each for each in right if each["grows"]] or right
    if not peers or not answer["lading"].get("right"):
        return None
    if what == "nodes":
        return float(answer["lading"]["nodes"] / min(each["nodes"] for each in peers))
    return max(float(each[f"lading over it, {what}"]) for each in peers)


def in_fresh_process(model: str, folder: str, rounds: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--worker", "--model", model, "--keep", folder, "--rounds", str(rounds)]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    sys.stderr.write("".join(line + "\n" for line in finished.stderr.splitlines() if line.startswith("    ")))
    if finished.returncode:
        raise RuntimeError(finished.stderr[-2000:])
    answer: dict[str, Any] = json.loads(finished.stdout.splitlines()[-1])
    return answer


def known_results(file: Path | None) -> dict[str, dict[str, Any]]:
    """Return what an earlier run has written, of each model the last line."""
    if file is None or not file.exists():
        return {}
    return dict(json.loads(line) for line in file.read_text().splitlines())


def _nodes(each: Mapping[str, Any]) -> str:
    if "failed" in each:
        return "no export"
    if not each["right"]:
        return f"{each['nodes']} (wrong)"
    return str(each["nodes"]) if each["grows"] else f"{each['nodes']} (one size)"


def report(answers: Mapping[str, Mapping[str, Any]], rounds: int) -> str:
    rows = []
    ratios: dict[str, list[float]] = {"nodes": [], "off": [], "on": []}
    for model, answer in answers.items():
        ours = answer["lading"]
        row = [model, *(_nodes(answer[name]) for name in ("lading", *PEERS))]
        for what in ("nodes", "off", "on"):
            if what != "nodes":
                row.append(f"{ours[what]:.3g}" if what in ours else "-")
            ratio = over_best(answer, what)
            row.append("-" if ratio is None else f"{ratio:.2f}")
            ratios[what] += [] if ratio is None else [ratio]
        rows.append(row)
    summary = ["median", *[""] * (1 + len(PEERS))]
    highest = ["highest", *[""] * (1 + len(PEERS))]
    for what in ("nodes", "off", "on"):
        for line, figure in ((summary, median), (highest, max)):
            line += [] if what == "nodes" else [""]
            line.append(f"{figure(ratios[what]):.2f}" if ratios[what] else "-")
    return "\n\n".join(
        [
            f"{measuring.setting()} Opset {OPSET}, free axes; latency: medians of {rounds} rounds.",
            measuring.table(COLUMNS, [*rows, summary, highest]),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", action="append", choices=MODELS, help="may be given more than once (default: all)")
    parser.add_argument("--rounds", type=int, default=30, help="rounds of latency measurement")
    parser.add_argument("--keep", help="folder for the files; peers' files that are there already are not made anew")
    parser.add_argument("--results", type=Path, help="a file of lines; models that are in it are not measured anew")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        with contextlib.redirect_stdout(sys.stderr):
            answer = work(options.model[0], Path(options.keep), options.rounds)
        print(json.dumps(answer))
        return
    answers = known_results(options.results)
    with tempfile.TemporaryDirectory() as scratch:
        folder, wanted = options.keep or scratch, options.model or list(MODELS)
        Path(folder).mkdir(parents=True, exist_ok=True)
        for model in wanted:
            if model in answers:
                continue
            print(model, file=sys.stderr, flush=True)
            answers[model] = in_fresh_process(model, folder, options.rounds)
            if options.results:
                with options.results.open("a") as lines:
                    lines.write(json.dumps([model, answers[model]]) + "\n")
            counts = {name: _nodes(each) for name, each in answers[model].items()}
            print(f"    {counts}", file=sys.stderr, flush=True)
    text = report({model: answers[model] for model in wanted}, options.rounds)
    print(text)
    if options.write:
        measuring.write_section("graph quality", text)


if __name__ == "__main__":
    main()
