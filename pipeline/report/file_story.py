# SPDX-License-Identifier: Apache-2.0
"""The story of a node as far as the file alone tells it, and what the file does not hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from ..errors import UsageError, did_you_mean
from ..fingerprint import operator_name
from .text import columns

if TYPE_CHECKING:
    import onnx

_KEYS = {"module": "lading.module", "class": "lading.class", "source": "lading.source", "passes": "lading.passes"}
LEVELS = {
    "none": "nothing of where nodes come from",
    "light": "the module path and the passes of each node",
    "full": "the module path, class, source line and passes of each node",
}
"""What a file holds at each level of `serialize.provenance`."""


@attrs.frozen
class Explained:
    """A node of a file: its operator, its metadata, its neighbours, and what the file says of its making."""

    name: str
    operator: str
    within: str
    module: str | None
    module_class: str | None
    source: str | None
    passes: tuple[str, ...]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    level: str
    made_by: str
    missing: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """The node as plain data for JSON."""
        return attrs.asdict(self)

    def text(self) -> str:
        """The node as text; ASCII."""
        title = f"{self.operator}  {self.name or '(without a name)'}"
        rows = [("in", self.within)] if self.within else []
        if self.level != "none":
            rows.append(("module", "the root module" if self.module == "" else self.module or "not known"))
        if self.module_class:
            rows.append(("class", self.module_class))
        if self.source:
            rows.append(("source", self.source))
        if self.passes:
            rows.append(("passes", " -> ".join(self.passes)))
        rows += [("reads" if index == 0 else "", text) for index, text in enumerate(self.reads)]
        rows += [("makes" if index == 0 else "", text) for index, text in enumerate(self.makes)]
        rows.append(("file", self.made_by))
        lines = [title, *columns(rows), "", f"The file holds {LEVELS[self.level]}. It does not hold:"]
        lines += [f"- {entry}" for entry in self.missing]
        return ("\n".join(lines) + "\n").encode("ascii", "backslashreplace").decode()


def explain(path: str | os.PathLike[str], wanted: str) -> Explained:
    """Say of a node of an ONNX file where it comes from, by its name or a value that it makes.

    The end of a name will do where only one name ends so.  Names in a function are its own: `Block:/fc/MatMul` is meant
    for sure, `/fc/MatMul` is the node of the main graph if that has one.  Weights in other files are not read.

    Raises:
        UsageError: the file cannot be read, or no node is meant, or several are.
    """
    model = _load(path)
    found = list(_nodes(model))
    placed = _find(found, wanted, path)
    node = placed.node
    level = _level(each.node for each in found)
    # Names are those of one function, or of the main graph.
    around = [each.node for each in found if each.function is placed.function]
    metadata = {entry.key: entry.value for entry in node.metadata_props}
    # A node of the root module has no module path, and so no key for it.
    module = metadata.get(_KEYS["module"], "" if _KEYS["passes"] in metadata else None)
    return Explained(
        name=node.name,
        operator=operator_name(node.domain, node.op_type, node.overload),
        within=placed.within,
        module=module,
        module_class=metadata.get(_KEYS["class"]),
        source=metadata.get(_KEYS["source"]),
        passes=tuple(metadata.get(_KEYS["passes"], "").split()),
        reads=tuple(_reads(model, around, placed)),
        makes=tuple(_makes(model, around, placed)),
        level=level,
        made_by=_made_by(model),
        missing=tuple(_missing(level, metadata, module)),
    )


def _load(path: str | os.PathLike[str]) -> onnx.ModelProto:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(os.fspath(path), load_external_data=False)
    except OSError as error:
        raise UsageError(f"the file cannot be read: {error.strerror}", where=str(path)) from error
    except (DecodeError, ValueError) as error:
        raise UsageError(
            "the file is not an ONNX model", where=str(path), hint="a file that lading export wrote"
        ) from error
    if not model.graph.node and not model.functions:
        raise UsageError("the file holds no node", where=str(path))
    return model


@attrs.frozen(eq=False)
class _Placed:
    """A node, with the words for where it stands ("" for the main graph), and the function that it is in."""

    node: onnx.NodeProto
    within: str
    function: onnx.FunctionProto | None

    def full(self, name: str) -> str:
        """Return a name of this node or of a value that it makes, as it is unique in the file."""
        return f"{self.function.name}:{name}" if self.function is not None else name


def _nodes(model: onnx.ModelProto) -> Iterator[_Placed]:
    yield from _graph_nodes(model.graph.node, "", None)
    for function in model.functions:
        yield from _graph_nodes(function.node, f"function {function.name}", function)


def _graph_nodes(nodes: Any, within: str, function: onnx.FunctionProto | None) -> Iterator[_Placed]:
    around = "" if function is None else f"function {function.name}, "
    for node in nodes:
        yield _Placed(node, within, function)
        for attribute in node.attribute:
            for graph in ([attribute.g] if attribute.HasField("g") else []) + list(attribute.graphs):
                inner = f"{around}{attribute.name} of {node.op_type} {node.name}".rstrip()
                yield from _graph_nodes(graph.node, inner, function)


def _find(found: list[_Placed], wanted: str, path: str | os.PathLike[str]) -> _Placed:
    named: dict[str, _Placed] = {}
    for placed in found:
        for name in (*placed.node.output, placed.node.name):
            if name:
                named[placed.full(name)] = placed
    if wanted in named:
        return named[wanted]
    meant = {id(placed): placed for name, placed in named.items() if name.endswith(wanted)}
    if len(meant) == 1:
        return next(iter(meant.values()))
    if meant:
        shown = ", ".join(sorted(each.full(each.node.name or each.node.output[0]) for each in meant.values())[:5])
        more = ", ..." if len(meant) > 5 else ""
        raise UsageError(
            f"{len(meant)} nodes have a name that ends with '{wanted}'", where=str(path), hint=shown + more
        )
    names = [each.full(each.node.name) for each in found if each.node.name]
    raise UsageError(
        f"no node of the file is called '{wanted}'",
        where=str(path),
        hint=did_you_mean(wanted, names, otherwise="a name as the file has it, or of a value that a node makes"),
    )


def _level(nodes: Iterator[onnx.NodeProto]) -> str:
    keys = {entry.key for node in nodes for entry in node.metadata_props}
    if keys & {_KEYS["class"], _KEYS["source"]}:
        return "full"
    return "light" if keys & {_KEYS["module"], _KEYS["passes"]} else "none"


def _reads(model: onnx.ModelProto, around: list[onnx.NodeProto], placed: _Placed) -> Iterator[str]:
    makers = {output: maker for maker in around for output in maker.output}
    weights, inputs, whose = {}, set(), "model"
    if placed.function is None:
        weights = {tensor.name: tensor for tensor in model.graph.initializer}
        inputs = {value.name for value in model.graph.input}
    else:
        inputs, whose = set(placed.function.input), "function"
    for name in placed.node.input:
        if name in makers:
            maker = makers[name]
            yield f"{name or 'nothing'}  made by {maker.op_type} {maker.name}".rstrip()
        elif name in weights:
            yield f"{name}  a constant of shape {list(weights[name].dims)}"
        elif name in inputs:
            yield f"{name}  an input of the {whose}"
        elif name:
            yield name


def _makes(model: onnx.ModelProto, around: list[onnx.NodeProto], placed: _Placed) -> Iterator[str]:
    if placed.function is None:
        outputs, whose = {value.name for value in model.graph.output}, "model"
    else:
        outputs, whose = set(placed.function.output), "function"
    for name in filter(None, placed.node.output):
        readers = [f"{reader.op_type} {reader.name}".rstrip() for reader in around if name in reader.input]
        parts = [f"read by {', '.join(readers[:4])}{', ...' if len(readers) > 4 else ''}"] if readers else []
        if name in outputs:
            parts.append(f"an output of the {whose}")
        yield f"{name}  {' and '.join(parts)}".rstrip()


def _made_by(model: onnx.ModelProto) -> str:
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    parts = [] if opset is None else [f"opset {opset}"]
    if "lading.recipe" in metadata:
        parts.append(f"recipe {metadata['lading.recipe']} ({metadata.get('lading.recipe_hash', '')[:12]})")
    writer = f"{model.producer_name} {model.producer_version}".strip()
    if writer and "lading.versions" in metadata:
        writer += f" with {metadata['lading.versions']}"
    return ", ".join([*parts, f"written by {writer}"] if writer else parts)


def _missing(level: str, metadata: Mapping[str, str], module: str | None) -> Iterator[str]:
    if level == "none":
        yield "module, class, source line and passes: export with --set serialize.provenance=full, or light"
    elif level == "light":
        yield "the module's class and the source line: export with --set serialize.provenance=full"
    elif _KEYS["source"] not in metadata:
        yield "a source line of this node: none of your own code called it (a module of PyTorch did, or a pass made it)"
    if level != "none" and module is None:
        yield "where this node comes from: the pass that made it did not say, or the file was edited afterwards"
    yield "from which nodes this one was made, and what each pass did to it or declined: lading audit LOG --node NAME"
