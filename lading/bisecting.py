# SPDX-License-Identifier: Apache-2.0
"""The step of a plan after which the graph no longer computes what the model computes."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from .exporting import planned, run_export
from .passes.request import Request
from .pipeline.errors import VerificationFailed
from .pipeline.facts import Fact
from .pipeline.note import Note
from .resolving import loaded_recipe

if TYPE_CHECKING:
    from .passes.verification.report import Check
    from .pipeline.work import Work


@attrs.frozen(kw_only=True)
class StepCheck:
    """The graph as a step left it, beside eager on the example.

    Attributes:
        step: the id of the step.
        check: passed, failed, or skipped with a reason.
    """

    step: str
    check: Check


@attrs.frozen(kw_only=True)
class Departure:
    """Where a run departs from eager.

    Attributes:
        checked: the steps after which a runtime could be asked, in order: from the end of lowering on, where the graph
            has changed.
    """

    checked: tuple[StepCheck, ...]

    @property
    def step(self) -> str | None:
        """The first step after which the graph is wrong and stays wrong; None if it is right at the end.

        The first of `checked` stands for all that came before it: capture and lowering.
        """
        first = None
        for entry in self.checked:
            if entry.check.status == "failed":
                first = first or entry.step
            elif entry.check.status == "passed":
                first = None
        return first


def find_departure(
    model: Any,
    args: Any = (),
    *,
    kwargs: Mapping[str, Any] | None = None,
    recipe: str | os.PathLike[str] | None = None,
    passes: Iterable[Any] = (),
    overrides: Mapping[str, Any] | None = None,
    settings: Iterable[str] = (),
) -> Departure:
    """Run an export in memory, and compare the graph with the model after each step that changed it.

    Graphs of PyTorch's operators, before lowering has ended, have no runtime; the step that provides ONNX is the first
    that is checked, whether it changed the graph or not.

    Args:
        model: the model, as for :func:`lading.export`.
        args: the example arguments, on which each graph is compared.
        kwargs: further keyword arguments of the call.
        recipe: a recipe as for :func:`lading.export`.
        passes: further passes.
        overrides: recipe values by dotted key; the tolerance is that of ``verify.rtol`` and ``verify.atol``.
        settings: the same as text.

    Returns:
        What each graph came to, and the first step after which it stays wrong.

    Raises:
        LadingError: as :func:`lading.export` raises it, but for a file that differs from eager.
    """
    plan = planned(
        loaded_recipe(recipe, None),
        {**(overrides or {}), "verify.enabled": True},
        settings=settings,
        passes=passes,
    )
    steps = {step.id: step for step in plan.steps()}
    verify = next(step.made for step in plan.steps() if step.declaration.name == "verify")
    found: list[StepCheck] = []

    def watch(event: Mapping[str, Any], work: Work) -> None:
        if event["event"] not in ("pass.applied", "pass.unchanged"):
            return
        declared = steps[event["step"]].declaration
        begins = Fact.ONNX in declared.provides
        if begins or (found and event["event"] == "pass.applied"):
            found.append(StepCheck(step=event["step"], check=_check(work, verify)))

    with contextlib.suppress(VerificationFailed):
        run_export(plan, Request(model=model, args=args, kwargs=kwargs), watch=watch)
    return Departure(checked=tuple(found))


def _check(work: Work, verify: Any) -> Check:
    """Compare the graph in progress with eager on the example."""
    from .passes.serialize import Serialize
    from .passes.verification.checking import Checker
    from .passes.verification.comparison import Tolerance

    with tempfile.TemporaryDirectory(prefix="lading-bisect-") as folder:
        path = str(Path(folder) / "model.onnx")
        Serialize(sync="never", weights="copy").write(work.need_model(), path, Note())
        verification = Checker(
            path=path,
            arguments=work.need(Fact.ARGUMENTS),
            tolerance=Tolerance(rtol=verify.rtol, atol=verify.atol),
            runtime=verify.runtime,
            samples=0,
            sizes=False,
            seed=verify.seed,
        ).run()
    return verification.checks[0]
