# SPDX-License-Identifier: Apache-2.0
"""How the cost of an export grows with the number of layers, audit log included.

Stacks of Linear and ReLU are exported with lading, each in a fresh process after a first small export. The exponent is
that of the power law through the medians, by least squares on logarithms; one means that cost is proportional to size.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --layers 64 --layers 256 --exporter torchscript
    python benchmarks/scaling.py --write
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import logging
import math
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import measuring
from exporters import EXPORTERS, Job
from measuring import MEBIBYTE, Case, measured, median

LAYERS = (64, 256, 1024, 4096)
WIDTH = 16


def stack(layers: int) -> Case:
    """Return `layers` pairs of Linear and ReLU, of a width so small that the weights do not count."""
    import torch
    from torch import nn

    model = nn.Sequential(*(module for _ in range(layers) for module in (nn.Linear(WIDTH, WIDTH), nn.ReLU())))
    return Case(model.eval(), (torch.randn(2, WIDTH),), {}, {"input": {0: "batch"}})


def export(exporter: str, case: Case, folder: Path, dynamic: bool) -> None:
    job = Job(case, str(folder / "model.onnx"), 18, dynamic)
    if exporter == "lading":
        EXPORTERS[exporter](dataclasses.replace(job, log=str(folder / "audit.jsonl")))
    else:
        EXPORTERS[exporter](job)


def work(exporter: str, layers: int, dynamic: bool) -> dict[str, Any]:
    """Export a small stack, then twice the one asked for, and return the costs and the size of the log."""
    import torch

    torch.set_num_threads(1)
    case = stack(layers)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        export(exporter, stack(4), folder, dynamic)
        log = folder / "audit.jsonl"
        log.unlink(missing_ok=True)
        with measured() as cost:
            export(exporter, case, folder, dynamic)
        return {
            **dataclasses.asdict(cost),
            "log": log.stat().st_size if log.exists() else 0,
            "nodes": measuring.count_nodes(str(folder / "model.onnx")).total,
        }


def in_fresh_process(exporter: str, layers: int, dynamic: bool) -> dict[str, Any]:
    words = ["--worker", "--exporter", exporter, "--layers", str(layers), *(["--dynamic"] if dynamic else [])]
    process = subprocess.run([sys.executable, __file__, *words], capture_output=True, text=True, check=False)
    if process.returncode:
        problem = (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise RuntimeError(f"{exporter}, {layers} layers: {problem}")
    return json.loads(process.stdout.splitlines()[-1])


def exponent(sizes: list[int], costs: list[float]) -> float:
    """Return the exponent of the power law through the points, by least squares on logarithms."""
    xs, ys = [math.log(size) for size in sizes], [math.log(cost) for cost in costs]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return slope / sum((x - mean_x) ** 2 for x in xs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--layers", action="append", type=int, help="may be given more than once (default: 64 to 4096)")
    parser.add_argument("--exporter", choices=EXPORTERS, default="lading")
    parser.add_argument("--dynamic", action="store_true", help="with a dynamic batch axis")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each size")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        with contextlib.redirect_stdout(sys.stderr):
            answer = work(options.exporter, options.layers[0], options.dynamic)
        print(json.dumps(answer))
        return
    sizes = options.layers or list(LAYERS)
    rows, costs = [], []
    for layers in sizes:
        print(f"{layers} layers", file=sys.stderr, flush=True)
        answers = [in_fresh_process(options.exporter, layers, options.dynamic) for _ in range(options.rounds)]
        cpu = median([answer["cpu"] for answer in answers])
        costs.append(cpu)
        rows.append(
            [
                str(layers),
                str(answers[0]["nodes"]),
                f"{cpu:.2f}",
                f"{median([answer['wall'] for answer in answers]):.2f}",
                f"{cpu / layers * 1000:.2f}",
                f"{median([answer['peak'] for answer in answers]) / MEBIBYTE:.0f}",
                f"{answers[0]['log'] / 1024:.0f}",
            ]
        )
    axes = "a dynamic batch axis" if options.dynamic else "static shapes"
    text = "\n\n".join(
        [
            f"{measuring.setting()} Exporter: {options.exporter}, opset 18, {axes}; for each size the medians of"
            f" {options.rounds} processes.",
            measuring.table(("layers", "nodes", "CPU s", "wall s", "CPU ms a layer", "peak MiB", "log KiB"), rows),
            f"Fitted exponent: {exponent(sizes, costs):.2f}." if len(sizes) > 1 else "",
        ]
    )
    print(text)
    if options.write:
        measuring.write_section("scaling", text)


if __name__ == "__main__":
    main()
