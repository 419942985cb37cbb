# SPDX-License-Identifier: Apache-2.0
"""Run what was left of a failed export again, from the step that failed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from .model_reference import load_file
from .passes import BUILTIN
from .passes.request import Request
from .pipeline.audit import JsonLines, Sink
from .pipeline.errors import UsageError, VerificationFailed
from .pipeline.plan import make_plan
from .pipeline.registry import Registry
from .pipeline.replay import Failure, read_failure, read_graph, rest_of_plan
from .pipeline.resolve import resolve
from .pipeline.run import run_plan, target_of
from .pipeline.work import Work

if TYPE_CHECKING:
    import onnx_ir as ir


@attrs.frozen
class Replayed:
    """A replay that ran to its end.

    Attributes:
        failure: what the reproducer says of the failure.
        model: the graph that came out; weights over 64 KiB are zeros in it.
        events: the audit events.
        left_out: the ids of steps that were not run, because they need the model itself.
    """

    failure: Failure
    model: ir.Model | None
    events: list[dict[str, Any]]
    left_out: list[str]


def replay(
    folder: str | os.PathLike[str],
    *,
    passes: Iterable[Any] = (),
    model: Any = None,
    args: Any = (),
    kwargs: Mapping[str, Any] | None = None,
    log: str | os.PathLike[str] | None = None,
    on_event: Callable[[Mapping[str, Any]], None] | None = None,
) -> Replayed:
    """Run the rest of a failed export again, on the graph that the failing step was given.

    Files that had registered lowerings are loaded first, as are those of the passes that the recipe names. The recipe
    of the reproducer may be edited before, and so may the pass at fault. Steps that need the model itself, such as
    verify, are left out. A failure before there was a graph needs the model: then all of the recipe is run. A piece
    that comes with a call, as :func:`lading.reduce` writes it, is then run and compared with PyTorch.

    Args:
        folder: what ``lading.export(..., reproducer=...)`` left.
        passes: classes of passes that the recipe names and that cannot be imported by their name.
        model: the model, for a failure before there was a graph.
        args: the example arguments, as for :func:`lading.export`.
        kwargs: keyword arguments of the example call.
        log: a file that gets the audit events as JSON lines.
        on_event: called with each audit event as it happens.

    Returns:
        The graph and the events, where no step fails any more.

    Raises:
        UsageError: the folder is no reproducer, or the failing step needs the model and none is given.
        LadingError: what a step raises, as the export did.
        VerificationFailed: the piece differs from PyTorch.
    """
    failure = read_failure(folder)
    _load_registering(failure)
    registry = Registry(BUILTIN)
    given = tuple(passes)
    start: str | None = None
    left_out: list[str] = []
    if model is not None:
        for pass_class in given:
            registry.add(pass_class if isinstance(pass_class, type) else type(pass_class))
        plan = make_plan(resolve(failure.recipe(whole=True), registry), registry)
        work = Work(target=target_of(plan.recipe), request=Request(model=model, args=args, kwargs=kwargs))
    elif not failure.has_graph:
        raise UsageError(
            f"step '{failure.step}' failed before there was a graph, so that the model is needed",
            where=os.fspath(folder),
            hint=f"lading replay {os.fspath(folder)} MODEL, with the MODEL of the export",
        )
    else:
        plan, left_out = rest_of_plan(failure, registry, given)
        graph = read_graph(failure, _weight)
        work = Work(target=target_of(plan.recipe), request=Request(model=None), model=graph)
        # Where the graph is that before an earlier step, the groups in between run as they did.
        start = failure.step if plan.nodes[0].group is not None else None
    sinks: list[Sink] = [] if on_event is None else [on_event]
    described = {"class": "reproducer", "recipe": failure.recipe().name}
    if log is None:
        events = run_plan(plan, work, sinks, model=described, start=start)
    else:
        with JsonLines(log) as lines:
            events = run_plan(plan, work, [*sinks, lines], model=described, start=start)
    if model is None:
        _compare(folder, work, failure)
    return Replayed(failure, work.model, events, left_out)


def _load_registering(failure: Failure) -> None:
    """Load the files that had registered lowerings, unless this process has."""
    from .passes.lower.registry import users_files

    loaded = {Path(file).resolve() for file in users_files()}
    for file in failure.registers:
        place = (failure.folder / file).resolve()
        if place not in loaded:
            load_file(place)


def _compare(folder: str | os.PathLike[str], work: Work, failure: Failure) -> None:
    """Run a piece that comes with a call, as :func:`lading.reduce` writes it, and compare it with PyTorch.

    Raises:
        VerificationFailed: it differs.
    """
    from .pieces import read_call, what_differs

    call = read_call(folder)
    if call is None:
        return
    from .passes.verification.comparison import Tolerance
    from .passes.verification.runtimes import RuntimeLacks

    verify = next((step.made for step in _steps(failure) if step.declaration.name == "verify"), None)
    tolerance = Tolerance() if verify is None else Tolerance(rtol=verify.rtol, atol=verify.atol)
    try:
        reason = what_differs(work.need_model(), call, tolerance)
    except RuntimeLacks as lacks:
        raise UsageError(f"nothing here can run the piece: {lacks}", where=os.fspath(folder)) from lacks
    if reason is not None:
        error = VerificationFailed(reason, where=os.fspath(folder))
        error.step = failure.step
        raise error


def _steps(failure: Failure) -> list[Any]:
    return list(resolve(failure.recipe(), Registry(BUILTIN)).steps())


def _weight(dtype: ir.DataType, shape: tuple[int, ...], data: bytes | None, parameter: str, name: str) -> Any:
    import torch

    from .passes.weights import Weight, torch_dtype

    if data is None:
        # One element of memory serves all zeros in place of what was left out.
        tensor = torch.zeros((), dtype=torch_dtype(dtype)).expand(shape)
    elif data:
        tensor = torch.frombuffer(bytearray(data), dtype=torch_dtype(dtype)).reshape(shape)
    else:
        tensor = torch.zeros(shape, dtype=torch_dtype(dtype))
    return Weight(tensor, parameter, name=name)
