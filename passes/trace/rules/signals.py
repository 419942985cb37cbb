# SPDX-License-Identifier: Apache-2.0
"""Signals in time."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from lading.passes import torch_private
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule

_aten = torch.ops.aten
_VF = torch_private.variable_functions


@rule(_VF.stft)
def _stft(
    rec: Recorder,
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Any:
    if align_to_window or input.dim() not in (1, 2) or not input.is_floating_point():
        return NOT_KEPT
    hop = n_fft // 4 if hop_length is None else hop_length
    bins = n_fft // 2 + 1 if onesided is None or onesided else n_fft
    shape = [*input.shape[:-1], bins, (input.shape[-1] - n_fft) // hop + 1]
    dtype = input.dtype
    if return_complex:
        dtype = {torch.float16: torch.complex32, torch.float64: torch.complex128}.get(dtype, torch.complex64)
    else:
        shape.append(2)
    args = (input, n_fft, hop, win_length, window, normalized, onesided, return_complex)
    return rec.keep(_aten.stft.default, args, (shape, dtype))


@rule(torch.istft, _VF.istft)
def _istft(
    rec: Recorder,
    input: Any,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    window: Any = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: Any = None,
    return_complex: bool = False,
) -> Any:
    if return_complex or input.dim() not in (2, 3) or not input.is_complex():
        return NOT_KEPT
    if window is not None and window.is_complex():
        return NOT_KEPT
    hop = n_fft // 4 if hop_length is None else hop_length
    samples = length
    if length is None:
        samples = n_fft + hop * (input.shape[-1] - 1) - (2 * (n_fft // 2) if center else 0)
    dtype = torch.float64 if input.dtype is torch.complex128 else torch.float32
    args = (input, n_fft, hop, win_length, window, center, normalized, onesided, length)
    return rec.keep(_aten.istft.default, args, ((*input.shape[:-2], samples), dtype))


# ---- windows whose length is a size of the run ---------------------------------------------------------------------


def _window_rule(function: Any, shape: Callable[..., torch.Tensor]) -> None:
    """Write a window of a symbolic length as arithmetic on places; PyTorch takes a plain number only.

    Args:
        function: the public function.
        shape: takes the places (0, 1, ...), the place at which the window ends, and the function's other arguments.
    """

    def window(
        rec: Recorder, window_length: Any, periodic: bool = True, *parameters: Any, dtype: Any = None, **other: Any
    ) -> Any:
        kind = dtype or torch.get_default_dtype()
        if not isinstance(window_length, torch.SymInt) or not kind.is_floating_point or other.get("out") is not None:
            return NOT_KEPT
        named = {name: other.pop(name) for name in ("alpha", "beta") if name in other}
        place = cast(Any, torch.arange)(0, window_length, dtype=kind, **other)
        # A window of one place is 1, whatever its shape.
        end = window_length if periodic else torch.sym_max(window_length - 1, 1)
        made = shape(place, cast(Any, torch.scalar_tensor)(end, dtype=kind), *parameters, **named)
        return torch.where(cast(Any, torch.scalar_tensor)(window_length) == 1, 1.0, made)

    rule(function)(window)


def _cosines(place: torch.Tensor, end: torch.Tensor, *weights: float) -> torch.Tensor:
    """Return a sum of cosines of alternating sign, each of one more turn."""
    angle = place * (2 * math.pi) / end
    made = weights[0] - weights[1] * torch.cos(angle)
    for turns, weight in enumerate(weights[2:], 2):
        made = made + (-1) ** turns * weight * torch.cos(angle * turns)
    return made


def _kaiser(place: torch.Tensor, end: torch.Tensor, beta: float = 12.0) -> torch.Tensor:
    off_centre = place * 2 / end - 1
    return torch.i0(beta * torch.sqrt(1 - off_centre * off_centre)) / torch.i0(torch.full_like(end, beta))


# https://pytorch.org/docs/stable/generated/torch.hann_window.html and the pages of the others.
_window_rule(torch.hann_window, lambda place, end: _cosines(place, end, 0.5, 0.5))
_window_rule(torch.hamming_window, lambda place, end, alpha=0.54, beta=0.46: _cosines(place, end, alpha, beta))
_window_rule(torch.blackman_window, lambda place, end: _cosines(place, end, 0.42, 0.5, 0.08))
_window_rule(torch.bartlett_window, lambda place, end: 1 - torch.abs(place * 2 / end - 1))
_window_rule(torch.kaiser_window, _kaiser)
