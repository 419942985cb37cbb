# SPDX-License-Identifier: Apache-2.0
"""Tensors in `.safetensors` checkpoints, found without being loaded and read piece by piece.

A checkpoint is a file, a folder, or an index over shards. Whoever wrote it may be a stranger: names of shards stay in
the folder, links that lead out of it are refused, and headers are checked whole before anything is read.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import stat
import weakref
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import torch
from lading.passes.checkpoints.safetensors_format import Entry, read_entries
from lading.pipeline.errors import UsageError, did_you_mean

_SUFFIX = ".safetensors"
_INDEX = ".safetensors.index.json"
_LARGEST_INDEX = 100_000_000
_BLOCK = 1 << 20

TORCH_TYPES: Mapping[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E8M0": torch.float8_e8m0fnu,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz,
    "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "U16": torch.uint16,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "F32": torch.float32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F64": torch.float64,
    "C64": torch.complex64,
}


class CheckpointFile:
    """An open file of a checkpoint: it stays the file that it was when its header was read, whatever its path becomes.

    Raises:
        UsageError: the file cannot be read, or is not a valid `.safetensors` file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        # A pipe would be waited for; only ordinary files have offsets.
        flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
        try:
            self._handle = os.open(path, flags)
        except OSError as error:
            raise UsageError(f"the checkpoint {path} cannot be read: {error.strerror}") from error
        self._close = weakref.finalize(self, os.close, self._handle)
        self._state = os.fstat(self._handle)
        if not stat.S_ISREG(self._state.st_mode):
            raise UsageError(f"the checkpoint {path} is not an ordinary file", hint=f"name a {_SUFFIX} file")
        self.size = self._state.st_size
        with os.fdopen(os.dup(self._handle), "rb") as file:
            file.seek(0)
            self.entries = read_entries(file, self.size, str(path))

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes of the file.

        Raises:
            UsageError: they cannot be read, or the file has been cut off since it was opened.
        """
        try:
            data = os.pread(self._handle, length, offset)
            while len(data) < length:
                more = os.pread(self._handle, length - len(data), offset + len(data))
                if not more:
                    raise self._changed()
                data += more
        except OSError as error:
            raise UsageError(f"the checkpoint {self.path} cannot be read: {error.strerror}") from error
        return data

    def mapped(self, offset: int, length: int) -> torch.Tensor:
        """Return bytes of the file as a tensor, mapped into memory; what is written to it stays in memory.

        Raises:
            UsageError: there is no address space for it, or the file has been cut off.
        """
        if os.fstat(self._handle).st_size < offset + length:
            raise self._changed()
        page = offset - offset % mmap.ALLOCATIONGRANULARITY
        try:
            memory = mmap.mmap(self._handle, offset + length - page, access=mmap.ACCESS_COPY, offset=page)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"{length} bytes of {self.path.name} cannot be mapped into memory: {error}",
                hint="a tensor that is transposed or folded is mapped, one at a time; raise the limit on memory",
            ) from error
        return torch.frombuffer(memory, dtype=torch.uint8, count=length, offset=offset - page)

    def check_unchanged(self) -> None:
        """Make sure that nothing has been written to the file since its header was read.

        Raises:
            UsageError: the file is another one now.
        """
        now = os.fstat(self._handle)
        if (now.st_size, now.st_mtime_ns) != (self._state.st_size, self._state.st_mtime_ns):
            raise self._changed()

    def stands_at(self, path: Path) -> bool:
        """Whether a path leads to this very file, under one name only and not by a link."""
        try:
            found = path.lstat()
        except OSError:
            return False
        same = (found.st_dev, found.st_ino) == (self._state.st_dev, self._state.st_ino)
        return same and stat.S_ISREG(found.st_mode) and found.st_nlink == 1

    def _changed(self) -> UsageError:
        return UsageError(f"the checkpoint {self.path} was changed while it was read", hint="export again")


@attrs.frozen(eq=False)
class StoredTensor:
    """A tensor that lies contiguous in a file of a checkpoint."""

    name: str
    file: CheckpointFile = attrs.field(repr=False)
    dtype: torch.dtype
    shape: tuple[int, ...]
    offset: int
    nbytes: int

    def blocks(self, begin: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield its bytes, or those from `begin` to `end` of them, a block at a time."""
        stop = self.nbytes if end is None else end
        for start in range(begin, stop, _BLOCK):
            yield self.file.read(self.offset + start, min(_BLOCK, stop - start))

    def load(self) -> torch.Tensor:
        """Return the tensor: mapped, and so read as it is used; or copied, where it is not aligned for its type."""
        if not self.nbytes:
            return torch.empty(self.shape, dtype=self.dtype)
        if self.offset % self.dtype.itemsize:
            found = torch.frombuffer(bytearray(b"".join(self.blocks())), dtype=torch.uint8)
        else:
            found = self.file.mapped(self.offset, self.nbytes)
        return found.view(self.dtype).reshape(self.shape)


@attrs.frozen
class Checkpoint:
    """The tensors of a checkpoint by name.

    `path` is what the user named, `tensors` has the types of PyTorch's; `strange` are those of types that it lacks.
    """

    path: Path
    files: tuple[CheckpointFile, ...]
    tensors: Mapping[str, StoredTensor]
    strange: Mapping[str, str] = attrs.field(factory=dict)

    def check_unchanged(self) -> None:
        """Make sure that no file has been written to since it was opened.

        Raises:
            UsageError: one has.
        """
        for file in self.files:
            file.check_unchanged()


def open_checkpoint(path: str | os.PathLike[str], *, follow_links: bool = False) -> Checkpoint:
    """Open a checkpoint and read the headers of its files.

    Args:
        path: a `.safetensors` file; an index `*.safetensors.index.json`; or a folder with an index, with
            `model.safetensors`, or with files that have no tensor in common.
        follow_links: whether files in the folder may be links that lead out of it. What `path` names may be a link.

    Raises:
        UsageError: there is no checkpoint, it is not valid, or it leads out of its folder.
    """
    given = Path(path)
    if given.is_dir():
        return _of_folder(given, follow_links)
    if given.name.endswith(_INDEX):
        return _of_index(given, follow_links)
    if not given.exists():
        near = did_you_mean(
            given.name, [entry.name for entry in _entries(given.parent)], otherwise="a path that exists"
        )
        raise UsageError(f"there is no checkpoint {given}", hint=near)
    if given.suffix != _SUFFIX:
        hint = "safetensors.torch.save_file(model.state_dict(), 'model.safetensors') writes one"
        raise UsageError(f"{given} is not a {_SUFFIX} file, an index or a folder", hint=hint)
    return _joined(given, [CheckpointFile(given)])


def _of_folder(folder: Path, follow_links: bool) -> Checkpoint:
    names = [entry.name for entry in _entries(folder)]
    indexes = [name for name in names if name.endswith(_INDEX)]
    files = [name for name in names if name.endswith(_SUFFIX)]
    whole = f"model{_SUFFIX}"
    if f"model{_INDEX}" in indexes and whole in files:
        raise UsageError(
            f"{folder} has both {whole} and an index over shards", hint="name the one of them that is meant"
        )
    if indexes:
        index = f"model{_INDEX}" if f"model{_INDEX}" in indexes else indexes[0]
        if len(indexes) > 1 and index != f"model{_INDEX}":
            raise UsageError(f"{folder} has several indexes: {', '.join(indexes)}", hint="name one of them")
        return _of_index(folder / index, follow_links)
    if whole in files:
        files = [whole]
    if not files:
        raise UsageError(f"there is no {_SUFFIX} file in {folder}", hint="name the folder of a checkpoint, or its file")
    return _joined(folder, [_member(folder, name, follow_links) for name in files])


def _entries(folder: Path) -> list[Path]:
    with contextlib.suppress(OSError):
        return sorted(folder.iterdir())
    return []


def _of_index(path: Path, follow_links: bool) -> Checkpoint:
    table = _weight_map(path)
    members = {name: _member(path.parent, name, follow_links) for name in sorted(set(table.values()))}
    for name, file in table.items():
        if name not in members[file].entries:
            raise UsageError(f"the index says that '{name}' is in {file}, which does not have it", where=str(path))
    chosen = [(members[file], name, members[file].entries[name]) for name, file in table.items()]
    return _checkpoint(path, list(members.values()), chosen)


def _weight_map(path: Path) -> dict[str, str]:
    try:
        if path.stat().st_size > _LARGEST_INDEX:
            raise UsageError(f"{path} is too large for an index")
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not a valid index: it is not JSON") from error
    table = data.get("weight_map") if isinstance(data, dict) else None
    if not isinstance(table, dict) or not table or not all(isinstance(file, str) for file in table.values()):
        raise UsageError(f"{path} is not a valid index: it has no weight_map of names to files")
    for file in table.values():
        if file != os.path.basename(file) or "\\" in file or "\0" in file or not file.endswith(_SUFFIX):
            raise UsageError(
                f"{path} names the file {file!r:.100}, which is not a {_SUFFIX} file in its folder",
                hint="shards stand beside their index",
            )
    return table


def _member(folder: Path, name: str, follow_links: bool) -> CheckpointFile:
    """Open a file that the folder, and not the user, has named."""
    path = folder / name
    inside = Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
    if not inside and not follow_links:
        raise UsageError(
            f"{path} is a link that leads out of its folder",
            hint="attach-weights.follow_links = true follows it; the cache of huggingface_hub is made of such links",
        )
    return CheckpointFile(path)


def _joined(path: Path, files: list[CheckpointFile]) -> Checkpoint:
    chosen = [(file, name, entry) for file in files for name, entry in file.entries.items()]
    seen: dict[str, CheckpointFile] = {}
    for file, name, _ in chosen:
        other = seen.setdefault(name, file)
        if other is not file:
            raise UsageError(
                f"'{name}' is both in {other.path.name} and in {file.path.name}",
                where=str(path),
                hint="name one file, or an index that says which is meant",
            )
    return _checkpoint(path, files, chosen)


def _checkpoint(path: Path, files: list[CheckpointFile], chosen: Iterable[tuple[Any, str, Entry]]) -> Checkpoint:
    tensors: dict[str, StoredTensor] = {}
    strange: dict[str, str] = {}
    for file, name, entry in chosen:
        dtype = TORCH_TYPES.get(entry.dtype)
        if dtype is None:
            strange[name] = entry.dtype
            continue
        tensors[name] = StoredTensor(name, file, dtype, entry.shape, entry.begin, entry.end - entry.begin)
    return Checkpoint(path, tuple(files), tensors, strange)
