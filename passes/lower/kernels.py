# SPDX-License-Identifier: Apache-2.0
"""Which element types onnxruntime's CPU kernels take, operator by operator and version by version.

ONNX admits more types than the runtime has kernels for.  The table, ``cpu_kernels.json``, is read off an installed
onnxruntime by ``python -m lading.passes.lower.kernels`` and shipped, so that an export does not need the runtime.
float16 is left out on purpose: the runtime converts such nodes itself, and half-precision files are made for devices
that have the kernels.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx_ir as ir

_FILE = Path(__file__).with_name("cpu_kernels.json")
_OPEN = 2**31 - 1
_CONVERTED_BY_THE_RUNTIME = frozenset({ir.DataType.FLOAT16})


def read_installed() -> dict[str, list[list[Any]]]:
    """Read the table off the installed onnxruntime: operator -> [first version, last version, {variable: types}].

    A kernel without a last version serves its first one alone: the runtime takes it for no newer schema, which may mean
    something else (``KernelRegistry::VerifyKernelDef`` in onnxruntime/core/framework/kernel_registry.cc).

    Raises:
        ImportError: onnxruntime is not installed, or no longer tells its kernels.
    """
    from onnxruntime.capi.onnxruntime_pybind11_state import get_all_opkernel_def

    merged: dict[tuple[str, int, int], dict[str, set[str]]] = {}
    for kernel in get_all_opkernel_def():
        if kernel.provider != "CPUExecutionProvider" or kernel.domain:
            continue
        first, last = kernel.version_range
        variables = merged.setdefault((kernel.op_name, first, first if last == _OPEN else last), {})
        for variable, types in kernel.type_constraints.items():
            names = (name.removeprefix("tensor(").removesuffix(")") for name in types if name.startswith("tensor("))
            variables.setdefault(variable, set()).update(names)
    table: dict[str, list[list[Any]]] = {}
    for (name, first, last), variables in sorted(merged.items()):
        types = {variable: sorted(names) for variable, names in sorted(variables.items())}
        table.setdefault(name, []).append([first, last, types])
    return table


@functools.cache
def shipped() -> dict[str, list[list[Any]]]:
    """Return the table that lading ships."""
    table: dict[str, list[list[Any]]] = json.loads(_FILE.read_text())
    return table


_DTYPES = {"float": ir.DataType.FLOAT, "double": ir.DataType.DOUBLE} | {
    dtype.name.lower(): dtype for dtype in ir.DataType if dtype not in (ir.DataType.FLOAT, ir.DataType.DOUBLE)
}


@functools.cache
def kernel_types(op_type: str, since: int) -> Mapping[str, frozenset[ir.DataType]]:
    """Return the types that the runtime's kernel takes for each type variable; empty where it has no kernel of its own.

    Args:
        op_type: an operator of ONNX's default domain.
        since: the version of the operator, that is the opset that introduced its schema.
    """
    for first, last, variables in shipped().get(op_type, ()):
        if first <= since <= last:
            return {
                variable: frozenset(_DTYPES[name] for name in names) | _CONVERTED_BY_THE_RUNTIME
                for variable, names in variables.items()
            }
    return {}


def refused_types(op_type: str, attributes: Mapping[str, Any]) -> frozenset[ir.DataType]:
    """Return the types that a kernel of the runtime takes by its declaration and refuses when it runs.

    The scattering kernels reduce neither floats of 16 bits (but for ScatterElements by extrema) nor, by extrema,
    booleans: onnxruntime/core/providers/cpu/tensor/scatter.cc and scatter_nd.cc.  LSTM and GRU of doubles are declared
    and not there: onnxruntime/core/providers/cpu/rnn/deep_cpu_lstm.cc and deep_cpu_gru.cc.
    """
    if op_type in ("LSTM", "GRU"):
        return frozenset({ir.DataType.DOUBLE})
    reduction = attributes.get("reduction", "none")
    if op_type not in ("ScatterElements", "ScatterND") or reduction == "none":
        return frozenset()
    if reduction in ("add", "mul"):
        return frozenset({ir.DataType.FLOAT16, ir.DataType.BFLOAT16})
    extrema = {ir.DataType.BFLOAT16, ir.DataType.BOOL}
    return frozenset(extrema | {ir.DataType.FLOAT16} if op_type == "ScatterND" else extrema)


if __name__ == "__main__":
    lines = (f"  {json.dumps(name)}: {json.dumps(entries)}" for name, entries in read_installed().items())
    _FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
