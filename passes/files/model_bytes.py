# SPDX-License-Identifier: Apache-2.0
"""The bytes of an ONNX file as a stream, with the weights flowing past instead of being gathered.

A protobuf message may hold its fields in any order, and a repeated field may be interleaved with others. So everything
but the initializers is serialised the ordinary way, and the initializers follow as hand-framed records: the length of
each is known from type and shape alone, hence so is the length of the graph message that encloses them all.

Source of the field numbers: onnx.proto (ModelProto.graph = 7, GraphProto.initializer = 5, TensorProto.raw_data = 9) and
the protobuf encoding guide (tag = number << 3 | 2 for a field with a length).
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

import attrs
import onnx
import onnx_ir as ir
from lading.passes.files.data_files import Place, tensor_blocks
from lading.passes.tidying.graph_edits import dims_of, symbols_of

PROTOBUF_LIMIT = (1 << 31) - 1
"""The largest message that protobuf implementations read."""

_GRAPH_TAG = b"\x3a"
_INITIALIZER_TAG = b"\x2a"
_RAW_DATA_TAG = b"\x4a"


@attrs.frozen
class ModelBytes:
    """A model ready to be written: the length is known and nothing large has been made yet."""

    head: bytes
    initializers: tuple[tuple[bytes, ir.TensorProtocol | None], ...]
    size: int

    def blocks(self) -> Iterator[bytes | memoryview]:
        """Yield the bytes of the ModelProto."""
        yield self.head
        for record, tensor in self.initializers:
            yield record
            if tensor is not None:
                yield from tensor_blocks(tensor)


def model_bytes(
    model: ir.Model, places: Mapping[str, Place] | None = None, names: Mapping[str, str] | None = None
) -> ModelBytes:
    """Serialise a model up to its weights.

    The order of fields is fixed, so equal models make equal bytes.

    Args:
        model: the model.
        places: where the weights stand that are only referred to, by initializer name.
        names: other names for files of `places`, which have a passing name while old files give way to new ones.
    """
    places = places or {}
    outer = onnx.ModelProto()
    outer.ir_version = model.ir_version
    for field in ("producer_name", "producer_version", "domain", "doc_string"):
        if getattr(model, field):
            setattr(outer, field, getattr(model, field))
    if model.model_version:
        outer.model_version = model.model_version
    for domain, version in model.opset_imports.items():
        outer.opset_import.add(domain=domain, version=version)
    for key, value in sorted(model.metadata_props.items()):
        outer.metadata_props.add(key=key, value=value)
    shown = symbols_of(model.graph) if model.functions else set()
    for function in model.functions.values():
        proto = outer.functions.add()
        ir.serde.serialize_function_into(
            proto,
            function,
            create_value_info=model.ir_version >= 10,
            model_ir_version=model.ir_version,
        )
        _drop_symbols(proto, shown)
    graph = graph_without_initializers(model.graph, model.ir_version).SerializeToString(deterministic=True)
    records: list[tuple[bytes, ir.TensorProtocol | None]] = []
    graph_size = len(graph)
    for name, weight in model.graph.initializers.items():
        tensor = weight.const_value
        if tensor is None:
            continue
        place = places.get(name)
        if place is not None and names:
            place = attrs.evolve(place, location=names.get(place.location, place.location))
        record, raw, size = _initializer_record(name, tensor, place)
        graph_size += size
        records.append((record, raw))
    head = outer.SerializeToString(deterministic=True) + _GRAPH_TAG + _varint(graph_size) + graph
    return ModelBytes(head, tuple(records), len(head) + graph_size - len(graph))


def _drop_symbols(function: onnx.FunctionProto, shown: set[str]) -> None:
    """Leave out the names of sizes that are not those of the main graph.

    They differ between calls. A runtime that puts the body in the place of each call would take sizes for equal that
    have the same name in two of them.
    """
    pending = [(list(function.value_info), list(function.node))]
    while pending:
        infos, nodes = pending.pop()
        for info in infos:
            for dim in info.type.tensor_type.shape.dim:
                if dim.dim_param and dim.dim_param not in shown:
                    dim.ClearField("dim_param")
        for node in nodes:
            for attribute in node.attribute:
                for graph in (attribute.g, *attribute.graphs):
                    pending.append(([*graph.input, *graph.output, *graph.value_info], list(graph.node)))


def inline_size(model: ir.Model, referred: Container[str] = ()) -> int:
    """Return about how many bytes the initializers take inside the file, but for those that are `referred` to."""
    return sum(
        64 + (0 if name in referred else value.const_value.nbytes)
        for name, value in model.graph.initializers.items()
        if value.const_value is not None
    )


def graph_without_initializers(graph: ir.Graph, ir_version: int | None = None) -> onnx.GraphProto:
    """Return a graph's proto, complete but for the initializers of the graph itself (nested graphs keep theirs)."""
    proto = onnx.GraphProto()
    proto.name = graph.name or "main"
    if graph.doc_string:
        proto.doc_string = graph.doc_string
    for value in graph.inputs:
        ir.serde.serialize_value_into(proto.input.add(), value)
    for node in graph:
        ir.serde.serialize_node_into(proto.node.add(), node, model_ir_version=ir_version)
        for value in node.outputs:
            if value.name and value.type is not None and not value.is_graph_output():
                ir.serde.serialize_value_into(proto.value_info.add(), value)
    for value in graph.outputs:
        ir.serde.serialize_value_into(proto.output.add(), value)
    for key, text in sorted(graph.metadata_props.items()):
        proto.metadata_props.add(key=key, value=text)
    return proto


def _initializer_record(
    name: str, tensor: ir.TensorProtocol, place: Place | None
) -> tuple[bytes, ir.TensorProtocol | None, int]:
    """Return the bytes before the raw data, the tensor whose bytes follow (or None), and the size of both."""
    proto = onnx.TensorProto(name=name, data_type=tensor.dtype.value, dims=dims_of(tensor))
    if tensor.doc_string:
        proto.doc_string = tensor.doc_string
    for key, text in sorted(tensor.metadata_props.items()):
        proto.metadata_props.add(key=key, value=text)
    raw: ir.TensorProtocol | None = None
    tail = b""
    if place is not None:
        proto.data_location = onnx.TensorProto.EXTERNAL
        for key, text in (
            ("location", place.location),
            ("offset", str(place.offset)),
            ("length", str(place.nbytes)),
        ):
            proto.external_data.add(key=key, value=text)
    elif tensor.dtype == ir.DataType.STRING:
        proto.string_data.extend(bytes(text) for text in tensor.numpy().reshape(-1))
    else:
        raw = tensor
        tail = _RAW_DATA_TAG + _varint(tensor.nbytes)
    fields = proto.SerializeToString(deterministic=True) + tail
    inside = len(fields) + (raw.nbytes if raw is not None else 0)
    record = _INITIALIZER_TAG + _varint(inside) + fields
    return record, raw, len(record) + (raw.nbytes if raw is not None else 0)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
