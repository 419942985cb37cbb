# SPDX-License-Identifier: Apache-2.0
"""Imports the modules that fill the table."""

from __future__ import annotations

from constructs import branches, lists, loops

LOADED = (branches, lists, loops)
