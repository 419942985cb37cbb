# SPDX-License-Identifier: Apache-2.0
"""The fenced blocks of a page of the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import attrs

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)(?P<rest>[^`]*)$")
_TITLE = re.compile(r'title="([^"]+)"')


@attrs.frozen
class Block:
    """A fenced block: where its text starts, in which language it is, and its title or None."""

    line: int
    language: str
    title: str | None
    text: str


def blocks_of(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, without their indentation."""
    opened: re.Match[str] | None = None
    begun, held = 0, []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        if opened is None:
            opened = _FENCE.match(line)
            begun, held = number + 1, []
        elif line.strip() == "```":
            title = _TITLE.search(opened["rest"])
            yield Block(begun, opened["language"], title[1] if title else None, "\n".join(held) + "\n")
            opened = None
        else:
            held.append(line.removeprefix(opened["indent"]))
    assert opened is None, f"{page.name} leaves a block open"
