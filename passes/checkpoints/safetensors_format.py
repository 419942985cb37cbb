# SPDX-License-Identifier: Apache-2.0
"""The header of a `.safetensors` file: read with every check that its format allows, and written.

A file is the length of the header in 8 bytes (little endian), the header as JSON, and the bytes of the tensors, which
follow each other without a gap. Files come from anywhere, so nothing in a header is believed: lengths, names, types,
shapes and positions must agree with each other and with the size of the file.

Source of the layout and of the limits: the description of the format in safetensors' repository (README, "Format").
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO, NoReturn

import attrs
from lading.pipeline.errors import UsageError

LARGEST_HEADER = 100_000_000
_LENGTH_BYTES = 8
_METADATA = "__metadata__"

BITS: Mapping[str, int] = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "U16": 16,
    "I16": 16,
    "F16": 16,
    "BF16": 16,
    "U32": 32,
    "I32": 32,
    "F32": 32,
    "U64": 64,
    "I64": 64,
    "F64": 64,
    "C64": 64,
}
"""The element types of the format, and the bits that an element takes."""


@attrs.frozen
class Entry:
    """One tensor of a file: type as the format calls it, shape, and where its bytes begin and end in the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def read_entries(file: BinaryIO, size: int, label: str) -> dict[str, Entry]:
    """Read the header of an open file of `size` bytes; `label` is what errors call the file.

    Raises:
        UsageError: the file is not a whole and valid `.safetensors` file.
    """

    def refuse(why: str) -> NoReturn:
        raise UsageError(f"{label} is not a valid .safetensors file: {why}", hint="fetch or write the file again")

    prefix = file.read(_LENGTH_BYTES)
    if len(prefix) < _LENGTH_BYTES:
        refuse("it is shorter than the length of a header")
    length = int.from_bytes(prefix, "little")
    if length > LARGEST_HEADER:
        refuse(f"its header would have {length} bytes, and {LARGEST_HEADER} are the most")
    start = _LENGTH_BYTES + length
    if start > size:
        refuse(f"its header ends at byte {start}, and the file at {size}")
    text = file.read(length)
    if len(text) < length:
        refuse("its header is cut off")
    try:
        header = json.loads(text, object_pairs_hook=_without_repetition, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        refuse(f"its header is not JSON ({_short(error)})")
    if not isinstance(header, dict):
        refuse("its header is not a JSON object")
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        refuse(f"its {_METADATA} is not a table of texts")
    entries: dict[str, Entry] = {}
    for name, value in header.items():
        entry = _entry(value, start)
        if isinstance(entry, str):
            refuse(f"the tensor {_short(name)!r} {entry}")
        entries[name] = entry
    end = start
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            refuse(f"the tensor {_short(name)!r} begins at byte {entry.begin}, and the one before it ends at {end}")
        end = entry.end
    if end != size:
        refuse(f"its tensors end at byte {end}, and the file at {size}")
    return entries


def _entry(value: Any, start: int) -> Entry | str:
    """Return the entry that a value of the header stands for, or what is wrong with it."""
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        return "is not described by dtype, shape and data_offsets alone"
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        return f"has the type {_short(dtype)}, which the format does not know"
    if not _are_sizes(shape):
        return f"has the shape {_short(shape)}"
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        return f"has the data_offsets {_short(offsets)}"
    elements = _product(shape)
    if elements is None:
        return f"has the shape {_short(shape)}, which no file can hold"
    if elements * BITS[dtype] != 8 * (offsets[1] - offsets[0]):
        return f"takes {offsets[1] - offsets[0]} bytes, and its type and shape ask for {elements * BITS[dtype] / 8:g}"
    return Entry(dtype, tuple(shape), start + offsets[0], start + offsets[1])


def _are_sizes(value: Any) -> bool:
    # Of JSON's numbers True and 1.0 are none that a size can be; 2**63 elements fit no file.
    return isinstance(value, list) and all(type(size) is int and 0 <= size < 1 << 63 for size in value)


def _product(shape: list[int]) -> int | None:
    """Return the number of elements, or None where it is past 2**63: a hostile shape may have a million large sizes."""
    if 0 in shape:
        return 0
    elements = 1
    for size in shape:
        elements *= size
        if elements >= 1 << 63:
            return None
    return elements


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) < len(pairs):
        raise ValueError("a name is there twice")
    return table


def _no_constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number of JSON")


def _short(thing: object) -> str:
    text = str(thing)
    return text if len(text) <= 80 else f"{text[:77]}..."


def header_bytes(tensors: Iterable[tuple[str, str, tuple[int, ...], int, int]], *, alignment: int) -> bytes:
    """Return the bytes before the first tensor, filled up with blanks to a multiple of `alignment`.

    Args:
        tensors: name, type, shape, and where the bytes begin and end, counted from the first tensor.
        alignment: a multiple of 8.
    """
    header: dict[str, Any] = {_METADATA: {"format": "pt"}}
    for name, dtype, shape, begin, end in tensors:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    whole = -(-(_LENGTH_BYTES + len(text)) // alignment) * alignment
    return (whole - _LENGTH_BYTES).to_bytes(_LENGTH_BYTES, "little") + text.ljust(whole - _LENGTH_BYTES)
