# SPDX-License-Identifier: Apache-2.0
"""A recipe resolved from Python: every value with its source, and the recipe as one flat file."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .passes import BUILTIN
from .pipeline.project import Project
from .pipeline.recipe import Recipe, load_recipe
from .pipeline.registry import Registry
from .pipeline.resolve import ResolvedRecipe
from .pipeline.resolve import resolve as bind

DEFAULT_RECIPE = "inference"


def loaded_recipe(recipe: str | os.PathLike[str] | None, defaults: Project | None) -> Recipe:
    """The recipe that a caller names, or else that of a project, or else ``inference``."""
    named = recipe or (defaults and defaults.recipe) or DEFAULT_RECIPE
    folders = () if defaults is None else defaults.folders
    return load_recipe(named if isinstance(named, str) else Path(named), folders=folders)


def resolve(
    recipe: str | os.PathLike[str] | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    settings: Iterable[str] = (),
    passes: Iterable[Any] = (),
    defaults: Project | None = None,
) -> ResolvedRecipe:
    """Resolve a recipe as an export would, without running anything.

    Args:
        recipe: the name of a recipe or the path of a recipe file; ``None`` for that of ``defaults``, or ``inference``.
        overrides: recipe values by dotted key.
        settings: the same as text, as the command line takes them.
        passes: further passes.
        defaults: a project's defaults, as :func:`lading.find_project` reads them.

    Returns:
        The recipe with every value (``sources()``), its ``hash``, and ``to_toml()``: one file that extends nothing and
        resolves to the same hash.

    Raises:
        UsageError: the recipe and its overrides do not make sense.
    """
    return bind(
        loaded_recipe(recipe, defaults),
        Registry(BUILTIN),
        overrides=overrides,
        settings=settings,
        passes=tuple(passes),
        project=defaults,
    )
