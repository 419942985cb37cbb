# SPDX-License-Identifier: Apache-2.0
"""The nodes of a run as the page holds them: columns of plain data, compressed, in text."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

from .stories import Stories


def packed_nodes(stories: Stories) -> str:
    """The nodes and their stories as gzip in base64; the page unpacks them when it is read.

    Columns and not rows: equal values stand side by side, which compresses to a few bytes a node.
    """
    data = json.dumps(columns_of(stories), ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "backslashreplace"
    )
    return base64.b64encode(gzip.compress(data, compresslevel=6, mtime=0)).decode("ascii")


def columns_of(stories: Stories) -> dict[str, Any]:
    """The nodes as columns: for each its number, operator, name, place, parents, birth, end, and chapters."""
    words: dict[str, int] = {}
    places: dict[str, int] = {}

    def word(text: str) -> int:
        return words.setdefault(text, len(words))

    table: dict[str, list[Any]] = {
        key: []
        for key in ("number", "operator", "name", "place", "parents", "born", "birth", "removed", "outputs", "chapters")
    }
    for life in stories.lives.values():
        found = stories.places(life)
        table["number"].append(life.number)
        table["operator"].append(word(life.operator))
        table["name"].append(life.name)
        table["place"].append(places.setdefault(str(found[0]), len(places)) if found else -1)
        table["parents"].append(life.parents)
        table["born"].append(life.born)
        table["birth"].append(stories.birth(life))
        table["removed"].append(-1 if life.removed is None else life.removed)
        table["outputs"].append(life.outputs)
        table["chapters"].append([[c.when, word(c.kind), c.text] for c in life.chapters])
    return {
        **table,
        "words": list(words),
        "places": list(places),
        "visits": stories.visits,
        "leftOut": stories.left_out,
        "complete": stories.complete,
    }
