# SPDX-License-Identifier: Apache-2.0
"""Signals in time."""

from __future__ import annotations

from typing import Any

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
