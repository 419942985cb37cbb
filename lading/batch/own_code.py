# SPDX-License-Identifier: Apache-2.0
"""The code that a model is made by: source files of one's own, and the installed packages that it comes from."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import attrs

from ..pipeline.errors import UsageError

if TYPE_CHECKING:
    from ..model_reference import NamedModel
    from ..pipeline.resolve import ResolvedRecipe


@attrs.frozen
class Code:
    """What takes part in making a model.

    Attributes:
        files: source files that belong to no installed package.
        packages: the versions of the installed packages that its classes are from, or that those files import.
        is_known: whether what is in memory is what stands in the files.
    """

    files: frozenset[Path]
    packages: Mapping[str, str]
    is_known: bool = True


_loaded: dict[Path, tuple[ModuleType, int]] = {}
"""The module that this process has from a file, with the time of the file's last change when it was first looked at."""


def _not_installed() -> frozenset[Path]:
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return frozenset(Path(file).resolve() for file in files if file and "site-packages" not in file and is_own(file))


def code_of(named: NamedModel, recipe: ResolvedRecipe) -> Code:
    """Find the code of a factory, of the classes of its model, and of passes and lowerings, with all that it imports.

    Args:
        named: the model.
        recipe: the recipe, whose passes may be one's own.

    Raises:
        UsageError: a file has changed since this process has imported it.
    """
    from ..passes.lower.registry import users_files

    modules = getattr(named.model, "modules", None)
    things = [
        named.named,
        *(modules() if callable(modules) else [named.model]),
        *(step.made for step in recipe.steps()),
    ]
    todo = [_module_of(thing) for thing in things]
    seen: set[str] = set()
    files = {Path(file).resolve() for file in users_files() if is_own(file)}
    is_known = True
    packages: dict[str, str] = {}
    while todo:
        module = todo.pop()
        if module is None or module.__name__ in seen:
            continue
        seen.add(module.__name__)
        top = module.__name__.partition(".")[0]
        file = getattr(module, "__file__", None)
        # For the passes that come with lading its version stands, wherever it is installed.
        if top == "lading" or file is None or not is_own(file):
            packages.update(versions_of(top))
            continue
        path = Path(file).resolve()
        files.add(path)
        is_known = _is_as_imported(path, module) and is_known
        todo.extend(value if isinstance(value, ModuleType) else _module_of(value) for value in vars(module).values())
    return Code(frozenset(files), packages, is_known)


def _is_as_imported(path: Path, module: ModuleType) -> bool:
    """Whether a module is what stands in its file.

    Raises:
        UsageError: it is not.
    """
    changed = path.stat().st_mtime_ns
    known, when = _loaded.setdefault(path, (module, changed))
    if known is not module:
        _loaded[path] = (module, changed)
    elif when != changed:
        raise UsageError(
            "the file has changed since this process has imported it",
            where=str(path),
            hint="run the batch again; on a cluster, start the workers anew",
        )
    return path not in _PRELOADED


def versions_of(module: str) -> dict[str, str]:
    """The versions of the packages that an importable name is from; nothing for Python's own."""
    return {name: importlib.metadata.version(name) for name in _packages().get(module, ())}


@functools.cache
def _packages() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _module_of(thing: Any) -> ModuleType | None:
    name = getattr(thing, "__module__", None) or getattr(type(thing), "__module__", None)
    return sys.modules.get(name) if isinstance(name, str) else None


def is_own(file: str) -> bool:
    """Whether a file belongs to no installed package, whose version is what counts."""
    path = Path(file).resolve()
    return path.is_file() and not any(path.is_relative_to(place) for place in _installed())


def _installed() -> Iterable[Path]:
    places = [Path(entry).resolve() for entry in sys.path if entry.endswith("site-packages")]
    return [*places, Path(os.__file__).resolve().parent]


_PRELOADED = _not_installed()
"""Files of modules that were there before the first export: when they were imported nobody knows."""
