# SPDX-License-Identifier: Apache-2.0
"""Pass classes by name: built-in ones, those of installed packages, and any that a reference names."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .declare import PassDeclaration, declaration_of
from .errors import LadingError, PlanError, did_you_mean
from .facts import Fact

ENTRY_POINT_GROUP = "lading.passes"


class Registry:
    """Finds pass classes, and imports a module only when something in it is asked for.

    `builtin` maps names to "module:Class".  Packages add names with the entry-point group `lading.passes`; a recipe
    may also say "package.module:Class", or "file.py:Class" with the path taken from the recipe's folder.
    """

    def __init__(self, builtin: Mapping[str, str] | None = None, *, entry_points: bool = True) -> None:
        self._references = dict(builtin or {})
        self._classes: dict[str, Any] = {}
        self._given: dict[str, Any] = {}
        self._installed: dict[str, str] | None = None if entry_points else {}

    def names(self) -> tuple[str, ...]:
        """The names that a recipe may use for a pass, sorted.  Imports no pass."""
        return tuple(sorted({*self._references, *self._classes, *self._entry_points()}))

    def knows(self, name: str) -> bool:
        """Whether a pass of this name exists.  Imports no pass."""
        return name in self._references or name in self._classes or name in self._entry_points()

    def add(self, pass_class: Any) -> None:
        """Make a class known under its declared name, as a caller from Python does.

        Raises:
            PlanError: it is no pass class, or another class has the name.
        """
        declaration = _declared(pass_class, where=None)
        taken = declaration.name in self._references or declaration.name in self._entry_points()
        if taken or self._classes.get(declaration.name, pass_class) is not pass_class:
            other = self.find(declaration.name)
            if other is not pass_class:
                raise PlanError(
                    f"two classes are called '{declaration.name}': {_label(other)} and {_label(pass_class)}",
                    hint="give yours a name of its own",
                )
        self._classes[declaration.name] = pass_class
        self._given[reference_of(pass_class)] = pass_class

    def find(self, reference: str, *, where: str | None = None, folder: Path | None = None) -> Any:
        """The pass class that a name or a "module:Class" reference stands for.

        `where` is the place that asked, for messages; `folder` is where a "file.py:Class" path starts.

        Raises:
            PlanError: nothing has this name, the module cannot be imported, or the class is not a pass.
        """
        if ":" in reference:
            return self._given.get(reference) or _load(reference, where, folder)
        if reference in self._classes:
            return self._classes[reference]
        target = self._references.get(reference) or self._entry_points().get(reference)
        if target is None:
            hint = did_you_mean(reference, self.names(), otherwise="`lading passes` lists them, or 'module:Class'")
            raise PlanError(f"no pass is called '{reference}'", where=where, hint=hint)
        pass_class = _load(target, where, None)
        declared = _declared(pass_class, where)
        if declared.name != reference:
            raise PlanError(
                f"{target} is registered as '{reference}' and declares itself as '{declared.name}'", where=where
            )
        self._classes[reference] = pass_class
        return pass_class

    def declaration(self, name: str) -> PassDeclaration:
        """The declaration of the pass called `name`.  Raises PlanError as `find` does."""
        return _declared(self.find(name), None)

    def providers_of(self, fact: Fact) -> tuple[str, ...]:
        """The names of the known passes that provide `fact`; ones that cannot be loaded are left out."""
        names = []
        for name in self.names():
            try:
                declaration = self.declaration(name)
            except LadingError:
                # Only serves to make a suggestion: a pass that cannot be loaded is none.
                continue
            if fact in declaration.provides:
                names.append(name)
        return tuple(names)

    def _entry_points(self) -> dict[str, str]:
        if self._installed is None:
            self._installed = {}
            for name, value in _installed_passes(tuple(sys.path)):
                previous = self._references.get(name) or self._installed.get(name)
                if previous is not None and previous != value:
                    raise PlanError(
                        f"two passes are called '{name}': {previous} and {value}",
                        where=f"entry-point group {ENTRY_POINT_GROUP}",
                        hint="uninstall one of the two packages",
                    )
                self._installed[name] = value
        return self._installed


@functools.lru_cache(maxsize=8)
def _installed_passes(path: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """Name and reference of every pass that a package on `sys.path` brings; reads the metadata of all of them once."""
    del path  # what is found depends on it
    return tuple((point.name, point.value) for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))


def reference_of(pass_class: Any) -> str:
    """The "module:Class" text that finds this class again."""
    return f"{pass_class.__module__}:{pass_class.__qualname__}"


def _load(reference: str, where: str | None, folder: Path | None) -> Any:
    module_name, _, qualified = reference.rpartition(":")
    if not module_name or not qualified:
        raise PlanError(f"'{reference}' does not name a class", where=where, hint="'package.module:Class'")
    try:
        found: Any = _module_from_file(module_name, folder) if module_name.endswith(".py") else None
        if found is None:
            found = importlib.import_module(module_name)
    except FileNotFoundError as error:
        raise PlanError(
            f"no such file: {module_name}", where=where, hint="paths start at the recipe's folder"
        ) from error
    except Exception as error:
        raise PlanError(
            f"module of pass '{reference}' cannot be imported: {type(error).__name__}: {error}", where=where
        ) from error
    for part in qualified.split("."):
        if not hasattr(found, part):
            passes = [name for name, value in vars(found).items() if declaration_of(value) is not None]
            raise PlanError(f"{module_name} has no '{qualified}'", where=where, hint=did_you_mean(qualified, passes))
        found = getattr(found, part)
    _declared(found, where)
    return found


def _module_from_file(path_text: str, folder: Path | None) -> Any:
    path = (Path(path_text) if folder is None else folder / path_text).resolve()
    if not path.is_file():
        raise FileNotFoundError(path)
    # The digest keeps two files of one stem apart; the same file is one module however often it is named.
    name = f"_lading_file_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path_text} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _declared(pass_class: Any, where: str | None) -> PassDeclaration:
    declaration = declaration_of(pass_class)
    if declaration is None or not isinstance(pass_class, type):
        raise PlanError(
            f"{_label(pass_class)} is not a pass class", where=where, hint="declare it with @a_pass('its-name', ...)"
        )
    return declaration


def _label(thing: Any) -> str:
    return reference_of(thing) if isinstance(thing, type) else repr(thing)
