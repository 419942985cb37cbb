# SPDX-License-Identifier: Apache-2.0
"""The innermost module of a model whose export fails as that of the model does."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from .exporting import run_export
from .passes.request import Request
from .pipeline.errors import LadingError
from .pipeline.reproduce import rest_of_recipe
from .smaller_sizes import smaller

if TYPE_CHECKING:
    import torch

    from .pipeline.plan import Plan

MODULE, ARGUMENTS, RECIPE, FACTORY = "module.pt", "arguments.pt", "recipe.toml", "piece.py"


@attrs.frozen(kw_only=True)
class ModulePiece:
    """A module that fails.

    Attributes:
        path: its dotted path; "" for the whole model.
        module: the module.
        args: what it gets in the example call.
        kwargs: its keyword arguments.
        size: how many modules it consists of, itself included.
        whole: how many modules the model consists of.
        tests: how many modules were tried.
        minimal: whether every module inside of it was tried and does not fail.
    """

    path: str
    module: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    size: int
    whole: int
    tests: int
    minimal: bool

    def tensors(self) -> dict[str, torch.Tensor]:
        """The tensors among its arguments, by where they stand."""
        import torch

        from .passes.signature.structure import leaves

        members = [*leaves(list(self.args), "args"), *leaves(dict(self.kwargs), "kwargs")]
        return {path: leaf for path, leaf in members if isinstance(leaf, torch.Tensor)}

    def with_tensors(self, given: Mapping[str, torch.Tensor]) -> ModulePiece:
        """The same with others in the places of its tensors."""
        import torch

        from .passes.signature.structure import replace_leaves

        supply = iter(given.values())

        def exchanged(leaf: Any) -> Any:
            return next(supply) if isinstance(leaf, torch.Tensor) else leaf

        args = tuple(replace_leaves(value, exchanged) for value in self.args)
        return attrs.evolve(
            self, args=args, kwargs={key: replace_leaves(value, exchanged) for key, value in self.kwargs.items()}
        )


def smallest_module(
    model: Any, args: Any, kwargs: Mapping[str, Any], plan: Plan, error: LadingError, ends: float
) -> ModulePiece:
    """Find the innermost module that fails with the same code in the same step, by `time.monotonic() < ends`.

    Args:
        model: the model.
        args: its example arguments, as :func:`lading.export` takes them.
        kwargs: further keyword arguments.
        plan: the plan of the export, without axes and names of the model's own interface.
        error: what the export of the model fails with.
        ends: when to stop.
    """
    from .passes.signature.binding import split_call

    positional, named = split_call(Request(model=model, args=args, kwargs=kwargs))
    modules = dict(model.named_modules()) if callable(getattr(model, "named_modules", None)) else {"": model}
    calls = _calls(model, positional, named) if len(modules) > 1 else {}
    path, tests, minimal = "", 0, True
    searching = True
    while searching:
        searching = False
        prefix = f"{path}." if path else ""
        # The largest first: the children of a module before theirs.
        inner = [name for name in modules if name.startswith(prefix) and name != path and name in calls]
        for name in sorted(inner, key=lambda name: (name.count("."), name)):
            if time.monotonic() >= ends:
                minimal = False
                break
            tests += 1
            if _fails(modules[name], *calls[name], plan, error):
                path, searching = name, True
                break
    module = modules[path]
    given = calls[path] if path else (positional, dict(named))
    size = len(list(module.modules())) if callable(getattr(module, "modules", None)) else 1
    return ModulePiece(
        path=path,
        module=module,
        args=given[0],
        kwargs=given[1],
        size=size,
        whole=len(modules),
        tests=tests,
        minimal=minimal,
    )


def at_smaller_sizes(piece: ModulePiece, plan: Plan, error: LadingError, ends: float) -> ModulePiece:
    """Return a module with arguments as small as they can be for its export to fail in the same way.

    Args:
        piece: the module.
        plan: the plan that it is exported with.
        error: what its export fails with.
        ends: when to stop, by `time.monotonic()`.
    """
    import torch

    from .passes.model_state import preserved

    best = piece

    def fails(given: Mapping[str, torch.Tensor]) -> bool:
        nonlocal best
        tried = piece.with_tensors({name: tensor.clone() for name, tensor in given.items()})
        # A size that the module itself refuses is another failure.
        with contextlib.suppress(Exception), preserved(tried.module), torch.no_grad(), torch.random.fork_rng():
            tried.module(*tried.args, **tried.kwargs)
            if _fails(tried.module, tried.args, tried.kwargs, plan, error, alike=True):
                best = tried
                return True
        return False

    # What fails for its sizes alone, or in PyTorch too, is left as it is.
    if piece.tensors() and fails(piece.tensors()):
        smaller(piece.tensors(), fails, ends)
    return best


def _calls(
    model: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, tuple[tuple[Any, ...], dict[str, Any]]]:
    """What each module gets the first time it is called, by its path; those that are never called are left out."""
    import torch

    from .passes.model_state import preserved

    found: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {}
    handles = []

    def keeper(name: str) -> Any:
        def keep(_: Any, given: tuple[Any, ...], named: dict[str, Any]) -> None:
            found.setdefault(name, (given, dict(named)))

        return keep

    try:
        with preserved(model), torch.no_grad(), torch.random.fork_rng():
            for name, module in model.named_modules():
                handles.append(module.register_forward_pre_hook(keeper(name), with_kwargs=True))
            # What runs before the model itself fails is all that there is to look at.
            with contextlib.suppress(Exception):
                model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    found.pop("", None)
    return found


def _fails(
    module: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    plan: Plan,
    error: LadingError,
    *,
    alike: bool = False,
) -> bool:
    """Whether an export fails with the code of an error, in its step; `alike`: and with its words, but for numbers."""
    try:
        run_export(plan, Request(model=module, args=(*args, {}), kwargs=kwargs), log_level="steps")
    except LadingError as raised:
        same = (raised.code, raised.step) == (error.code, error.step)
        return same and (not alike or _words(raised) == _words(error))
    return False


def _words(error: LadingError) -> str:
    return re.sub(r"\d+", "#", (error.what.splitlines() or [""])[0])


def write_module(piece: ModulePiece, folder: Path, plan: Plan, reference: str | None) -> str:
    """Write a module with its arguments, and a factory for it; return the command that exports it.

    Args:
        piece: the module.
        folder: where to.
        plan: the plan that the module was exported with.
        reference: how the command line names the model; without it the module itself is stored.
    """
    import torch

    torch.save((piece.args, dict(piece.kwargs)), folder / ARGUMENTS)
    (folder / RECIPE).write_text(rest_of_recipe(plan, plan.nodes[0], folder), encoding="utf-8")
    if reference is None:
        torch.save(piece.module, folder / MODULE)
        made = f'torch.load(HERE / "{MODULE}", weights_only=False)'
    else:
        place, colon, name = reference.rpartition(":")
        if place.endswith(".py"):
            place = Path(os.path.relpath(place, folder)).as_posix()
            made = f'load_model(str(HERE / "{place}") + "{colon}{name}").model'
        else:
            made = f'load_model("{reference}").model'
        if piece.path:
            made += f'.get_submodule("{piece.path}")'
    (folder / FACTORY).write_text(_FACTORY.format(path=piece.path or "the model", made=made), encoding="utf-8")
    where = shlex.quote(str(folder))
    return f"lading export {where}/{FACTORY}:piece -o {where}/piece.onnx --recipe {where}/{RECIPE}"


_FACTORY = '''"""{path}, with the arguments that it gets in the example call."""

from pathlib import Path

import torch

from lading.model_reference import load_model

HERE = Path(__file__).parent


def piece():
    args, kwargs = torch.load(HERE / "arguments.pt", weights_only=False)
    return {made}, args, kwargs
'''
