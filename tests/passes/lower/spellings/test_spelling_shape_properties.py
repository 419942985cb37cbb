# SPDX-License-Identifier: Apache-2.0
"""Properties of what older opsets do with axes, slices and positions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from lading.passes.lower.inexpressible import Inexpressible
from support.one_operator import assert_same, fed, outcome, written

few = settings(max_examples=20, deadline=None)
shapes = arrays.array_shapes(min_dims=1, max_dims=4, max_side=4)


def _numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.linspace(-2, 3, int(np.prod(shape)), dtype=np.float32).reshape(shape)


@few
@given(data=st.data(), shape=shapes, keep=st.sampled_from([0, 1]), opset=st.sampled_from([7, 10, 11, 12, 13, 17, 18]))
def test_reductions_over_any_axes(data: st.DataObject, shape: tuple[int, ...], keep: int, opset: int) -> None:
    rank = len(shape)
    axes = data.draw(st.lists(st.integers(-rank, rank - 1), unique_by=lambda axis: axis % rank, max_size=rank))
    op_type, reduce = data.draw(
        st.sampled_from([("ReduceSum", np.sum), ("ReduceMean", np.mean), ("ReduceMax", np.max)])
    )
    x = _numbers(shape)
    (got,) = outcome(op_type, fed(x), axes or None, keepdims=keep, opset=opset)
    expected = reduce(x, axis=tuple(axes) or None, keepdims=bool(keep))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@few
@given(
    start=st.integers(-9, 9),
    end=st.integers(-9, 9),
    step=st.sampled_from([1, 1, 2, -1, -3]),
    known=st.booleans(),
    free=st.booleans(),
    opset=st.sampled_from([7, 8, 9, 10, 11]),
)
def test_slices_are_those_of_python(start: int, end: int, step: int, known: bool, free: bool, opset: int) -> None:
    x = _numbers((3, 6))
    bounds = ([start], [end]) if known else (fed([start], np.int64), fed([end], np.int64))
    (got,) = outcome("Slice", fed(x, free=free), *bounds, [-1], [step], opset=opset)
    np.testing.assert_array_equal(x[:, _slice(start, end, step, 6)], got)


def _slice(start: int, end: int, step: int, size: int) -> slice:
    """Spell an ONNX slice in Python, where going backwards a start before the beginning takes nothing."""
    if step > 0:
        return slice(start, end, step)
    return slice(max(start, -size), None if end < -size else end, step)


@few
@given(shape=shapes, data=st.data(), opset=st.sampled_from([7, 10, 11, 12]))
def test_softmax_is_over_one_axis(shape: tuple[int, ...], data: st.DataObject, opset: int) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = _numbers(shape)
    powers = np.exp(x - x.max(axis=axis, keepdims=True))
    (got,) = outcome("Softmax", fed(x), axis=axis, opset=opset)
    np.testing.assert_allclose(got, powers / powers.sum(axis=axis, keepdims=True), rtol=1e-5)


@few
@given(
    start=st.integers(-5, 5),
    limit=st.integers(-5, 9),
    delta=st.integers(-3, 3).filter(bool),
    known=st.booleans(),
    opset=st.sampled_from([7, 10, 11]),
)
def test_ranges_are_those_of_python(start: int, limit: int, delta: int, known: bool, opset: int) -> None:
    operands = (start, limit, delta) if known else tuple(fed(item, np.int64) for item in (start, limit, delta))
    (got,) = outcome("Range", *operands, opset=opset)
    np.testing.assert_array_equal(np.arange(start, limit, delta, dtype=np.int64), got)


@few
@given(
    size=st.integers(1, 5),
    before=st.integers(0, 7),
    after=st.integers(0, 7),
    free=st.booleans(),
    opset=st.sampled_from([7, 10, 11, 18]),
)
def test_wrapping_pads_like_numpy(size: int, before: int, after: int, free: bool, opset: int) -> None:
    x = _numbers((2, size))
    (got,) = outcome("Pad", fed(x, free=free), [before, after], None, [-1], mode="wrap", opset=opset)
    np.testing.assert_array_equal(np.pad(x, [(0, 0), (before, after)], mode="wrap"), got)


@few
@given(
    shape=shapes,
    length=st.integers(1, 4),
    data=st.data(),
    free=st.booleans(),
    reduction=st.sampled_from(["none", "add", "max"]),
)
def test_scattering_without_the_operator(
    shape: tuple[int, ...], length: int, data: st.DataObject, free: bool, reduction: str
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    size = shape[axis]
    # Also without a reduction: of updates of one element the last stays.
    order = np.array(data.draw(st.lists(st.integers(-size, size - 1), min_size=length, max_size=length)))
    where = list(shape)
    where[axis] = len(order)
    line = [1] * len(shape)
    line[axis] = len(order)
    indices = np.broadcast_to(order.reshape(line), where)
    operands = fed(_numbers(shape), free=free), fed(indices, np.int64), fed(_numbers(tuple(where)) * 3)
    expected = outcome("ScatterElements", *operands, axis=axis, reduction=reduction)
    for opset in (7, 9, 11, 16):
        got = outcome("ScatterElements", *operands, axis=axis, reduction=reduction, opset=opset)
        assert_same(expected, got, rtol=1e-4, atol=1e-5)


@few
@given(
    data=st.data(),
    size=st.integers(2, 7),
    length=st.integers(1, 11),
    mode=st.sampled_from(["nearest", "linear", "cubic"]),
)
def test_resampling_one_axis(data: st.DataObject, size: int, length: int, mode: str) -> None:
    coordinates = data.draw(st.sampled_from(["half_pixel", "align_corners", "pytorch_half_pixel"]))
    x = fed(_numbers((1, 1, 2, size)))
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, "axes": [3]}
    expected = outcome("Resize", x, None, None, [length], **attributes)
    for opset in (7, 9, 10, 11, 13):
        assert_same(
            expected, outcome("Resize", x, None, None, [length], opset=opset, **attributes), rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("opset", [7, 9, 12])
def test_axes_known_only_at_run_time_need_a_newer_opset(opset: int) -> None:
    with pytest.raises(Inexpressible, match="only known at run time"):
        written("Unsqueeze", fed([1.0]), fed([0], np.int64), opset=opset)


@pytest.mark.parametrize("opset", [7, 11, 13])
def test_empty_tensors_stay_empty(opset: int) -> None:
    x = fed(np.zeros((0, 3)))
    assert (0, 3) == outcome("Softmax", x, opset=opset)[0].shape
    assert (0, 1) == outcome("ReduceSum", x, [-1], opset=opset)[0].shape
    assert (0, 2) == outcome("Slice", x, [0], [2], [1], opset=opset)[0].shape
