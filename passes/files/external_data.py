# SPDX-License-Identifier: Apache-2.0
"""Looking at a model of a stranger's before a runtime opens what it refers to.

A model names files and parts of them. A runtime that follows reads what the model's author chose, on the machine of
whoever runs it; so the files must be in the folder of the model, no links, and as long as the model says.
"""

from __future__ import annotations

import math
import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import onnx
from lading.passes.files.model_bytes import PROTOBUF_LIMIT
from lading.pipeline.errors import UsageError

_LARGEST_NUMBER = 20
"""Digits of an offset: 2**64 has twenty."""


def read_model(path: str | os.PathLike[str]) -> onnx.ModelProto:
    """Read a model without its external data, and make sure that these are where they may be.

    Raises:
        UsageError: the file is no model, or its external data lead out of its folder, are not there or are too short.
    """
    file = Path(path)
    try:
        state = file.stat()
        if not stat.S_ISREG(state.st_mode):
            raise UsageError(f"{file} is not an ordinary file")
        if state.st_size > PROTOBUF_LIMIT:
            raise UsageError(f"{file} is not an ONNX file: it is larger than protobuf allows")
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:
        raise UsageError(f"{file} is not an ONNX file: {type(error).__name__}", where=str(file)) from error
    if not model.HasField("graph"):
        raise UsageError(f"{file} is not an ONNX file: it has no graph", where=str(file))
    folder = file.parent
    sizes: dict[str, int] = {}
    for tensor in tensors_of(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check(tensor, folder, sizes, str(file))
    return model


def tensors_of(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of a model: initializers, sparse ones, attributes, in all graphs, functions and training."""
    graphs = [model.graph]
    for training in model.training_info:
        graphs += [training.initialization, training.algorithm]
    for function in model.functions:
        yield from _of_nodes(function.node)
        yield from _of_attributes(function.attribute_proto)
    for graph in graphs:
        yield from _of_graph(graph)


def _of_graph(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Any) -> Iterator[onnx.TensorProto]:
    for node in nodes:
        yield from _of_attributes(node.attribute)


def _of_attributes(attributes: Any) -> Iterator[onnx.TensorProto]:
    for attribute in attributes:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
        for graph in (attribute.g, *attribute.graphs):
            yield from _of_graph(graph)


def _check(tensor: onnx.TensorProto, folder: Path, sizes: dict[str, int], where: str) -> None:
    entries: dict[str, str] = {}
    for entry in tensor.external_data:
        if entry.key in entries:
            raise _refused(tensor, f"says its {_shown(entry.key)} twice", where)
        entries[entry.key] = entry.value
    location = entries.get("location", "")
    if location not in sizes:
        sizes[location] = _size_of(tensor, location, folder, where)
    offset, length = (_number(tensor, entries, key, where) for key in ("offset", "length"))
    expected = _bytes_of(tensor)
    if length is not None and expected is not None and length != expected:
        raise _refused(tensor, f"has {length} bytes, and its type and shape ask for {expected}", where)
    needed = length if length is not None else expected or 0
    if (offset or 0) + needed > sizes[location]:
        end = (offset or 0) + needed
        raise _refused(tensor, f"ends at byte {end} of {_shown(location)}, which has {sizes[location]}", where)


def _size_of(tensor: onnx.TensorProto, location: str | bytes, folder: Path, where: str) -> int:
    """Return the size of the file that a tensor names, which must be one of the folder or below."""
    if not isinstance(location, str):
        raise _refused(tensor, f"is in {_shown(location)}, which is no name of a file", where)
    parts = PurePosixPath(location).parts
    windows = PureWindowsPath(location)
    if not location or "\0" in location or not parts:
        raise _refused(tensor, "does not say in which file it is", where)
    if location.startswith("/") or windows.drive or windows.root:
        raise _refused(tensor, f"is at the absolute path {_shown(location)}", where)
    if ".." in parts or ".." in windows.parts:
        raise _refused(tensor, f"is at {_shown(location)}, which leads out of the model's folder", where)
    path = folder
    try:
        for part in parts:
            path = path / part
            state = path.lstat()
            if stat.S_ISLNK(state.st_mode):
                raise _refused(tensor, f"is at {_shown(location)}, which is a link or behind one", where)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise _refused(tensor, f"is in {_shown(location)}, which cannot be read ({why})", where) from error
    if not stat.S_ISREG(state.st_mode):
        raise _refused(tensor, f"is in {_shown(location)}, which is not an ordinary file", where)
    return state.st_size


def _number(tensor: onnx.TensorProto, entries: dict[str, str], key: str, where: str) -> int | None:
    text = entries.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= _LARGEST_NUMBER):
        raise _refused(tensor, f"has the {key} '{_shown(text)[:40]}'", where)
    return int(text)


def _bytes_of(tensor: onnx.TensorProto) -> int | None:
    """Return the bytes that type and shape ask for, or None for types without a size (texts, unknown ones)."""
    import onnx_ir as ir

    try:
        bits: int = ir.DataType(tensor.data_type).bitwidth
    except (ValueError, TypeError):
        return None
    # Of a hostile shape the product may be huge, but it has few factors: protobuf's messages end at 2 GiB.
    dims = list(tensor.dims)
    if any(size < 0 for size in dims):
        return -1
    if 0 in dims:
        return 0
    if sum(math.log2(size) for size in dims) > 64:
        return 1 << 64
    return int(-(-math.prod(dims) * bits // 8))


def _refused(tensor: onnx.TensorProto, why: str, where: str) -> UsageError:
    return UsageError(
        f"the tensor '{_shown(tensor.name)}' {why}",
        where=where,
        hint="external data stand in the folder of the model or below it, whole, and are no links",
    )


def _shown(text: str | bytes) -> str:
    """Return the beginning of a name; protobuf gives bytes for what is no UTF-8."""
    return (text if isinstance(text, str) else text.decode("utf-8", "backslashreplace"))[:80]
