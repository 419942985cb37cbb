# SPDX-License-Identifier: Apache-2.0
"""One call of PyTorch's, said as an export of lading's: its arguments, its record and its answer."""

from __future__ import annotations

import inspect
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from ..exporting import export, planned, run_export
from ..overrides import FurtherArguments, overrides_of
from ..passes.request import Remark, Request
from ..pipeline.errors import LadingError
from ..pipeline.recipe import Recipe, load_recipe
from .program import Program
from .terms import TakenExport, Takeover, Terms

if TYPE_CHECKING:
    from ..pipeline.plan import Plan

_PARAMETERS = inspect.signature(export).parameters
_POSITIONAL = [name for name, known in _PARAMETERS.items() if known.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
_OWN = ("kwargs", "dynamic_shapes", "verify")
_NOT_OVERRIDES = frozenset({"model", "args", "f", "kwargs"})


@attrs.frozen(kw_only=True)
class Call:
    """What the program has asked for, as far as it has said it.

    Attributes:
        function: what it called.
        request: the model, the example call and the file.
        overrides: the rest, as overrides of recipe values.
        opset: the opset that it named, or None.
        verbose: whether it wants to be told what happens.
    """

    function: str
    request: Request
    overrides: Mapping[str, Any]
    opset: Any
    verbose: bool

    @property
    def model(self) -> str:
        """The class of the model, or the name of the function that stands for one."""
        model = self.request.model
        # A scripted module knows the class that it was made from.
        name = getattr(model, "original_name", None)
        if isinstance(name, str):
            return name
        return str(model.__qualname__ if inspect.isroutine(model) else type(model).__name__)

    @property
    def file(self) -> str | None:
        """The path of the file, a word for what is no path, None where nothing is written."""
        file = self.request.file
        if file is None or isinstance(file, (str, os.PathLike)):
            return None if file is None else os.fspath(file)
        return f"<{type(file).__name__}>"


def check_terms(terms: Terms) -> None:
    """Plan what an export without arguments would be, so that a recipe at fault is said at once.

    Raises:
        UsageError: the recipe, a setting or a pass does not make sense.
    """
    _plan(terms, load_recipe(_recipe(terms)), {})


def serve(
    takeover: Takeover, function: str, args: tuple[Any, ...], kwargs: dict[str, Any], own: Callable[[], Any]
) -> Any:
    """Serve one call on the terms of a takeover.

    Args:
        takeover: the terms, and where the export is listed.
        function: what was called.
        args: its positional arguments.
        kwargs: its keyword arguments.
        own: makes the same call of PyTorch's own function, for a dry run.

    Returns:
        A :class:`Program`; in a dry run, what PyTorch's own function returns.

    Raises:
        TypeError: the arguments are not those of any `torch.onnx.export`.
        LadingError: as :func:`lading.export`, and each of them is a `torch.onnx.OnnxExporterError` as well, for
            callers that wait for that.
    """
    begun = time.perf_counter()
    terms = takeover.terms
    recipe = load_recipe(_recipe(terms))
    arguments = _bound(function, args, kwargs)
    taken = TakenExport(model="?", function=function)
    strategy = _Captured()
    log: Path | None = None
    try:
        call = _call(function, arguments, recipe, terms)
        remarks = tuple(f"{remark.argument}: {remark.why}" for remark in call.request.remarks)
        taken = TakenExport(
            model=call.model, function=function, file=call.file, opset_asked=call.opset, remarks=remarks
        )
        plan = _plan(terms, recipe, call.overrides)
        taken = attrs.evolve(taken, opset=plan.recipe.opset.value)
        if terms.dry_run:
            takeover.add(attrs.evolve(taken, status="planned"))
            return own()
        if terms.log is not None:
            log = _free_path(Path(terms.log), call)
            taken = attrs.evolve(taken, log=str(log))
        exported = run_export(
            plan,
            call.request,
            verbose=call.verbose,
            log=log,
            on_event=strategy,
        )
    except BaseException as error:
        what = error.what if isinstance(error, LadingError) else f"{type(error).__name__}: {error}"
        seconds = time.perf_counter() - begun
        takeover.add(
            attrs.evolve(taken, status="failed", opset=None, capture=strategy.name, seconds=seconds, error=what)
        )
        if isinstance(error, LadingError):
            _show_as_torchs(error)
        raise
    program = Program.of(exported)
    checked = program.verification
    takeover.add(
        attrs.evolve(
            taken,
            opset=program.opset,
            capture=strategy.name,
            nodes=len(program.model.graph),
            checks=None if checked is None else checked.summary().removeprefix("verification "),
            seconds=time.perf_counter() - begun,
            warnings=tuple(program.warnings),
        )
    )
    return program


class _Captured:
    """A sink of audit events that remembers which strategy captured the model."""

    def __init__(self) -> None:
        self.name: str | None = None

    def __call__(self, event: Mapping[str, Any]) -> None:
        for decision in event.get("decisions") or ():
            if decision["what"] == "captured":
                self.name = decision["why"].rpartition(" ")[2]


def _recipe(terms: Terms) -> str | Path:
    return terms.recipe if isinstance(terms.recipe, str) else Path(terms.recipe)


def _plan(terms: Terms, recipe: Recipe, overrides: Mapping[str, Any]) -> Plan:
    verified = {} if terms.verify is None else {"verify.enabled": terms.verify}
    return planned(
        recipe,
        {**overrides, **verified, **terms.overrides},
        settings=terms.settings,
        passes=terms.passes,
    )


def _bound(function: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name, those of PyTorch 1.8 and those of today."""
    name = function.rpartition(".")[2]
    if len(args) > len(_POSITIONAL):
        raise TypeError(f"{name}() takes at most {len(_POSITIONAL)} positional arguments, and {len(args)} were given")
    given = dict(zip(_POSITIONAL, args, strict=False))
    for key, value in kwargs.items():
        if key in given:
            raise TypeError(f"{name}() got multiple values for argument '{key}'")
        if key not in _POSITIONAL and key not in _OWN and key not in FurtherArguments.__annotations__:
            raise TypeError(f"{name}() got an unexpected keyword argument '{key}'")
        given[key] = value
    if "model" not in given:
        raise TypeError(f"{name}() missing 1 required positional argument: 'model'")
    return given


def _with_own_example(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Let a module that knows an example call of itself, and names for it, say what the caller has not."""
    import torch.onnx

    model = given["model"]
    if not isinstance(model, torch.onnx.ExportableModule) or given.get("args") or given.get("kwargs"):
        return given
    args, kwargs = model.example_arguments()
    own = {
        "input_names": model.input_names(),
        "output_names": model.output_names(),
        "dynamic_shapes": model.dynamic_shapes(),
    }
    said = {key: value for key, value in given.items() if value is not None}
    return {**own, **said, "args": args, "kwargs": kwargs}


def _call(function: str, given: Mapping[str, Any], recipe: Recipe, terms: Terms) -> Call:
    remarks: list[Remark] = []
    given = _with_own_example(given)
    said = {key: value for key, value in given.items() if key not in _NOT_OVERRIDES}
    if said.get("dynamic_shapes") is not None and said.get("dynamic_axes"):
        remarks.append(Remark("dynamic_axes", said.pop("dynamic_axes"), "dynamic_shapes says which axes are dynamic"))
    if said.get("training") is None and type(given["model"]).__name__ == "ExportedProgram":
        # Its mode was settled when it was exported, and nobody asks for another.
        said["training"] = "preserve"
    # False is what PyTorch's exporter does when nobody asks; the recipe may want more.
    said["verify"] = True if said.get("verify") else None
    places = {key: value for key, value in said.items() if key not in FurtherArguments.__annotations__}
    further = {key: value for key, value in said.items() if key in FurtherArguments.__annotations__}
    overrides = overrides_of(
        recipe, model=given["model"], file=given.get("f"), **places, further=further, remarks=remarks
    )
    request = Request(
        model=given["model"],
        args=given.get("args", ()),
        kwargs=given.get("kwargs"),
        file=given.get("f"),
        remarks=tuple(remarks),
    )
    return Call(
        function=function,
        request=request,
        overrides=overrides,
        opset=given.get("opset_version"),
        verbose=bool(given.get("verbose")),
    )


def _free_path(folder: Path, call: Call) -> Path:
    """Make an empty log for an export, called like the file or the model, with a number where that is taken."""
    folder.mkdir(parents=True, exist_ok=True)
    file = call.file
    stem = re.sub(r"[^\w.-]+", "-", call.model if file is None or file.startswith("<") else Path(file).stem) or "export"
    number = 1
    while True:
        path = folder / f"{stem}{'' if number == 1 else f'-{number}'}.jsonl"
        try:
            path.touch(exist_ok=False)
        except FileExistsError:
            number += 1
        else:
            return path


def _show_as_torchs(error: LadingError) -> None:
    """Make the error one of the class, too, that callers of PyTorch's exporter may be waiting for."""
    import torch.onnx

    kind = type(error)
    if not isinstance(error, torch.onnx.OnnxExporterError):
        error.__class__ = type(kind.__name__, (kind, torch.onnx.OnnxExporterError), {"__module__": kind.__module__})
