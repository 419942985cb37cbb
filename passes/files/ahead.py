# SPDX-License-Identifier: Apache-2.0
"""Making what is written next while the system writes what came before."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_DEPTH = 4
_LOOKS_UP = 0.1
"""Seconds after which a maker that waits for room looks whether anybody still takes what it makes."""


def made_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield the items of an iterable that runs in a thread of its own, at most a few items ahead.

    Transposing a weight takes as long as writing it, and neither holds Python's lock. An exception of the iterable
    comes up here, in its place; if the caller stops early, so does the thread.
    """
    maker = _Maker(items)
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


class _Maker(threading.Thread, Generic[T]):
    def __init__(self, items: Iterable[T]) -> None:
        super().__init__(name="lading-blocks", daemon=True)
        self.made: queue.Queue[T | _End] = queue.Queue(_DEPTH)
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

    def _hand_over(self, made: T | _End) -> bool:
        while not self.stopped.is_set():
            try:
                self.made.put(made, timeout=_LOOKS_UP)
            except queue.Full:
                continue
            return True
        return False
