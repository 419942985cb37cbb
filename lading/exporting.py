# SPDX-License-Identifier: Apache-2.0
"""The export call: the classic signature, a recipe and passes in; a written file and its record out."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import attrs

from lading.passes.files.atomic_write import check_stream, check_target

from .exported import Exported
from .overrides import FurtherArguments, overrides_of
from .passes import BUILTIN
from .passes.request import Request
from .pipeline.audit import JsonLines, Sink
from .pipeline.errors import UsageError
from .pipeline.plan import Plan, make_plan
from .pipeline.project import Project
from .pipeline.recipe import Recipe
from .pipeline.registry import Registry
from .pipeline.reproduce import FolderReproducer
from .pipeline.resolve import resolve
from .pipeline.run import Level, run_plan, target_of
from .pipeline.telemetry import StandardLog
from .pipeline.work import Work
from .resolving import loaded_recipe

if TYPE_CHECKING:
    from typing_extensions import Unpack


_one_at_a_time = threading.RLock()
"""Capture sets flags and functions of PyTorch's and puts them back, which two threads cannot do at once."""


def export(
    model: Any,
    args: Any = (),
    f: str | bytes | os.PathLike[Any] | BinaryIO | None = None,
    export_params: bool | None = None,
    verbose: bool | None = None,
    training: Any = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    operator_export_type: Any = None,
    opset_version: int | str | None = None,
    do_constant_folding: bool | None = None,
    example_outputs: Any = None,
    dynamic_axes: Mapping[str, Any] | None = None,
    keep_initializers_as_inputs: bool | None = None,
    custom_opsets: Mapping[str, int] | None = None,
    *,
    kwargs: Mapping[str, Any] | None = None,
    dynamic_shapes: Any = None,
    examples: Sequence[Any] | None = None,
    recipe: str | os.PathLike[str] | None = None,
    defaults: Project | None = None,
    passes: Iterable[Any] = (),
    overrides: Mapping[str, Any] | None = None,
    settings: Iterable[str] = (),
    weights: str | os.PathLike[str] | None = None,
    verify: bool | None = None,
    log: str | os.PathLike[str] | None = None,
    log_level: Level = "nodes",
    reproducer: str | os.PathLike[str] | None = None,
    on_event: Callable[[Mapping[str, Any]], None] | None = None,
    reload: Callable[[], Any] | None = None,
    **further: Unpack[FurtherArguments],
) -> Exported:
    """Export a model to ONNX.

    The first fifteen arguments mean what ``torch.onnx.export`` of PyTorch 1.8 documents; each one that is given
    overrides a value of the recipe, and one left at ``None`` leaves the recipe's value.

    Args:
        model: a ``torch.nn.Module``, another callable on tensors, a ``torch.export.ExportedProgram``, or the path of a
            ``.pt2`` file with such a program. A program comes with example arguments of its own.
        args: the example arguments: a tensor, a tuple, or a tuple whose last element is a dict of keyword arguments
            (a trailing ``{}`` says that a dict before it is positional). Containers may be nested.
        f: where the file goes: a path (text, bytes or ``PathLike``), a writable binary file object, or ``None`` to
            write nothing.
        export_params: whether weights are stored in the file; otherwise they become inputs.
        verbose: whether the passes are told on stderr as they run, and nodes get doc strings and full origins.
        training: ``TrainingMode`` or "eval", "preserve" (each module as it is), "train".
        input_names: names for the inputs, in order; further ones name the weights, in the order of ``state_dict``.
        output_names: names for the outputs, in order.
        operator_export_type: ``OperatorExportTypes`` or "onnx", "fallthrough", "aten", "aten-fallback".
        opset_version: the opset of the file, from 7 to the newest of the installed onnx, or "latest".
        do_constant_folding: whether constants are folded.
        example_outputs: outputs of the example call; they are compared with those that capture finds.
        dynamic_axes: for each input or output name a dict of axis to name, or a list of axes.
        keep_initializers_as_inputs: whether weights are graph inputs as well as initializers; by default so below
            opset 9, and where ``operator_export_type`` is not ONNX.
        custom_opsets: versions of domains other than ONNX's own.
        kwargs: keyword arguments of the example call.
        dynamic_shapes: dynamic axes as ``torch.export.export`` takes them: nested like the arguments, in tuples or by
            parameter name, with names, ``Dim``s, ``Dim.AUTO``, ``Dim.DYNAMIC``, ``Dim.STATIC`` or None as dimensions.
            Ranges of ``Dim``s become stated limits of the file. Given beside ``dynamic_axes``, both must agree.
        examples: further example calls, each in a form of ``args``: the sizes in which the calls differ are dynamic,
            and sizes that are equal in each of them share a name.
        recipe: the name of a recipe or the path of a recipe file; ``None`` for that of ``defaults``, or ``inference``.
        defaults: a project's defaults, as :func:`lading.find_project` reads them from its pyproject.toml; they go over
            the values of the recipe, and under everything else. None are looked for otherwise.
        passes: further passes, instances or classes declared with :func:`lading.a_pass`.
        overrides: recipe values by dotted key: ``{"fold-constants.size_limit": 1024}``.
        settings: the same as text, as the command line takes them: ``"fold-constants.enabled=false"``.
        weights: a ``.safetensors`` file, an index over shards or a folder, which has the values of the weights; the
            model may then be on the meta device or made under fake tensors, and nothing is loaded.
        verify: whether the file is run and compared with eager; raises if it differs.
        log: a file that gets the audit events as JSON lines.
        log_level: "nodes" to follow each node from pass to pass, in the log and in ``events``; "steps" to leave that
            out, for a log whose size does not depend on the model.
        reproducer: a folder that gets the rest of the recipe and the graph if a pass fails.
        on_event: called with each audit event as it happens, such as ``lading.Spans()`` for OpenTelemetry. The logger
            ``lading`` of Python's ``logging`` gets them in any case.
        reload: makes the model anew, for checks that want a second copy.
        further: the rest of what ``torch.onnx.export`` took in PyTorch 1.8 or takes today (``strip_doc_string``,
            ``use_external_data_format``, ``dynamo``, ...), honoured or refused; ``docs/from-torch-onnx.md`` has each.

    Returns:
        The export: the model, the plan, the events, and ways to save and run it.

    Raises:
        UsageError: an argument or the recipe does not make sense, or an argument cannot take effect.
        CaptureError: the model could not be recorded.
        UnsupportedOperators: operators remain that the opset cannot express.
        VerificationFailed: the file differs from eager.
    """
    loaded = loaded_recipe(recipe, defaults)
    given = overrides_of(
        loaded,
        model=model,
        file=f,
        export_params=export_params,
        verbose=verbose,
        training=training,
        input_names=input_names,
        output_names=output_names,
        operator_export_type=operator_export_type,
        opset_version=opset_version,
        do_constant_folding=do_constant_folding,
        example_outputs=example_outputs,
        dynamic_axes=dynamic_axes,
        keep_initializers_as_inputs=keep_initializers_as_inputs,
        custom_opsets=custom_opsets,
        dynamic_shapes=dynamic_shapes,
        examples=examples,
        weights=weights,
        verify=verify,
        further=further,
    )
    return run_export(
        planned(loaded, {**given, **(overrides or {})}, settings=settings, passes=passes, defaults=defaults),
        Request(model=model, args=args, kwargs=kwargs, file=f, reload=reload),
        verbose=bool(verbose),
        log=log,
        log_level=log_level,
        reproducer=reproducer,
        on_event=on_event,
    )


def planned(
    recipe: Recipe,
    overrides: Mapping[str, Any],
    *,
    settings: Iterable[str] = (),
    passes: Iterable[Any] = (),
    defaults: Project | None = None,
) -> Plan:
    """Resolve a recipe with what overrides it, and plan its run; nothing is run.

    Args:
        recipe: the recipe as it was read.
        overrides: recipe values by dotted key.
        settings: the same as text, as the command line takes them.
        passes: further passes.
        defaults: a project's defaults.

    Raises:
        UsageError: the recipe and its overrides do not make sense.
    """
    registry = Registry(BUILTIN)
    return make_plan(
        resolve(recipe, registry, overrides=overrides, settings=settings, passes=tuple(passes), project=defaults),
        registry,
    )


def run_export(
    plan: Plan,
    request: Request,
    *,
    verbose: bool = False,
    log: str | os.PathLike[str] | None = None,
    log_level: Level = "nodes",
    reproducer: str | os.PathLike[str] | None = None,
    on_event: Callable[[Mapping[str, Any]], None] | None = None,
    watch: Callable[[Mapping[str, Any], Work], None] | None = None,
) -> Exported:
    """Run a plan for one model; the arguments are those of :func:`export`, and so is what is raised.

    `watch` is called as `on_event` is, with the work in progress, which it must leave as it is.
    """
    model = request.model
    if isinstance(model, (str, os.PathLike)):
        model = _loaded(model)
    if isinstance(request.file, (str, os.PathLike)):
        # A target that cannot be written is said before the work, not after it.
        check_target(request.file)
    elif request.file is not None:
        check_stream(request.file)
    resolved = plan.recipe
    metadata = {"lading.recipe": resolved.name, "lading.recipe_hash": resolved.hash}
    work = Work(target=target_of(resolved), request=attrs.evolve(request, model=model, metadata=metadata))
    sinks: list[Sink] = [StandardLog(), *([] if on_event is None else [on_event])]
    if watch is not None:
        sinks.append(lambda event: watch(event, work))
    with contextlib.ExitStack() as stack:
        stack.enter_context(_one_at_a_time)
        stack.enter_context(_collector_paused())
        stack.enter_context(_outside_of_modes())
        stack.enter_context(_compiler_unneeded())
        stack.enter_context(_one_thread())
        if verbose:
            sinks.append(stack.enter_context(_told_on_stderr()))
        if log is not None:
            sinks.append(stack.enter_context(JsonLines(log)))
        writer = None if reproducer is None else FolderReproducer(reproducer, registers=_registering_files())
        events = run_plan(plan, work, sinks, model=described_model(model), reproducer=writer, level=log_level)
    return Exported(work=work, plan=plan, events=events)


def _registering_files() -> list[str]:
    from .passes.lower.registry import users_files

    return users_files()


def _outside_of_modes() -> contextlib.AbstractContextManager[Any]:
    """Leave the modes that the caller is in: under its fake tensors, lading's own tensors would be fake too."""
    from .passes.torch_private import outside_of_modes

    context: contextlib.AbstractContextManager[Any] = outside_of_modes()
    return context


def _compiler_unneeded() -> contextlib.AbstractContextManager[None]:
    """Leave PyTorch's compiler unloaded, which takes longer to load than most models to export."""
    from .passes.torch_private import compiler_unneeded

    return compiler_unneeded()


def _one_thread() -> contextlib.AbstractContextManager[None]:
    """Do the export's own work with tensors in one thread; what runs the model has those of the caller."""
    from .passes.torch_private import one_thread

    return one_thread()


@contextlib.contextmanager
def _told_on_stderr() -> Iterator[Sink]:
    """Give a sink that says what each pass did, as it happens."""
    from rich.console import Console

    from .console import Progress

    progress = Progress(Console(stderr=True, soft_wrap=True))
    try:
        yield progress
    finally:
        progress.close()


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Keep the cyclic garbage collector from walking a growing graph of live objects again and again."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _loaded(path: str | os.PathLike[str]) -> Any:
    if not os.fspath(path).endswith(".pt2"):
        raise UsageError(
            f"the model is the text '{os.fspath(path)}', which names no exported program",
            hint="pass the model itself, or the path of a .pt2 file that torch.export.save has written",
        )
    from .passes.trace.exported.given import load_program

    return load_program(path)


def described_model(model: Any) -> dict[str, Any]:
    """Say in plain data what is being exported: class, parameters and bytes, without touching any weight."""
    found: dict[str, Any] = {"class": type(model).__qualname__, "module": type(model).__module__}
    if not callable(getattr(model, "parameters", None)):
        return {**found, "name": getattr(model, "__qualname__", None)}
    from torch.nn.parameter import is_lazy

    tensors = [*model.parameters(), *model.buffers()]
    if any(is_lazy(tensor) for tensor in tensors):
        return found  # Without shapes there is nothing to count; capture says what to do about it.
    # A method of a module, a plain dict of an exported program.
    state = model.state_dict(keep_vars=True) if callable(model.state_dict) else model.state_dict
    found["parameters"] = sum(tensor.numel() for tensor in model.parameters())
    found["bytes"] = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    found["fingerprint"] = hashlib.sha256(
        repr([(name, *_described_entry(entry)) for name, entry in state.items()]).encode()
    ).hexdigest()
    return found


def _described_entry(entry: Any) -> tuple[Any, ...]:
    # A quantized module's state holds dtypes and packed parameters beside tensors.
    shape = getattr(entry, "shape", None)
    return (type(entry).__name__,) if shape is None else (tuple(shape), str(entry.dtype))
