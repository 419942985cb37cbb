# SPDX-License-Identifier: Apache-2.0
"""The passes of the cookbook, imported as their files stand there."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

COOKBOOK = Path(__file__).parents[2] / "examples" / "passes"


@pytest.fixture(scope="session")
def cookbook() -> dict[str, Any]:
    """Every pass class of the cookbook, by the name of its class."""
    found: dict[str, Any] = {}
    for path in sorted(COOKBOOK.glob("*.py")):
        name = f"cookbook_{path.stem}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # The types of options are looked up in the module that declares them.
        sys.modules[name] = module
        spec.loader.exec_module(module)
        found.update({key: each for key, each in vars(module).items() if hasattr(each, "declaration")})
    return found
