# SPDX-License-Identifier: Apache-2.0
"""Memory and time of writing large models, beside `cp` of the same bytes, and an export that memory does not hold.

Each row is a fresh process that makes a model with random weights, exports a small one to warm up, and then takes
turns: an export into an empty folder, and `cp` of what it wrote into another one on the same disk. Peak memory is that
of the first export, over the size with the model loaded; time is what the audit says of the step serialize.

    python benchmarks/large_models.py --write
    python benchmarks/large_models.py --gigabytes 0.5 --form external
    python benchmarks/large_models.py --results found.jsonl     # a run that was broken off goes on where it stopped
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import measuring
from measuring import MEBIBYTE, ROOT, median

GIBIBYTE = 2**30
WIDTH = 2048
SIZES = (0.1, 0.5, 1.0, 1.9, 4.0)
FORMS: dict[str, dict[str, Any]] = {
    "inline": {},
    "external": {"serialize.external_data_threshold": 1024},
    "safetensors": {"serialize.external_data_format": "safetensors"},
    "shards": {"serialize.external_data_threshold": 1024, "serialize.external_data_shard": 500_000_000},
}
LAYOUTS = ("as stored", "transposed")
LARGEST_INLINE = 1.95


def stack(size: int, layout: str) -> tuple[Any, Any]:
    """Return Linear layers of `size` bytes, and an input for which the graph uses the weights in that layout."""
    import torch
    from torch import nn

    width = WIDTH if size > 8 * WIDTH * WIDTH * 4 else 512
    layers = max(1, round(size / (width * width * 4)))
    model = nn.Sequential(*(nn.Linear(width, width) for _ in range(layers))).eval()
    # A Gemm takes the weight of a Linear as it is; for three dimensions there is MatMul, which wants it turned.
    return model, torch.zeros(2, width) if layout == "as stored" else torch.zeros(1, 2, width)


def work(size: float, form: str, layout: str, rounds: int, folder: Path) -> dict[str, Any]:
    import torch

    import lading

    torch.set_num_threads(1)
    model, x = stack(int(size * GIBIBYTE), layout)
    small, small_x = stack(1 << 20, layout)
    one, two = folder / "one", folder / "two"
    one.mkdir()
    lading.export(small, (small_x,), one / "model.onnx", overrides=FORMS[form])
    serialized, copied, peak = [], [], 0
    for number in range(rounds):
        shutil.rmtree(one)
        one.mkdir()
        subprocess.run(["sync"], check=True)
        with measuring.measured() as cost:
            exported = lading.export(model, (x,), one / "model.onnx", overrides=FORMS[form])
        peak = peak if number else cost.peak
        (event,) = (
            event for event in exported.events if event.get("step") == "serialize" and event["event"] != "pass.started"
        )
        serialized.append((event["ms"] / 1000, event["cpu_ms"] / 1000))
        written = exported.bytes
        del exported
        shutil.rmtree(two, ignore_errors=True)
        subprocess.run(["sync"], check=True)
        with measuring.measured() as cost:
            subprocess.run(["cp", "-r", one, two], check=True)
        copied.append((cost.wall, cost.cpu))
    return {
        "weights": sum(p.nbytes for p in model.parameters()),
        "written": written,
        "peak": peak,
        "serialize": [median([pair[index] for pair in serialized]) for index in (0, 1)],
        "cp": [median([pair[index] for pair in copied]) for index in (0, 1)],
    }


def in_fresh_process(size: float, form: str, layout: str, rounds: int, folder: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="lading-large-", dir=folder) as temporary:
        words = ["--gigabytes", str(size), "--form", form, "--layout", layout, "--rounds", str(rounds)]
        command = [sys.executable, __file__, "--worker", *words, "--folder", temporary]
        process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        problem = (process.stderr.strip().splitlines() or [f"exit code {process.returncode}"])[-1]
        raise RuntimeError(f"{size} GiB, {form}, {layout}: {problem}")
    found: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return found


class Results:
    """What is measured, kept as lines of a file where one is named, so that it is not measured again."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        lines = file.read_text().splitlines() if file is not None and file.exists() else []
        self._known: dict[str, dict[str, Any]] = dict(json.loads(line) for line in lines)

    def of(self, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return the result of an earlier run, or measure."""
        if key not in self._known:
            self._known[key] = measure()
            if self._file is not None:
                with self._file.open("a") as lines:
                    lines.write(json.dumps([key, self._known[key]]) + "\n")
        return self._known[key]


def row(size: float, form: str, layout: str, found: dict[str, Any]) -> list[str]:
    weights = found["weights"]
    allowed = 1.2 * weights if form == "inline" else 0.05 * weights + 150 * MEBIBYTE
    (wall, cpu), (cp_wall, cp_cpu) = found["serialize"], found["cp"]
    return [
        f"{form}, {layout}",
        f"{weights / GIBIBYTE:.2f}",
        f"{found['peak'] / MEBIBYTE:.0f}",
        f"{allowed / MEBIBYTE:.0f}",
        f"{wall:.2f}",
        f"{cp_wall:.2f}",
        f"{wall / cp_wall:.2f}",
        f"{cpu:.2f}",
        f"{cp_cpu:.2f}",
        f"{cpu / cp_cpu:.2f}",
    ]


@dataclasses.dataclass
class Larger:
    """How the export went of a checkpoint that the limit on memory does not hold."""

    name: str
    checkpoint: int
    limit: int
    done: dict[str, Any]

    def row(self) -> list[str]:
        return [
            self.name,
            f"{self.checkpoint / GIBIBYTE:.2f}",
            f"{self.limit / GIBIBYTE:.2f}",
            f"{self.checkpoint / self.limit:.1f}",
            f"{self.done['address space'] / GIBIBYTE:.2f}",
            f"{self.done['resident'] / GIBIBYTE:.2f}",
            f"{self.done['seconds']:.1f}",
            f"{self.done['cpu']:.1f}",
            f"{self.done['written'] / MEBIBYTE:.1f}",
        ]


def larger_than_memory(limit: int, folder: str) -> list[Larger]:
    """Export a checkpoint of three times `limit` under that limit, with transposed weights copied, and with none."""
    sys.path.insert(0, str(ROOT / "examples"))
    import larger_than_memory as example

    rows = []
    layers = example.layers_for(3 * limit, WIDTH)
    with tempfile.TemporaryDirectory(prefix="lading-larger-", dir=folder) as temporary:
        path = Path(temporary)
        total = example.write_checkpoint(example.decoder(layers, WIDTH), path)
        for name, flags in (("all referred to", ["--in-place"]), ("transposed weights copied", [])):
            rows.append(Larger(name, total, limit, example.limited(path, layers, WIDTH, limit, *flags)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--gigabytes", action="append", type=float, help="may be given more than once")
    parser.add_argument("--form", action="append", choices=FORMS)
    parser.add_argument("--layout", action="append", choices=LAYOUTS)
    parser.add_argument("--rounds", type=int, default=3, help="exports and copies in turns, of which the median counts")
    parser.add_argument("--limit", type=float, default=1.2, help="GiB for the export of a larger checkpoint; 0: none")
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where files go; three times the largest model")
    parser.add_argument("--results", type=Path, help="a file of lines; what is in it is not measured anew")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/README.md")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        (size,), (form,), (layout,) = options.gigabytes, options.form, options.layout
        print(json.dumps(work(size, form, layout, options.rounds, Path(options.folder))))
        return
    rows = []
    results = Results(options.results)
    for size in options.gigabytes or SIZES:
        for form in options.form or FORMS:
            for layout in options.layout or LAYOUTS:
                if form == "inline" and size > LARGEST_INLINE:
                    continue
                print(f"{size} GiB, {form}, {layout}", file=sys.stderr, flush=True)
                found = results.of(
                    f"{size} {form} {layout}",
                    partial(in_fresh_process, size, form, layout, options.rounds, options.folder),
                )
                rows.append(row(size, form, layout, found))
    head = ("form, weights", "weights GiB", "peak MiB over the model", "allowed", "serialize s", "cp s", "ratio")
    text = [
        f"{measuring.setting()} Medians of {options.rounds} turns for each line.",
        measuring.table((*head, "serialize CPU s", "cp CPU s", "ratio"), rows),
    ]
    if options.limit:
        print("larger than memory", file=sys.stderr, flush=True)
        larger = larger_than_memory(int(options.limit * GIBIBYTE), options.folder)
        columns = ("checkpoint GiB", "limit GiB", "times", "address space GiB", "resident", "s", "CPU s", "MiB written")
        text.append("Under a limit on address space (`RLIMIT_AS`), by `examples/larger_than_memory.py`:")
        text.append(measuring.table(("weights", *columns), [entry.row() for entry in larger]))
    print("\n\n".join(text))
    if options.write:
        measuring.write_section("large models", "\n\n".join(text))


if __name__ == "__main__":
    main()
