# SPDX-License-Identifier: Apache-2.0
"""The generated pages say what the code says."""

from __future__ import annotations

import importlib.util
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docs" / "tables.py"


def test_no_generated_page_is_stale():
    spec = importlib.util.spec_from_file_location("tables", SCRIPT)
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    assert [] == tables.stale()
