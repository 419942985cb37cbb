# SPDX-License-Identifier: Apache-2.0
"""Whether an export is still that of its model, told by files and versions alone, without making the model.

That can be known where somebody says on what a model depends beside its code, or where a file is the whole of it. The
stamp of an export holds what was there when it was made; it stands while all of that is the same.
"""

from __future__ import annotations

import glob
import importlib.metadata
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..pipeline.resolve import ResolvedRecipe
from ..pipeline.run import versions
from .contents import file_digest, files_of
from .file import Job
from .own_code import Code


def stamp_of(job: Job, recipe: ResolvedRecipe, code: Code, begun: float) -> dict[str, Any] | None:
    """Return the stamp of an export, or None where files and versions do not tell.

    Args:
        job: the export.
        recipe: its recipe with what the job overrides, and nothing that the model says.
        code: what has made the model.
        begun: when the job began, in seconds of the clock. What has changed since then may have been read before.
    """
    if not _can_tell(job) or not code.is_known:
        return None
    files = code.files | _asked(job)
    if any(path.stat().st_mtime >= begun for path in files):
        return None
    folder = Path(job.file).parent
    return {
        "job": _said(job),
        "recipe": recipe.hash,
        "versions": versions(),
        "packages": dict(code.packages),
        "code": sorted(os.path.relpath(path, folder) for path in code.files),
        "neighbours": _neighbours(code.files, folder),
        "files": _digests(files, folder),
    }


def stands(stamp: Any, job: Job, recipe: ResolvedRecipe) -> bool:
    """Whether all that an export was made from is as its stamp says.

    Args:
        stamp: what `stamp_of` has returned.
        job: the export.
        recipe: as for `stamp_of`.
    """
    if not isinstance(stamp, dict) or not _can_tell(job):
        return False
    folder = Path(job.file).parent
    try:
        code = {(folder / path).resolve() for path in stamp["code"]}
        return bool(
            stamp["job"] == _said(job)
            and stamp["recipe"] == recipe.hash
            and stamp["versions"] == versions()
            and all(_version(name) == version for name, version in stamp["packages"].items())
            and stamp["neighbours"] == _neighbours(code, folder)
            and stamp["files"] == _digests(code | _asked(job), folder)
        )
    except (OSError, KeyError, TypeError, AttributeError):
        # A file that is gone, or a stamp of another lading.
        return False


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _can_tell(job: Job) -> bool:
    return job.depends is not None or _is_program(job)


def _is_program(job: Job) -> bool:
    return job.model.endswith(".pt2")


def _said(job: Job) -> list[Any]:
    return [job.model.rpartition(os.sep)[2], list(job.inputs), job.verify, job.opset, list(job.settings)]


def _asked(job: Job) -> set[Path]:
    """The files that an export is made from beside code: what it is said to depend on, its checkpoint, its program."""
    found: set[Path] = set()
    for pattern in job.depends or ():
        for name in glob.glob(pattern, recursive=True):
            found.update(files_of(Path(name)))
    if job.weights is not None:
        found.update(files_of(Path(job.weights)))
    if _is_program(job):
        found.add(Path(job.model))
    return {path.resolve() for path in found}


def _digests(files: Iterable[Path], folder: Path) -> dict[str, str]:
    return {os.path.relpath(path, folder): file_digest(path) for path in sorted(files)}


def _neighbours(files: Iterable[Path], folder: Path) -> dict[str, list[str]]:
    """What could be imported from beside source files: one that is new may take the place of another."""
    places = sorted({path.parent for path in files})
    return {
        os.path.relpath(place, folder): sorted(
            entry.name
            for entry in os.scandir(place)
            if entry.name.endswith((".py", ".so", ".pyd")) or (entry.is_dir() and any(Path(entry.path).glob("*.py")))
        )
        for place in places
    }
