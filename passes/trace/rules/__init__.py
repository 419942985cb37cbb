# SPDX-License-Identifier: Apache-2.0
"""Which composites are kept whole, and the shapes of their results.

A rule has the signature of the public function that it stands for, after the recorder. It writes the call down as one
ATen operator, or returns `NOT_KEPT` where the ordinary way is right: an argument that it does not know, a training form
that updates buffers, shapes that do not fit (so that PyTorch says so in its own words).
"""

from __future__ import annotations

from lading.passes.trace.rules import (  # noqa: F401  (each fills the table)
    activations,
    dropout,
    equations,
    images,
    indexing,
    losses,
    normalizations,
    packing,
    pooling,
    products,
    recurrent,
    signals,
    sizes,
    statistics,
    values,
)
from lading.passes.trace.rules.registry import RULES

__all__ = ["RULES"]
