# SPDX-License-Identifier: Apache-2.0
"""For tests of passes: run one on a graph, and check that it keeps what a pass has to keep.

    from lading.testing import assert_keeps, run_pass

    def test_a_double_negation_is_removed():
        ran = run_pass(DropDoubleNegation(), TEXT)
        assert {"pairs removed": 1} == ran.note.counts
        assert_keeps(DropDoubleNegation(), TEXT)

A graph is given as ONNX text, a path, a protobuf message, an ``onnx_ir.Model``, or what :func:`lading.export` returned.
"""

from __future__ import annotations

import copy
import difflib
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import onnx
import onnx_ir as ir

from .passes.verification.comparison import Tolerance, compare
from .passes.verification.inputs import axis_name
from .passes.verification.runtimes import RuntimeRejects, Session, from_numpy, open_session
from .pipeline.facts import Fact
from .pipeline.fingerprint import structural_hash
from .pipeline.note import Note
from .pipeline.work import Target, Work

if TYPE_CHECKING:
    import numpy as np
    import torch

    from .exported import Exported

Inputs: TypeAlias = "Mapping[str, np.ndarray[Any, Any]] | Sequence[Mapping[str, np.ndarray[Any, Any]]]"
Graph: TypeAlias = "str | os.PathLike[str] | onnx.ModelProto | ir.Model | Exported"

WRITE_GOLDEN = "LADING_WRITE_GOLDEN"
"""The variable of the environment that makes `assert_golden` write its files in place of comparing."""

SIZES = (2, 3, 5)
"""The sizes at which every dynamic axis is tried where no inputs are given; axes of one sample differ."""


@attrs.frozen(kw_only=True)
class Ran:
    """A pass that was run: the graph before and after, each of its own, and what the pass reported."""

    before: ir.Model
    model: ir.Model
    note: Note
    work: Work


def model_of(graph: Graph) -> ir.Model:
    """The graph as a model of its own, which may be changed; text gets its types and shapes inferred.

    Raises:
        onnx.parser.ParseError: the text is not ONNX's.
    """
    if isinstance(graph, str):
        return ir.from_proto(onnx.shape_inference.infer_shapes(onnx.parser.parse_model(graph), data_prop=True))
    if isinstance(graph, ir.Model):
        return graph.clone()
    if isinstance(graph, onnx.ModelProto):
        # onnx_ir borrows the tensors of a message.
        return ir.from_proto(copy.deepcopy(graph))
    if isinstance(graph, os.PathLike):
        return ir.load(graph)
    return graph.model.clone()


def run_pass(the_pass: Any, graph: Graph, *, request: Any = None, values: Mapping[Fact, Any] | None = None) -> Ran:
    """Run a pass on a copy of a graph, without an export.

    Args:
        the_pass: the pass, an instance.
        graph: what it works on; its opsets are the target.
        request: for a pass that reads the request of an export.
        values: for a pass that requires more facts than a graph: what their providers would have handed on.
    """
    before, model = model_of(graph), model_of(graph)
    opsets = dict(model.opset_imports)
    target = Target(opsets.pop("", 0), opsets)
    work, note = Work(target=target, request=request, model=model, values=dict(values or {})), Note()
    the_pass.run(work, note)
    return Ran(before=before, model=work.need_model(), note=note, work=work)


def assert_keeps(
    the_pass: Any,
    graph: Graph,
    *,
    inputs: Inputs | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-7,
) -> Ran:
    """Check all that a pass owes which only rewrites: a valid graph, the same signature and numbers, rest afterwards.

    Returns what the run was, for further checks.

    Raises:
        AssertionError: it does not keep one of them.
    """
    ran = run_pass(the_pass, graph)
    assert_valid(ran.model)
    assert_same_signature(ran.before, ran.model)
    assert_same_numerics(ran.before, ran.model, inputs=inputs, rtol=rtol, atol=atol)
    assert_stable(the_pass, graph)
    return ran


def assert_valid(graph: Graph) -> None:
    """Check a graph with onnx's checker, types and shapes included.

    Raises:
        AssertionError: it is not valid; the message is the checker's.
    """
    try:
        onnx.checker.check_model(ir.to_proto(model_of(graph)), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise AssertionError(f"the graph is not valid: {error}") from error


def assert_same_signature(before: Graph, after: Graph) -> None:
    """Check that inputs and outputs have the same names, types and shapes, in the same order.

    Raises:
        AssertionError: they differ; the message is the difference.
    """
    _assert_same_lines(_signature(model_of(before)), _signature(model_of(after)), "the signature differs")


def assert_same_numerics(
    before: Graph,
    after: Graph,
    *,
    inputs: Inputs | None = None,
    rtol: float = 1e-4,
    atol: float = 1e-7,
    seed: int = 0,
) -> None:
    """Run both graphs on the same inputs and compare every output: type, shape and values.

    Args:
        before: the graph that is right.
        after: the graph that must agree with it; inputs and outputs correspond by position.
        inputs: a value for each input, by its name in `before`, or several such examples, where random numbers at a few
            sizes of every dynamic axis would not do (indices, masks).
        rtol: the accepted difference, as a share of the scale of an output; integers may not differ.
        atol: the accepted difference beside that.
        seed: of the random numbers.

    Raises:
        AssertionError: an output differs, or a graph cannot be run where the other one can.
    """
    import torch

    generator = torch.Generator().manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        one, other = (
            _session(model_of(graph), Path(folder) / f"{name}.onnx")
            for name, graph in (("before", before), ("after", after))
        )
        if len(one.inputs) != len(other.inputs) or len(one.outputs) != len(other.outputs):
            raise AssertionError(
                f"{len(one.inputs)} inputs and {len(one.outputs)} outputs became "
                f"{len(other.inputs)} and {len(other.outputs)}"
            )
        for feeds in _samples(model_of(before), one, inputs, generator):
            expected = _run(one, feeds, "before")
            got = _run(other, dict(zip(other.inputs, feeds.values(), strict=True)), "after")
            for name, right, value in zip(one.outputs, expected, got, strict=True):
                found = compare(name, right, value, Tolerance(rtol=rtol, atol=atol))
                if found.problem is not None:
                    shapes = ", ".join(f"{key}{list(tensor.shape)}" for key, tensor in feeds.items())
                    raise AssertionError(f"output '{name}' {found.problem}, for {shapes}")


def assert_stable(the_pass: Any, graph: Graph) -> None:
    """Check that a second run of a pass changes nothing, by the hash that a run of lading compares.

    Raises:
        AssertionError: it does; the message has the difference of the two graphs.
    """
    once = run_pass(the_pass, graph).model
    twice = run_pass(the_pass, once).model
    if structural_hash(once) != structural_hash(twice):
        _assert_same_lines(_lines(once), _lines(twice), "a second run changes the graph")
        raise AssertionError("a second run changes the graph, in what its text does not show")


def assert_golden(graph: Graph, file: str | os.PathLike[str]) -> None:
    """Compare a graph, as ONNX text, with a file; with `LADING_WRITE_GOLDEN=1` in the environment, write the file.

    Raises:
        AssertionError: there is no such file, or the text differs; the message is the difference.
    """
    path, lines = Path(file), _lines(model_of(graph))
    if os.environ.get(WRITE_GOLDEN):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    if not path.is_file():
        raise AssertionError(f"there is no {path}: run the test with {WRITE_GOLDEN}=1 and look at what it wrote")
    _assert_same_lines(path.read_text(encoding="utf-8").splitlines(), lines, f"the graph differs from {path}")


def _assert_same_lines(expected: Sequence[str], got: Sequence[str], what: str) -> None:
    if list(expected) != list(got):
        lines = difflib.unified_diff(expected, got, "before", "after", lineterm="")
        raise AssertionError("\n".join((f"{what}:", *lines)))


def _signature(model: ir.Model) -> list[str]:
    return [
        f"{kind} {value.name}: {value.type}{value.shape}"
        for kind, values in (("input", model.graph.inputs), ("output", model.graph.outputs))
        for value in values
    ]


def _lines(model: ir.Model) -> list[str]:
    return onnx.printer.to_text(ir.to_proto(model)).splitlines()


def _session(model: ir.Model, path: Path) -> Session:
    ir.save(model, path, external_data=f"{path.name}.data")
    try:
        return open_session(str(path))[0]
    except RuntimeRejects as error:
        raise AssertionError(f"the graph {path.stem} cannot be loaded: {error}") from error


def _run(session: Session, feeds: Mapping[str, torch.Tensor], which: str) -> list[torch.Tensor]:
    try:
        return session.run(feeds)
    except RuntimeRejects as error:
        raise AssertionError(f"the graph {which} cannot be run: {error}") from error


def _samples(
    model: ir.Model, session: Session, given: Inputs | None, generator: torch.Generator
) -> Iterator[dict[str, torch.Tensor]]:
    if given is not None:
        for example in [given] if isinstance(given, Mapping) else given:
            yield {name: from_numpy(example[name]) for name in session.inputs}
        return
    values = {value.name: value for value in model.graph.inputs}
    names = {axis_name(name, axis, dims) for name, dims in session.inputs.items() for axis in range(len(dims))} - {None}
    for size in SIZES:
        # No two axes have one size, so that one which is taken for another shows.
        sizes = {str(name): size + index for index, name in enumerate(sorted(map(str, names)))}
        feeds = {}
        for name, dims in session.inputs.items():
            shape = [sizes.get(str(axis_name(name, axis, dims)), dim) for axis, dim in enumerate(dims)]
            feeds[name] = _random(values[name], name, shape, generator)
        yield feeds


def _random(value: ir.Value, name: str, shape: Sequence[Any], generator: torch.Generator) -> torch.Tensor:
    import torch

    if value.dtype is None:
        raise AssertionError(f"input '{name}' has no element type: give an example of it in inputs=")
    kind = from_numpy(ir.tensor([0], dtype=value.dtype).numpy()).dtype
    if kind.is_floating_point or kind.is_complex:
        return torch.randn(*shape, generator=generator).to(kind)
    # Small enough for an index, in most graphs.
    return torch.randint(0, 2, tuple(shape), generator=generator).to(kind)
