# SPDX-License-Identifier: Apache-2.0
"""Short-time Fourier transforms and their inverse, as convolutions: every opset has them, and lengths stay free.

A frame's spectrum is its product with a windowed matrix of cosines and sines, which a strided convolution takes frame
by frame. The inverse adds up frames by a transposed convolution, and divides by the sum of the squared windows
(https://docs.pytorch.org/docs/stable/generated/torch.istft.html).
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers
from .patches import convolved, convolved_transposed
from .views import Size, reshape_to, sizes_of


def _bins(n_fft: int, onesided: bool) -> int:
    return n_fft // 2 + 1 if onesided else n_fft


def _waves(n_fft: int, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cosines and sines: bins by places in the frame."""
    # The product is reduced first, so that the angles of long transforms stay exact.
    angles = 2 * np.pi * (np.outer(np.arange(bins), np.arange(n_fft)) % n_fft) / n_fft
    return np.cos(angles), np.sin(angles)


def _window(op: Emitter, x: ir.Value, window: ir.Value | None, n_fft: int, win_length: int) -> ir.Value | None:
    """Return the window as long as a frame, centred in it; None where it is one throughout."""
    dtype = x.dtype or ir.DataType.FLOAT
    if window is None:
        if win_length == n_fft:
            return None
        window = op.const(np.ones(win_length), dtype)
    before = (n_fft - win_length) // 2
    after = n_fft - win_length - before
    window = op.cast(window, dtype)
    return op.Pad(window, [before, after], op.const(0, dtype)) if before or after else window


def _frames(op: Emitter, signal: ir.Value, kernel: ir.Value, n_fft: int, hop: int) -> ir.Value:
    """Multiply every frame of a signal with the rows of a kernel, in the signal's own precision."""
    if signal.dtype == ir.DataType.DOUBLE and not op.runs("Conv", ir.DataType.DOUBLE):
        return convolved(op, signal, kernel, None, [n_fft], [hop], [0, 0], [1], 1)
    return op.Conv(signal, kernel, strides=[hop])


def _overlapped(op: Emitter, rows: ir.Value, kernel: ir.Value, n_fft: int, hop: int) -> ir.Value:
    """Add frames up where they overlap, in their own precision."""
    if rows.dtype == ir.DataType.DOUBLE and not op.runs("ConvTranspose", ir.DataType.DOUBLE):
        return convolved_transposed(op, rows, kernel, None, [n_fft], [hop], [0, 0], [1], [0], 1)
    return op.ConvTranspose(rows, kernel, strides=[hop])


@lowers("aten::stft", "complex/aten::stft")
def stft(
    op: Emitter,
    x: ir.Value,
    window: ir.Value | None = None,
    *,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    normalized: bool = False,
    onesided: bool | None = None,
    return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> ir.Value:
    """The spectra of frames: (batch, samples) to (batch, bins, frames, 2)."""
    del return_complex
    if align_to_window:
        raise op.cannot("frames aligned to the window have no counterpart")
    hop = n_fft // 4 if hop_length is None else hop_length
    bins = _bins(n_fft, onesided is not False)
    cos, sin = _waves(n_fft, bins)
    kernel = op.const_like(np.concatenate([cos, -sin])[:, None] / (math.sqrt(n_fft) if normalized else 1.0), x)
    shape = _window(op, x, window, n_fft, n_fft if win_length is None else win_length)
    if shape is not None:
        kernel = op.Mul(kernel, shape)
    alone = op.rank(x) == 1
    signal = op.Unsqueeze(x, [0, 1]) if alone else op.Unsqueeze(x, [1])
    # (batch, real parts then imaginary ones, frames)
    spectrum = _frames(op, signal, kernel, n_fft, hop)
    pairs = reshape_to(op, spectrum, [*sizes_of(op, spectrum, 0, 1), 2, bins, *sizes_of(op, spectrum, 2, 3)])
    result = op.Transpose(pairs, perm=[0, 2, 3, 1])
    return op.Squeeze(result, [0]) if alone else result


@lowers("complex/aten::istft")
def istft(
    op: Emitter,
    x: ir.Value,
    window: ir.Value | None = None,
    *,
    n_fft: int,
    hop_length: int | None = None,
    win_length: int | None = None,
    center: bool = True,
    normalized: bool = False,
    onesided: bool | None = None,
    length: Size | None = None,
    return_complex: bool = False,
) -> ir.Value:
    """The signal of overlapping spectra: (batch, bins, frames, 2) to (batch, samples)."""
    if return_complex:
        raise op.cannot("complex signals have no counterpart")
    hop = n_fft // 4 if hop_length is None else hop_length
    bins = _bins(n_fft, onesided is not False)
    cos, sin = _waves(n_fft, bins)
    # What is not there is the conjugate of what is; the first and, of an even length, the middle stand for themselves.
    weights = np.full((bins, 1), 1.0)
    if bins != n_fft:
        weights[1 : (n_fft + 1) // 2] = 2.0
    scale = weights / (math.sqrt(n_fft) if normalized else n_fft)
    kernel = op.const_like(np.concatenate([cos * scale, -sin * scale])[:, None], x)
    shape = _window(op, x, window, n_fft, n_fft if win_length is None else win_length)
    square = op.const_like(np.ones((1, 1, n_fft)), x)
    if shape is not None:
        kernel = op.Mul(kernel, shape)
        square = op.Mul(square, op.Mul(shape, shape))
    alone = op.rank(x) == 3
    batch = op.Unsqueeze(x, [0]) if alone else x
    parts = op.Transpose(batch, perm=[0, 3, 1, 2])
    flat = reshape_to(op, parts, [*sizes_of(op, parts, 0, 1), 2 * bins, *sizes_of(op, parts, 3, 4)])
    signal = _overlapped(op, flat, kernel, n_fft, hop)
    # A frame of ones for each of the frames, whatever their number: what the windows add up to.
    ones = op.Expand(op.const_like([[[1.0]]], x), op.int_vector([1, 1, op.size(flat, 2)]))
    envelope = _overlapped(op, ones, square, n_fft, hop)
    start = n_fft // 2 if center else 0
    end: ir.Value | list[int]
    if length is None:
        end = [-start] if center else [np.iinfo(np.int64).max]
    elif isinstance(length, ir.Value):
        end = op.Add(op.vector(length), op.i64([start]))
    else:
        end = [start + length]
    signal, envelope = (op.Slice(value, [start], end, [2]) for value in (signal, envelope))
    result = op.Squeeze(op.Div(signal, envelope), [1])
    if length is not None:
        # PyTorch fills up with zeros where the frames end before the length.
        have = op.vector(op.size(result, 1))
        missing = op.Max(op.Sub(op.vector(length), have), op.i64([0]))
        result = op.Pad(result, op.Concat(op.i64([0, 0, 0]), missing, axis=0), op.const_like(0.0, x))
    return op.Squeeze(result, [0]) if alone else result
