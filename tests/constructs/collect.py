# SPDX-License-Identifier: Apache-2.0
"""Imports the modules that fill the table."""

from __future__ import annotations

from constructs import branches, interfaces, layers, lists, loops, modules, tensors, together, writes

LOADED = (branches, interfaces, layers, lists, loops, modules, tensors, together, writes)
