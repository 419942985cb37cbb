# SPDX-License-Identifier: Apache-2.0
"""Where an export departs from eager: the first node of the file, and the first step of the plan."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from .exporting import planned, run_export
from .passes.request import Request
from .pipeline.errors import VerificationFailed
from .pipeline.facts import Fact
from .pipeline.note import Note
from .pipeline.origin import NOWHERE, Origin, origin_of
from .resolving import loaded_recipe
from .verifying import file_interface, verify_file

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch
    from rich.table import Table

    from .passes.signature.arguments import Arguments
    from .passes.signature.interface import Interface
    from .passes.verification.eager_values import EagerGraph
    from .passes.verification.locating import Lineage, Place
    from .passes.verification.report import Check, Verification
    from .pipeline.plan import Plan
    from .pipeline.work import Work


@attrs.frozen(kw_only=True)
class StepCheck:
    """The graph as a step left it, beside eager.

    Attributes:
        step: the id of the step.
        check: passed, failed, or skipped with a reason.
    """

    step: str
    check: Check


@attrs.frozen(kw_only=True)
class Departure:
    """Where an export departs from eager.

    Attributes:
        verification: what was found of the file as a whole.
        check: the check whose inputs were used: the first that failed. None if none did; the rest is then empty.
        checked: the steps after which the graph was compared, in order: where it has changed. Before lowering it is
            run in PyTorch, operator by operator, from then on in a runtime.
        place: the first node of the file that departs; None where nothing could be said of nodes.
        note: what limits the answer, or None.
    """

    verification: Verification
    check: Check | None = None
    checked: tuple[StepCheck, ...] = ()
    place: Place | None = None
    note: str | None = None

    @property
    def departs(self) -> bool:
        """Whether a check failed."""
        return self.check is not None

    @property
    def step(self) -> str | None:
        """The first step after which the graph is wrong and stays wrong; None if it is right at the end.

        Steps before it that could not be checked may be at fault in its place.
        """
        first = None
        for entry in self.checked:
            if entry.check.status == "failed":
                first = first or entry.step
            elif entry.check.status == "passed":
                first = None
        return first

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "departs": self.departs,
            "check": None if self.check is None else self.check.label,
            "step": self.step,
            "place": None if self.place is None else self.place.to_dict(),
            "steps": [
                {
                    "step": entry.step,
                    "status": entry.check.status,
                    "relative": entry.check.to_dict()["relative"],
                    "absolute": entry.check.to_dict()["absolute"],
                    "reason": entry.check.reason,
                }
                for entry in self.checked
            ],
            "note": self.note,
        }

    def table(self) -> Table:
        """Return a rich table with a line for each step after which the graph was run."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("after step")
        table.add_column("graph")
        table.add_column("relative", justify="right")
        table.add_column("reason", overflow="fold")
        for entry in self.checked:
            mark = " <- departs here" if entry.step == self.step else ""
            error = entry.check.relative
            style = {"passed": "green", "failed": "bold red", "skipped": "yellow"}[entry.check.status]
            table.add_row(
                Text(entry.step),
                Text(entry.check.status + mark, style=style),
                "" if error is None else f"{error:.1e}",
                Text(entry.check.reason or ""),
            )
        return table

    def text(self) -> str:
        """Return what was found in lines for people."""
        if self.check is None:
            return "the file agrees with eager in every check that ran"
        lines = [f"looked for on: {self.check.label}"]
        if self.place is not None:
            lines += list(_told(self.place))
        lines.append(self._step_line())
        if self.note:
            lines.append(self.note)
        return "\n".join(lines)

    def _step_line(self) -> str:
        if not self.checked:
            return "no step could be checked"
        if self.step is None:
            return "first step that departs: none: what this recipe makes of the model today agrees"
        before: list[StepCheck] = []
        for entry in self.checked[: [entry.step for entry in self.checked].index(self.step)]:
            before = [*before, entry] if entry.check.status == "skipped" else []
        if before:
            why = f"after {before[0].step} the graph could not be checked: {before[0].check.reason}"
            return f"first step that departs: {before[0].step} to {self.step} ({why})"
        return f"first step that departs: {self.step}"


def _told(place: Place) -> Iterable[str]:
    if place.node is None and place.module_class:
        yield f"first module that departs: {place.module or 'the root module'} ({place.module_class}): {place.why}"
        if place.source:
            yield f"  at {place.source}"
        return
    if place.node is None:
        yield f"first node that departs: {place.why}"
        for drift in place.drifts:
            yield f"  {drift.node} adds {drift.relative:.1e} (allowed {drift.allowed:.1e})"
        return
    yield f"first node that departs: {place.node} ({place.op_type})"
    for where in place.inside:
        yield f"  in {where}"
    where = place.module or "the root module"
    yield f"  from {where}{f' ({place.module_class})' if place.module_class else ''}"
    if place.source:
        yield f"  at {place.source}"
    if place.operators:
        yield f"  for {', '.join(place.operators)}"
    if len(place.nodes) > 1:
        yield f"  one of {len(place.nodes)} nodes: {', '.join(place.nodes)}"
    if place.problem:
        yield f"  its value {place.problem}"
    if place.relative is not None:
        yield f"  relative error {place.relative:.1e}, absolute {place.absolute:.1e}"
    if place.border:
        yield f"  {place.border}"


def find_departure(
    model: Any,
    args: Any = (),
    *,
    file: str | os.PathLike[str] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    input_names: Sequence[str] | None = None,
    recipe: str | os.PathLike[str] | None = None,
    passes: Iterable[Any] = (),
    overrides: Mapping[str, Any] | None = None,
    settings: Iterable[str] = (),
    weights: str | os.PathLike[str] | None = None,
    inputs: Sequence[str | os.PathLike[str]] = (),
    reload: Callable[[], Any] | None = None,
) -> Departure:
    """Find the first node of a file, and the first step of its export, at which it departs from the model.

    The file is verified; with the inputs of the first check that fails it is run again with every value exposed, beside
    the captured graph in PyTorch, and the export is run again in memory, its graph compared with the model after each
    step that changes it. Graphs of PyTorch's operators, before lowering, are run in PyTorch. Where the captured graph
    is already another one than the model, the first module is found whose result is not among its values.

    Args:
        model: the model, as for :func:`lading.export`.
        args: the example arguments.
        file: the file; None for what the recipe makes of the model, in memory.
        kwargs: further keyword arguments of the call.
        input_names: names of the tensors of the call, in order; by default those of the file.
        recipe: the recipe that the file was exported with, as for :func:`lading.export`.
        passes: further passes that it was exported with.
        overrides: recipe values by dotted key; the tolerance is that of ``verify.rtol`` and ``verify.atol``.
        settings: the same as text.
        weights: the checkpoint of the model's weights, as for :func:`lading.export`.
        inputs: ``.npz`` files with further inputs.
        reload: makes the model anew.

    Returns:
        The place and the step, or that nothing departs.

    Raises:
        LadingError: as :func:`lading.export` raises it, but for a file that differs from eager.
    """
    given: dict[str, Any] = {**(overrides or {}), "verify.enabled": True}
    if weights is not None:
        given["attach-weights.checkpoint"] = weights
    if inputs:
        given["verify.inputs"] = tuple(os.fspath(path) for path in inputs)
    verification = None
    if file is not None:
        verification = verify_file(
            file,
            model,
            args,
            kwargs=kwargs,
            input_names=input_names,
            recipe="inference" if recipe is None else recipe if isinstance(recipe, str) else Path(recipe),
            weights=weights,
            settings=[item for item in settings if item.startswith("verify.")],
            inputs=inputs,
            reload=reload,
        )
        if verification.status != "failed":
            return Departure(verification=verification)
        given.update(_as_in(Path(file)))
    plan = planned(loaded_recipe(recipe, None), given, settings=tuple(settings), passes=tuple(passes))
    request = Request(model=model, args=args, kwargs=kwargs, reload=reload)
    if verification is None:
        verification = _Watched(plan).run(request).verification()
        if verification.status != "failed":
            return Departure(verification=verification)
    check = verification.of_status("failed")[0]
    # By place: the file may have other names for them than the call.
    watched = _Watched(plan, tensors=tuple(check.inputs.values()), looks=True).run(request)
    place, note = watched.place(file)
    return Departure(verification=verification, check=check, checked=tuple(watched.checked), place=place, note=note)


def _as_in(file: Path) -> dict[str, Any]:
    """What an export must be told to make a file of the same interface: opset, names and free axes of its inputs."""
    from lading.passes.files.external_data import read_model

    names, interface = file_interface(file)
    graph = read_model(file)
    axes = {
        value.name: {
            index: dim.dim_param
            for index, dim in enumerate(value.type.tensor_type.shape.dim)
            if dim.dim_param.isidentifier()
        }
        for value in graph.graph.input
        if value.name in names
    }
    if interface is not None:
        # A pass of the export has changed the names; it runs again.
        axes = {interface.called[place]: axes[name] for name, place in interface.inputs.items()}
    opset = next((entry.version for entry in graph.opset_import if entry.domain in ("", "ai.onnx")), None)
    found: dict[str, Any] = {} if opset is None else {"target.opset": opset}
    if any(axes.values()):
        found["normalize-arguments.dynamic_axes"] = {name: named for name, named in axes.items() if named}
    return found


@attrs.define
class _Watched:
    """A run of a plan that is looked at as it goes.

    Attributes:
        plan: the plan, in which verify runs.
        tensors: what to compare on, in the order of the call; nothing for the example.
        looks: whether the graph is compared after each step; otherwise the plan is only run.
        checked: what came of it.
    """

    plan: Plan
    tensors: tuple[torch.Tensor, ...] = ()
    looks: bool = False
    checked: list[StepCheck] = attrs.field(factory=list)
    _work: Any = None
    _stage: str | None = None
    _eager: EagerGraph | None = None
    _final: ir.Model | None = None
    _parents: dict[int, tuple[int, ...]] = attrs.field(factory=dict)
    _touched: dict[str, set[int]] = attrs.field(factory=dict)

    def run(self, request: Request) -> _Watched:
        """Run the plan; a file that differs from eager ends it without an error."""
        with contextlib.suppress(VerificationFailed):
            run_export(self.plan, request, watch=self._watch)
        return self

    def verification(self) -> Verification:
        """What verify found."""
        found: Verification = self._work.need(Fact.VERIFIED)
        return found

    def _watch(self, event: Mapping[str, Any], work: Work) -> None:
        self._work = work
        if not self.looks:
            return
        kind = event["event"]
        if kind == "pass.nodes":
            self._follow(event)
        elif kind == "pass.started":
            declared = self._declared(event["step"])
            # Nodes have the numbers that later ones descend from when the step that made them is over.
            if Fact.GRAPH in declared.closes and self._eager is None:
                self._eager = self._run_eagerly(work)
            elif Fact.FILE in declared.provides:
                self._final = work.need_model()
        elif kind in ("pass.applied", "pass.unchanged"):
            provides = self._declared(event["step"]).provides
            if Fact.GRAPH in provides:
                self._stage = "captured"
            elif Fact.LOWERED in provides:
                self._stage = "lowered"
            # What came before the first check is not known to be right.
            if self._stage is not None and (kind == "pass.applied" or not self.checked):
                check = self._check_captured(work) if self._stage == "captured" else self._check(work)
                self.checked.append(StepCheck(step=event["step"], check=check))

    def _declared(self, step: str) -> Any:
        return next(other.declaration for other in self.plan.steps() if other.id == step)

    def _follow(self, event: Mapping[str, Any]) -> None:
        touched = self._touched.setdefault(event["step"], set())
        for number, (_, parents, *_rest) in enumerate(event["made"], start=event["first"]):
            self._parents[number] = (
                () if parents is None else (parents,) if isinstance(parents, int) else tuple(parents)
            )
            touched.add(number)
        touched.update(number for number, _ in event["changed"])

    def _run_eagerly(self, work: Work) -> EagerGraph:
        from .passes.verification.eager_values import run_eagerly

        arguments, model = self._given(work), work.need_model()
        with arguments.small_weights_loaded():
            inputs = {item.name: item.tensor for item in arguments.inputs}
            return run_eagerly(model.graph, inputs, model.functions.values())

    def _check_captured(self, work: Work) -> Check:
        """Compare the graph in progress with the model before lowering, in PyTorch."""
        from .passes.verification.captured import check_captured

        eager, checker = self._run_eagerly(work), self._checker(work, "", None)
        expected = [tensor for tensor in checker.expected() if tensor is not None]
        return check_captured(work.need_model().graph, eager, expected, checker.tolerance, checker.coarsest())

    def _given(self, work: Work) -> Arguments:
        """The arguments with the inputs to compare on in the place of the example's."""
        arguments: Arguments = work.need(Fact.ARGUMENTS)
        if not self.tensors:
            return arguments
        pairs = zip(arguments.inputs, self.tensors, strict=True)
        return attrs.evolve(arguments, inputs=tuple(attrs.evolve(item, tensor=tensor) for item, tensor in pairs))

    def _checker(self, work: Work, path: str, interface: Interface | None) -> Any:
        from .passes.verification.checking import Checker
        from .passes.verification.comparison import Tolerance

        arguments = self._given(work)
        verify = next(step.made for step in self.plan.steps() if step.declaration.name == "verify")
        return Checker(
            path=path,
            arguments=arguments if interface is None else arguments.renamed(interface.names),
            tolerance=Tolerance(rtol=verify.rtol, atol=verify.atol),
            runtime=verify.runtime,
            samples=0,
            sizes=False,
            seed=verify.seed,
            outputs=None if interface is None else interface.outputs,
        )

    def _check(self, work: Work) -> Check:
        """Compare the graph in progress with eager."""
        from .passes.serialize import Serialize
        from .passes.signature.interface import interface_of

        with tempfile.TemporaryDirectory(prefix="lading-bisect-") as folder:
            path = str(Path(folder) / "model.onnx")
            Serialize(sync="never", weights="copy").write(work.need_model(), path, Note())
            interface = interface_of(work.need_model().graph)
            verification: Verification = self._checker(work, path, interface).run()
        return verification.checks[0]

    def place(self, file: str | os.PathLike[str] | None) -> tuple[Place | None, str | None]:
        """Find the first node that departs, in the file or in what the run has made; second, what limits the answer."""
        import onnx_ir as ir

        from .passes.signature.interface import interface_of
        from .passes.verification.locating import Locator
        from .passes.verification.runtimes import RuntimeLacks, RuntimeRejects
        from .passes.verification.unfolding import infer_types

        final = self._final
        if self._eager is None or final is None:
            return None, "no node was looked for: the run ended before there was a file"
        departs = self._departs()
        if departs is not None and Fact.GRAPH in self._declared(departs).provides:
            from .passes.verification.captured import departing_module

            checker = self._checker(self._work, "", None)
            return departing_module(checker.arguments, self._eager, checker.tolerance, checker.coarsest()), None
        model = final
        if file is not None:
            model = ir.load(file)
            infer_types(model)
        interface = interface_of(model.graph) if file is None else file_interface(Path(file))[1]
        checker = self._checker(self._work, "" if file is None else os.fspath(file), interface)
        locator = Locator(
            model=model,
            eager=self._eager,
            feeds=checker.feeds([value.name or "" for value in model.graph.inputs]),
            expected=checker.expected(),
            lineage=self._lineage(final, None if file is None else model),
            tolerance=checker.tolerance,
            coarsest=checker.coarsest(),
            runtime=checker.runtime,
        )
        unknown = [node for node in self._eager.nodes if node.why_unknown]
        note = None
        if unknown:
            first = unknown[0]
            note = f"what {first.operator} gives is not known ({first.why_unknown}), nor what depends on it"
        try:
            return locator.locate(), note
        except (RuntimeLacks, RuntimeRejects) as error:
            return None, f"no node was looked for: {error}"

    def _lineage(self, final: ir.Model, file: ir.Model | None) -> Callable[[ir.Node], Lineage]:
        """What the run knows of its nodes; those of a file are told by their names, and by their metadata."""
        from .passes.verification.locating import Lineage
        from .passes.verification.unfolding import file_node

        departs = self._departs()
        # What capture and lowering have touched is everything.
        whole = {Fact.GRAPH, Fact.FLAT, Fact.LOWERED, Fact.ONNX}
        is_pass = departs is not None and not whole & set(self._declared(departs).provides)
        touched = self._touched.get(departs or "", set()) if is_pass else set()
        origins = {("", node.name): origin_of(node) or NOWHERE for node in final.graph.all_nodes()}
        for function in final.functions.values():
            origins |= {(function.name, node.name): origin_of(node) or NOWHERE for node in function.all_nodes()}
        known: dict[ir.Node, Lineage] = {}

        def of(node: ir.Node) -> Lineage:
            if node not in known:
                standing = file_node(node)
                own = origin_of(node) if file is None else origins.get((standing.scope, standing.name))
                said = own or _told_by_file(node)
                ancestors = frozenset(self._ancestors(own.numbers)) if own is not None and own.numbers else None
                known[node] = Lineage(
                    ancestors=ancestors, origin=said, touched=own is not None and bool(touched & set(own.numbers))
                )
            return known[node]

        return of

    def _departs(self) -> str | None:
        return Departure(verification=self.verification(), checked=tuple(self.checked)).step

    def _ancestors(self, numbers: Iterable[int]) -> set[int]:
        found: set[int] = set()
        todo = list(numbers)
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                todo.extend(self._parents.get(number, ()))
        return found


def _told_by_file(node: ir.Node) -> Origin:
    said = node.metadata_props
    return Origin(said.get("lading.module", ""), said.get("lading.class", ""), said.get("lading.source", ""))
