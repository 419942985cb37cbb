# SPDX-License-Identifier: Apache-2.0
"""What the pages show runs: blocks of Python, lines of shell that call lading, and the files between them.

The blocks of one page run in order, in one namespace and one temporary folder:

- a block with a title is a file of that name;
- any other ``python`` block is run, as lines of its page;
- of a ``sh`` block, the lines that start with ``lading `` are run, and must leave with 0, or with the number of a
  comment ``# leaves with N`` at their end. Synopses and output stand in ``text`` blocks.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from lading.passes.lower.registry import LOWERINGS

from lading.cli import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)(?P<rest>[^`]*)$")
_TITLE = re.compile(r'title="([^"]+)"')
_LEAVES = re.compile(r"#\s*leaves with (\d+)\s*$")


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


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A temporary folder that looks like the project's root to the examples, left without lowerings of a page's."""
    tmp_path.joinpath("examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    LOWERINGS.load()
    before = {name: LOWERINGS.entries(name) for name in LOWERINGS}
    modules = set(sys.modules)
    yield tmp_path
    for name in list(LOWERINGS):
        for entry in LOWERINGS.entries(name):
            if entry not in before.get(name, ()):
                LOWERINGS.remove(name, entry.since)
    for name in set(sys.modules) - modules:
        # A file of a page, which another page may have too.
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def run_python(block: Block, page: Path, namespace: dict[str, object]) -> None:
    # Padded, so that a traceback and a captured source line name the line of the page.
    code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
    exec(code, namespace)


def run_shell(block: Block, page: Path) -> None:
    for line in block.text.replace("\\\n", " ").splitlines():
        if not line.startswith("lading "):
            continue
        expected = _LEAVES.search(line)
        with pytest.raises(SystemExit) as leaving:
            main(shlex.split(line, comments=True)[1:])
        wanted = int(expected[1]) if expected else 0
        assert (wanted, line) == (leaving.value.code or 0, line), f"{page.name}:{block.line}"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_blocks_of_a_page_run(page, folder):
    namespace: dict[str, object] = {"__name__": f"page_{page.stem}"}
    for block in blocks_of(page):
        if block.title is not None:
            place = folder / block.title
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            run_python(block, page, namespace)
        elif block.language == "sh":
            run_shell(block, page)


def test_the_readme_opens_with_its_two_commands():
    shell = [block for block in blocks_of(ROOT / "README.md") if block.language == "sh"]
    assert ["lading export", "pytest"] == [
        found for block, found in zip(shell[:2], ("lading export", "pytest"), strict=True) if found in block.text
    ]


def test_each_of_the_two_commands_is_one_line():
    shell = [block for block in blocks_of(ROOT / "README.md") if block.language == "sh"]
    assert [1, 1] == [len(block.text.strip().splitlines()) for block in shell[:2]]
