# SPDX-License-Identifier: Apache-2.0
"""Measure every entry over dtypes and opsets, and write docs/operators.json, from which docs/operators.md is made.

    PYTHONPATH=.:tests python -m operators.sweep [--opsets 7,9,latest] [--dtypes float32,int64] [--log partial.jsonl]

With --log every result is appended to a file as it comes, and a sweep that is started again goes on where it ended.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import importlib.metadata
import json
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import attrs
from operators.isolation import Result, Task, run_tasks

OPSETS = (7, 9, 11, 13, 15, 17, 18, 20, 21, 23, "latest")
OUTPUT = Path(__file__).parents[2] / "docs" / "operators.json"
_PACKAGES = ("torch", "onnx", "onnxruntime")
_LETTERS = {"passed": "p", "failed": "f", "unsupported": "u", "nothing": "-"}
_REASON = 160


def main(argv: list[str] | None = None) -> None:
    from operators.entries import DTYPES, SAMPLES, database
    from operators.measuring import NEWEST

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opsets", default=",".join(map(str, OPSETS)), help="opsets, with 'latest' for the newest")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2)))
    parser.add_argument("--entries", default="", help="only entries that start with one of these, separated by commas")
    parser.add_argument("--log", type=Path, help="append results here, and skip those that are there already")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    given = parser.parse_args(argv)
    opsets = sorted({NEWEST if item == "latest" else int(item) for item in given.opsets.split(",")})
    dtypes = given.dtypes.split(",")
    starts = tuple(given.entries.split(",")) if given.entries else ("",)
    names = [name for name in database() if name.startswith(starts)]
    results = _logged(given.log)
    known = {(result.entry, result.dtype, result.opset) for result in results}
    tasks = []
    for name in names:
        for dtype in dtypes:
            left = tuple(opset for opset in opsets if (name, dtype, opset) not in known)
            if left and DTYPES[dtype] in database()[name].dtypes:
                tasks.append(Task("lading", name, dtype, left))
    total, begun = sum(len(task.opsets) for task in tasks), time.monotonic()
    log = given.log.open("a", encoding="utf-8") if given.log else None

    def keep(result: Result) -> None:
        nonlocal total
        results.append(result)
        total -= 1
        if log is not None:
            log.write(json.dumps(attrs.asdict(result)) + "\n")
            log.flush()
        if total % 200 == 0:
            print(f"{total} left after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)

    run_tasks(tasks, samples=given.samples, processes=given.processes, on_result=keep)
    if log is not None:
        log.close()
    wanted = [r for r in results if r.entry in names and r.dtype in dtypes and r.opset in opsets]
    summary = summarised(wanted, opsets, dtypes, given.samples)
    given.output.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _logged(path: Path | None) -> list[Result]:
    if path is None or not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Result(**{**json.loads(line), "operators": tuple(json.loads(line)["operators"])}) for line in lines]


def summarised(results: Iterable[Result], opsets: list[int], dtypes: list[str], samples: int) -> dict[str, Any]:
    """Return what is kept of a sweep: for each entry and dtype one letter an opset, and the reasons."""
    statuses: dict[str, dict[str, dict[int, str]]] = collections.defaultdict(lambda: collections.defaultdict(dict))
    reasons: dict[str, dict[str, str]] = collections.defaultdict(dict)
    operators: dict[str, dict[str, set[int]]] = collections.defaultdict(lambda: collections.defaultdict(set))
    for result in sorted(results, key=lambda r: (r.entry, dtypes.index(r.dtype), r.opset)):
        statuses[result.entry][result.dtype][result.opset] = _LETTERS[result.status]
        if result.why:
            # The newest opset's reason stands for all: what fails there fails for a lasting cause.
            reasons[result.entry][result.dtype] = f"opset {result.opset}: {_shortened(result.why)}"
        for operator in result.operators:
            used = operators[operator]
            used["passed" if result.status == "passed" else "other"].add(result.opset)
    return {
        "date": datetime.date.today().isoformat(),
        "versions": {package: importlib.metadata.version(package).split("+")[0] for package in _PACKAGES},
        "samples": samples,
        "opsets": opsets,
        "dtypes": dtypes,
        "entries": {
            entry: {
                dtype: "".join(by_opset.get(opset, "-") for opset in opsets) for dtype, by_opset in by_dtype.items()
            }
            for entry, by_dtype in statuses.items()
        },
        "reasons": reasons,
        "operators": {name: sorted(found["passed"]) for name, found in sorted(operators.items())},
    }


def _shortened(why: str) -> str:
    for noise in (" in the root module", " at: step"):
        why = why.split(noise)[0]
    why = why.removeprefix("1 operator cannot be expressed at opset ")
    return why if len(why) <= _REASON else f"{why[:_REASON]}…"


if __name__ == "__main__":
    main()
