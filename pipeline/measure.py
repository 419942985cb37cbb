# SPDX-License-Identifier: Apache-2.0
"""Clocks and memory: the volatile end of an event."""

from __future__ import annotations

import sys
import time
from typing import Any

import attrs


@attrs.frozen
class Clock:
    """A moment, on the wall clock and in processor time of the process; `begin` is the moment the run began."""

    wall: float
    cpu: float
    begin: float

    @classmethod
    def now(cls, begin: Clock | None = None) -> Clock:
        """The present moment."""
        wall = time.perf_counter()
        return cls(wall, time.process_time(), wall if begin is None else begin.begin)

    @property
    def at_ms(self) -> float:
        """Milliseconds since the run began."""
        return _ms(self.wall - self.begin)

    def passed(self) -> dict[str, Any]:
        """How long ago this moment is, and the peak of memory, under the keys of an event."""
        return {
            "ms": _ms(time.perf_counter() - self.wall),
            "cpu_ms": _ms(time.process_time() - self.cpu),
            "peak_mb": peak_mb(),
        }


def peak_mb() -> float | None:
    """The highest resident memory of this process so far, in MiB, or None where the system does not say."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    return round(peak / (1024 * 1024 if sys.platform == "darwin" else 1024), 1)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
