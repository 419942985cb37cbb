# SPDX-License-Identifier: Apache-2.0
"""Loop without carried values, and Scan, before opsets 11 and 9."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import onnx_ir as ir

from ..registry import spells
from ..shapes import dims_of
from .forms import alike, as_is, dtype_of

if TYPE_CHECKING:
    from ..emitter import Emitter, Operand

_INT64, _BOOL = ir.DataType.INT64, ir.DataType.BOOL

as_is("Loop", since=11)
as_is("Scan", since=9)


@spells("Loop")
def loop_that_carries(
    op: Emitter,
    M: Operand,
    cond: Operand,
    *v_initial: Operand,
    body: ir.Graph,
    outputs: int | None = None,
) -> Any:
    """Loop 1 carries at least one value: a bool that nobody reads where there is none."""
    if v_initial:
        return op.raw("Loop", M, cond, *v_initial, body=body, outputs=outputs)
    count = len(body.outputs) - 1 if outputs is None else outputs
    inner = op.body(("i", _INT64, []), ("go", _BOOL, []), ("unused", _BOOL, []))
    index, go, unused = inner.inputs
    goes_on, *items = inner.take(body, index, go)
    graph = inner.graph([goes_on, unused, *items])
    _, *made = op.raw("Loop", M, cond, op.const(True, _BOOL), body=graph, outputs=count + 1)
    return made[0] if count == 1 else tuple(made)


@spells("Scan")
def scan_by_loop(
    op: Emitter,
    *initial_state_and_scan_inputs: Operand,
    body: ir.Graph,
    num_scan_inputs: int,
    scan_input_axes: Sequence[int] | None = None,
    scan_input_directions: Sequence[int] | None = None,
    scan_output_axes: Sequence[int] | None = None,
    scan_output_directions: Sequence[int] | None = None,
    outputs: int | None = None,
) -> Any:
    """Before Scan 9 (8 scans every member of a batch): a Loop that takes one slice of each scanned value a round."""
    values = [alike(op, value)[0] for value in initial_state_and_scan_inputs]
    first_scanned = len(values) - num_scan_inputs
    states, scanned = values[:first_scanned], values[first_scanned:]
    axes = [axis % op.rank(x) for axis, x in zip(scan_input_axes or [0] * num_scan_inputs, scanned, strict=True)]
    length = op.scalar(op.size(scanned[0], axes[0]))
    inner = op.body(
        ("i", _INT64, []),
        ("go", _BOOL, []),
        *((f"state_{place}", dtype_of(x), dims_of(x)) for place, x in enumerate(states)),
    )
    index, go, *carried = inner.inputs
    items = []
    for x, axis, backwards in zip(scanned, axes, scan_input_directions or [0] * num_scan_inputs, strict=True):
        place = inner.Sub(inner.Sub(length, 1), index) if backwards else index
        items.append(inner.Gather(x, place, axis=axis))
    results = inner.take(body, *carried, *items)
    graph = inner.graph([go, *results])
    count = len(results)
    made = op.Loop(length, op.const(True, _BOOL), *states, body=graph, outputs=count)
    made = list(made) if isinstance(made, tuple) else [made]
    for value, inside in zip(made, results, strict=True):
        value.type = ir.TensorType(dtype_of(inside))
    for value, state in zip(made, states, strict=False):
        value.shape = state.shape
    stacked = made[first_scanned:]
    for place, (value, inside) in enumerate(zip(stacked, results[first_scanned:], strict=True)):
        if inside.shape is None:
            raise op.cannot("Scan of a value of unknown rank needs opset 9")
        value.shape = ir.Shape([scanned[0].shape[axes[0]] if scanned[0].shape is not None else None, *inside.shape])
        backwards = scan_output_directions[place] if scan_output_directions else 0
        axis = scan_output_axes[place] if scan_output_axes else 0
        stacked[place] = _placed(op, value, axis, bool(backwards))
    made[first_scanned:] = stacked
    return made[0] if outputs in (None, 1) and count == 1 else tuple(made)


def _placed(op: Emitter, x: ir.Value, axis: int, backwards: bool) -> ir.Value:
    """Reverse what was stacked along the first axis if need be, and move that axis to its place."""
    if backwards:
        x = op.Slice(x, [-1], [-(2**63)], [0], [-1])
    rank = op.rank(x)
    axis %= rank
    if axis == 0:
        return x
    order = list(range(1, rank))
    order.insert(axis, 0)
    return op.Transpose(x, perm=order)
