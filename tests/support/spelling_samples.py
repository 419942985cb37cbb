# SPDX-License-Identifier: Apache-2.0
"""Calls of every ONNX operator that has a spelling, in the operator's newest form.

What an older opset makes of each must compute the same as the newest.
"""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import onnx_ir as ir
from support.one_operator import Fed, fed

_RANDOM = np.random.default_rng(20240607)


@attrs.frozen(eq=False)
class Sample:
    """One call: operator, operands and attributes, and how exactly it must be met."""

    op_type: str
    operands: tuple[Any, ...]
    attributes: dict[str, Any]
    tolerance: dict[str, float]

    def redrawn(self, numbers: np.random.Generator) -> tuple[Any, ...]:
        """Return the operands with other floats: of the same range, or the same ones in another order if not finite.

        Integers and bools stay, since they are as often as not axes, sizes or places that a call depends on.
        """
        return tuple(_redrawn(operand, numbers) if isinstance(operand, Fed) else operand for operand in self.operands)


def _redrawn(operand: Fed, numbers: np.random.Generator) -> Fed:
    array = operand.array
    if array.dtype.kind != "f" or array.size == 0:
        return operand
    if np.isfinite(array).all():
        drawn = numbers.uniform(array.min(), array.max(), array.shape).astype(array.dtype)
    else:
        drawn = numbers.permutation(array.ravel()).reshape(array.shape)
    return Fed(drawn, operand.free)


SAMPLES: list[Sample] = []


def _add(op_type: str, *operands: Any, **attributes: Any) -> None:
    tolerance = {name: attributes.pop(name) for name in ("rtol", "atol") if name in attributes}
    SAMPLES.append(Sample(op_type, operands, attributes, tolerance))


def _floats(*shape: int, dtype: Any = np.float32, free: bool = False) -> Fed:
    return Fed(_RANDOM.normal(size=shape).astype(dtype), free)


def _ints(low: int, high: int, *shape: int, dtype: Any = np.int64, free: bool = False) -> Fed:
    return Fed(_RANDOM.integers(low, high, shape).astype(dtype), free)


def _bools(*shape: int) -> Fed:
    return Fed(_RANDOM.integers(0, 2, shape).astype(bool))


def _vector(*items: int) -> Fed:
    return fed(items, np.int64)


_INF, _NAN = np.inf, np.nan
_SPECIAL = fed([0, -0.0, 1, -1, 2.5, -2.5, 0.5, 1.5, _NAN, _INF, -_INF, 3e38, -3e38, 1e-40])
_OTHER = fed([0, 0, _NAN, 1, 2.5, 2.5, _INF, -_INF, _NAN, _INF, _INF, -_INF, 1, 2])
_CHOICE = fed([1, 0] * 7, bool)


def _axes() -> None:
    _add("Unsqueeze", _floats(2, 3), [-1, 0])
    _add("Squeeze", _floats(1, 3, 1), [-1])
    _add("Squeeze", _floats(1, 3, 1))
    _add("Concat", _floats(2, 3), _floats(2, 2), axis=-1)
    _add("Flatten", _floats(2, 3, 4), axis=-2)
    _add("Compress", _floats(3, 4), fed([1, 0, 1], bool), axis=-2)
    _add("Compress", _floats(3, 4), fed([1, 0, 1, 1, 0], bool))
    _add("NonZero", fed([[1, 0, 2], [0, 3, 0]]))
    _add("NonZero", fed([[0, 1, 1], [0, 0, 1]], bool))
    _add("NonZero", fed([0, 0, 0], np.int64))


def _reductions() -> None:
    for kind in ("Sum", "L1", "L2", "Max", "Mean", "Min", "Prod", "SumSquare", "LogSumExp"):
        _add(f"Reduce{kind}", _floats(2, 3, 4), [-1])
        _add(f"Reduce{kind}", _floats(2, 3, 4), [0, -1], keepdims=0)
        _add(f"Reduce{kind}", _floats(2, 3))
        if kind not in ("L2", "LogSumExp"):
            _add(f"Reduce{kind}", _ints(0, 5, 2, 3), [1], keepdims=0)
            _add(f"Reduce{kind}", _floats(2, 3), [], noop_with_empty_axes=1)
    _add("ReduceLogSum", fed(np.abs(_floats(2, 3).array)), [-1])
    _add("ReduceMax", _bools(2, 3), [1])
    _add("ArgMax", _ints(0, 3, 4, 9))
    for kind in ("ArgMax", "ArgMin"):
        _add(kind, _ints(0, 3, 4, 9), axis=-1, select_last_index=1)
        _add(kind, _ints(0, 3, 4, 9, free=True), axis=-2, keepdims=0, select_last_index=1)


def _shapes() -> None:
    for start, end in ((1, None), (-2, -1), (0, 2), (2, 1)):
        _add("Shape", _floats(2, 3, 4, free=True), start=start, end=end)
    _add("Reshape", fed(np.zeros((0, 5))), [0, 7], allowzero=1)
    _add("Reshape", _floats(2, 6), [0, -1, 2])
    for free in (False, True):
        _add("Expand", _floats(2, 1, 3, free=free), [4, 2, 5, 3])
        _add("Expand", _floats(2, 1, 3, free=free), [1, 1])
        _add("Expand", _floats(1, 3, free=free), _vector(2, 5, 1))
        _add("EyeLike", _floats(3, 4, free=free), k=-1)
    _add("Expand", _bools(1, 3), _vector(2, 5, 3))
    _add("Expand", _floats(1, 3, free=True), [0, 3])
    _add("EyeLike", _floats(3, 4), k=1, dtype=int(ir.DataType.INT64))
    _add("ConstantOfShape", _vector(2, 3), value=ir.tensor(np.array([7], np.int64)))
    _add("ConstantOfShape", [2, 3])
    _add("ConstantOfShape", _vector())


def _slices() -> None:
    far = 2**63
    _add("Slice", _floats(5, 6), [1], [-1], [-1])
    for free in (False, True):
        _add("Slice", _floats(5, 6, free=free), [-1], [-far], [1], [-2])
        _add("Slice", _floats(5, 6, free=free), [1, -9], [far - 1, -2], None, [2, 3])
    for start, end in ((1, 4), (-3, 100), (-100, -1), (4, 2)):
        _add("Slice", _floats(5, 6, free=True), _vector(start), _vector(end), [1])
        _add("Slice", _floats(5, 6), _vector(start), [end], [-1], [2])
        _add("Slice", _floats(5, 6), _vector(end), [start], [-1], [-2])
    for free in (False, True):
        _add("Split", _floats(7, 2, free=free), num_outputs=3)
        _add("Pad", _floats(2, 3, free=free), [4, 1], None, [-1], mode="wrap")
    _add("Split", _floats(2, 7), [3, 4], axis=-1)
    _add("Split", _floats(2, 7, free=True), _vector(3, 4), axis=-1, outputs=2)
    _add("Pad", _floats(2, 3), [0, 1, 2, 0])
    _add("Pad", _floats(2, 3), [0, 1, 2, -1], 1.5)
    _add("Pad", _floats(2, 3, dtype=np.float64), [0, 1, 2, -1], 0.1)
    _add("Pad", _ints(0, 9, 2, 3), [1, 1], 7, [-1])
    _add("Pad", _bools(2, 3), [1, 1], True, [-1])
    _add("Pad", _floats(2, 3), [2, 2], None, [-1], mode="reflect")
    _add("Pad", _floats(2, 3), [2, 1], None, [-1], mode="edge")
    _add("Pad", _floats(2, 3), _vector(2, 1), None, [1])


def _bounds() -> None:
    for low, high in ((-1.0, 1.0), (None, 1.0), (-1.0, None), (None, None)):
        _add("Clip", _SPECIAL, low, high)
    _add("Clip", _floats(3, dtype=np.float64), 0.1, 0.2)
    _add("Clip", _ints(-9, 9, 20), -3, 4)
    _add("Clip", _ints(-9, 9, 20), None, 4)
    _add("Clip", _ints(-9, 9, 20, dtype=np.int32), -3)
    _add("Clip", _floats(5), fed(-0.1), fed(0.3))
    _add("Clip", _vector(2**62 + 1, -(2**62) - 1), 0)
    for kind in ("Max", "Min"):
        _add(kind, _SPECIAL, 0.5)
        _add(kind, _floats(2, 1, 3), _floats(4, 3))
        _add(kind, _floats(2, 1, 3, free=True), _floats(4, 3, free=True), _floats(1))
        _add(kind, _ints(-9, 9, 2, 3), _ints(-9, 9, 3))
        _add(kind, _ints(0, 9, 2, 3, dtype=np.uint8), _ints(0, 9, 3, dtype=np.uint8))
        _add(kind, _floats(3, dtype=np.float64), _floats(3, dtype=np.float64))
    for kind in ("Sum", "Mean"):
        _add(kind, _floats(2, 1, 3), _floats(4, 3), _floats(1))


def _choices() -> None:
    _add("Where", _CHOICE, _SPECIAL, _OTHER)
    _add("Where", _CHOICE, _OTHER, -_INF)
    _add("Where", _CHOICE, 3.0, _SPECIAL)
    _add("Where", _bools(2, 1), _floats(2, 3), _floats(3))
    _add("Where", _bools(2, 3), _ints(-9, 9, 3), 0)
    _add("Where", _bools(2, 3), _bools(2, 3), _bools(3))
    _add("Where", _bools(2, 3), _floats(3, dtype=np.float64), _floats(2, 3, dtype=np.float64))
    _add("Where", _bools(2, 3), _ints(0, 9, 3, dtype=np.uint8), _ints(0, 9, 1, dtype=np.uint8))
    _add("Where", _bools(2, 3), _floats(3, dtype=np.float16), 0.5)
    _add("TopK", _floats(3, 7), 3)
    _add("TopK", _floats(3, 7), [2], axis=0, largest=0)
    _add("TopK", fed(_RANDOM.permutation(10), np.int64), 4, largest=0)
    _add("TopK", _floats(9), _vector(3))
    _add("OneHot", _ints(0, 4, 2, 3), 4, [0, 1])
    _add("OneHot", _ints(0, 4, 2, 3), 4, fed([2, 5]), axis=0)
    _add("OneHot", _ints(0, 4, 2, 3), fed(4, np.int64), [0.0, 1.0], axis=1)
    for free in (False, True):
        for upper in (0, 1):
            _add("Trilu", _floats(2, 3, 4, free=free), upper=upper)
            _add("Trilu", _ints(0, 9, 3, 4, free=free), 1, upper=upper)
            _add("Trilu", _floats(2, 3, 4, free=free), fed(1, np.int64), upper=upper)
    _add("Trilu", _bools(3, 4), -1)


def _comparisons() -> None:
    for kind in ("Equal", "LessOrEqual", "GreaterOrEqual"):
        _add(kind, _SPECIAL, _OTHER)
        _add(kind, _ints(0, 3, 9), _ints(0, 3, 9))
        _add(kind, _SPECIAL, 1.0)
        _add(kind, _ints(0, 3, 9, dtype=np.uint8), 1)
        _add(kind, _floats(9, dtype=np.float64), 0.0)
        _add(kind, _floats(9, dtype=np.float16), 0.0)
    _add("Equal", _bools(9), _bools(9))
    _add("IsNaN", _SPECIAL)
    _add("IsNaN", _floats(3, dtype=np.float64))
    _add("IsInf", _SPECIAL)
    for negative, positive in ((0, 1), (1, 0), (0, 0)):
        _add("IsInf", _SPECIAL, detect_negative=negative, detect_positive=positive)


def _running() -> None:
    for first, last, step in ((0, 5, 1), (5, -4, -2), (5, -4, 2), (5, 5, 1), (0, 7, 2), (1, 8, 3)):
        _add("Range", fed(first, np.int64), fed(last, np.int64), step)
    _add("Range", 0, 7, 2)
    _add("Range", fed(0.5), fed(3.0), 0.5)
    _add("Range", fed(1, np.int32), fed(8, np.int32), 3)
    for kind in ("CumSum", "CumProd"):
        for exclusive in (0, 1):
            for reverse in (0, 1):
                _add(kind, _floats(3, 4, 2, free=True), -2, exclusive=exclusive, reverse=reverse)
                _add(kind, _ints(-3, 4, 3, 4), 0, exclusive=exclusive, reverse=reverse)
                _add(kind, _SPECIAL, 0, exclusive=exclusive, reverse=reverse)


def _normalisations() -> None:
    for kind in ("Softmax", "LogSoftmax", "Hardmax"):
        _add(kind, _floats(2, 3, 4))
        _add(kind, _floats(2, 3, 4), axis=1)
        _add(kind, _floats(2, 3, 4, free=True), axis=0)
        _add(kind, _floats(5))
    half = np.float16
    _add("LayerNormalization", _floats(2, 3, 4), _floats(4), _floats(4), outputs=3)
    _add("LayerNormalization", _floats(2, 3, 4), _floats(3, 4), axis=1, epsilon=1e-3)
    _add("LayerNormalization", _floats(2, 3, 4, dtype=half), _floats(4, dtype=half), atol=2e-3, rtol=2e-3)
    _add("RMSNormalization", _floats(2, 3, 4), _floats(4))
    _add("GroupNormalization", _floats(2, 6, 4), _floats(6), _floats(6), num_groups=3)
    _add("GroupNormalization", _floats(2, 6, 4, 3, free=True), _floats(6), _floats(6), num_groups=2)
    ones = fed(np.ones(6))
    _add("BatchNormalization", _floats(2, 6, 4), _floats(6), _floats(6), _floats(6), ones)
    _add("BatchNormalization", _floats(2, 6, 4, dtype=half), _floats(6), _floats(6), _floats(6), ones, atol=1e-2)
    _add("Dropout", _floats(3))
    _add("Dropout", _floats(3, free=True), 0.3, outputs=2)


def _activations() -> None:
    for kind in ("Gelu", "Mish", "HardSwish"):
        _add(kind, _SPECIAL)
        _add(kind, _floats(3, 9))
        _add(kind, _floats(3, dtype=np.float64))
    _add("Gelu", _floats(3, 9), approximate="tanh")
    _add("Swish", _floats(3, 9), alpha=0.7)
    _add("Swish", _floats(3, 9))
    _add("Celu", _SPECIAL, alpha=0.7)
    _add("Celu", _floats(9))
    _add("ThresholdedRelu", _SPECIAL, alpha=0.7)
    _add("Shrink", _SPECIAL, bias=0.3, lambd=0.7)


def _arithmetic() -> None:
    divisors = fed([*range(-20, 0), *range(1, 21)], np.int64)
    for fmod in (0, 1):
        _add("Mod", _ints(-9, 9, 40), divisors, fmod=fmod)
        _add("Mod", _ints(-9, 9, 40, dtype=np.int32), 3, fmod=fmod)
    _add("Mod", _floats(40), _floats(40), fmod=1)
    _add("Mod", fed([1, -1, 5, 1e8, 3]), fed([0.1, 0.1, _INF, 0.3, -_INF]), fmod=1)
    _add("Pow", _SPECIAL, 2.0)
    _add("Pow", _floats(3), _vector(1, 2, 3))
    _add("Pow", _ints(-9, 9, 9), 2)
    _add("Pow", _ints(0, 5, 9), _ints(0, 5, 9))
    _add("Pow", fed(np.abs(_floats(5).array)), _floats(5, dtype=np.float64))
    _add("Round", _SPECIAL)
    _add("Round", fed(np.arange(-5, 5, 0.25)))
    _add("Sign", _SPECIAL)
    _add("Sign", _ints(-3, 3, 9))
    _add("Erf", _SPECIAL)
    _add("Erf", fed(np.linspace(-7, 7, 200)))
    _add("Erf", fed(np.linspace(-7, 7, 20), np.float64))
    spread = np.concatenate([np.linspace(-3, 3, 50), 10 ** np.linspace(-8, 8, 50), [88.9, -89]])
    _add("Tan", fed(np.linspace(-1.5, 1.5, 9)))
    _add("Tan", fed(np.linspace(-1.5, 1.5, 9), np.float64))
    for kind in ("Sinh", "Cosh", "Asinh", "Acosh", "Atanh"):
        _add(kind, _SPECIAL)
        _add(kind, fed(spread), rtol=3e-5)
    for dtype in (np.int64, np.int32, np.uint8, np.int8, np.uint16, np.uint32):
        limits = np.iinfo(dtype)
        for kind in ("BitwiseAnd", "BitwiseOr", "BitwiseXor"):
            pair = _RANDOM.integers(limits.min, limits.max, (2, 20), dtype=dtype, endpoint=True)
            _add(kind, fed(pair[0], dtype), fed(pair[1], dtype))
    _add("BitwiseNot", _ints(-9, 9, 9))
    _add("BitwiseNot", _ints(0, 255, 9, dtype=np.uint8))


def _indexing() -> None:
    _add("Gather", _floats(3, 4), [-1, 0], axis=-1)
    _add("Gather", _floats(3, 4), _ints(-3, 3, 2, 2))
    _add("Gather", _floats(3, 4), -1)
    for free in (False, True):
        _add("GatherElements", _floats(3, 4, 5, free=free), _ints(-4, 4, 2, 6, 5, free=free), axis=1)
        _add("GatherElements", _floats(3, free=free), _ints(-3, 3, 7, free=free))
        _add("GatherND", _floats(3, 4, 5, free=free), _ints(-3, 3, 2, 6, 2))
        _add("GatherND", _floats(3, 4, 5, free=free), _ints(-3, 3, 3, 6, 1), batch_dims=1)
        _add("GatherND", _floats(2, 3, 4, 5, free=free), _ints(-3, 3, 2, 3, 2), batch_dims=2)
        _add("ScatterElements", _floats(3, 4, free=free), fed([[0, -1], [2, 1]], np.int64), _floats(2, 2), axis=1)
        _add("ScatterND", _floats(5, 4, free=free), fed([[0], [-1]], np.int64), _floats(2, 4, free=free))
        _add("ScatterND", _floats(5, 4, free=free), fed([[0, 1], [-1, 2], [3, 3]], np.int64), _floats(3, free=free))
        _add("ScatterND", _floats(5, 4, 3, free=free), fed([[0, 1], [-1, 2]], np.int64), _floats(2, 3, free=free))
    for way in ("add", "mul", "max", "min"):
        for free in (False, True):
            _add("ScatterElements", _floats(3, 4, free=free), _ints(-4, 4, 2, 6), _floats(2, 6), axis=1, reduction=way)
            _add("ScatterND", _floats(5, 4, free=free), _ints(-5, 5, 9, 1), _floats(9, 4), reduction=way)
        _add("ScatterElements", _ints(-9, 9, 3, 4), _ints(-3, 3, 9, 4), _ints(-9, 9, 9, 4), reduction=way)
        _add("ScatterND", _floats(5, 4), _ints(-4, 4, 9, 2), _floats(9), reduction=way)


def _pooling() -> None:
    windows: dict[str, Any] = {"kernel_shape": [3, 3], "strides": [2, 2]}
    edge = [1, 1, 1, 1]
    _add("MaxPool", _floats(1, 2, 9, 8), **windows, pads=edge)
    _add("MaxPool", _floats(1, 2, 9, 8), **windows, ceil_mode=1)
    _add("MaxPool", _floats(1, 2, 9, 8), kernel_shape=[3, 3], strides=[2, 1], pads=edge, dilations=[2, 2])
    _add("MaxPool", _floats(1, 2, 9, 8), **windows, pads=edge, outputs=2)
    _add("MaxPool", _floats(1, 2, 10), kernel_shape=[2], strides=[3], ceil_mode=1)
    for counted in (0, 1):
        _add("AveragePool", _floats(1, 2, 9, 8), **windows, pads=edge, count_include_pad=counted)
        _add("AveragePool", _floats(1, 2, 9, 8), **windows, ceil_mode=1, count_include_pad=counted)
        _add("AveragePool", _floats(1, 2, 9, 8), **windows, pads=edge, ceil_mode=1, count_include_pad=counted)
    _add("LpPool", _floats(1, 2, 9, 8), **windows, p=2)
    _add("LpPool", _floats(1, 2, 9, 8), **windows, p=3, ceil_mode=1)
    regions = fed([[0.0, 0.0, 5.0, 5.0], [1.0, 2.0, 7.0, 6.0]])
    _add(
        *("RoiAlign", _floats(1, 2, 9, 8), regions, _vector(0, 0)),
        **{"coordinate_transformation_mode": "output_half_pixel", "output_height": 2, "output_width": 3},
    )


def _pixels() -> None:
    for free in (False, True):
        _add("DepthToSpace", _floats(2, 12, 3, 4, free=free), blocksize=2, mode="CRD")
        _add("SpaceToDepth", _floats(2, 3, 6, 4, free=free), blocksize=2, mode="CRD")
    _add("DepthToSpace", _floats(2, 12, 3, 4), blocksize=2)
    _add("SpaceToDepth", _floats(2, 3, 6, 4), blocksize=2)
    _add("Col2Im", _floats(2, 18, 12), [5, 5], [2, 3])
    _add("Col2Im", _floats(2, 12, 6), [5, 6], [2, 2], strides=[2, 3], pads=[0, 1, 1, 0])
    _add("Col2Im", _floats(2, 8, 3), [5, 5], [2, 2], dilations=[2, 3], pads=[0, 0, 0, 0], strides=[1, 2])
    grid = fed(_RANDOM.uniform(-1.2, 1.2, (2, 5, 6, 2)))
    for mode in ("linear", "nearest", "cubic"):
        _add("GridSample", _floats(2, 3, 4, 5), grid, mode=mode)


def _resampling() -> None:
    plane: dict[str, Any] = {"axes": [2, 3]}
    for coordinates in ("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"):
        for how in (
            *({"mode": "nearest", "nearest_mode": way} for way in ("floor", "ceil", "round_prefer_floor")),
            *({"mode": mode} for mode in ("linear", "cubic")),
        ):
            for scales, sizes in ((None, [7, 3]), ([2.0, 2.0], None), ([0.6, 1.5], None)):
                image = _floats(1, 2, 5, 4)
                _add("Resize", image, None, scales, sizes, coordinate_transformation_mode=coordinates, **plane, **how)
    _add(
        "Resize",
        _floats(1, 2, 5, 4),
        None,
        None,
        [7, 3],
        coordinate_transformation_mode="half_pixel_symmetric",
        **plane,
    )
    below: dict[str, Any] = {
        "mode": "nearest",
        "nearest_mode": "floor",
        "coordinate_transformation_mode": "asymmetric",
    }
    _add("Resize", _floats(1, 2, 5, 4, free=True), None, [1.0, 1.0, 2.0, 3.0], **below)
    _add("Resize", _floats(1, 2, 5, 4, free=True), None, [0.6, 1.5], **plane, **below)
    _add("Resize", _floats(1, 2, 5, 4, free=True), None, None, _vector(1, 2, 7, 11), **below)
    _add("Resize", _floats(1, 2, 5, 4, free=True), None, None, _vector(7, 11), **plane, **below)
    between = {"mode": "linear", "coordinate_transformation_mode": "asymmetric"}
    _add("Resize", _floats(1, 2, 5, 4, free=True), None, [1.0, 1.0, 2.0, 3.0], **between)
    _add("Resize", _floats(1, 2, 5), None, [2.0], axes=[-1], **between)
    for mode in ("linear", "cubic"):
        for sizes in ([4, 3], [14, 13]):
            for outside in (0, 1):
                image = _floats(1, 2, 9, 8)
                options = {"antialias": 1, "exclude_outside": outside, "mode": mode, "atol": 1e-5}
                _add("Resize", image, None, None, sizes, **options, **plane)


def _products() -> None:
    _add("Gemm", _floats(2, 3), _floats(3, 4))
    _add("Gemm", _floats(3, 2), _floats(4, 3), _floats(4), transA=1, transB=1, alpha=0.5, beta=2.0)
    equations = {
        "ij,jk->ik": [(2, 3), (3, 4)],
        "bhid,bhjd->bhij": [(2, 3, 4, 5), (2, 3, 6, 5)],
        "i,j": [(2,), (3,)],
        "ijk->ki": [(2, 3, 4)],
        "bn,anm,bm->ba": [(2, 3), (4, 3, 5), (2, 5)],
        "ij,ij->": [(2, 3), (2, 3)],
    }
    for free in (False, True):
        for equation, shapes in equations.items():
            _add("Einsum", *(_floats(*shape, free=free) for shape in shapes), equation=equation, atol=1e-5)


def _quantised() -> None:
    x, steps = _floats(2, 3, 4), fed([0.1, 0.2, 0.3])
    _add("QuantizeLinear", x, 0.05, np.array(3, np.uint8))
    _add("QuantizeLinear", x, steps, fed([1, 2, 3], np.int8))
    _add("QuantizeLinear", x, fed(0.1), output_dtype=int(ir.DataType.INT8))
    q = _ints(-9, 9, 2, 3, 4, dtype=np.int8)
    _add("DequantizeLinear", q, 0.05, np.array(3, np.int8))
    _add("DequantizeLinear", q, steps, fed([1, 2, 3], np.int8))
    _add("DequantizeLinear", q, fed(0.1))


def _spectra() -> None:
    _add("DFT", _floats(2, 8, 2), atol=1e-5)
    _add("DFT", _floats(2, 8, 2), inverse=1, atol=1e-5)
    _add("DFT", _floats(2, 6, 3, 1), None, 1, onesided=1, atol=1e-5)
    _add("DFT", _floats(2, 7, 1), 10, atol=1e-5)
    for kind in ("HannWindow", "HammingWindow", "BlackmanWindow"):
        _add(kind, fed(9, np.int64))
        _add(kind, 8, periodic=0)
        _add(kind, 8, output_datatype=int(ir.DataType.DOUBLE))


def _recurrent() -> None:
    for kind, gates, states in (("LSTM", 4, 2), ("GRU", 3, 1), ("RNN", 1, 1)):
        for layout in (0, 1):
            x = _floats(*((2, 5, 4) if layout else (5, 2, 4)))
            initial = [_floats(*((2, 1, 3) if layout else (1, 2, 3))) for _ in range(states)]
            weights = (_floats(1, gates * 3, 4), _floats(1, gates * 3, 3), _floats(1, 2 * gates * 3))
            _add(kind, x, *weights, None, *initial, hidden_size=3, layout=layout)


def _conversions() -> None:
    _add("Cast", _ints(-9, 9, 5), to=int(ir.DataType.FLOAT), round_mode="up", saturate=1)
    _add("Cast", _floats(5), to=int(ir.DataType.BOOL))
    _add("CastLike", _ints(-9, 9, 5), _floats(1))
    _add("Bernoulli", fed([0.0, 1.0, 0.0, 1.0]))
    _add("Bernoulli", fed([0.0, 1.0]), dtype=int(ir.DataType.INT64))
    _add("Attention", _floats(1, 2, 3, 4), _floats(1, 2, 5, 4), _floats(1, 2, 5, 4), left_window_size=-1, outputs=1)


for _family in (
    *(_axes, _reductions, _shapes, _slices, _bounds, _choices, _comparisons, _running, _normalisations),
    *(_activations, _arithmetic, _indexing, _pooling, _pixels, _resampling, _products, _quantised, _spectra),
    *(_recurrent, _conversions),
):
    _family()
