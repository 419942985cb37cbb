# SPDX-License-Identifier: Apache-2.0
"""What an export is made from, as one hash: where it is the same, the file would be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..pipeline.run import versions

if TYPE_CHECKING:
    from ..model_reference import NamedModel
    from ..pipeline.resolve import ResolvedRecipe
    from .file import Job
    from .own_code import Code

_BLOCK = 1 << 22


def content_key(job: Job, named: NamedModel, call: Any, recipe: ResolvedRecipe, code: Code) -> str:
    """Hash what an export is made from.

    These are the weights, byte for byte; the modules with their classes and settings; the source files of the factory,
    of those classes, of passes and lowerings, and of what they import, as far as they belong to no installed package;
    the example call; the resolved recipe; and the versions of Python, PyTorch, lading and the packages that classes and
    imports are from.

    Args:
        job: the export.
        named: its model.
        call: its example call.
        recipe: the recipe with all that overrides it.
        code: what has made the model.
    """
    whole = hashlib.sha256()
    whole.update(json.dumps(versions(), sort_keys=True).encode())
    whole.update(recipe.hash.encode())
    whole.update(json.dumps([job.inputs, job.verify]).encode())
    whole.update(json.dumps(dict(code.packages), sort_keys=True).encode())
    for label, digest in sorted((path.name, file_digest(path)) for path in code.files):
        whole.update(f"{label} {digest}".encode())
    for name, entry in _state(named.model).items():
        whole.update(name.encode())
        _add(whole.update, entry)
    whole.update(_structure(named.model).encode())
    _add(whole.update, [list(call.args), dict(call.kwargs), call.axes, named.dynamic_axes])
    if job.weights is not None:
        for file in sorted(files_of(Path(job.weights))):
            whole.update(file_digest(file).encode())
    return whole.hexdigest()


def file_digest(path: Path) -> str:
    """Hash a file."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def files_of(path: Path) -> list[Path]:
    """A file, or all files in a folder."""
    return [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]


def _state(model: Any) -> Mapping[str, Any]:
    state = getattr(model, "state_dict", None)
    found = state() if callable(state) else state
    return found if isinstance(found, Mapping) else {}


def _structure(model: Any) -> str:
    """The modules with their classes and what their `extra_repr` says of them: strides, sizes, probabilities."""
    modules = getattr(model, "named_modules", None)
    if not callable(modules):
        # A program: its graph as text is what it computes.
        return str(getattr(model, "graph_module", getattr(model, "__qualname__", type(model).__qualname__)))
    return "\n".join(
        f"{name} {type(module).__module__}.{type(module).__qualname__} {module.training} {module.extra_repr()}"
        for name, module in modules()
    )


def _add(update: Callable[[bytes], object], value: Any) -> None:
    """Add a value of an example call or a state to a hash, tensors byte for byte."""
    import torch

    if isinstance(value, torch.Tensor):
        update(f"{value.dtype} {tuple(value.shape)} {value.is_quantized}".encode())
        if value.is_meta:
            return
        data = value.detach().cpu()
        data = data.int_repr() if data.is_quantized else data
        flat = data.contiguous().reshape(-1).view(torch.uint8) if data.numel() else data.reshape(-1)
        for start in range(0, flat.numel(), _BLOCK):
            update(flat[start : start + _BLOCK].numpy().tobytes())
    elif isinstance(value, Mapping):
        for key in value:
            update(repr(key).encode())
            _add(update, value[key])
    elif isinstance(value, (list, tuple)):
        update(f"{type(value).__name__} {len(value)}".encode())
        for item in value:
            _add(update, item)
    elif isinstance(value, (int, float, complex, str, bytes, bool, type(None))):
        update(repr(value).encode())
    else:
        # Whatever else a call takes; its class and its text are all that can be told of it in another process.
        shown = repr(value)
        update(f"{type(value).__qualname__} {'' if ' at 0x' in shown else shown}".encode())
