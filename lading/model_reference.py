# SPDX-License-Identifier: Apache-2.0
"""MODEL on the command line: ``path/file.py:factory``, ``package.module:factory`` or ``path/program.pt2``."""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from .pipeline.errors import LadingError, UsageError, did_you_mean


@attrs.frozen(kw_only=True)
class NamedModel:
    """A model with its example call, as a factory gave it.

    Attributes:
        factory: what made it; calling it again makes it anew.
        model: the model.
        args: its example arguments.
        kwargs: its example keyword arguments.
        dynamic_axes: which axes the factory declares as free (its attribute ``dynamic_axes``), or None.
        named: what the reference names: the factory itself, a class or a model; None for a program.
    """

    factory: Callable[[], Any]
    model: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    dynamic_axes: Mapping[str, Any] | None
    named: Any = None


def load_model(reference: str) -> NamedModel:
    """Find the factory that a reference names, and call it.

    The factory returns a model, or a model with its args, or with args and kwargs. A ``.pt2`` file holds an exported
    program, with the arguments that it was exported with.

    Raises:
        UsageError: the file, module or factory is missing, or the factory raises or returns something else.
    """
    if reference.endswith(".pt2"):
        return _program(reference)
    place, separator, name = reference.rpartition(":")
    if not separator or not place or not name:
        raise UsageError(
            f"'{reference}' does not name a model",
            hint="path/to/file.py:factory, package.module:factory or path/to/program.pt2",
        )
    module = _module(place)
    if not hasattr(module, name):
        candidates = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise UsageError(f"{place} has no '{name}'", where=reference, hint=did_you_mean(name, candidates))
    factory = getattr(module, name)
    try:
        made = factory() if callable(factory) and not _is_module(factory) else factory
    except LadingError:
        raise
    except Exception as error:
        line = traceback.extract_tb(error.__traceback__)[-1]
        raise UsageError(
            f"the factory '{name}' failed: {type(error).__name__}: {error}",
            where=f"{reference}, {Path(line.filename).name}:{line.lineno}",
            hint="it is called without arguments and must return a model, (model, args) or (model, args, kwargs)",
        ) from error
    model, args, kwargs = _parts(made, reference)
    axes = getattr(factory, "dynamic_axes", None)
    return NamedModel(
        factory=lambda: _parts(factory(), reference)[0],
        model=model,
        args=args,
        kwargs=kwargs,
        dynamic_axes=axes,
        named=factory,
    )


def _program(path: str) -> NamedModel:
    from .passes.trace.exported.given import load_program

    program = load_program(path)
    args, kwargs = program.example_inputs or ((), {})
    return NamedModel(
        factory=lambda: load_program(path), model=program, args=tuple(args), kwargs=kwargs, dynamic_axes=None
    )


def _is_module(thing: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(thing, torch.nn.Module)


def _parts(made: Any, reference: str) -> tuple[Any, tuple[Any, ...], Mapping[str, Any]]:
    parts = made if isinstance(made, tuple) else (made,)
    if 1 <= len(parts) <= 3 and callable(parts[0]):
        args = parts[1] if len(parts) > 1 else ()
        kwargs = parts[2] if len(parts) > 2 else {}
        if isinstance(kwargs, Mapping):
            return parts[0], args if isinstance(args, tuple) else (args,), kwargs
    raise UsageError(
        f"the factory returned {type(made).__name__}, which is no model",
        where=reference,
        hint="return a model, (model, args) or (model, args, kwargs)",
    )


def _module(place: str) -> ModuleType:
    if place.endswith(".py") or "/" in place:
        return load_file(Path(place))
    sys.path.insert(0, "")
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        missing = error.name or place
        ours = place == missing or place.startswith(f"{missing}.")
        what = f"there is no module '{missing}'" if ours else f"module '{place}' needs '{missing}', which is not there"
        hint = "give a file as path/to/file.py:factory" if ours else f"pip install {missing}"
        raise UsageError(what, where=place, hint=hint) from error
    except Exception as error:
        raise _import_failed(place, error) from error
    finally:
        sys.path.remove("")


def load_file(path: Path) -> ModuleType:
    """Import a Python file under its own name, with its neighbours importable.

    Raises:
        UsageError: there is none, or it cannot be imported.
    """
    if not path.is_file():
        folder = path.parent if path.parent.is_dir() else Path()
        hint = did_you_mean(path.name, [entry.name for entry in folder.glob("*.py")])
        raise UsageError(f"there is no file {path}", hint=hint)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise UsageError(f"{path} is not a Python file", hint="MODEL is path/to/file.py:factory")
    module = importlib.util.module_from_spec(spec)
    before = sys.modules.get(path.stem)
    sys.modules[path.stem] = module
    # A script's neighbours are importable when it is run; they are here too.
    sys.path.insert(0, str(path.parent.resolve()))
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        if before is None:
            del sys.modules[path.stem]
        else:
            sys.modules[path.stem] = before
        raise _import_failed(str(path), error) from error
    finally:
        sys.path.remove(str(path.parent.resolve()))
    return module


def _import_failed(place: str, error: Exception) -> UsageError:
    line = traceback.extract_tb(error.__traceback__)[-1]
    return UsageError(
        f"{place} cannot be imported: {type(error).__name__}: {error}",
        where=f"{Path(line.filename).name}:{line.lineno}",
    )
