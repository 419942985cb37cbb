# SPDX-License-Identifier: Apache-2.0
"""Where a file can be written, writing to what cannot be replaced (a device, an open stream), and what errors mean."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from lading.pipeline.errors import UsageError

PIECE = 256 << 10
"""Bytes handed to the operating system at once.

Linux takes memory for its cache in pieces as large as a write; those above 256 KiB it often has to find first, and the
same bytes cost up to three times as much.
"""


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return the place that a path leads to, symbolic links followed.

    Cheap enough to ask before an export starts; writing asks again.

    Raises:
        UsageError: the path is a folder, or its folder is missing or cannot be written to, or the path is empty.
    """
    given = os.fspath(path)
    if not given:
        raise UsageError("the path of the file is empty", hint="name a file, like model.onnx")
    target = Path(os.path.realpath(given))
    folder = target.parent
    try:
        target.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:
        raise UsageError(f"{given} cannot be reached: {error.strerror}", hint="choose another path") from error
    if target.is_dir() or given.endswith(os.sep):
        raise UsageError(
            f"{given} is a folder, not a file", hint=f"name a file in it, like {Path(given) / 'model.onnx'}"
        )
    if not folder.is_dir():
        hint = f"create it first (mkdir -p {Path(given).parent})"
        if folder.exists():
            hint = f"{Path(given).parent} is a file; choose another path"
        raise UsageError(f"the folder of {given} does not exist", hint=hint)
    if is_special(target):
        if not os.access(target, os.W_OK):
            raise UsageError(f"{given} cannot be written to", hint="choose another path")
    elif not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"the folder of {given} is read-only", hint="choose another folder, or change its permissions")
    return target


def is_special(path: Path) -> bool:
    """Whether a path is a device, a pipe or a socket, which one writes to and does not replace."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def write_special(path: Path, blocks: Iterable[bytes | memoryview]) -> int:
    """Write to a device or pipe, which cannot be replaced by renaming; returns the number of bytes."""
    count = 0
    with explained(path, lambda: count), open(path, "wb", buffering=0) as file:
        for written in write_in_pieces(file, blocks):
            count += written
    return count


def write_in_pieces(file: io.RawIOBase, blocks: Iterable[bytes | bytearray | memoryview]) -> Iterator[int]:
    """Write to an unbuffered file, small blocks together and large ones in pieces; yield the bytes of each write."""
    for block in gathered(blocks):
        rest = memoryview(block)
        while len(rest):
            written = file.write(rest[:PIECE]) or 0
            yield written
            rest = rest[written:]


def gathered(blocks: Iterable[bytes | bytearray | memoryview]) -> Iterator[bytes | bytearray | memoryview]:
    """Yield the same bytes with small blocks put together; large ones come as they are."""
    small = bytearray()
    for block in blocks:
        if small and len(small) + len(block) > PIECE:
            yield small
            small = bytearray()
        if len(block) < PIECE:
            small += block
        else:
            yield block
    if small:
        yield small


def check_stream(stream: Any) -> None:
    """Refuse what is no binary file object that can be written, as far as that shows without writing.

    Raises:
        UsageError: it has no `write`, takes text, or is open for reading.
    """
    if not callable(getattr(stream, "write", None)):
        raise UsageError(
            f"{stream!r} is neither a path nor a binary file object",
            where="the file to write",
            hint="f='model.onnx', f=open(path, 'wb'), f=io.BytesIO(), or None to write nothing",
        )
    if isinstance(stream, io.TextIOBase):
        raise _takes_text(type(stream).__name__)
    if isinstance(stream, io.IOBase) and (stream.closed or not stream.writable()):
        state = "is closed" if stream.closed else "is open for reading only"
        raise UsageError(f"the file object {state}", where="the file to write", hint="open(path, 'wb')")


def _takes_text(why: object) -> UsageError:
    hint = "open the file in binary mode: open(path, 'wb')"
    return UsageError(f"the file object does not take bytes: {why}", hint=hint)


def write_stream(stream: Any, blocks: Iterable[bytes | memoryview]) -> int:
    """Write to a binary file object of the caller's; returns the number of bytes.

    If writing fails half-way and the object can seek, it is cut back to where it was.

    Raises:
        UsageError: the object is not a writable binary file.
    """
    check_stream(stream)
    start = _position(stream)
    count = 0
    try:
        for block in blocks:
            rest = memoryview(block)
            while len(rest):
                try:
                    written = stream.write(rest)
                except TypeError as error:
                    raise _takes_text(error) from error
                # Raw, unbuffered files may take less than they are given; other objects return None or everything.
                rest = rest[written if isinstance(written, int) else len(rest) :]
            count += len(block)
    except BaseException:
        if start is not None:
            with contextlib.suppress(Exception):
                stream.seek(start)
                stream.truncate()
        raise
    return count


def _position(stream: Any) -> int | None:
    try:
        return stream.tell() if stream.seekable() else None
    except Exception:
        return None


@contextlib.contextmanager
def explained(target: Path, written: Callable[[], int] = lambda: 0) -> Iterator[None]:
    """Turn what the operating system says about `target` into an error that says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC)):
            limit = "the file size limit is reached" if error.errno == errno.EFBIG else "the disk is full"
            raise UsageError(
                f"{limit}: {target.name} stopped after {written()} bytes; nothing was replaced",
                where=str(target.parent),
                hint="free some space there, or choose a path on another disk",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise UsageError(
                f"{target.name} cannot be written: {error.strerror}",
                where=str(target.parent),
                hint="choose another folder, or change its permissions",
            ) from error
        raise UsageError(f"{target.name} cannot be written: {error}", where=str(target.parent)) from error
