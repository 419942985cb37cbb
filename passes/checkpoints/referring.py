# SPDX-License-Identifier: Apache-2.0
"""Weights that stay in the files of a checkpoint, which the model then refers to.

ONNX takes external data from the folder of the model and below it. Readers refuse more: `onnx.load` and `onnx.checker`
a file that is a link or has several names, onnxruntime one that a link leads out of the folder for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
from lading.passes.checkpoints.checkpoint import CheckpointFile
from lading.passes.files.data_files import Place
from lading.passes.weights import Weight
from lading.pipeline.errors import UsageError

if TYPE_CHECKING:
    from lading.pipeline.note import Note


def places_in_checkpoint(model: ir.Model, target: Any, note: Note, *, how: str, at_least: int) -> dict[str, Place]:
    """Return the places of weights that stay in the files of a checkpoint, by initializer name.

    Args:
        model: the model.
        target: where the model is written.
        note: told how many there are, or why there are none though a checkpoint is there.
        how: "refer", "copy", or "auto", which is the first where the folder allows it.
        at_least: bytes below which a weight is copied into the model all the same.

    Raises:
        UsageError: they are to be referred to, and the model cannot do so.
    """
    if how == "copy":
        return {}
    places: dict[str, Place] = {}
    locations: dict[CheckpointFile, str] = {}
    for name, value in model.graph.initializers.items():
        weight = value.const_value
        if not isinstance(weight, Weight) or weight.source is None or weight.nbytes < at_least:
            continue
        offset, file = weight.stored_at, weight.source.file
        if offset is None:
            continue
        if file not in locations:
            location, why = _location(file, target)
            if why and how == "refer":
                raise UsageError(
                    f"the model cannot refer to {file.path}: {why}",
                    hint="write the model into the folder of the checkpoint, or set serialize.weights = 'copy'",
                )
            if why:
                note.decided("weights copied", f"the model cannot refer to their file: {why}", file=file.path.name)
                return {}
            locations[file] = location
        places[name] = Place(locations[file], offset, weight.nbytes)
    if places:
        note.count("weights referred to", len(places))
    return places


def checkpoint_files(model: ir.Model) -> list[CheckpointFile]:
    """Return the files that weights of a model are read from, also by way of what is computed from them."""
    found: dict[CheckpointFile, None] = {}
    waiting: list[Any] = [value.const_value for value in model.graph.initializers.values()]
    while waiting:
        tensor = waiting.pop()
        waiting.extend(getattr(tensor, "sources", ()))
        source = getattr(tensor, "source", None)
        if source is not None:
            found[source.file] = None
    return list(found)


def spare_checkpoint(model: ir.Model, target: Any, data_names: Iterable[str]) -> None:
    """Refuse to write over the files that the weights are read from.

    Raises:
        UsageError: the model, or one of its data files, would be.
    """
    if not isinstance(target, (str, os.PathLike)):
        return
    path = Path(os.path.realpath(target))
    written = {path, *(path.with_name(name) for name in data_names)}
    for file in checkpoint_files(model):
        if Path(os.path.realpath(file.path)) in written:
            raise UsageError(
                f"the checkpoint {file.path} would be written over",
                hint="choose another path, or another name with serialize.external_data_file",
            )


def _location(file: CheckpointFile, target: Any) -> tuple[str, str | None]:
    """Return how a model at `target` calls a file of a checkpoint, and why it cannot, if it cannot."""
    if not isinstance(target, (str, os.PathLike)):
        return "", "the target is not the path of a file"
    folder = Path(os.path.realpath(target)).parent
    path = Path(os.path.abspath(file.path))
    with contextlib.suppress(OSError):
        # The folder may be reached by links; what is in it may not be one.
        path = Path(os.path.realpath(path.parent)) / path.name
    if not path.is_relative_to(folder):
        return "", f"it is not in {folder} or below it, where ONNX wants the data of a model"
    if not file.stands_at(path):
        return "", "it is a link, or has several names"
    return path.relative_to(folder).as_posix(), None
