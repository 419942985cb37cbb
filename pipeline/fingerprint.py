# SPDX-License-Identifier: Apache-2.0
"""One walk over a graph that gives its structural hash, the numbers for a delta, and its nodes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    import onnx_ir as ir

WHOLE_TENSOR_BYTES = 64 * 1024
SAMPLED_BLOCKS = 64
SAMPLED_BLOCK_BYTES = 1024
_DIGEST_KEY, _WHOLE_DIGEST_KEY, _BYTES_KEY = "lading.digest", "lading.digest.whole", "lading.bytes"
_TENSOR, _GRAPH, _TENSORS, _GRAPHS = 4, 5, 9, 10
_HOLDS_TENSORS_OR_GRAPHS = frozenset((_TENSOR, _GRAPH, _TENSORS, _GRAPHS))
_BETWEEN, _END = "\x1f", "\x1e"


@attrs.frozen(kw_only=True, eq=False)
class Survey:
    """What one walk over a model found.

    `hash` covers all that goes into a file but for the middle of large weights: inputs, outputs, nodes in order with
    names, attributes and subgraphs, functions, initializers, types, shapes, opsets, metadata.  `operators` counts
    nodes by `domain::op_type` (with `.overload` in the ATen dialect), subgraphs and functions included.
    """

    hash: str
    nodes: tuple[ir.Node, ...]
    operators: Counter[str]
    values: int
    initializers: int
    initializer_bytes: int
    functions: int


NOTHING = Survey(hash="", nodes=(), operators=Counter(), values=0, initializers=0, initializer_bytes=0, functions=0)
"""The survey of no model, before capture."""


def structural_hash(model: ir.Model) -> str:
    """The hash of a model's structure, as `Survey` describes it; equal in every process."""
    return survey(model).hash


@attrs.frozen(kw_only=True)
class Body:
    """What a graph computes, whatever its values, nodes and sizes are called.

    `hash` is that of `Survey` without names, documentation and metadata, and with every byte of every tensor, so that
    graphs of one hash can stand for each other; a symbolic size counts by where it comes up first and again.  `symbols`
    are the names of these sizes, in the order in which they come up.
    """

    hash: str
    symbols: tuple[str, ...]


def body_of(graph: ir.Graph) -> Body:
    """Walk one graph, the body of a function say, and tell what it computes."""
    walk = _NamelessWalk()
    walk.graph(graph)
    return Body(hash=walk.hash(), symbols=tuple(walk.symbols))


def survey(model: ir.Model | None) -> Survey:
    """Walk a model once, in time linear in its nodes, and change nothing but the cached digests of its tensors."""
    if model is None:
        return NOTHING
    walk = _Walk()
    walk.model(model)
    return Survey(
        hash=walk.hash(),
        nodes=tuple(walk.nodes),
        operators=_by_name(walk.operators),
        values=len(walk.numbers),
        initializers=walk.initializers,
        initializer_bytes=walk.initializer_bytes,
        functions=len(model.functions),
    )


def tensor_digest(tensor: Any) -> str:
    """The digest of one tensor's type, shape and bytes, kept on the tensor once computed.

    Up to 64 KiB count whole; of more, 64 evenly spaced blocks of 1 KiB count.  A tensor that offers
    `lading_digest() -> str` is asked instead.
    """
    kept = getattr(tensor, "meta", None)
    if kept is not None and _DIGEST_KEY in kept:
        return str(kept[_DIGEST_KEY])
    digest = _digest_now(tensor)
    if kept is not None:
        kept[_DIGEST_KEY] = digest
    return digest


def whole_digest(tensor: Any) -> str:
    """The digest of one tensor's type, shape and all of its bytes, kept on the tensor once computed.

    For tensors that are to stand for each other: `tensor_digest` does not see a difference between its samples.
    """
    kept = getattr(tensor, "meta", None)
    if kept is not None and _WHOLE_DIGEST_KEY in kept:
        return str(kept[_WHOLE_DIGEST_KEY])
    digest = digest_of(_head(tensor), _all_bytes(tensor))
    if kept is not None:
        kept[_WHOLE_DIGEST_KEY] = digest
    return digest


def _digest_now(tensor: Any) -> str:
    own = getattr(tensor, "lading_digest", None)
    if own is not None:
        return str(own())
    large = tensor.dtype.name != "STRING" and tensor.nbytes > WHOLE_TENSOR_BYTES
    return digest_of(_head(tensor), sampled_blocks(tensor.numpy()) if large else _all_bytes(tensor))


def _head(tensor: Any) -> str:
    return f"{int(tensor.dtype)}{_BETWEEN}{_shape(tensor.shape)}"


def _all_bytes(tensor: Any) -> Iterable[bytes]:
    return (repr(list(tensor.string_data())).encode() if tensor.dtype.name == "STRING" else tensor.tobytes(),)


def digest_of(head: str, blocks: Iterable[bytes]) -> str:
    """The digest of a description and some bytes, as hexadecimal text."""
    state = hashlib.blake2b(head.encode(), digest_size=16)
    for block in blocks:
        state.update(block)
    return state.hexdigest()


def sampled_blocks(array: Any) -> Iterable[bytes]:
    """64 blocks of 1 KiB, evenly spaced over the elements of a numpy array in row-major order, ends included."""
    each = max(1, SAMPLED_BLOCK_BYTES // array.itemsize)
    last = max(0, array.size - each)
    flat = array.reshape(-1) if array.flags.c_contiguous else array.flat
    for index in range(SAMPLED_BLOCKS):
        start = last * index // (SAMPLED_BLOCKS - 1)
        yield flat[start : start + each].tobytes()


class _Walk:
    """The state of one walk: text to hash, a number for each value, and counts."""

    named = True

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.nodes: list[ir.Node] = []
        self.numbers: dict[ir.Value, int] = {}
        self.operators: Counter[tuple[str, str, str]] = Counter()
        self.initializers = 0
        self.initializer_bytes = 0

    def hash(self) -> str:
        text = _END.join(self.parts).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(text, digest_size=16).hexdigest()

    def model(self, model: ir.Model) -> None:
        self.parts.append(f"{model.ir_version} {model.producer_name} {model.producer_version} {model.model_version}")
        self.parts.append(f"{model.domain} {model.doc_string or ''}")
        self._table(model.metadata_props)
        self.graph(model.graph)
        for function in model.functions.values():
            self.parts.append(_BETWEEN.join(("function", *function.identifier())))
            for attribute in function.attributes.values():
                self._attribute(attribute)
            self.graph(function.graph)

    def graph(self, graph: ir.Graph) -> None:
        parts = self.parts
        if self.named:
            parts.append(f"graph {graph.name} {graph.doc_string or ''}")
            self._table(graph.opset_imports)
            self._table(graph.metadata_props)
        parts.append("inputs")
        parts.extend([self._value(value) for value in graph.inputs])
        parts.append("initializers")
        for value in graph.initializers.values():
            parts.append(self._value(value))
            tensor = value.const_value
            if tensor is not None:
                parts.append(self._digest(tensor))
                self.initializer_bytes += _bytes(tensor)
        self.initializers += len(graph.initializers)
        parts.append("nodes")
        self._nodes(graph)
        parts.append("outputs")
        parts.extend([self._value(value) for value in graph.outputs])

    def _nodes(self, graph: ir.Graph) -> None:
        numbers, operators, nodes, parts = self.numbers, self.operators, self.nodes, self.parts
        named = self.named
        for node in graph:
            nodes.append(node)
            kind = (node.domain, node.op_type, node.overload)
            operators[kind] += 1
            line = [node.name or "" if named else "", *kind]
            for value in node.inputs:
                if value is None:
                    line.append("-")
                elif value in numbers:
                    line.append(str(numbers[value]))
                else:
                    line.append(self._foreign(value))
            line.append("=")
            for value in node.outputs:
                line.append(self._value(value))
            parts.append(_BETWEEN.join(line))
            if named and node.metadata_props:
                self._table(node.metadata_props)
            if named and node.doc_string:
                parts.append(node.doc_string)
            for attribute in node.attributes.values():
                self._attribute(attribute)

    def _value(self, value: ir.Value) -> str:
        number = self.numbers.setdefault(value, len(self.numbers))
        kind, shape = value.type, value.shape
        text = f"{number} {value.name or ''} {'' if kind is None else _type(kind)} {_shape(shape)}"
        return f"{text} {sorted(value.metadata_props.items())}" if value.metadata_props else text

    def _foreign(self, value: ir.Value) -> str:
        # A value that no node before this one made: a constant of the ATen dialect, or a use before its definition.
        text = self._value(value)
        if value.producer() is None and value.const_value is not None:
            return f"{text} {self._digest(value.const_value)}"
        return text

    def _digest(self, tensor: Any) -> str:
        return tensor_digest(tensor)

    def _attribute(self, attribute: ir.Attr) -> None:
        # The numbers are those of AttributeProto, which an enum lookup by name would only make slower.
        kind, value, parts = int(attribute.type), attribute.value, self.parts
        head = f"{attribute.name}{_BETWEEN}{kind}"
        if attribute.ref_attr_name is not None:
            parts.append(f"{head}{_BETWEEN}@{attribute.ref_attr_name}")
        elif kind not in _HOLDS_TENSORS_OR_GRAPHS:
            parts.append(f"{head}{_BETWEEN}{value!r}")
        elif kind == _TENSOR:
            parts.append(f"{head}{_BETWEEN}{self._digest(value)}")
        elif kind == _TENSORS:
            parts.append(f"{head}{_BETWEEN}{' '.join(self._digest(tensor) for tensor in value)}")
        else:
            parts.append(head)
            for graph in (value,) if kind == _GRAPH else value:
                self.graph(graph)

    def _table(self, table: Any) -> None:
        if table:
            self.parts.extend([f"{key}{_BETWEEN}{value}" for key, value in sorted(table.items())])


class _NamelessWalk(_Walk):
    """A walk that gives every name a number instead, values by their place, sizes by when they come up.

    Tensors count whole.
    """

    named = False

    def __init__(self) -> None:
        super().__init__()
        self.symbols: dict[str, int] = {}

    def _value(self, value: ir.Value) -> str:
        number = self.numbers.setdefault(value, len(self.numbers))
        kind = value.type
        return f"{number} {'' if kind is None else _type(kind)} {self._dims(value.shape)}"

    def _digest(self, tensor: Any) -> str:
        return whole_digest(tensor)

    def _dims(self, shape: Any) -> str:
        if shape is None:
            return "?"
        return ",".join([str(dim) if dim.__class__ is int else self._symbol(dim.value) for dim in shape])

    def _symbol(self, name: str | None) -> str:
        return "<>" if name is None else f"<{self.symbols.setdefault(name, len(self.symbols))}>"


def _bytes(tensor: Any) -> int:
    kept = getattr(tensor, "meta", None)
    if kept is None:
        return int(tensor.nbytes)
    if _BYTES_KEY not in kept:
        kept[_BYTES_KEY] = int(tensor.nbytes)
    return int(kept[_BYTES_KEY])


def _type(kind: Any) -> str:
    name = type(kind).__name__
    text = str(int(kind.dtype)) if name == "TensorType" else repr(kind)
    return f"{text} {kind.denotation}" if kind.denotation else text


def _shape(shape: Any) -> str:
    if shape is None:
        return "?"
    return ",".join([str(dim) if dim.__class__ is int else f"<{dim.value}>" for dim in shape])


def _by_name(operators: Counter[tuple[str, str, str]]) -> Counter[str]:
    named: Counter[str] = Counter()
    for (domain, op_type, overload), count in operators.items():
        named[operator_name(domain, op_type, overload)] += count
    return named


def operator_name(domain: str, op_type: str, overload: str) -> str:
    """How an operator is called wherever a record names one: `Relu`, `aten::add.Tensor`."""
    name = f"{domain}::{op_type}" if domain else op_type
    return f"{name}.{overload}" if overload else name
