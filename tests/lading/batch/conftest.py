# SPDX-License-Identifier: Apache-2.0
"""A folder with models."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from support.batches import write_models


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_models(tmp_path)
    # That of another folder.
    sys.modules.pop("activation", None)
    return tmp_path
