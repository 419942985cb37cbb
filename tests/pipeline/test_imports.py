# SPDX-License-Identifier: Apache-2.0
"""What the engine imports, looked at in processes of its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import lading.pipeline
import pytest

FOLDER = Path(str(lading.pipeline.__file__)).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


def loaded_after(code: str) -> set[str]:
    script = f"{code}\nimport sys\nprint(' '.join(sorted(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("name", ["torch", "onnx", "onnx_ir", "numpy"])
def test_no_module_of_the_engine_loads(name: str) -> None:
    assert name not in ALL_LOADED


ALL_LOADED = loaded_after("\n".join(f"import lading.pipeline.{module}" for module in MODULES))


def test_listing_recipes_loads_neither_frameworks_nor_the_planner() -> None:
    code = (
        "from lading.pipeline.recipe import load_recipe, shipped_recipes\n"
        "[load_recipe(name) for name in shipped_recipes()]"
    )
    assert set() == loaded_after(code) & {"torch", "onnx", "onnx_ir", "numpy", "networkx", "structlog", "rich"}


@pytest.mark.parametrize("module", MODULES)
def test_the_engine_knows_no_pass_and_no_torch(module: str) -> None:
    tree = ast.parse((FOLDER / f"{module}.py").read_text(encoding="utf-8"))
    named = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    named += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert [] == [name for name in named if name.split(".")[0] == "torch" or "passes" in name.split(".")]
