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
from pathlib import Path

import pytest
from support.pages import Block, blocks_of

from lading.cli import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])

_LEAVES = re.compile(r"#\s*leaves with (\d+)\s*$")


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
