# SPDX-License-Identifier: Apache-2.0
"""The folder that the code of a page runs in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from lading.passes.lower.registry import LOWERINGS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A temporary folder that looks like the project's root to the examples, left without lowerings of a page's."""
    tmp_path.joinpath("examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    LOWERINGS.load()
    before = {name: LOWERINGS.entries(name) for name in LOWERINGS}
    modules = set(sys.modules)
    yield tmp_path
    for name in list(LOWERINGS):
        for entry in LOWERINGS.entries(name):
            if entry not in before.get(name, ()):
                LOWERINGS.remove(name, entry.since)
    for name in set(sys.modules) - modules:
        # A file of a page, which another page may have too.
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
