# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: loading examples, CPU time and peak memory of a block, node counts, the report file."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import gc
import importlib.metadata
import importlib.util
import os
import platform
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REPORT = ROOT / "benchmarks" / "README.md"
MEBIBYTE = 2**20


@dataclasses.dataclass
class Cost:
    """What a block of code took: CPU seconds of all threads and finished children, wall seconds, bytes of memory.

    ``peak`` is the highest resident size inside the block less the size at its start.
    """

    cpu: float = 0.0
    wall: float = 0.0
    peak: int = 0


def cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def resident(field: str) -> int:
    """Return VmRSS (now) or VmHWM (highest so far) of this process in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    found = re.search(rf"^{field}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise RuntimeError(f"/proc/self/status has no {field}")
    return int(found[1]) * 1024


def forget_peak() -> None:
    """Let VmHWM start again from the present size; Linux does so when 5 is written to clear_refs."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


@contextlib.contextmanager
def measured() -> Iterator[Cost]:
    cost = Cost()
    gc.collect()
    forget_peak()
    resident_before = resident("VmRSS")
    cpu_before, wall_before = cpu_seconds(), time.perf_counter()
    yield cost
    cost.cpu, cost.wall = cpu_seconds() - cpu_before, time.perf_counter() - wall_before
    cost.peak = max(0, resident("VmHWM") - resident_before)


@dataclasses.dataclass
class Case:
    """A model with what a call of it takes, and the axes that its factory calls dynamic."""

    model: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dynamic_axes: Mapping[str, Mapping[int, str]]

    @property
    def weight_bytes(self) -> int:
        tensors = [*self.model.parameters(), *self.model.buffers()]
        return sum({tensor.data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


def load_case(reference: str) -> Case:
    """Load ``folder/file.py:factory`` (relative to the project) and call the factory."""
    file, name = reference.split(":")
    path = ROOT / file
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    factory: Callable[[], tuple[Any, ...]] = getattr(module, name)
    model, args, *rest = factory()
    return Case(model, args, rest[0] if rest else {}, getattr(factory, "dynamic_axes", {}))


@dataclasses.dataclass
class Nodes:
    """How many nodes a file has, in its graph, the subgraphs and the functions."""

    constants: int
    others: int

    @property
    def total(self) -> int:
        return self.constants + self.others


def count_nodes(file: str) -> Nodes:
    import onnx

    model = onnx.load(file, load_external_data=False)
    operators: list[str] = []

    def visit(nodes: Sequence[Any]) -> None:
        for node in nodes:
            operators.append(node.op_type)
            for attribute in node.attribute:
                for graph in [attribute.g, *attribute.graphs]:
                    visit(graph.node)

    visit(model.graph.node)
    for function in model.functions:
        visit(function.node)
    constants = operators.count("Constant")
    return Nodes(constants, len(operators) - constants)


def delivered_opset(file: str) -> int:
    import onnx

    model = onnx.load(file, load_external_data=False)
    return next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def setting() -> str:
    """Return a line with date, machine and versions."""
    packages = ("lading", "torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "transformers")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages)
    processors = len(os.sched_getaffinity(0))
    return (
        f"Measured {datetime.date.today().isoformat()} on {platform.machine()} with {processors} processors, "
        f"Python {platform.python_version()}, {versions}."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a markdown table whose first column is text and whose others are numbers."""
    lines = ["| " + " | ".join(head) + " |", "| --- |" + " ---: |" * (len(head) - 1)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def write_section(name: str, text: str) -> None:
    """Put ``text`` between the marks of section ``name`` in the report, which must have them."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    report = REPORT.read_text(encoding="utf-8")
    before, found, rest = report.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise ValueError(f"{REPORT.name} has no section {name}")
    REPORT.write_text(f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}", encoding="utf-8")
