# SPDX-License-Identifier: Apache-2.0
"""Imports the modules that fill the table."""

from __future__ import annotations

from constructs import branches, interfaces, lists, loops, modules, tensors, writes

LOADED = (branches, interfaces, lists, loops, modules, tensors, writes)
