# SPDX-License-Identifier: Apache-2.0
"""Files of one model that replace old ones together: at every instant the old model stands there whole, or the new one.

Everything is written beside its target under a hidden name and then renamed, so a file that someone has open or mapped
stays as it was. One rename replaces one file, though, and a model with external data has two or more. So where an old
data file is in the way, the change goes through a third state:

1. the new model takes the place of the old one, referring to its data under their *hidden* names;
2. the data take their own names beside the hidden ones, over the old data, to which nothing refers any more;
3. the model, now referring to the data by their own names, takes the place of the passing one;
4. the hidden names go.

A process that is killed between any two steps leaves a complete model. The hidden files that a killed process leaves
are locked by nobody, and the next one that replaces the same model removes them. Processes that replace files in one
folder take turns in it.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from lading.passes.files.ahead import made_ahead
from lading.passes.files.atomic_write import check_target, explained, gathered, write_in_pieces
from lading.pipeline.errors import UsageError

fcntl: Any = None
with contextlib.suppress(ImportError):  # Windows: no locks on folders, nor removal of what killed processes leave
    fcntl = importlib.import_module("fcntl")

Blocks = Iterable[bytes | memoryview]


class Replacement:
    """A model and its data files, to appear together.

    `with Replacement(path) as files`, then `write_data` for each data file and `write_model` last; leaving the block
    puts all in place. If the block ends with an exception of any kind nothing appears, and the hidden files go.

    Args:
        path: the model; symbolic links are followed.
        sync: whether bytes are forced to the disk before a name is given to them: "always", "never", or "auto", which
            means where an old file is replaced.

    Raises:
        UsageError: the path cannot be written, see `check_target`.
    """

    def __init__(self, path: str | os.PathLike[str], *, sync: str = "auto") -> None:
        self.target = check_target(path)
        self._sync = sync
        self._model: _Hidden | None = None
        self._data: list[_Hidden] = []
        self._blocks: Callable[[Mapping[str, str]], Blocks] | None = None
        self._passing = False

    def __enter__(self) -> Replacement:
        return self

    def write_data(self, name: str, blocks: Blocks) -> int:
        """Write what will be the file `name` beside the model; returns the number of bytes.

        Raises:
            UsageError: the file cannot be written, or the disk is full.
        """
        return self._write(check_target(self.target.with_name(name)), blocks, self._data.append)

    def write_model(self, blocks: Callable[[Mapping[str, str]], Blocks]) -> int:
        """Write what will be the model; returns the number of bytes.

        Args:
            blocks: makes the model's bytes, given other names for data files.

        Raises:
            UsageError: the file cannot be written, or the disk is full.
        """

        def keep(hidden: _Hidden) -> None:
            self._model = hidden

        self._blocks = blocks
        return self._write(self.target, blocks({}), keep)

    def _write(self, target: Path, blocks: Blocks, keep: Callable[[_Hidden], None]) -> int:
        with explained(target):
            hidden = _Hidden(self.target, target)
            keep(hidden)
        return hidden.write(blocks, sync=self._syncs(target))

    def _syncs(self, target: Path) -> bool:
        return self._sync == "always" or (self._sync == "auto" and target.exists())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._model is not None:
                with _turn_in(self.target.parent):
                    self._put_in_place(self._model)
                    for path in _left_behind(self.target):
                        path.unlink(missing_ok=True)
        finally:
            for hidden in (*self._data, *(() if self._model is None else (self._model,))):
                # A model that refers to data by their hidden names stands: they stay with it.
                hidden.end(keep=self._passing and hidden is not self._model)

    def _put_in_place(self, model: _Hidden) -> None:
        durable = self._sync == "always" or self._syncs(self.target)
        standing = [data for data in self._data if data.target.exists()] if self.target.exists() else []
        placed: list[Path] = []
        try:
            for data in self._data:
                if data not in standing:
                    fresh = not data.target.exists()
                    data.rename()
                    if fresh:
                        placed.append(data.target)
            if standing:
                self._pass_over(standing, durable)
            else:
                model.rename()
        except BaseException:
            if not self._passing:
                for path in placed:
                    path.unlink(missing_ok=True)
            raise
        if standing:
            try:
                for data in standing:
                    data.link()
                model.rename()
            except UsageError as error:
                error.what += "; the new model stands, with its data under hidden names"
                error.hint = "export again, which puts that right"
                raise
            self._passing = False
            for data in standing:
                data.path.unlink()
        if durable:
            _sync_folder(self.target.parent)

    def _pass_over(self, standing: list[_Hidden], durable: bool) -> None:
        """Put a model in place that refers to new data by their hidden names."""
        assert self._blocks is not None
        with explained(self.target):
            passing = _Hidden(self.target, self.target)
        try:
            passing.write(self._blocks({data.target.name: data.path.name for data in standing}), sync=durable)
            # From here on a model may stand that needs the hidden data.
            self._passing = True
            try:
                passing.rename()
            except UsageError:
                self._passing = False
                raise
            if durable:
                _sync_folder(self.target.parent)
        finally:
            passing.end(keep=False)


class _Hidden:
    """A file on its way to `target`, under a hidden name beside it, locked as long as its writer lives."""

    def __init__(self, model: Path, target: Path) -> None:
        self.target = target
        self._lock: int | None = None
        while True:
            self.path = target.with_name(f".{model.name}.{secrets.token_hex(4)}.part")
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
            self._file: Any = os.fdopen(handle, "wb", buffering=0)
            if fcntl is None:
                return
            with contextlib.suppress(OSError):  # a file system without locks: then nobody removes the file either
                fcntl.flock(handle, fcntl.LOCK_EX)
            # Somebody who tidies up may have taken it for left behind before it was locked.
            if os.fstat(handle).st_nlink:
                self._lock = os.dup(handle)
                return
            self._file.close()

    def write(self, blocks: Blocks, *, sync: bool) -> int:
        count = 0
        with explained(self.target, lambda: count), self._file as file:
            with contextlib.suppress(OSError):
                os.chmod(self.path, stat.S_IMODE(self.target.stat().st_mode))
            for written in write_in_pieces(file, made_ahead(gathered(blocks))):
                count += written
            if sync:
                os.fsync(file.fileno())
        return count

    def rename(self) -> None:
        with explained(self.target):
            os.replace(self.path, self.target)

    def link(self) -> None:
        """Let the target have the same file, and keep the hidden name."""
        second = self.path.with_suffix(".link.part")
        with explained(self.target):
            try:
                os.link(self.path, second)
            except OSError:  # a file system without hard links
                shutil.copyfile(self.path, second)
            os.replace(second, self.target)

    def end(self, *, keep: bool) -> None:
        with contextlib.suppress(OSError):
            self._file.close()
        if not keep:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _left_behind(model: Path) -> Iterator[Path]:
    """Yield the hidden files that processes have left which were killed while they replaced this model."""
    if fcntl is None:
        return
    hidden = re.compile(rf"\.{re.escape(model.name)}\.[0-9a-f]{{8}}(\.link)?\.part")
    for name in filter(hidden.fullmatch, os.listdir(model.parent)):
        path = model.parent / name
        with contextlib.suppress(OSError):
            handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                yield path
            finally:
                os.close(handle)


@contextlib.contextmanager
def _turn_in(folder: Path) -> Iterator[None]:
    """Wait until nobody else renames files in a folder; where folders cannot be locked, do not wait."""
    handle = None
    if fcntl is not None:
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY)
            fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if handle is not None:
            os.close(handle)


def _sync_folder(folder: Path) -> None:
    # Some systems (Windows, some network file systems) cannot open or sync a folder; the rename itself is done.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
