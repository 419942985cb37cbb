# SPDX-License-Identifier: Apache-2.0
"""Reproducers: the graph before a failing step and the rest of the recipe, small enough to send to somebody.

What a graph holds beside its protobuf form goes along as metadata, so that `replay` finds it as the step did: where
nodes come from, marks of passes, which initializers are weights, and constants that belong to no graph.
"""

from __future__ import annotations

import inspect
import json
import os
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .fingerprint import WHOLE_TENSOR_BYTES
from .origin import origin_of
from .plan import Plan, PlanNode
from .resolve import ResolvedGroup, recipe_toml
from .run import versions

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

FORMAT = 2
"""The version of what a folder holds; `replay` reads this one."""

LEFT_OUT = "weights-left-out"
"""The external data file that large weights of a reproducer refer to, and that does not exist."""

ORIGIN, MARKS, LOOSE, WEIGHTS = "lading.origin", "lading.marks", "lading.loose", "lading.weights"
"""Keys of the metadata that only a reproducer has."""


class FolderReproducer:
    """Writes `<folder>/<recipe>-<step>/` with `graph.onnx`, `recipe.toml`, `whole.toml` and `failure.json`.

    `recipe.toml` is the recipe from the failing step on, `whole.toml` all of it, for a failure before capture.
    `graph.onnx` is the graph before the failing step, there if a graph was captured by then.  Weights over 64 KiB keep
    name, type and shape and lose their bytes: read it with `onnx.load(path, load_external_data=False)`.  Keeping the
    graph costs one serialisation without weights for each step that changes it, and nothing else is written unless a
    step fails.

    `whole_bytes` is the size over which weights lose their bytes, `registers` names the files that a replay has to
    load, because they register what the steps use, such as lowerings.
    """

    def __init__(
        self, folder: str | os.PathLike[str], *, whole_bytes: int = WHOLE_TENSOR_BYTES, registers: Iterable[str] = ()
    ) -> None:
        self.folder = Path(folder)
        self.whole_bytes = whole_bytes
        self.registers = tuple(registers)
        self._graph: bytes | None = None

    def keep(self, model: ir.Model | None) -> None:
        """Take a copy of the graph, without its large weights."""
        self._graph = None if model is None else _slim(model, self.whole_bytes).SerializeToString(deterministic=True)

    def write(self, plan: Plan, node: PlanNode, error: BaseException) -> Path:
        """Write the kept graph and the rest of the recipe.

        Raises:
            OSError: the folder cannot be written.
        """
        place = self.folder / f"{plan.recipe.name}-{node.id}"
        place.mkdir(parents=True, exist_ok=True)
        place.joinpath("recipe.toml").write_text(rest_of_recipe(plan, node, place), encoding="utf-8")
        place.joinpath("whole.toml").write_text(rest_of_recipe(plan, plan.nodes[0], place), encoding="utf-8")
        graph = place / "graph.onnx"
        graph.unlink(missing_ok=True)
        if self._graph is not None:
            graph.write_bytes(self._graph)
        failure = {
            "format": FORMAT,
            "step": getattr(error, "step", None) or node.id,
            "begins": node.id,
            "registers": [Path(os.path.relpath(file, place.resolve())).as_posix() for file in self.registers],
            "recipe": plan.recipe.name,
            "facts": _facts_before(plan, node),
            "versions": versions(),
            "type": type(error).__name__,
            "error": str(error),
            "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
        }
        place.joinpath("failure.json").write_text(json.dumps(failure, indent=2, ensure_ascii=False), encoding="utf-8")
        return place


def _facts_before(plan: Plan, node: PlanNode) -> list[str]:
    """The facts that hold before a node of the plan: those that steps before it provide."""
    position = [other.id for other in plan.nodes].index(node.id)
    return sorted({str(fact) for other in plan.nodes[:position] for fact in other.provides})


def rest_of_recipe(plan: Plan, node: PlanNode, place: Path) -> str:
    """The recipe from `node` on, as TOML; references to Python files are written as seen from the folder `place`."""
    data = plan.recipe.to_dict()
    position = [other.id for other in plan.nodes].index(node.id)
    done: set[str] = set()
    for other in plan.nodes[:position]:
        done.add(other.id)
        done.update(step.id for step in other.steps)
    for entry in plan.recipe.entries:
        if isinstance(entry, ResolvedGroup) and entry.id in done:
            done.update(member.id for member in entry.members)
    data["step"] = {step: table for step, table in data["step"].items() if step not in done}
    for step in plan.recipe.steps():
        if step.id in data["step"]:
            data["step"][step.id]["pass"] = _findable(step.reference, type(step.made), plan.recipe.folder)
    for table in data["step"].values():
        path, colon, name = table.get("pass", "").rpartition(":")
        if colon and path.endswith(".py") and not Path(path).is_absolute():
            seen = os.path.relpath(plan.recipe.folder.resolve() / path, place.resolve())
            table["pass"] = f"{Path(seen).as_posix()}:{name}"
    data["recipe"] = {"name": f"{plan.recipe.name}-rest", "about": f"What was left of '{plan.recipe.name}'"}
    return recipe_toml(data)


def _findable(reference: str, pass_class: type, folder: Path) -> str:
    """The reference of a pass as another process finds it: a class of the running script by the script's file."""
    if pass_class.__module__ != "__main__" or ".py:" in reference:
        return reference
    try:
        file = inspect.getsourcefile(pass_class)
    except (OSError, TypeError):
        return reference
    if file is None or not Path(file).is_file():
        return reference
    return f"{os.path.relpath(file, folder.resolve())}:{pass_class.__qualname__}"


def _slim(model: ir.Model, whole_bytes: int) -> onnx.ModelProto:
    """The model as a proto; weights of more bytes than that are without theirs."""
    import onnx
    import onnx_ir as ir

    proto = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name or "")
    _opsets(proto.opset_import, model.graph.opset_imports)
    kept: dict[str, Any] = {LOOSE: [], WEIGHTS: {}}
    _graph_into(proto.graph, model.graph, kept, whole_bytes)
    for function in model.functions.values():
        made = proto.functions.add()
        ir.serde.serialize_function_into(made, function)
        _remarks_into(made.node, function)
    for key, value in (*model.metadata_props.items(), *((key, json.dumps(value)) for key, value in kept.items())):
        proto.metadata_props.add(key=key, value=value)
    return proto


def _opsets(into: Any, opsets: dict[str, int]) -> None:
    for domain, version in sorted(opsets.items()):
        into.add(domain=domain, version=version)


def _graph_into(proto: onnx.GraphProto, graph: ir.Graph, kept: dict[str, Any], whole_bytes: int) -> None:
    import onnx_ir as ir

    proto.name = graph.name or "graph"
    stored = dict(graph.initializers)
    # A constant of the ATen dialect belongs to no graph; here it needs a name, and is an initializer.
    unnamed = []
    for index, value in enumerate(_loose_constants(graph)):
        if value.name is None:
            value.name = f"constant.{index}"
            unnamed.append(value)
        kept[LOOSE].append(value.name)
        stored[value.name] = value
    try:
        for node in graph:
            _node_into(proto.node.add(), node)
            for output in node.outputs:
                if output.name and output.type is not None:
                    ir.serde.serialize_value_into(proto.value_info.add(), output)
                    _marks_into(proto.value_info[-1], output)
        for value in graph.inputs:
            ir.serde.serialize_value_into(proto.input.add(), value)
            _marks_into(proto.input[-1], value)
        for value in graph.outputs:
            ir.serde.serialize_value_into(proto.output.add(), value)
        for name, value in stored.items():
            if value.const_value is not None:
                _tensor_into(proto.initializer.add(), name, value.const_value, whole_bytes)
                parameter = getattr(value.const_value, "parameter", None)
                if parameter is not None:
                    kept[WEIGHTS][name] = parameter
        _remarks_into(proto.node, graph)
    finally:
        for value in unnamed:
            value.name = None


def _node_into(proto: onnx.NodeProto, node: ir.Node) -> None:
    import onnx_ir as ir

    # An argument of the ATen dialect that is None: an attribute without a type, which onnx_ir reads and does not write.
    absent = [attribute for attribute in node.attributes.values() if attribute.type == ir.AttributeType.UNDEFINED]
    for attribute in absent:
        del node.attributes[attribute.name]
    try:
        ir.serde.serialize_node_into(proto, node)
    finally:
        for attribute in absent:
            node.attributes.add(attribute)
    for attribute in absent:
        proto.attribute.add(name=attribute.name)


def _remarks_into(protos: Any, graph: Any) -> None:
    """Write origins and marks of the nodes of a graph, nested ones too, beside their protobuf form."""
    for proto, node in zip(protos, graph, strict=True):
        origin = origin_of(node)
        if origin is not None:
            said = [origin.module, origin.module_class, origin.source, list(origin.passes)]
            proto.metadata_props.add(key=ORIGIN, value=json.dumps(said))
        _marks_into(proto, node)
        inner = {attribute.name: attribute for attribute in proto.attribute}
        for attribute in node.attributes.values():
            if attribute.is_ref():
                continue
            kind = attribute.type.name
            if kind == "GRAPH":
                _remarks_into(inner[attribute.name].g.node, attribute.value)
            elif kind == "GRAPHS":
                for made, nested in zip(inner[attribute.name].graphs, attribute.value, strict=True):
                    _remarks_into(made.node, nested)


def _marks_into(proto: Any, marked: Any) -> None:
    """Write what passes have noted on a node or a value for other passes, as far as it is plain."""
    marks = {key: value for key, value in marked.meta.items() if isinstance(value, (str, bool, int))}
    if marks:
        proto.metadata_props.add(key=MARKS, value=json.dumps(marks))


def _loose_constants(graph: ir.Graph) -> Iterator[ir.Value]:
    seen: set[ir.Value] = set()
    for node in graph:
        for value in node.inputs:
            if value is None or value in seen or value.producer() is not None or value.const_value is None:
                continue
            if not (value.is_graph_input() or value.is_initializer()):
                seen.add(value)
                yield value


def _tensor_into(proto: onnx.TensorProto, name: str, tensor: Any, whole_bytes: int) -> None:
    import onnx
    import onnx_ir as ir

    if tensor.nbytes <= whole_bytes:
        ir.serde.serialize_tensor_into(proto, tensor)
    else:
        proto.data_type = int(tensor.dtype)
        proto.dims.extend(tensor.shape.numpy())
        proto.data_location = onnx.TensorProto.EXTERNAL
        for key, text in (("location", LEFT_OUT), ("offset", "0"), ("length", str(tensor.nbytes))):
            proto.external_data.add(key=key, value=text)
    proto.name = name
