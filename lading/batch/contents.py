# SPDX-License-Identifier: Apache-2.0
"""What an export is made from, as one hash: where it is the same, the file would be."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from ..pipeline.run import versions

if TYPE_CHECKING:
    from ..model_reference import NamedModel
    from ..pipeline.resolve import ResolvedRecipe
    from .file import Job

_BLOCK = 1 << 22


def content_key(job: Job, named: NamedModel, call: Any, recipe: ResolvedRecipe) -> str:
    """Hash what an export is made from.

    These are the weights, byte for byte; the modules with their classes and settings; the source files of the factory,
    of those classes, of passes and lowerings, and of what they import, as far as they belong to no installed package;
    the example call; the resolved recipe; and the versions of Python, PyTorch, lading and the packages that take part.

    Args:
        job: the export.
        named: its model.
        call: its example call.
        recipe: the recipe with all that overrides it.
    """
    whole = hashlib.sha256()
    whole.update(json.dumps(versions(), sort_keys=True).encode())
    whole.update(recipe.hash.encode())
    whole.update(json.dumps([job.inputs, job.verify]).encode())
    for label, digest in sorted(_sources(named, recipe).items()):
        whole.update(f"{label} {digest}".encode())
    for name, entry in _state(named.model).items():
        whole.update(name.encode())
        _add(whole.update, entry)
    whole.update(_structure(named.model).encode())
    _add(whole.update, [list(call.args), dict(call.kwargs), call.axes, named.dynamic_axes])
    if job.weights is not None:
        for file in sorted(_files(Path(job.weights))):
            whole.update(file_digest(file).encode())
    return whole.hexdigest()


def file_digest(path: Path) -> str:
    """Hash a file."""
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _files(path: Path) -> list[Path]:
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


def _sources(named: NamedModel, recipe: ResolvedRecipe) -> dict[str, str]:
    """The source files of one's own that take part, by name, with their hashes: those imported from others too."""
    from ..passes.lower.registry import users_files

    modules = getattr(named.model, "modules", None)
    things = [
        named.named,
        *(modules() if callable(modules) else [named.model]),
        *(step.made for step in recipe.steps()),
    ]
    todo = [_module_of(thing) for thing in things]
    seen: set[str] = set()
    files = {file for file in users_files() if _is_own(file)}
    while todo:
        module = todo.pop()
        file = getattr(module, "__file__", None)
        if module is None or module.__name__ in seen or file is None or not _is_own(file):
            continue
        if module.__name__.partition(".")[0] == "lading":
            # The passes that come with lading, for which its version stands, wherever it is installed.
            continue
        seen.add(module.__name__)
        files.add(file)
        todo.extend(value if isinstance(value, ModuleType) else _module_of(value) for value in vars(module).values())
    return {os.path.basename(file): file_digest(Path(file)) for file in files}


def _module_of(thing: Any) -> ModuleType | None:
    name = getattr(thing, "__module__", None) or getattr(type(thing), "__module__", None)
    return sys.modules.get(name) if isinstance(name, str) else None


def _is_own(file: str) -> bool:
    """Whether a file belongs to no installed package, whose version is what counts."""
    path = Path(file).resolve()
    return path.is_file() and not any(path.is_relative_to(place) for place in _installed())


def _installed() -> Iterable[Path]:
    places = [Path(entry).resolve() for entry in sys.path if entry.endswith("site-packages")]
    return [*places, Path(os.__file__).resolve().parent]
