# SPDX-License-Identifier: Apache-2.0
"""Writing files so that a reader finds the old ones or the new ones, whole, and never anything between.

Each file is written beside its target under a hidden name, made durable where an old file is at stake, and renamed over
the target. Whatever ends the writing (an error, a full disk, Ctrl-C) removes the hidden files and leaves the old ones.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from ..pipeline.errors import UsageError

_BUFFER = 1 << 20


def check_target(path: str | os.PathLike[str]) -> Path:
    """Return the place that a path leads to, symbolic links followed.

    Cheap enough to ask before an export starts; `Replacement` asks again.

    Raises:
        UsageError: the path is a folder, or its folder is missing or cannot be written to.
    """
    given = os.fspath(path)
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


class Replacement:
    """Files to appear together: `with Replacement() as files`, write each, and leaving the block puts them in place.

    If the block ends with an exception of any kind nothing appears. Files are put in place in the order in which they
    were opened; if one of the renames fails, those before it are undone.
    """

    def __init__(self, *, sync: str = "auto") -> None:
        self._sync = sync
        self._pending: list[_Pending] = []

    def __enter__(self) -> Replacement:
        return self

    def write(self, path: str | os.PathLike[str], blocks: Iterable[bytes | memoryview]) -> int:
        """Write blocks to what will be `path`; returns the number of bytes.

        Raises:
            UsageError: `path` cannot be written (see `check_target`), or the disk is full.
        """
        target = check_target(path)
        pending = _Pending(target)
        self._pending.append(pending)
        count = 0
        with _explained(target, lambda: count), pending.open() as file:
            for block in blocks:
                file.write(block)
                count += len(block)
            file.flush()
            if self._sync == "always" or (self._sync == "auto" and target.exists()):
                os.fsync(file.fileno())
        return count

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._put_in_place()
        finally:
            for pending in self._pending:
                pending.discard()

    def _put_in_place(self) -> None:
        done: list[_Pending] = []
        try:
            for pending in self._pending:
                done.append(pending)
                with _explained(pending.target, lambda: 0):
                    pending.put_in_place(keep_old=len(self._pending) > 1)
        except BaseException:
            for pending in reversed(done):
                pending.undo()
            raise
        if self._sync != "never":
            for folder in {pending.target.parent for pending in self._pending}:
                _sync_folder(folder)


class _Pending:
    """One file on its way: the hidden name it is written under, and a second link to the file it replaces."""

    def __init__(self, target: Path) -> None:
        token = secrets.token_hex(4)
        self.target = target
        self.hidden = target.with_name(f".{target.name}.{token}.part")
        self.old = target.with_name(f".{target.name}.{token}.old")
        self._placed = False
        self._had_old = False

    def open(self) -> Any:
        mode = 0o666
        with contextlib.suppress(OSError):
            mode = stat.S_IMODE(self.target.stat().st_mode)
        handle = os.open(self.hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        if mode != 0o666:
            os.chmod(self.hidden, mode)
        return os.fdopen(handle, "wb", buffering=_BUFFER)

    def put_in_place(self, *, keep_old: bool) -> None:
        if keep_old and self.target.exists():
            self._had_old = True
            try:
                os.link(self.target, self.old)
            except OSError:  # a file system without hard links: the old file is moved aside for the moment instead
                os.replace(self.target, self.old)
        os.replace(self.hidden, self.target)
        self._placed = True

    def undo(self) -> None:
        if self.old.exists():
            os.replace(self.old, self.target)
        elif self._placed and not self._had_old:
            self.target.unlink(missing_ok=True)

    def discard(self) -> None:
        for path in (self.hidden, self.old):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def write_special(path: Path, blocks: Iterable[bytes | memoryview]) -> int:
    """Write to a device or pipe, which cannot be replaced by renaming; returns the number of bytes."""
    count = 0
    with _explained(path, lambda: count), open(path, "wb", buffering=_BUFFER) as file:
        for block in blocks:
            file.write(block)
            count += len(block)
    return count


def write_stream(stream: Any, blocks: Iterable[bytes | memoryview]) -> int:
    """Write to a binary file object of the caller's; returns the number of bytes.

    If writing fails half-way and the object can seek, it is cut back to where it was.

    Raises:
        UsageError: the object is not a writable binary file.
    """
    if not callable(getattr(stream, "write", None)):
        raise UsageError(f"{type(stream).__name__} is not a path or a binary file object", hint="pass a path")
    start = _position(stream)
    count = 0
    try:
        for block in blocks:
            rest = memoryview(block)
            while len(rest):
                try:
                    written = stream.write(rest)
                except TypeError as error:
                    hint = "open the file in binary mode: open(path, 'wb')"
                    raise UsageError(f"the file object does not take bytes: {error}", hint=hint) from error
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
def _explained(target: Path, written: Any) -> Iterator[None]:
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


def _sync_folder(folder: Path) -> None:
    # Some systems (Windows, some network file systems) cannot open or sync a folder; the rename itself is done.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
