# SPDX-License-Identifier: Apache-2.0
"""Making what is written next while the system writes what came before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator, Sized
from typing import Generic, TypeVar

B = TypeVar("B", bound=Sized)

_DEPTH = 4
_ALONE = 16 << 20
"""Bytes that are made without a thread: if there are no more, one would cost more than it saves."""
_LOOKS_UP = 0.1
"""Seconds after which a maker that waits for room looks whether anybody still takes what it makes."""


def made_ahead(blocks: Iterable[B]) -> Iterator[B]:
    """Yield the blocks of an iterable; what comes after the first few is made in a thread, some blocks ahead.

    Transposing a weight takes as long as writing it, and neither holds Python's lock. An exception of the iterable
    comes up here, in its place; if the caller stops early, so does the thread.
    """
    rest = iter(blocks)
    alone = 0
    while alone < _ALONE:
        try:
            block = next(rest)
        except StopIteration:
            return
        alone += len(block)
        yield block
        del block
    maker = _Maker(rest)
    maker.start()
    try:
        while True:
            made = maker.made.get()
            if isinstance(made, _End):
                if made.error is not None:
                    raise made.error
                return
            yield made
            del made
    finally:
        maker.stopped.set()
        maker.join()


class _End:
    """The last thing that a maker hands over: no more items, or why there are none."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


class _Maker(threading.Thread, Generic[B]):
    def __init__(self, items: Iterable[B]) -> None:
        super().__init__(name="lading-blocks", daemon=True)
        self.made: queue.Queue[B | _End] = queue.Queue(_DEPTH)
        self.stopped = threading.Event()
        self._items = items

    def run(self) -> None:
        try:
            for item in self._items:
                if not self._hand_over(item):
                    return
        except BaseException as error:
            self._hand_over(_End(error))
        else:
            self._hand_over(_End())

    def _hand_over(self, made: B | _End) -> bool:
        while not self.stopped.is_set():
            try:
                self.made.put(made, timeout=_LOOKS_UP)
            except queue.Full:
                continue
            return True
        return False
