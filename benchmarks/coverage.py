# SPDX-License-Identifier: Apache-2.0
"""Which entries of PyTorch's operator database come out right: lading beside both exporters of PyTorch.

The same samples go to all three, every tensor an input, each exporter at the newest opset that it has; the file is run
and compared with eager on values, dtypes and shapes. Tasks run in processes of their own, so that a crash or a hang
costs one result.

    python benchmarks/coverage.py --log coverage.jsonl            # results are appended; a second call goes on
    python benchmarks/coverage.py --exporters lading --log ...    # one exporter at a time
    python benchmarks/coverage.py --log coverage.jsonl --write    # put the table into benchmarks/README.md

It needs expecttest, which PyTorch's operator database imports, and takes hours, most of them the dynamo exporter's.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT, ROOT / "tests", ROOT / "benchmarks")
sys.path[:0] = [str(folder) for folder in FOLDERS]

from measuring import setting, write_section  # noqa: E402
from operator_calls import EXPORTERS  # noqa: E402
from operators.isolation import Result, Task, run_tasks  # noqa: E402

SAMPLES = 2
DTYPES = ("float32", "int64", "bool")
PEERS = ("dynamo", "torchscript")
LONGEST_LIST = 40


def newest_opsets() -> dict[str, int]:
    """Return the newest opset that each exporter writes."""
    import onnx
    from torch.onnx import _constants

    return {
        "lading": onnx.defs.onnx_opset_version(),
        "dynamo": _constants.ONNX_MAX_OPSET,
        "torchscript": _constants.ONNX_TORCHSCRIPT_EXPORTER_MAX_OPSET,
    }


def main(argv: list[str] | None = None) -> None:
    from operators.entries import DTYPES as KNOWN
    from operators.entries import database

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exporters", default=",".join(EXPORTERS))
    parser.add_argument("--entries", default="", help="only entries that start with one of these, separated by commas")
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--processes", type=int, default=max(1, os.cpu_count() or 2))
    parser.add_argument("--log", type=Path, required=True, help="append results here, and skip those that are there")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    given = parser.parse_args(argv)
    starts = tuple(given.entries.split(",")) if given.entries else ("",)
    results = logged(given.log)
    known = {(result.exporter, result.entry, result.dtype) for result in results}
    opsets = newest_opsets()
    tasks = [
        Task(exporter, name, dtype, (opsets[exporter],))
        for name, entry in database().items()
        for exporter in given.exporters.split(",")
        for dtype in DTYPES
        if name.startswith(starts) and KNOWN[dtype] in entry.dtypes and (exporter, name, dtype) not in known
    ]
    left, begun = len(tasks), time.monotonic()
    with given.log.open("a", encoding="utf-8") as log:

        def keep(result: Result) -> None:
            nonlocal left
            results.append(result)
            log.write(json.dumps(attrs.asdict(result)) + "\n")
            log.flush()
            left -= 1
            if left % 100 == 0:
                print(f"{left} left after {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)

        os.environ["PYTHONPATH"] = os.pathsep.join(map(str, FOLDERS))
        run_tasks(
            tasks,
            exporters="operator_calls:EXPORTERS",
            samples=given.samples,
            processes=given.processes,
            on_result=keep,
        )
    text = report(results, given.samples)
    if given.write:
        write_section("coverage", text)
    else:
        print(text)


def logged(path: Path) -> list[Result]:
    if not path.is_file():
        return []
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [Result(**{**line, "operators": tuple(line["operators"])}) for line in lines]


def passing(results: Iterable[Result]) -> dict[str, dict[str, bool]]:
    """Return for each exporter and entry that has something to compare whether all of its samples pass."""
    statuses: dict[str, dict[str, list[str]]] = collections.defaultdict(lambda: collections.defaultdict(list))
    for result in results:
        if result.status != "nothing":
            statuses[result.exporter][result.entry].append(result.status)
    return {
        exporter: {entry: set(found) == {"passed"} for entry, found in entries.items()}
        for exporter, entries in statuses.items()
    }


def report(results: list[Result], samples: int) -> str:
    """Return the table, and the entries that a peer passes and lading does not."""
    found, opsets = passing(results), newest_opsets()
    lines = [
        f"{setting()} The first {samples} samples of each entry in {', '.join(DTYPES)}.",
        "",
        "| exporter | opset | entries | pass on every sample | share | of those that a peer passes |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    best: Mapping[str, bool] = {
        entry: any(found.get(peer, {}).get(entry, False) for peer in PEERS)
        for peer in PEERS
        for entry in found.get(peer, {})
    }
    for exporter in EXPORTERS:
        entries = found.get(exporter)
        if not entries:
            continue
        right = sum(entries.values())
        with_peer = sum(passed for entry, passed in best.items() if entries.get(entry, False))
        share = f"{100 * right / len(entries):.1f} %"
        lines.append(
            f"| {exporter} | {opsets[exporter]} | {len(entries)} | {right} | {share} | "
            f"{with_peer} of {sum(best.values())} |"
        )
    missed = sorted(entry for entry, passed in best.items() if passed and not found.get("lading", {}).get(entry, False))
    lines += ["", f"Entries that a peer passes and lading does not: {', '.join(missed) or 'none'}."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
