# SPDX-License-Identifier: Apache-2.0
"""Measure every entry over dtypes and opsets, and write docs/operators.json, of which docs/tables.py makes a page.

    PYTHONPATH=.:tests python -m operators.sweep [--opsets 7,9,latest] [--dtypes float32,int64] [--log partial.jsonl]

With --log every result is appended to a file as it comes, and a sweep that is started again goes on where it ended.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import importlib.metadata
import itertools
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs
from operators.entries import CORE_DTYPES, DTYPES, SAMPLES, database
from operators.isolation import Result, Task, run_tasks

OPSETS = (7, 9, 11, 13, 15, 17, 18, 20, 21, 23, "latest")
FIRST = (9, 13, 18)
"""The opsets that are measured first, after the newest, and in the main dtypes with all samples."""

OUTPUT = Path(__file__).parents[2] / "docs" / "operators.json"
_PACKAGES = ("torch", "onnx", "onnxruntime")
_LETTERS = {"passed": "p", "failed": "f", "unsupported": "u", "nothing": "-"}
_REASON = 160


def main(argv: list[str] | None = None) -> None:
    from operators.measuring import NEWEST

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opsets", default=",".join(map(str, OPSETS)), help="opsets, with 'latest' for the newest")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--fewer", type=int, default=2, help="samples of an entry at the other opsets and dtypes")
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
    # What the goals are about comes first, with all samples: a sweep that is cut short has it.
    first = [opset for opset in (NEWEST, *FIRST) if opset in opsets]
    last = [opset for opset in reversed(opsets) if opset not in first]
    for core, part in itertools.product((True, False), (first, last)):
        samples = SAMPLES if core and part is first else given.fewer
        for name, dtype in itertools.product(names, dtypes):
            left = tuple(opset for opset in part if (name, dtype, opset) not in known)
            if left and (dtype in CORE_DTYPES) is core and DTYPES[dtype] in database()[name].dtypes:
                tasks.append(Task("lading", name, dtype, left, samples))
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

    run_tasks(
        tasks,
        exporters="operators.captured:EXPORTERS",
        processes=given.processes,
        on_result=keep,
    )
    if log is not None:
        log.close()
    wanted = [r for r in results if r.entry in names and r.dtype in dtypes and r.opset in opsets]
    asked = [(n, dtype) for n in names for dtype in dtypes if DTYPES[dtype] in database()[n].dtypes]
    summary = summarised(wanted, asked, opsets, dtypes, given.fewer)
    given.output.write_text(json.dumps(summary, indent=0) + "\n", encoding="utf-8")


def _logged(path: Path | None) -> list[Result]:
    if path is None or not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Result(**{**json.loads(line), "operators": tuple(json.loads(line)["operators"])}) for line in lines]


def summarised(
    results: Iterable[Result], asked: Iterable[tuple[str, str]], opsets: list[int], dtypes: list[str], fewer: int
) -> dict[str, Any]:
    """Return what is kept of a sweep: for each entry, and each operator, one letter an opset by dtype, and the reasons.

    Of an entry the letter is p where every sample passed, f where one failed, u where one was refused, - where there
    was nothing to compare and ? where it was not measured.  Of an operator it is p where an entry that calls it passed.
    """
    statuses: dict[str, dict[str, dict[int, str]]] = collections.defaultdict(lambda: collections.defaultdict(dict))
    for entry, dtype in asked:
        statuses[entry][dtype] = {}
    reasons: dict[str, dict[str, str]] = collections.defaultdict(dict)
    operators: dict[str, dict[str, dict[int, str]]] = collections.defaultdict(lambda: collections.defaultdict(dict))
    callers: dict[str, set[str]] = collections.defaultdict(set)
    for result in sorted(results, key=lambda r: (r.entry, dtypes.index(r.dtype), r.opset)):
        letter = statuses[result.entry][result.dtype][result.opset] = _LETTERS[result.status]
        if result.why:
            # The newest opset's reason stands for all: what fails there fails for a lasting cause.
            reasons[result.entry][result.dtype] = f"opset {result.opset}: {_shortened(result.why)}"
        for operator in result.operators:
            callers[operator].add(result.entry)
            known = operators[operator][result.dtype].get(result.opset)
            operators[operator][result.dtype][result.opset] = letter if known != "p" else known
    return {
        "date": datetime.date.today().isoformat(),
        "versions": {package: importlib.metadata.version(package).split("+")[0] for package in _PACKAGES},
        "first": [*FIRST, max(opsets)],
        "samples": [SAMPLES, fewer],
        "opsets": opsets,
        "dtypes": dtypes,
        "entries": {entry: _letters(by_dtype, opsets) for entry, by_dtype in statuses.items()},
        "reasons": reasons,
        "operators": {name: _letters(found, opsets) for name, found in sorted(operators.items())},
        "callers": {name: len(found) for name, found in sorted(callers.items())},
        "lowerings": _lowerings(),
    }


def _letters(by_dtype: Mapping[str, Mapping[int, str]], opsets: list[int]) -> dict[str, str]:
    return {dtype: "".join(found.get(opset, "?") for opset in opsets) for dtype, found in by_dtype.items()}


def _lowerings() -> dict[str, int]:
    """Return the operators that have a lowering of their own, without overloads, and the oldest opset of it."""
    from lading.passes.lower.registry import LOWERINGS

    oldest: dict[str, int] = {}
    for name in LOWERINGS:
        base = name.split(".")[0]
        since = min(entry.since for entry in LOWERINGS.entries(name))
        oldest[base] = min(since, oldest.get(base, since))
    return oldest


def _shortened(why: str) -> str:
    for noise in (" in the root module", " at: step"):
        why = why.split(noise)[0]
    why = why.removeprefix("1 operator cannot be expressed at opset ")
    return why if len(why) <= _REASON else f"{why[:_REASON]}…"


if __name__ == "__main__":
    main()
