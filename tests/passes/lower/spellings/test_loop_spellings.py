# SPDX-License-Identifier: Apache-2.0
"""Loops that carry nothing, and scans as loops; and the training forms, which draw or keep statistics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir
import pytest
from lading.passes.lower.emitter import Emitter
from support.one_operator import fed, outcome, run, written

_FLOAT, _INT64, _BOOL = ir.DataType.FLOAT, ir.DataType.INT64, ir.DataType.BOOL
GRID = fed(np.arange(12).reshape(3, 4))


def _emitting(monkeypatch: pytest.MonkeyPatch, write: Callable[[Emitter, ir.Value], Sequence[ir.Value]]) -> None:
    monkeypatch.setattr(Emitter, "Written", lambda op, x: tuple(write(op, x)), raising=False)


@pytest.mark.parametrize("opset", [7, 8, 10, 11, 18])
def test_a_loop_may_carry_nothing(monkeypatch: pytest.MonkeyPatch, opset: int) -> None:
    def rows_from_the_last(op: Emitter, x: ir.Value) -> list[ir.Value]:
        body = op.body(("i", _INT64, []), ("go", _BOOL, []))
        index, go = body.inputs
        row = body.Gather(x, body.Sub(2, index), axis=0)
        rows = op.Loop(op.i64(3), op.const(True, _BOOL), body=body.graph([go, row]), outputs=1)
        rows.type, rows.shape = ir.TensorType(_FLOAT), ir.Shape([3, 4])
        return [rows]

    _emitting(monkeypatch, rows_from_the_last)
    np.testing.assert_array_equal(GRID.array[::-1], run(written("Written", GRID, opset=opset), [GRID])[0])


@pytest.mark.parametrize("direction", [0, 1])
@pytest.mark.parametrize("opset", [7, 8, 9, 11, 18])
def test_a_scan_sums_along_an_axis(monkeypatch: pytest.MonkeyPatch, opset: int, direction: int) -> None:
    def running_sums(op: Emitter, x: ir.Value) -> list[ir.Value]:
        body = op.body(("sum", _FLOAT, [3]), ("column", _FLOAT, [3]))
        total = body.Add(*body.inputs)
        last, sums = op.Scan(
            op.const(np.zeros(3), _FLOAT),
            x,
            body=body.graph([total, body.Identity(total)]),
            num_scan_inputs=1,
            scan_input_axes=[1],
            scan_output_axes=[-1],
            scan_input_directions=[direction],
            scan_output_directions=[direction],
            outputs=2,
        )
        for value, shape in ((last, [3]), (sums, [3, 4])):
            value.type, value.shape = ir.TensorType(_FLOAT), ir.Shape(shape)
        return [last, sums]

    _emitting(monkeypatch, running_sums)
    last, sums = run(written("Written", GRID, opset=opset), [GRID])
    grid = GRID.array[:, ::-1] if direction else GRID.array
    expected = np.cumsum(grid, axis=1)
    np.testing.assert_array_equal(expected[:, -1], last)
    np.testing.assert_array_equal(expected[:, ::-1] if direction else expected, sums)


@pytest.mark.parametrize("opset", [7, 9, 13])
def test_batch_normalization_trains_before_it_had_a_mode(opset: int) -> None:
    x = np.random.default_rng(1).normal(size=(5, 3, 4)).astype(np.float32)
    scale, bias, mean, variance = (np.full(3, number, np.float32) for number in (2.0, 0.5, 0.25, 4.0))
    operands = [fed(item) for item in (x, scale, bias, mean, variance)]
    y, new_mean, new_variance = outcome(
        "BatchNormalization", *operands, opset=opset, training_mode=1, momentum=0.9, outputs=3
    )
    batch_mean, batch_variance = x.mean(axis=(0, 2)), x.var(axis=(0, 2))
    normal = (x - batch_mean[:, None]) / np.sqrt(batch_variance[:, None] + 1e-5)
    np.testing.assert_allclose(y, normal * 2 + 0.5, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(new_mean, mean * 0.9 + batch_mean * 0.1, rtol=1e-5)
    np.testing.assert_allclose(new_variance, variance * 0.9 + batch_variance * 0.1, rtol=1e-5)


@pytest.mark.parametrize("opset", [7, 10, 11])
def test_dropout_trains_before_it_had_a_mode(opset: int) -> None:
    x = fed(np.ones(4000))
    y, mask = outcome("Dropout", x, 0.25, True, opset=opset, outputs=2)
    np.testing.assert_allclose(y, mask / 0.75, rtol=1e-6)
    assert 0.7 < mask.mean() < 0.8
