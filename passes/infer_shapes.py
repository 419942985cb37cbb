# SPDX-License-Identifier: Apache-2.0
"""Shape inference for values that have no type or shape yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    import onnx
    import onnx_ir as ir

    from ..pipeline.note import Note
    from ..pipeline.work import Work

_SMALL = 1024
"""Constants up to this many bytes are shown to the inference, which computes shapes from them."""


@a_pass("infer-shapes", requires=(Fact.ONNX,), after=("fold-constants", "drop-identity", "drop-dead", "share-equal"))
class InferShapes:
    """Give every value the type and shape that onnx can infer for it.

    Why: runtimes plan memory by them, and readers read by them. Capture and lower state nearly all; what is left comes
    from passes of users and from operators without a rule. If nothing is left, this pass does nothing.

    What is known stays: a dimension is only filled in where it is not known, so the names that capture gave to dynamic
    dimensions survive. Weights are shown to the inference by type and shape alone.

    Declines when: onnx's inference fails on the graph, or leaves a value without type or shape.
    """

    def run(self, work: Work, note: Note) -> None:
        """Look for gaps, in the bodies of functions too; fill them by one call of onnx.shape_inference a graph."""
        from lading.passes.tidying.graph_edits import symbols_of, with_subgraphs

        model = work.model
        assert model is not None
        for root in (model.graph, *(function.graph for function in model.functions.values())):
            graphs = list(with_subgraphs(root))
            if not any(_is_gap(value) for graph in graphs for node in graph for value in node.outputs):
                continue
            if root is not model.graph and any(value.type is None for value in root.inputs):
                note.declined(root.name or "a function", "the types of a function's inputs are not known")
                continue
            inferred = _infer(model, root, note)
            if inferred is None:
                continue
            _merge(root, inferred.graph, symbols_of(root), note)
            for graph in graphs:
                for node in graph:
                    if any(_is_gap(value) for value in node.outputs):
                        note.declined(node, "onnx infers no type or shape")


def _is_gap(value: ir.Value) -> bool:
    if value.name == "":
        return False  # an optional output that is left out
    return value.type is None or (value.shape is None and hasattr(value.type, "dtype") and _is_tensor(value))


def _is_tensor(value: ir.Value) -> bool:
    import onnx_ir as ir

    return isinstance(value.type, ir.TensorType)


def _infer(model: ir.Model, root: ir.Graph, note: Note) -> onnx.ModelProto | None:
    import onnx
    import onnx_ir as ir
    from lading.passes.files.model_bytes import graph_without_initializers
    from lading.passes.tidying.graph_edits import dims_of, used_domains

    proto = onnx.ModelProto(ir_version=max(model.ir_version, 8))
    # Imports are only completed when the file is written, and the inference wants one for every domain.
    versions = {**model.opset_imports, **root.opset_imports}
    for domain in sorted({"", *versions, *used_domains(model)}):
        proto.opset_import.add(domain=domain, version=versions.get(domain, 1))
    for function in model.functions.values():
        ir.serde.serialize_function_into(proto.functions.add(), function)
    proto.graph.CopyFrom(graph_without_initializers(root))
    for name, value in root.initializers.items():
        tensor = value.const_value
        if tensor is None or value.is_graph_input():
            continue
        if tensor.nbytes <= _SMALL:
            small = ir.serde.serialize_tensor(tensor)
            small.name = name
            proto.graph.initializer.append(small)
        else:
            proto.graph.input.append(onnx.helper.make_tensor_value_info(name, tensor.dtype.value, dims_of(tensor)))
    try:
        return onnx.shape_inference.infer_shapes(proto, check_type=False, strict_mode=False, data_prop=True)
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError) as error:
        note.warned("shape inference failed, shapes stay as they are", error=str(error))
        return None


def _merge(graph: ir.Graph, proto: onnx.GraphProto, symbols: set[str], note: Note) -> None:
    infos = {info.name: info.type for info in (*proto.value_info, *proto.output)}
    for node, node_proto in zip(graph, proto.node, strict=True):
        for value in node.outputs:
            found = infos.get(value.name or "")
            if found is not None and _fill(value, found, symbols):
                note.count("inferred")
        for attribute in node_proto.attribute:
            held = node.attributes.get(attribute.name)
            if held is None or held.is_ref():
                continue
            if attribute.HasField("g"):
                _merge(held.value, attribute.g, symbols, note)
            for inner, inner_proto in zip(held.value if attribute.graphs else (), attribute.graphs, strict=True):
                _merge(inner, inner_proto, symbols, note)


def _fill(value: ir.Value, found: onnx.TypeProto, symbols: set[str]) -> bool:
    """Take over what is not known yet; a name that onnx made up for a dimension is not knowledge."""
    import onnx_ir as ir

    changed = False
    if value.type is None:
        value.type = ir.serde.deserialize_type_proto_for_type(found)
        changed = value.type is not None
    if not found.HasField("tensor_type") or not found.tensor_type.HasField("shape"):
        return changed
    dims: list[int | str | None] = [
        dim.dim_value if dim.HasField("dim_value") else dim.dim_param if dim.dim_param in symbols else None
        for dim in found.tensor_type.shape.dim
    ]
    if value.shape is None:
        value.shape = ir.Shape(dims)
        return True
    if len(dims) != len(value.shape):
        return changed
    merged = [
        new if not isinstance(old, int) and old.value is None and new is not None else old
        for old, new in zip(value.shape, dims, strict=True)
    ]
    if merged != list(value.shape):
        value.shape = ir.Shape(merged)
        return True
    return changed
