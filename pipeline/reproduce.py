# SPDX-License-Identifier: Apache-2.0
"""Reproducers: the graph before a failing step and the rest of the recipe, small enough to send to somebody."""

from __future__ import annotations

import json
import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .fingerprint import WHOLE_TENSOR_BYTES
from .plan import Plan, PlanNode
from .resolve import ResolvedGroup, recipe_toml

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

LEFT_OUT = "weights-left-out"
"""The external data file that large weights of a reproducer refer to, and that does not exist."""


class FolderReproducer:
    """Writes `<folder>/<recipe>-<step>/` with `graph.onnx`, `recipe.toml` and `failure.json`.

    `graph.onnx` is the graph before the failing step, there if a graph was captured by then.  Weights over 64 KiB keep
    name, type and shape and lose their bytes: read it with `onnx.load(path, load_external_data=False)`.  Keeping the
    graph costs one serialisation without weights for each step that changes it, and nothing else is written unless a
    step fails.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder)
        self._graph: bytes | None = None

    def keep(self, model: ir.Model | None) -> None:
        """Take a copy of the graph, without its large weights."""
        self._graph = None if model is None else _slim(model).SerializeToString(deterministic=True)

    def write(self, plan: Plan, node: PlanNode, error: BaseException) -> Path:
        """Write the kept graph and the rest of the recipe.

        Raises:
            OSError: the folder cannot be written.
        """
        place = self.folder / f"{plan.recipe.name}-{node.id}"
        place.mkdir(parents=True, exist_ok=True)
        place.joinpath("recipe.toml").write_text(rest_of_recipe(plan, node, place), encoding="utf-8")
        graph = place / "graph.onnx"
        graph.unlink(missing_ok=True)
        if self._graph is not None:
            graph.write_bytes(self._graph)
        failure = {
            "step": node.id,
            "error": str(error),
            "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
        }
        place.joinpath("failure.json").write_text(json.dumps(failure, indent=2, ensure_ascii=False), encoding="utf-8")
        return place


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
    for table in data["step"].values():
        path, colon, name = table.get("pass", "").rpartition(":")
        if colon and path.endswith(".py") and not Path(path).is_absolute():
            seen = os.path.relpath(plan.recipe.folder.resolve() / path, place.resolve())
            table["pass"] = f"{Path(seen).as_posix()}:{name}"
    data["recipe"] = {"name": f"{plan.recipe.name}-rest", "about": f"What was left of '{plan.recipe.name}'"}
    return recipe_toml(data)


def _slim(model: ir.Model) -> onnx.ModelProto:
    """The model as a proto, its large weights without their bytes."""
    import onnx
    import onnx_ir as ir

    proto = onnx.ModelProto(ir_version=model.ir_version, producer_name=model.producer_name or "")
    _opsets(proto.opset_import, model.graph.opset_imports)
    _graph_into(proto.graph, model.graph)
    for function in model.functions.values():
        ir.serde.serialize_function_into(proto.functions.add(), function)
    return proto


def _opsets(into: Any, opsets: dict[str, int]) -> None:
    for domain, version in sorted(opsets.items()):
        into.add(domain=domain, version=version)


def _graph_into(proto: onnx.GraphProto, graph: ir.Graph) -> None:
    import onnx_ir as ir

    proto.name = graph.name or "graph"
    stored = dict(graph.initializers)
    # A constant of the ATen dialect belongs to no graph; here it needs a name, and is an initializer.
    unnamed = []
    for index, value in enumerate(_loose_constants(graph)):
        if value.name is None:
            value.name = f"constant.{index}"
            unnamed.append(value)
        stored[value.name] = value
    try:
        for node in graph:
            _node_into(proto.node.add(), node)
            for output in node.outputs:
                if output.name and output.type is not None:
                    ir.serde.serialize_value_into(proto.value_info.add(), output)
        for value in graph.inputs:
            ir.serde.serialize_value_into(proto.input.add(), value)
        for value in graph.outputs:
            ir.serde.serialize_value_into(proto.output.add(), value)
        for name, value in stored.items():
            if value.const_value is not None:
                _tensor_into(proto.initializer.add(), name, value.const_value)
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


def _loose_constants(graph: ir.Graph) -> Iterator[ir.Value]:
    seen: set[ir.Value] = set()
    for node in graph:
        for value in node.inputs:
            if value is None or value in seen or value.producer() is not None or value.const_value is None:
                continue
            if not (value.is_graph_input() or value.is_initializer()):
                seen.add(value)
                yield value


def _tensor_into(proto: onnx.TensorProto, name: str, tensor: Any) -> None:
    import onnx
    import onnx_ir as ir

    if tensor.nbytes <= WHOLE_TENSOR_BYTES:
        ir.serde.serialize_tensor_into(proto, tensor)
    else:
        proto.data_type = int(tensor.dtype)
        proto.dims.extend(tensor.shape.numpy())
        proto.data_location = onnx.TensorProto.EXTERNAL
        for key, text in (("location", LEFT_OUT), ("offset", "0"), ("length", str(tensor.nbytes))):
            proto.external_data.add(key=key, value=text)
    proto.name = name
