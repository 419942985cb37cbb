# SPDX-License-Identifier: Apache-2.0
"""Text files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from .pipeline.errors import UsageError


def write_whole(file: Path, text: str) -> None:
    """Write a file that is there whole or not at all.

    Raises:
        UsageError: it cannot be written.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8", errors="backslashreplace")
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"the file cannot be written: {error.strerror}", where=str(file)) from error
