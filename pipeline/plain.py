# SPDX-License-Identifier: Apache-2.0
"""Options and records as plain data: what TOML and JSON can hold, and the TOML text of it."""

from __future__ import annotations

import enum
import json
import math
import os
import re
from collections.abc import Mapping
from typing import Any

from .structure import NONE_TEXT

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def to_plain(value: Any) -> Any:
    """`value` as text, numbers, booleans, None, lists and string-keyed dictionaries.

    What has no such form becomes "<its type>": its content, and any address in its repr, have no place in a record.
    """
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, enum.Enum):
        return to_plain(value.value) if isinstance(value.value, str) else value.name.lower()
    if isinstance(value, (int, float)):
        return int(value) if isinstance(value, int) else float(value)
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((to_plain(item) for item in value), key=str)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if hasattr(value, "item") and getattr(value, "shape", None) == ():
        # Scalars of numpy and torch; an array of them is not a record.
        return to_plain(value.item())
    return f"<{type(value).__module__}.{type(value).__qualname__}>"


def toml_value(value: Any) -> str:
    """The TOML text of plain data, on one line.  None is written as the text that stands for it."""
    if value is None:
        return toml_value(NONE_TEXT)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        if math.isnan(value):
            return "nan"
        return repr(value) if math.isfinite(value) else ("inf" if value > 0 else "-inf")
    if isinstance(value, str):
        # JSON escapes are TOML escapes, but for DEL, which TOML wants escaped and JSON does not.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(toml_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        items = ", ".join(f"{toml_key(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{{items}}}" if not items else f"{{ {items} }}"
    raise TypeError(f"{type(value).__name__} is not plain data")


def toml_key(key: str) -> str:
    """A key as TOML writes it, quoted where needed."""
    return key if _BARE_KEY.fullmatch(key) else toml_value(key)
