# SPDX-License-Identifier: Apache-2.0
"""Imports the modules that fill the table."""

from __future__ import annotations

from constructs import (  # noqa: F401  (each fills the table)
    aliases,
    attention,
    axes,
    branches,
    customized,
    interfaces,
    layers,
    lists,
    loops,
    modules,
    programs,
    regions,
    results,
    stateful,
    statements,
    tensors,
    together,
    writes,
)
