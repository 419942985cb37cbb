# SPDX-License-Identifier: Apache-2.0
"""Files that hold the weights of a model beside it: which tensor stands where, and the bytes as a stream.

Two forms. A *raw* file is tensors with gaps, each large one on a page boundary, so that a runtime can map it. A
*safetensors* file is what `safetensors.torch.load_file` reads, under the names that the weights have in the graph; its
format allows no gaps, so the tensors whose size is a multiple of a page come first, behind a header that fills pages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import attrs
import onnx_ir as ir
from lading.passes.checkpoints.safetensors_format import header_bytes
from lading.passes.tidying.graph_edits import dims_of

PAGE = 4096
_SMALL_STEP = 64

Form = Literal["raw", "safetensors"]
Named = tuple[str, ir.TensorProtocol]

SAFETENSORS_TYPES: Mapping[ir.DataType, str] = {
    ir.DataType.BOOL: "BOOL",
    ir.DataType.UINT8: "U8",
    ir.DataType.INT8: "I8",
    ir.DataType.UINT16: "U16",
    ir.DataType.INT16: "I16",
    ir.DataType.UINT32: "U32",
    ir.DataType.INT32: "I32",
    ir.DataType.UINT64: "U64",
    ir.DataType.INT64: "I64",
    ir.DataType.FLOAT8E4M3FN: "F8_E4M3",
    ir.DataType.FLOAT8E5M2: "F8_E5M2",
    ir.DataType.FLOAT8E4M3FNUZ: "F8_E4M3FNUZ",
    ir.DataType.FLOAT8E5M2FNUZ: "F8_E5M2FNUZ",
    ir.DataType.FLOAT8E8M0: "F8_E8M0",
    ir.DataType.FLOAT16: "F16",
    ir.DataType.BFLOAT16: "BF16",
    ir.DataType.FLOAT: "F32",
    ir.DataType.DOUBLE: "F64",
    ir.DataType.COMPLEX64: "C64",
}


@attrs.frozen
class Place:
    """Where the bytes of a tensor stand: a file, given from the folder of the model, and the part of it."""

    location: str
    offset: int
    nbytes: int


@attrs.frozen
class DataFile:
    """One file of weights: a head, and tensors at increasing offsets."""

    name: str
    head: bytes
    tensors: tuple[tuple[int, ir.TensorProtocol], ...]
    size: int

    def blocks(self) -> Iterator[bytes | memoryview]:
        """Yield the file's bytes."""
        if self.head:
            yield self.head
        position = len(self.head)
        for offset, tensor in self.tensors:
            if offset > position:
                yield bytes(offset - position)
            yield from tensor_blocks(tensor)
            position = offset + tensor.nbytes


@attrs.frozen
class Layout:
    """All files of weights of a model, and the place of each tensor in them, by initializer name."""

    files: tuple[DataFile, ...] = ()
    places: Mapping[str, Place] = attrs.field(factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def tensor_blocks(tensor: ir.TensorProtocol) -> Iterator[bytes | memoryview]:
    """Yield the bytes of a tensor, by blocks where its class can make them so."""
    blocks = getattr(tensor, "blocks", None)
    if blocks is not None:
        yield from blocks()
    else:
        yield tensor.tobytes()


def lay_out(name: str, tensors: Sequence[Named], *, form: Form = "raw", shard: int = 0) -> Layout:
    """Give each tensor its place.

    Args:
        name: of the file; of several, `weights.data` becomes `weights-00001-of-00003.data` and so on.
        tensors: by initializer name, in the order of the graph, which is the order of the shards.
        form: raw or safetensors; the latter has only the types of `SAFETENSORS_TYPES`. Its shards get an index, as
            other software that reads shards expects it.
        shard: the size in bytes at which a new file begins; 0 for one file. A larger tensor has a file of its own.
    """
    groups = _groups(tensors, shard)
    stem, suffix = os.path.splitext(name)
    names = [name]
    if len(groups) > 1:
        names = [f"{stem}-{number:05d}-of-{len(groups):05d}{suffix}" for number in range(1, len(groups) + 1)]
    files: list[DataFile] = []
    places: dict[str, Place] = {}
    for file_name, group in zip(names, groups, strict=True):
        files.append(_raw(file_name, group, places) if form == "raw" else _safetensors(file_name, group, places))
    if form == "safetensors" and len(groups) > 1:
        total = sum(tensor.nbytes for _, tensor in tensors)
        table = {key: places[key].location for key, _ in tensors}
        index = {"metadata": {"total_size": total}, "weight_map": table}
        text = json.dumps(index, indent=2, ensure_ascii=False).encode() + b"\n"
        files.append(DataFile(f"{stem}{suffix}.index.json", text, (), len(text)))
    return Layout(tuple(files), places)


def _groups(tensors: Sequence[Named], shard: int) -> list[list[Named]]:
    groups: list[list[Named]] = [[]]
    filled = 0
    for name, tensor in tensors:
        if shard and groups[-1] and filled + tensor.nbytes > shard:
            groups.append([])
            filled = 0
        groups[-1].append((name, tensor))
        filled += tensor.nbytes
    return groups


def _raw(name: str, tensors: Sequence[Named], places: dict[str, Place]) -> DataFile:
    """Put tensors of a page or more on page boundaries, and smaller ones on multiples of 64 bytes."""
    placed, end = [], 0
    for key, tensor in tensors:
        step = PAGE if tensor.nbytes >= PAGE else _SMALL_STEP
        offset = -(-end // step) * step
        placed.append((offset, tensor))
        places[key] = Place(name, offset, tensor.nbytes)
        end = offset + tensor.nbytes
    return DataFile(name, b"", tuple(placed), end)


def _safetensors(name: str, tensors: Sequence[Named], places: dict[str, Place]) -> DataFile:
    # Whole pages first, then by the size of elements: so each tensor is aligned for its type, and most for mapping.
    ordered = sorted(tensors, key=lambda item: (item[1].nbytes % PAGE > 0, -item[1].dtype.itemsize))
    described, end = [], 0
    for key, tensor in ordered:
        described.append((key, SAFETENSORS_TYPES[tensor.dtype], tuple(dims_of(tensor)), end, end + tensor.nbytes))
        end += tensor.nbytes
    head = header_bytes(described, alignment=PAGE)
    placed = []
    for (key, _, _, begin, _), (_, tensor) in zip(described, ordered, strict=True):
        placed.append((len(head) + begin, tensor))
        places[key] = Place(name, len(head) + begin, tensor.nbytes)
    return DataFile(name, head, tuple(placed), len(head) + end)
