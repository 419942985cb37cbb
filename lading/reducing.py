# SPDX-License-Identifier: Apache-2.0
"""Shrink an export that fails to the smallest piece that still fails, in a folder with one command that shows it."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from .exporting import planned, run_export
from .module_pieces import at_smaller_sizes, smallest_module, write_module
from .passes import BUILTIN
from .passes.request import Request
from .pieces import Call, what_differs
from .pipeline.errors import InternalError, LadingError, UsageError, VerificationFailed
from .pipeline.facts import Fact
from .pipeline.fingerprint import WHOLE_TENSOR_BYTES
from .pipeline.origin import origin_of
from .pipeline.registry import Registry
from .pipeline.replay import read_failure, rest_of_plan
from .pipeline.reproduce import FolderReproducer
from .pipeline.run import run_plan, target_of
from .pipeline.shrink import Shrunk, shrink
from .pipeline.work import Work
from .resolving import loaded_recipe
from .smaller_sizes import smaller

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from .passes.graph_piece import Piece, Pieces
    from .passes.verification.report import Verification
    from .pipeline.plan import Plan, PlanNode

README = "README.md"
_HEADING = "# The smallest piece that fails"

_INTERFACE = frozenset(
    f"normalize-arguments.{option}"
    for option in ("input_names", "output_names", "dynamic_axes", "dynamic_shapes", "examples")
)
"""Options that speak of the arguments of the whole model, and mean nothing to a module of it."""

WEIGHTS_KEPT = 1 << 30
"""Bytes up to which a weight of a piece that departs is written with its values: they are part of the failure."""


@attrs.frozen(kw_only=True)
class Reduced:
    """The smallest piece that was found.

    Attributes:
        folder: what it was written to.
        kind: "graph": operators of the captured graph; "module": a module of the model.
        error: what the piece fails with.
        code: the error code, as the whole export has it: "verification" where the file departs from eager.
        exit_code: what the command leaves with.
        size: how many operators, or modules, the piece has.
        whole: how many there were.
        operators: the operators of the piece, in order; empty for a module.
        module: the path of the module that the piece is, or that its operators are called in.
        source: the user's line of the last operator, or "".
        shapes: the shapes of the tensors that the piece is run with, by name.
        minimal: whether nothing can be left out; no where time ran out.
        tests: how many pieces were tried.
        command: shows the failure.
    """

    folder: Path
    kind: str
    error: str
    code: str
    exit_code: int
    size: int
    whole: int
    operators: tuple[str, ...] = ()
    module: str = ""
    source: str = ""
    shapes: Mapping[str, tuple[int, ...]] = attrs.field(factory=dict)
    minimal: bool = True
    tests: int = 0
    command: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {**attrs.asdict(self), "folder": str(self.folder)}

    def text(self) -> str:
        """Return what was found in lines for people."""
        noun = "operators" if self.kind == "graph" else "modules"
        lines = [f"{self.size} of {self.whole} {noun} fail alone ({self.tests} pieces tried)"]
        if not self.minimal:
            lines[0] += "; time ran out, and it may be smaller"
        if self.operators:
            lines.append(f"  {', '.join(self.operators)}")
        place = self.module or "the root module"
        lines.append(f"  in {place}{f' ({self.source})' if self.source else ''}")
        if self.shapes:
            shown = ", ".join(f"{name} [{', '.join(map(str, shape))}]" for name, shape in self.shapes.items())
            lines.append(f"  on {shown}")
        lines.append(f"  {self.code}: {self.error.splitlines()[0]}")
        lines.append(f"see it with: {self.command}  (leaves with {self.exit_code})")
        return "\n".join(lines)


def reduce(
    model: Any,
    args: Any = (),
    folder: str | os.PathLike[str] = "reduced",
    *,
    kwargs: Mapping[str, Any] | None = None,
    recipe: str | os.PathLike[str] | None = None,
    passes: Iterable[Any] = (),
    overrides: Mapping[str, Any] | None = None,
    settings: Iterable[str] = (),
    seconds: float = 120.0,
    reload: Callable[[], Any] | None = None,
    reference: str | None = None,
) -> Reduced:
    """Shrink a failing export to the smallest piece that still fails in the same way, and write that piece.

    An export that fails once there is a graph, or whose file departs from eager, is shrunk to the fewest operators of
    the captured graph. Where the file departs, the piece has as inputs what PyTorch computes in those places, and is
    run and compared by itself. An export that fails before there is a graph is shrunk to the innermost module that
    fails with the arguments that it gets in the example call.

    Args:
        model: the model, as for :func:`lading.export`.
        args: the example arguments.
        folder: where the piece goes: a folder that does not exist yet, or that an earlier call has written.
        kwargs: further keyword arguments of the call.
        recipe: a recipe as for :func:`lading.export`.
        passes: further passes.
        overrides: recipe values by dotted key.
        settings: the same as text.
        seconds: for how long pieces are tried; the smallest that fails by then is written.
        reload: makes the model anew.
        reference: how the command line names the model, for the piece to load a module from; without it, the module is
            stored by ``torch.save``.

    Returns:
        The piece, and the command that shows its failure.

    Raises:
        UsageError: the export does not fail, or the folder holds something else.
    """
    place = Path(folder)
    if place.exists() and not _may_be_replaced(place):
        raise UsageError("the folder holds something else", where=str(place), hint="name a new one")
    given = tuple(passes)
    loaded, settings = loaded_recipe(recipe, None), tuple(settings)
    plan = planned(loaded, {**(overrides or {}), "verify.enabled": True}, settings=settings, passes=given)
    whole = _Whole(plan)
    request = Request(model=model, args=args, kwargs=kwargs, reload=reload)
    error = whole.run(request)
    if error is None:
        raise UsageError("the export does not fail, and its file agrees with eager", hint="there is nothing to reduce")
    shutil.rmtree(place, ignore_errors=True)
    ends = time.monotonic() + seconds
    if whole.pieces is None:
        of_parts = {key: value for key, value in (overrides or {}).items() if key not in _INTERFACE}
        for_modules = planned(
            loaded,
            {**of_parts, "verify.enabled": False},
            settings=[text for text in settings if text.partition("=")[0].strip() not in _INTERFACE],
            passes=given,
        )
        found = smallest_module(model, args, kwargs or {}, for_modules, error, ends)
        found = at_smaller_sizes(found, for_modules if found.path else plan, error, ends)
        place.mkdir(parents=True)
        command = write_module(found, place, for_modules if found.path else plan, reference)
        reduced = Reduced(
            folder=place,
            kind="module",
            error=error.what,
            code=error.code,
            exit_code=error.exit_code,
            size=found.size,
            whole=found.whole,
            module=found.path,
            shapes={name: tuple(tensor.shape) for name, tensor in found.tensors().items()},
            minimal=found.minimal,
            tests=found.tests,
            command=command,
        )
    else:
        reduced = _graph_piece(whole, error, place, given, ends)
    (place / README).write_text(
        f"{_HEADING}\n\n```text\n{reduced.text()}\n```\n\n```sh\n{reduced.command}\n```\n",
        encoding="utf-8",
    )
    return reduced


def _may_be_replaced(place: Path) -> bool:
    """Tell whether a folder is empty, or what an earlier call has written."""
    if not place.is_dir():
        return False
    if not any(place.iterdir()):
        return True
    readme = place / README
    return readme.is_file() and readme.read_text(encoding="utf-8", errors="replace").startswith(f"{_HEADING}\n")


@attrs.define
class _Whole:
    """The failing export, with its graph as it was before lowering."""

    plan: Plan
    pieces: Pieces | None = None
    begins: PlanNode | None = None
    work: Any = None

    def run(self, request: Request) -> LadingError | None:
        """Run it, and return what it fails with."""
        try:
            run_export(self.plan, request, log_level="steps", watch=self._watch)
        except LadingError as error:
            return error
        return None

    def _watch(self, event: Mapping[str, Any], work: Work) -> None:
        self.work = work
        if event["event"] != "pass.started" or self.pieces is not None:
            return
        node = next(node for node in self.plan.nodes if event["step"] in {step.id for step in node.steps})
        if any(Fact.FLAT in step.declaration.closes for step in node.steps):
            from .passes.graph_piece import Pieces

            model = work.need_model()
            copy = Pieces(model).cut(range(len(Pieces(model).nodes))).model
            self.begins, self.pieces = node, Pieces(copy)


def _graph_piece(whole: _Whole, error: LadingError, place: Path, passes: tuple[Any, ...], ends: float) -> Reduced:
    """Find and write the fewest operators that fail as the whole graph does."""
    assert whole.pieces is not None
    assert whole.begins is not None
    from .passes.lower.registry import users_files

    nodes = whole.pieces.nodes
    departs = isinstance(error, VerificationFailed)
    with tempfile.TemporaryDirectory(prefix="lading-reduce-") as scratch:
        rest = _rest(whole, error, Path(scratch), passes)
        trial: _Departing | _Failing = _Departing(whole, rest) if departs else _Failing(whole.pieces, rest, error)
        if not trial.fails(range(len(nodes))):
            raise UsageError(
                "the captured graph by itself does not fail",
                where=f"step '{error.step}'" if error.step else None,
                hint="the failure needs the model itself; lading export --reproducer keeps what led to it",
            ) from error
        shrunk = shrink(len(nodes), trial.fails, seconds=ends - time.monotonic(), guesses=trial.guesses())
    piece = whole.pieces.cut(shrunk.kept)
    model, call = piece.model, None
    if isinstance(trial, _Departing):
        model, call = trial.at_smaller_sizes(piece, ends)
    failed = trial.said or error
    writer = FolderReproducer(
        place.parent, whole_bytes=WEIGHTS_KEPT if departs else WHOLE_TENSOR_BYTES, registers=users_files()
    )
    writer.keep(model)
    if departs:
        # The piece fails where it is compared, which is after its steps; the step to name is the first of them.
        failed = VerificationFailed(trial.reason or error.what)
        failed.step = whole.begins.id
    written = writer.write(whole.plan, whole.begins, failed)
    shutil.rmtree(place, ignore_errors=True)
    written.rename(place)
    if call is not None:
        call.write(place)
    return _reduced(whole, shrunk, failed, place, {} if call is None else call.inputs)


def _reduced(
    whole: _Whole, shrunk: Shrunk, failed: LadingError, place: Path, inputs: Mapping[str, torch.Tensor]
) -> Reduced:
    assert whole.pieces is not None
    left = [whole.pieces.nodes[position] for position in shrunk.kept]
    origins = [origin for node in left if (origin := origin_of(node)) is not None]
    return Reduced(
        folder=place,
        kind="graph",
        error=failed.what,
        code=failed.code,
        exit_code=failed.exit_code,
        size=len(left),
        whole=len(whole.pieces.nodes),
        operators=tuple(_name(node) for node in left),
        module=origins[-1].module if origins else "",
        source=next((origin.source for origin in reversed(origins) if origin.source), ""),
        shapes={name: tuple(tensor.shape) for name, tensor in inputs.items()},
        minimal=shrunk.minimal,
        tests=shrunk.tests,
        command=f"lading replay {shlex.quote(str(place))}",
    )


def _name(node: ir.Node) -> str:
    return f"{node.domain}::{node.op_type}" + (f".{node.overload}" if node.overload else "")


def _rest(whole: _Whole, error: LadingError, scratch: Path, passes: tuple[Any, ...]) -> Plan:
    """The plan from lowering on, as a replay of the piece will have it."""
    assert whole.begins is not None
    writer = FolderReproducer(scratch)
    folder = writer.write(whole.plan, whole.begins, error)
    plan, _ = rest_of_plan(read_failure(folder), Registry(BUILTIN), passes)
    return plan


@attrs.define
class _Failing:
    """Pieces of a graph on which a step fails."""

    pieces: Pieces
    rest: Plan
    error: LadingError
    said: LadingError | None = None
    reason: str | None = None

    def fails(self, kept: Sequence[int]) -> bool:
        """Whether a piece fails with the same code, in the same step."""
        work = Work(target=target_of(self.rest.recipe), request=Request(model=None), model=self.pieces.cut(kept).model)
        try:
            run_plan(self.rest, work, level="steps")
        except LadingError as error:
            if (error.code, error.step) == (self.error.code, self.error.step) and self._cause(error) == self._cause(
                self.error
            ):
                self.said = error
                return True
        return False

    @staticmethod
    def _cause(error: LadingError) -> type | None:
        # Two faults of passes have one code; what was raised in them tells them apart.
        return type(error.__cause__) if isinstance(error, InternalError) else None

    def guesses(self) -> list[Sequence[int]]:
        """Each operator that the error names, alone."""
        text = str(self.error)
        return [
            [position]
            for position, node in enumerate(self.pieces.nodes)
            if f"{node.domain}::{node.op_type}" in text or (node.name and node.name in text)
        ]


@attrs.define
class _Departing:
    """Pieces of a graph whose file does not compute what PyTorch does."""

    whole: _Whole
    rest: Plan
    said: LadingError | None = None
    reason: str | None = None
    _values: Mapping[ir.Value, Any] | None = None

    def values(self) -> Mapping[ir.Value, Any]:
        """What PyTorch computes for each value of the whole graph, on the inputs of the first check that failed."""
        if self._values is None:
            from .passes.verification.eager_values import run_eagerly

            assert self.whole.pieces is not None
            arguments = self.whole.work.need(Fact.ARGUMENTS)
            verification: Verification = self.whole.work.need(Fact.VERIFIED)
            given = verification.of_status("failed")[0].inputs
            # By place: the file may have other names for them than the call.
            places = tuple(given.values()) or tuple(item.tensor for item in arguments.inputs)
            tensors = {item.name: tensor for item, tensor in zip(arguments.inputs, places, strict=True)}
            graph = self.whole.pieces.model.graph
            with arguments.small_weights_loaded():
                known = dict(run_eagerly(graph, tensors).values)
            known.update({value: tensors[value.name] for value in graph.inputs if value.name in tensors})
            self._values = known
        return self._values

    def call(self, piece: Piece) -> Call:
        """What to run a piece with.

        Raises:
            KeyError: what PyTorch computes for one of its inputs is not known.
        """
        assert self.whole.pieces is not None
        known = self.values()
        inputs = {name: _tensor(known[value]) for name, value in piece.inputs.items()}
        own = {value.name: value for value in self.whole.pieces.model.graph.inputs}
        for value in piece.model.graph.inputs:
            if value.name and value.name not in inputs and own[value.name] in known:
                inputs[value.name] = _tensor(known[own[value.name]])
        outputs = {name: _tensor(known[value]) for name, value in piece.outputs.items() if value in known}
        return Call(inputs, outputs)

    def fails(self, kept: Sequence[int]) -> bool:
        """Whether the file of a piece differs from PyTorch."""
        assert self.whole.pieces is not None
        piece = self.whole.pieces.cut(kept)
        try:
            return self._departs(piece.model, self.call(piece))
        except KeyError:
            return False

    def _departs(self, model: ir.Model, call: Call) -> bool:
        from .passes.verification.comparison import Tolerance
        from .passes.verification.runtimes import RuntimeLacks

        verify = next(step.made for step in self.whole.plan.steps() if step.declaration.name == "verify")
        with contextlib.suppress(LadingError, KeyError, RuntimeLacks):
            work = Work(target=target_of(self.rest.recipe), request=Request(model=None), model=model)
            run_plan(self.rest, work, level="steps")
            tolerance = Tolerance(rtol=verify.rtol, atol=verify.atol)
            reason = what_differs(work.need_model(), call, tolerance, verify.runtime)
            if reason is not None:
                self.reason = reason
                return True
        return False

    def at_smaller_sizes(self, piece: Piece, ends: float) -> tuple[ir.Model, Call]:
        """Return a piece with its call, its inputs and weights as small as they can be to depart."""
        from .passes.resized_piece import constants_of, resized

        call = self.call(piece)
        tensors = {**call.inputs, **constants_of(piece.model.graph)}
        best = piece.model, call

        def fails(given: Mapping[str, torch.Tensor]) -> bool:
            nonlocal best
            made = resized(piece.model, given, list(call.inputs))
            if made is None:
                return False
            model, outputs = made
            smaller_call = Call({name: given[name] for name in call.inputs}, outputs)
            if not self._departs(model.clone(), smaller_call):
                return False
            best = model, smaller_call
            return True

        smaller(tensors, fails, ends)
        return best

    def guesses(self) -> list[Sequence[int]]:
        """None: halves are as likely as anything."""
        return []


def _tensor(value: Any) -> torch.Tensor:
    import torch

    return value if isinstance(value, torch.Tensor) else torch.tensor(value)
