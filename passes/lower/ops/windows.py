# SPDX-License-Identifier: Apache-2.0
"""Window functions of signal processing.  Their length is fixed at capture, so that they are constants."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
import torch

from ...dialect import torch_dtype
from ..emitter import Emitter
from ..registry import lowers


def _stored(op: Emitter, make: Any, *arguments: Any) -> ir.Value:
    wanted = op.result().dtype
    if any(isinstance(argument, ir.Value) for argument in arguments):
        raise op.cannot("a window whose length is only known at run time has no counterpart")
    exact = make(*arguments, dtype=torch_dtype(wanted))
    return op.const(ir.tensor(exact).numpy(), wanted)


@lowers("aten::hann_window", "aten::hann_window.periodic")
def hann_window(op: Emitter, *, window_length: Any, periodic: bool = True, dtype: Any = None) -> ir.Value:
    """The Hann window."""
    return _stored(op, torch.hann_window, window_length, periodic)


@lowers(
    "aten::hamming_window",
    "aten::hamming_window.periodic",
    "aten::hamming_window.periodic_alpha",
    "aten::hamming_window.periodic_alpha_beta",
)
def hamming_window(
    op: Emitter,
    *,
    window_length: Any,
    periodic: bool = True,
    alpha: float = 0.54,
    beta: float = 0.46,
    dtype: Any = None,
) -> ir.Value:
    """The Hamming window."""
    return _stored(op, torch.hamming_window, window_length, periodic, alpha, beta)


@lowers("aten::blackman_window", "aten::blackman_window.periodic")
def blackman_window(op: Emitter, *, window_length: Any, periodic: bool = True, dtype: Any = None) -> ir.Value:
    """The Blackman window."""
    return _stored(op, torch.blackman_window, window_length, periodic)


@lowers("aten::bartlett_window", "aten::bartlett_window.periodic")
def bartlett_window(op: Emitter, *, window_length: Any, periodic: bool = True, dtype: Any = None) -> ir.Value:
    """The Bartlett window, a triangle."""
    return _stored(op, torch.bartlett_window, window_length, periodic)


@lowers("aten::kaiser_window", "aten::kaiser_window.periodic", "aten::kaiser_window.beta")
def kaiser_window(
    op: Emitter, *, window_length: Any, periodic: bool = True, beta: float = 12.0, dtype: Any = None
) -> ir.Value:
    """The Kaiser window."""
    return _stored(op, torch.kaiser_window, window_length, periodic, beta)
