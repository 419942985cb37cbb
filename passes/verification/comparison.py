# SPDX-License-Identifier: Apache-2.0
"""How one output of the file is compared with what eager computes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import torch

OUTLIER = 1e6
"""Values this many times larger than the middle one (mask values such as -1e9) do not set the scale of an output."""

IN_ANOTHER_ORDER = "rows stand in another order, as those of nearly one score may where a model sorts by it"

ROWS_LOOKED_AT = 1000
"""Rows of a matrix that differ up to which they are looked for in other places."""

HALF_PRECISION_STEPS = 16
"""Tolerance of types coarser than float32, in units of their own precision."""


@attrs.frozen(kw_only=True)
class Tolerance:
    """What difference is accepted.

    Floating-point outputs may differ by `rtol` of the output's scale, plus `atol`; types coarser than float32 by 16
    steps of their precision, if that is more. Integers and booleans may not differ.
    """

    rtol: float = 1e-4
    atol: float = 1e-7

    def relative(self, dtype: torch.dtype) -> float:
        """Return the share of an output's scale by which values of this floating-point type may differ."""
        import torch

        return max(self.rtol, HALF_PRECISION_STEPS * torch.finfo(dtype).eps)


@attrs.frozen(kw_only=True)
class OutputError:
    """How far one output is from eager's.

    Attributes:
        name: the name of the output in the file.
        dtype: eager's element type.
        shape: eager's shape.
        absolute: the largest difference; infinite where values cannot be compared.
        relative: the same as a share of the scale of the output.
        allowed: the largest share that the tolerance accepts.
        problem: what is wrong, or None if the output agrees.
        empty: whether eager's output has no number in it to compare (no elements, or only NaN).
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    absolute: float = 0.0
    relative: float = 0.0
    allowed: float = 0.0
    problem: str | None = None
    empty: bool = False


def compare(
    name: str, expected: torch.Tensor, got: torch.Tensor, tolerance: Tolerance, coarsest: torch.dtype | None = None
) -> OutputError:
    """Compare one output with eager's: element type, shape, where NaN and infinities stand, and values.

    A complex output is accepted as a real one with a last axis of two. `coarsest` is the coarsest floating-point type
    that the model computes in, which widens the tolerance of its finer outputs.
    """
    import torch

    expected, got = expected.detach().cpu(), got.detach().cpu()
    if expected.dtype.is_complex and not got.dtype.is_complex:
        expected = torch.view_as_real(expected.resolve_conj())
    dtype, shape = str(expected.dtype).removeprefix("torch."), tuple(expected.shape)
    found = OutputError(name=name, dtype=dtype, shape=shape)

    def wrong(problem: str, absolute: float = math.inf, relative: float = math.inf) -> OutputError:
        return attrs.evolve(found, problem=problem, absolute=absolute, relative=relative)

    if got.dtype != expected.dtype:
        return wrong(f"has type {str(got.dtype).removeprefix('torch.')} and not {dtype}")
    if got.shape != expected.shape:
        return wrong(f"has shape {list(got.shape)} and not {list(shape)}")
    if expected.numel() == 0:
        return attrs.evolve(found, empty=True)
    if not (expected.dtype.is_floating_point or expected.dtype.is_complex):
        # As Python would: differences of int64 may not fit int64, so they are looked at where there are any.
        differs = expected != got
        count = int(differs.sum())
        if not count:
            return found
        pairs = zip(expected[differs].tolist(), got[differs].tolist(), strict=True)
        worst = float(max(abs(int(a) - int(b)) for a, b in pairs))
        return wrong(f"{count} of {expected.numel()} values differ, and integers must not", worst)
    real = torch.view_as_real if expected.dtype.is_complex else torch.Tensor.contiguous
    a, b = real(expected.resolve_conj()).double(), real(got.resolve_conj()).double()
    base = max((t for t in (expected.dtype, coarsest) if t is not None), key=lambda t: torch.finfo(t).eps)
    found = attrs.evolve(found, allowed=tolerance.relative(base))
    if bool((a.isnan() != b.isnan()).any()):
        return wrong(f"NaN stands in {int(b.isnan().sum())} places and not in {int(a.isnan().sum())}")
    infinite = a.isinf() | b.isinf()
    if bool((a[infinite] != b[infinite]).any()):
        return wrong("infinities stand in other places")
    finite = a.isfinite()
    a, b = a[finite], b[finite]
    if a.numel() == 0:
        return attrs.evolve(found, empty=True)
    size, difference = a.abs(), (a - b).abs()
    scale = size.clamp(min=_scale(size))
    absolute = float(difference.max())
    relative = float(torch.where(difference > 0, difference / scale, difference).max())
    if bool((difference > tolerance.atol + found.allowed * scale).any()):
        count = int((difference > tolerance.atol + found.allowed * scale).sum())
        problem = f"{count} of {expected.numel()} values differ by more than {found.allowed:.1e} of the scale"
        if not expected.dtype.is_complex and bool(finite.all()):
            limit = tolerance.atol + found.allowed * float(scale.max())
            rows = rows_in_another_order(expected.double(), got.double(), limit)
            if rows:
                problem += f"; {rows} {IN_ANOTHER_ORDER}"
        return wrong(problem, absolute, relative)
    return attrs.evolve(found, absolute=absolute, relative=relative)


def rows_in_another_order(expected: torch.Tensor, got: torch.Tensor, limit: float) -> int:
    """Return how many rows (of the last two axes) differ, if each of them stands in another place of its matrix.

    A model that orders rows by a score, as detectors do, leaves to rounding which of two rows of one score comes first.

    Args:
        expected: eager's numbers, all finite.
        got: the file's, of the same shape.
        limit: by how much two numbers that are the same may differ.

    Returns:
        The number of rows, 0 where some row stands nowhere, or where more than `ROWS_LOOKED_AT` of a matrix differ.
    """
    import torch

    if expected.dim() < 2:
        return 0
    count = 0
    matrices = (tensor.reshape(-1, *tensor.shape[-2:]) for tensor in (expected, got))
    for left, right in zip(*matrices, strict=True):
        differ = ((left - right).abs() > limit).any(1)
        if not differ.any():
            continue
        if int(differ.sum()) > ROWS_LOOKED_AT:
            return 0
        distance, place = torch.cdist(left[differ], right[differ], p=math.inf).min(1)
        if float(distance.max()) > limit or len(set(place.tolist())) != len(place):
            return 0
        count += len(place)
    return count


def _scale(size: torch.Tensor) -> float:
    """Return the largest magnitude, leaving out outliers: see `OUTLIER`."""
    usual = size[size > 0]
    if usual.numel() == 0:
        return 0.0
    return float(size[size <= OUTLIER * usual.median()].max())
