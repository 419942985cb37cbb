# SPDX-License-Identifier: Apache-2.0
"""Which entries of PyTorch's operator database come out right: lading beside both exporters of PyTorch.

The first sample of an entry in a dtype goes to each, every tensor an input, each exporter at the newest opset that it
has; the file is run and compared with eager on values, dtypes and shapes. Tasks run in processes of their own, so that
a crash or a hang costs one result.

    python benchmarks/coverage.py --exporters lading,torchscript --log coverage.jsonl
    python benchmarks/coverage.py --exporters dynamo --dtypes float32 --one-in 3 --log coverage.jsonl
    python benchmarks/coverage.py --exporters "" --log coverage.jsonl --write

Results are appended to the log, and what is there is not measured again; --write puts them into benchmarks/README.md.
It needs expecttest, which PyTorch's operator database imports. Most of the time is the dynamo exporter's; `--one-in`
takes a part of the entries, chosen by a hash of their names.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import zlib
from collections.abc import Iterable
from pathlib import Path

import attrs

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = (ROOT, ROOT / "tests", ROOT / "benchmarks")
sys.path[:0] = [str(folder) for folder in FOLDERS]

from measuring import setting, write_section  # noqa: E402
from operator_calls import EXPORTERS  # noqa: E402
from operators.isolation import Result, Task, run_tasks  # noqa: E402

SAMPLES = 1
DTYPES = ("float32", "int64", "bool")


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
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--one-in", type=int, default=1, help="only one entry in so many, by a hash of its name")
    parser.add_argument("--processes", type=int, default=max(1, os.cpu_count() or 2))
    parser.add_argument("--log", type=Path, required=True, help="append results here, and skip those that are there")
    parser.add_argument("--write", action="store_true", help="put the table into benchmarks/README.md")
    given = parser.parse_args(argv)
    starts = tuple(given.entries.split(",")) if given.entries else ("",)
    results = logged(given.log)
    known = {(result.exporter, result.entry, result.dtype) for result in results}
    opsets = newest_opsets()
    tasks = [
        Task(exporter, name, dtype, (opsets[exporter],), SAMPLES)
        for name, entry in database().items()
        for exporter in filter(None, given.exporters.split(","))
        for dtype in given.dtypes.split(",")
        if name.startswith(starts)
        and zlib.crc32(name.encode()) % given.one_in == 0
        and KNOWN[dtype] in entry.dtypes
        and (exporter, name, dtype) not in known
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
            processes=given.processes,
            on_result=keep,
        )
    text = report(results)
    if given.write:
        write_section("coverage", text)
    else:
        print(text)


def logged(path: Path) -> list[Result]:
    if not path.is_file():
        return []
    lines = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [Result(**{**line, "operators": tuple(line["operators"])}) for line in lines]


Outcomes = dict[tuple[str, str], bool]
"""Whether an entry in a dtype passes."""


def passing(results: Iterable[Result]) -> dict[str, Outcomes]:
    """Return for each exporter, entry and dtype that has something to compare whether it passes."""
    found: dict[str, Outcomes] = {}
    for result in results:
        if result.status != "nothing":
            found.setdefault(result.exporter, {})[result.entry, result.dtype] = result.status == "passed"
    return found


def report(results: list[Result]) -> str:
    """Return the table, and what a peer passes and lading does not."""
    found, opsets = passing(results), newest_opsets()
    ours = found.get("lading", {})
    lines = [
        f"{setting()} The first sample of an entry and dtype; what an exporter was given is said in the columns",
        "*dtypes* and *calls*, and the last two compare on those very calls.",
        "",
        "| exporter | opset | dtypes | calls | pass | share | lading passes of these | of those that it passes |",
        "| --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    missed: list[str] = []
    for exporter in EXPORTERS:
        outcomes = found.get(exporter, {})
        if not outcomes:
            continue
        right = {key for key, passed in outcomes.items() if passed}
        here = {key for key in outcomes if ours.get(key, False)}
        dtypes = ", ".join(dtype for dtype in DTYPES if any(key[1] == dtype for key in outcomes))
        lines.append(
            f"| {exporter} | {opsets[exporter]} | {dtypes} | {len(outcomes)} | {len(right)} | "
            f"{100 * len(right) / len(outcomes):.1f} % | {len(here)} | {len(here & right)} of {len(right)} |"
        )
        missed += [f"{entry} in {dtype} ({exporter})" for entry, dtype in sorted(right - here)]
    lines += ["", f"What a peer passes and lading does not: {', '.join(missed) or 'nothing'}."]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
