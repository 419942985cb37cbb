# SPDX-License-Identifier: Apache-2.0
"""What all tests share: golden files, rewritten with `python -m pytest --golden`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# How long an example takes says nothing on a machine that is shared.
settings.register_profile("lading", deadline=None, max_examples=50)
settings.load_profile("lading")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="write the golden files anew, in place of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[Path, str], None]:
    """Compare a text with a golden file, or write the file where --golden is given."""

    def check(file: Path, text: str) -> None:
        if request.config.getoption("--golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.is_file(), f"no golden file {file.name}: run `python -m pytest --golden` and look at what it wrote"
        assert file.read_text(encoding="utf-8") == text, "differs from the golden file; `--golden` writes it anew"

    return check
