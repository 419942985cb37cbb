# SPDX-License-Identifier: Apache-2.0
"""Reproducers, read again: the graph as the failing step found it, and the plan of what was left."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from .errors import UsageError
from .facts import Fact
from .origin import Origin, set_origin
from .plan import Plan, make_plan
from .recipe import Recipe, load_recipe
from .registry import Registry
from .reproduce import FORMAT, LEFT_OUT, LOOSE, MARKS, ORIGIN, WEIGHTS
from .resolve import ResolvedRecipe, resolve

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

MakeWeight = Callable[["ir.DataType", tuple[int, ...], bytes | None, str, str], Any]
"""Makes the tensor of a weight from its type, shape and bytes (None where they were left out), the name of its
parameter, and that of the initializer."""


@attrs.frozen
class Failure:
    """What `failure.json` of a reproducer says; `begins` is the step or group that its graph and recipe begin with.

    `registers` are the files, seen from the folder, that register what the steps use.
    """

    folder: Path
    step: str
    facts: frozenset[Fact]
    type: str
    error: str
    versions: dict[str, str]
    begins: str
    registers: tuple[str, ...] = ()

    @property
    def has_graph(self) -> bool:
        """Whether a graph was captured before the step failed."""
        return (self.folder / "graph.onnx").is_file()

    def recipe(self, *, whole: bool = False) -> Recipe:
        """The recipe from the failing step on, or all of it."""
        return load_recipe(self.folder / ("whole.toml" if whole else "recipe.toml"))


def read_failure(folder: str | os.PathLike[str]) -> Failure:
    """Read what a reproducer says of its failure.

    Raises:
        UsageError: the folder is no reproducer, or one of another format.
    """
    place = Path(folder)
    file = place / "failure.json"
    hint = "a folder that lading export --reproducer FOLDER left, such as FOLDER/inference-lower"
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        inner = [found.parent.name for found in sorted(place.glob("*/failure.json"))]
        if inner:
            hint = f"one of: {', '.join(str(place / name) for name in inner)}"
        raise UsageError("the folder is no reproducer", where=str(place), hint=hint) from error
    except (OSError, ValueError) as error:
        raise UsageError(f"the reproducer cannot be read: {error}", where=str(file)) from error
    if not isinstance(said, dict) or said.get("format") != FORMAT:
        raise UsageError("the reproducer has a format that this lading does not read", where=str(file))
    try:
        facts = frozenset(Fact(name) for name in said["facts"])
        step = str(said["step"])
        registers = tuple(map(str, said.get("registers", ())))
        texts = (str(said["type"]), str(said["error"]))
        return Failure(place, step, facts, *texts, dict(said["versions"]), str(said.get("begins", step)), registers)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"the reproducer is damaged: {error}", where=str(file)) from error


def rest_of_plan(failure: Failure, registry: Registry, passes: Iterable[Any] = ()) -> tuple[Plan, list[str]]:
    """The plan of what was left, without the steps that ask for the model; their ids come second.

    Raises:
        UsageError: the failing step itself asks for the model, which a reproducer does not hold.
    """
    for pass_class in passes:
        registry.add(pass_class if isinstance(pass_class, type) else type(pass_class))
    recipe = failure.recipe()
    resolved = resolve(recipe, registry)
    left_out = _that_need_the_model(resolved)
    if failure.step in left_out and failure.step == failure.begins:
        raise UsageError(
            f"step '{failure.step}' works on the model, which a reproducer does not hold",
            where=str(failure.folder),
            hint=f"name the model: lading replay {failure.folder} MODEL",
        )
    if left_out:
        off = {f"{step}.enabled": False for step in left_out}
        resolved = resolve(recipe, registry, overrides=off)
    return make_plan(resolved, registry, given=failure.facts), left_out


def _that_need_the_model(resolved: ResolvedRecipe) -> list[str]:
    """The steps that require the example call, or that build on one that does."""
    found: list[str] = []
    lost = {Fact.ARGUMENTS}
    steps = [step for step in resolved.steps() if step.enabled]
    for _ in steps:
        for step in steps:
            if step.id not in found and lost & set(step.declaration.requires):
                found.append(step.id)
                lost.update(step.declaration.provides)
    return found


def read_graph(failure: Failure, make_weight: MakeWeight) -> ir.Model:
    """The graph before the failing step, with origins and marks; weights that were left out are zeros.

    Raises:
        UsageError: there is no graph, or it cannot be read.
    """
    import onnx
    import onnx_ir as ir

    file = failure.folder / "graph.onnx"
    try:
        proto = onnx.load(os.fspath(file), load_external_data=False)
        kept = {entry.key: entry.value for entry in proto.metadata_props}
        loose, weights = set(json.loads(kept.pop(LOOSE))), json.loads(kept.pop(WEIGHTS))
        shapes = _cut_down(proto)
        model = ir.serde.deserialize_model(proto)
    except Exception as error:
        raise UsageError(f"the graph cannot be read: {type(error).__name__}: {error}", where=str(file)) from error
    model.metadata_props.pop(LOOSE, None)
    model.metadata_props.pop(WEIGHTS, None)
    for name, value in list(model.graph.initializers.items()):
        tensor = value.const_value
        if tensor is not None and (name in shapes or name in weights):
            data = None if name in shapes else tensor.tobytes()
            shape = shapes.get(name, tuple(tensor.shape.numpy()))
            value.const_value = make_weight(tensor.dtype, shape, data, weights.get(name, name), name)
            value.shape = ir.Shape(shape)
        if name in loose:
            # It belongs to no graph again; its readers keep it.
            del model.graph.initializers[name]
    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        for node in ir.traversal.RecursiveGraphIterator(graph):
            _remember(node)
    for value in _values(model):
        _mark(value)
    return model


def _cut_down(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Make a scalar of every tensor that lost its bytes, and give the shapes that they had."""
    shapes: dict[str, tuple[int, ...]] = {}
    for tensor in proto.graph.initializer:
        if _left_out(tensor):
            shapes[tensor.name] = tuple(tensor.dims)
            tensor.ClearField("external_data")
            tensor.ClearField("data_location")
            del tensor.dims[:]
            tensor.raw_data = bytes(_itemsize(tensor.data_type))
    return shapes


def _left_out(tensor: onnx.TensorProto) -> bool:
    return any(entry.key == "location" and entry.value == LEFT_OUT for entry in tensor.external_data)


def _itemsize(data_type: int) -> int:
    import onnx

    return max(1, int(onnx.helper.tensor_dtype_to_np_dtype(data_type).itemsize))


def _remember(node: ir.Node) -> None:
    said = node.metadata_props.pop(ORIGIN, None)
    if said is not None:
        module, module_class, source, passes = json.loads(said)
        set_origin(node, Origin(module, module_class, source, tuple(passes)))
    _mark(node)


def _mark(marked: Any) -> None:
    marks = marked.metadata_props.pop(MARKS, None)
    if marks is not None:
        marked.meta.update(json.loads(marks))


def _values(model: ir.Model) -> Iterable[ir.Value]:
    import onnx_ir as ir

    for graph in (model.graph, *(function.graph for function in model.functions.values())):
        yield from graph.inputs
        for node in ir.traversal.RecursiveGraphIterator(graph):
            yield from node.outputs
