# SPDX-License-Identifier: Apache-2.0
"""The walk behind fold-constants: one visit a node, results put where later nodes see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

import numpy as np
import onnx_ir as ir
from lading.passes.outlining.lifting import lift_weight_arithmetic
from lading.passes.tidying.graph_edits import (
    Names,
    constant_of_node,
    constant_tensor,
    dims_of,
    has_references,
    int_of,
    is_non_deterministic,
    keep_knowledge,
    remove_node,
    stated_bytes,
    static_ints,
    subgraphs_of,
    take_place,
)
from lading.passes.tidying.known_sizes import KnownSizes, reshape_target
from lading.passes.tidying.node_values import CannotEvaluate, can_evaluate, evaluate
from lading.passes.weight_views import views_of
from lading.passes.weights import ComputedWeight, Weight
from lading.pipeline.origin import origin_of, set_origin

if TYPE_CHECKING:
    from lading.pipeline.note import Note

_AT_ONCE = 64 << 10
"""Results from more bytes of weights than this are computed when the file is written, not before."""

_QUANTIZERS = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"})

_QUANTIZED_TYPES = frozenset(
    dtype
    for dtype in ir.DataType
    if dtype.name.startswith(("INT8", "UINT8", "INT4", "UINT4", "INT2", "UINT2", "FLOAT8"))
)
"""Types in which weights are stored to take less room; what computes with them makes wider ones."""

_QUANTIZED_FROM = 1024
"""Bytes from which such a weight is kept as it is stored: zero points and tables are smaller."""


class Folding:
    """Folds the constants of one model, in place."""

    def __init__(self, model: ir.Model, opset: int, note: Note, *, size_limit: int, weights: bool) -> None:
        self._model = model
        self._opset = opset
        self._note = note
        self._limit = size_limit
        self._weights = weights
        self._sizes = KnownSizes()
        self._in_function = False
        self._names: Names | None = None
        self._views: dict[object, ir.Value] | None = None
        self._growth: dict[ir.Value, bool] = {}
        self._static: dict[tuple[int, ...], ir.Value] = {}

    def run(self) -> None:
        """Take what functions do to their weights out of them, fold the main graph, then the bodies of functions."""
        if self._weights and self._model.functions:
            lift_weight_arithmetic(self._model, self._fresh, self._limit, self._note)
        self._graph(self._model.graph)
        for function in self._model.functions.values():
            self._in_function = True
            self._graph(function.graph)
        self._in_function = False

    def _graph(self, graph: ir.Graph) -> None:
        for node in graph:
            self._node(node)

    def _node(self, node: ir.Node) -> None:
        if node.domain not in ("", "ai.onnx") or (self._in_function and has_references(node)):
            for inner in subgraphs_of(node):
                self._graph(inner)
            return
        op_type = node.op_type
        if op_type == "Constant":
            self._lift(node)
            return
        if op_type == "If" and self._resolve_if(node):
            return
        if op_type in ("If", "Loop", "Scan", "SequenceMap"):
            for inner in subgraphs_of(node):
                self._graph(inner)
            return
        inputs = node.inputs
        if inputs and all(value is None or constant_tensor(value) is not None for value in inputs):
            self._fold(node)
            return
        if not inputs and is_non_deterministic(node):
            self._note.declined(node, "it draws random numbers")
            return
        sizes = self._sizes.follow(node)
        if sizes is not None:
            array = sizes.array()
            dtype = node.outputs[0].dtype
            if array is not None and dtype is not None:
                self._install(node, [ir.Tensor(array.astype(dtype.numpy()))])
        elif op_type == "Size":
            self._size(node)
        elif op_type == "Reshape":
            self._static_target(node)

    # What is folded -------------------------------------------------------------------------------------------------

    def _lift(self, node: ir.Node) -> None:
        """Make an initializer of a Constant node, where the graph can hold one."""
        tensor = constant_of_node(node)
        if tensor is None or self._in_function or node.outputs[0].is_graph_output():
            return
        self._install(node, [tensor])

    def _fold(self, node: ir.Node) -> None:
        if node.op_type == "Identity" and node.outputs[0].is_graph_output():
            return  # the one form a constant can take as an output
        if is_non_deterministic(node):
            self._note.declined(node, "it draws random numbers")
            return
        if node.op_type in _QUANTIZERS:
            self._note.declined(node, "quantization is kept for the runtime")
            return
        tensors = [constant_tensor(value) for value in node.inputs]
        if any(tensor is not None and tensor.dtype == ir.DataType.STRING for tensor in tensors):
            self._note.declined(node, "no evaluator for strings")
            return
        on_weight = any(isinstance(tensor, Weight | ComputedWeight) for tensor in tensors)
        if on_weight and not self._weights:
            self._note.declined(node, "weights are left as they are")
            return
        if isinstance(tensors[0], Weight) and self._view(node, tensors[0]):
            return
        if any(isinstance(tensor, Weight) and _is_quantized(tensor) for tensor in tensors):
            self._note.declined(node, "a quantized weight stays as it is stored")
            return
        if not can_evaluate(node):
            self._note.declined(node, "no evaluator for this operator")
            return
        total = sum(tensor.nbytes for tensor in tensors if tensor is not None)
        stated = [stated_bytes(value) for value in node.outputs]
        if None not in stated and self._too_large(node, total, sum(cast("list[int]", stated))):
            return
        if on_weight and total > _AT_ONCE:
            self._defer(node, tensors)
            return
        self._now(node, tensors, total)

    def _now(self, node: ir.Node, tensors: Sequence[ir.TensorProtocol | None], total: int) -> None:
        try:
            arrays = evaluate(node, [None if tensor is None else tensor.numpy() for tensor in tensors], self._opset)
        except CannotEvaluate as reason:
            self._note.declined(node, str(reason))
            return
        if not all(_agrees(array, value) for array, value in zip(arrays, node.outputs, strict=True)):
            self._note.declined(node, "the evaluator gives another shape than the graph states")
            return
        if not self._too_large(node, total, sum(array.nbytes for array in arrays)):
            self._install(node, [_tensor(array) for array in arrays])

    def _defer(self, node: ir.Node, tensors: Sequence[ir.TensorProtocol | None]) -> None:
        """Leave a result that depends on a large weight to the time when bytes are written."""
        output = node.outputs[0]
        if len(node.outputs) > 1 or output.dtype is None or output.shape is None or not output.shape.is_static():
            self._note.declined(node, "a result on a large weight has no stated shape")
            return
        # The node leaves the graph, so the computation keeps its own copy of it.
        alone = ir.Node(
            "",
            node.op_type,
            [None if value is None else ir.Value(name=f"input_{index}") for index, value in enumerate(node.inputs)],
            list(node.attributes.values()),
            num_outputs=1,
        )
        alone.outputs[0].name, alone.outputs[0].type = "output", output.type
        opset = self._opset

        def whole(start: int, stop: int) -> np.ndarray:
            return evaluate(alone, [None if tensor is None else tensor.numpy() for tensor in tensors], opset)[0]

        computed = ComputedWeight(
            whole,
            output.dtype,
            output.shape.numpy(),
            what=f"{node.op_type} {sorted((name, str(each.value)) for name, each in node.attributes.items())}",
            sources=[tensor for tensor in tensors if tensor is not None],
            by_rows=False,
        )
        self._install(node, [computed])

    def _view(self, node: ir.Node, weight: Weight) -> bool:
        """Fold a node that only looks at a weight from another side; True if it is dealt with."""
        source = node.inputs[0]
        views = None if self._in_function else views_of(node, weight)
        if views is None or source is None:
            return False
        if not self._views_are_cheap(source, weight):
            self._note.declined(node, "the weight is used in its own form too, and would be stored twice")
            return True
        self._install(node, views)
        return True

    def _views_are_cheap(self, source: ir.Value, weight: Weight) -> bool:
        """Whether replacing all views of a weight adds no more than the limit to what is stored."""
        known = self._growth.get(source)
        if known is None:
            stays = source.is_graph_output()
            new: dict[object, int] = {}
            for user, index in source.uses():
                views = views_of(user, weight) if index == 0 else None
                if views is None:
                    stays = True
                else:
                    new.update((view.storage_key(), view.nbytes) for view in views)
            growth = sum(new.values()) - (0 if stays else weight.nbytes)
            known = self._growth[source] = growth <= self._limit
        return known

    def _size(self, node: ir.Node) -> None:
        source = node.inputs[0]
        if source is not None and source.shape is not None and source.shape.is_static():
            count = int(np.prod(source.shape.numpy(), dtype=np.int64))
            self._install(node, [ir.Tensor(np.array(count, dtype=np.int64))])

    def _static_target(self, node: ir.Node) -> None:
        if int_of(node, "allowzero", 0) or static_ints(node.inputs[1]) is not None:
            return
        source, sizes = node.inputs[0], self._sizes.of(node.inputs[1])
        if source is None or sizes is None or sizes.scalar:
            return
        target = reshape_target(sizes, source.shape)
        if target is None:
            return
        tensor = ir.Tensor(np.array(target, dtype=np.int64))
        if self._in_function:
            value = self._constant_node(node, tensor, "shape")
        else:
            known = self._static.get(tuple(target))
            value = self._static[tuple(target)] = known or self._initializer(tensor, "shape")
        node.replace_input_with(1, value)
        self._note.count("static Reshape")

    def _resolve_if(self, node: ir.Node) -> bool:
        tensor = constant_tensor(node.inputs[0])
        if tensor is None:
            return False
        graph = node.graph
        assert graph is not None
        taken = bool(tensor.numpy().reshape(-1)[0])
        branch: ir.Graph = node.attributes["then_branch" if taken else "else_branch"].value
        results = list(branch.outputs)
        branch.outputs.clear()
        for name, value in list(branch.initializers.items()):
            del branch.initializers[name]
            value.name = self._fresh(name)
            if self._in_function:
                assert value.const_value is not None
                self._replace(value, self._constant_node(node, value.const_value, value.name), node)
            else:
                self._model.graph.register_initializer(value)
        moved = list(branch)
        branch.remove(moved)
        for inner in moved:
            for output in inner.outputs:
                if output.name:
                    output.name = self._fresh(output.name)
        graph.insert_before(node, moved)
        for output, result in zip(node.outputs, results, strict=True):
            self._replace(output, result, node)
        remove_node(node)
        self._note.count("resolved If")
        self._note.decided(f"the {'then' if taken else 'else'} branch of an If", "its condition is a constant", node)
        for inner in moved:
            self._node(inner)
        return True

    # How results are put in place -----------------------------------------------------------------------------------

    def _install(self, node: ir.Node, tensors: Sequence[ir.TensorProtocol]) -> None:
        for output, tensor in zip(node.outputs, tensors, strict=True):
            if not output.uses() and not output.is_graph_output():
                continue
            wanted = output.name or "constant"
            if isinstance(tensor, Weight):
                wanted = tensor.view_name
            elif not output.is_graph_output():
                if output.name:
                    self._release(output.name)
                output.name = None
            if self._in_function:
                value = self._constant_node(node, tensor, wanted)
            else:
                value = self._initializer(tensor, wanted)
            keep_knowledge(value, output)
            self._replace(output, value, node)
        remove_node(node)
        self._note.count(f"folded {node.op_type}")

    def _replace(self, output: ir.Value, value: ir.Value, at: ir.Node) -> None:
        """Let `value` serve the uses of `output`; where it is a graph output, through a node that makes it."""
        if take_place(output, value):
            return
        assert at.graph is not None
        identity = ir.Node("", "Identity", [value], num_outputs=1)
        copy = identity.outputs[0]
        copy.name = self._fresh(f"{output.name}_copy")
        copy.type, copy.shape = output.type or value.type, output.shape or value.shape
        origin = origin_of(at)
        if origin is not None:
            set_origin(identity, origin)
        at.graph.insert_before(at, identity)
        take_place(output, copy)

    def _initializer(self, tensor: ir.TensorProtocol, wanted: str) -> ir.Value:
        if isinstance(tensor, Weight):
            if self._views is None:
                self._views = {}
                for value in self._model.graph.initializers.values():
                    if isinstance(value.const_value, Weight) and not value.is_graph_input():
                        self._views.setdefault(value.const_value.storage_key(), value)
            known = self._views.get(tensor.storage_key())
            if known is not None:
                return known
        value = ir.Value(
            name=self._fresh(wanted),
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(dims_of(tensor)),
            const_value=tensor,
        )
        tensor.name = value.name
        self._model.graph.register_initializer(value)
        if isinstance(tensor, Weight) and self._views is not None:
            self._views[tensor.storage_key()] = value
        return value

    def _constant_node(self, at: ir.Node, tensor: ir.TensorProtocol, wanted: str) -> ir.Value:
        constant = ir.node("Constant", [], attributes={"value": tensor})
        output = constant.outputs[0]
        output.name, output.type = self._fresh(wanted), ir.TensorType(tensor.dtype)
        output.shape = ir.Shape(dims_of(tensor))
        assert at.graph is not None
        at.graph.insert_before(at, constant)
        return output

    def _fresh(self, wanted: str) -> str:
        self._names = self._names or Names(self._model)
        return self._names.fresh(wanted)

    def _release(self, name: str) -> None:
        self._names = self._names or Names(self._model)
        self._names.release(name)

    def _too_large(self, node: ir.Node, replaced: int, stored: int) -> bool:
        """Decline a result that outgrows its inputs; those with other uses stay stored, so they do not count."""
        values = {value for value in node.inputs if value is not None}
        if any(len(value.uses()) > 1 for value in values):
            replaced = sum(
                tensor.nbytes
                for value in values
                if len(value.uses()) == 1 and (tensor := constant_tensor(value)) is not None
            )
        if stored - replaced <= self._limit:
            return False
        self._note.declined(node, "the result is larger than the size limit allows")
        return True


def _is_quantized(weight: Weight) -> bool:
    return weight.dtype in _QUANTIZED_TYPES and weight.nbytes >= _QUANTIZED_FROM


def _agrees(array: np.ndarray, value: ir.Value) -> bool:
    if value.shape is None:
        return True
    if array.ndim != len(value.shape):
        return False
    return all(not isinstance(dim, int) or dim == size for dim, size in zip(value.shape, array.shape, strict=True))


def _tensor(array: np.ndarray) -> ir.TensorProtocol:
    # ascontiguousarray makes a scalar one-dimensional, so the shape is put back.
    return ir.Tensor(np.ascontiguousarray(array).reshape(array.shape))
