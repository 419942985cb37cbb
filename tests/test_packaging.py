# SPDX-License-Identifier: Apache-2.0
"""What the wheel holds: every package and every data file of the four folders."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
SETUPTOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
FOLDERS = {folder: package for package, folder in SETUPTOOLS["package-dir"].items()}


def _package(path: Path) -> str:
    top, *rest = path.relative_to(ROOT).parts
    return ".".join([FOLDERS[top], *rest])


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_every_package_is_named(folder):
    found = {_package(path.parent) for path in (ROOT / folder).rglob("__init__.py")}
    assert found == {name for name in SETUPTOOLS["packages"] if name in found or name == FOLDERS[folder]}


def test_every_folder_with_modules_is_a_package():
    bare = {
        path.parent.relative_to(ROOT).as_posix()
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if not (path.parent / "__init__.py").exists()
    }
    assert set() == bare


@pytest.mark.parametrize("folder", sorted(FOLDERS))
def test_every_data_file_is_named(folder):
    suffixes = {".json", ".toml", ".typed", ".html", ".css", ".js"}
    for path in (ROOT / folder).rglob("*"):
        if path.suffix in suffixes or path.name == "py.typed":
            patterns = SETUPTOOLS["package-data"].get(_package(path.parent), [])
            assert any(path.match(pattern) for pattern in patterns), path.name
