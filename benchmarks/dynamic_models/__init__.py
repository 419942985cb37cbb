# SPDX-License-Identifier: Apache-2.0
"""Models with every size free, by kind: what `benchmarks/dynamic.py` exports and compares."""

from __future__ import annotations

from dynamic_models.registry import MODELS, Call, Dynamic

from dynamic_models import (  # isort: skip - each fills the registry
    attention,
    audio,
    complex_numbers,
    decoding,
    detection,
    experts,
    graphs,
    kept,
    lengths,
    recurrences,
    vision,
)

__all__ = [
    "MODELS",
    "Call",
    "Dynamic",
    "attention",
    "audio",
    "complex_numbers",
    "decoding",
    "detection",
    "experts",
    "graphs",
    "kept",
    "lengths",
    "recurrences",
    "vision",
]
