# SPDX-License-Identifier: Apache-2.0
"""The page of a run: one file that fetches nothing, and holds what the log holds without running any of it."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from lading.pipeline.facts import Fact
from lading.pipeline.report.page import page
from lading.pipeline.report.page_nodes import columns_of, packed_nodes
from lading.pipeline.report.runs import Run
from lading.pipeline.report.stories import Stories
from support.fake_passes import fake
from support.recorded_runs import editing, lowered, recorded

VOID = {"meta", "input", "br", "wbr"}
SECTIONS = ("plan", "time", "operators", "passes", "declined", "nodes", "recipe", "environment")


class Outline(HTMLParser):
    """The elements of a page, and whether each is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert tag == self.open.pop()

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def fail(self: Any, work: Any, note: Any) -> None:
    raise ZeroDivisionError("oh")


RUNS = {
    "whole": recorded,
    "with origins": lowered,
    "without nodes": lambda folder: recorded(folder, level="steps"),
    "failed": lambda folder: recorded(
        folder, "[step.capture]\n[step.broken]\n", fake("broken", fail, requires=(Fact.ONNX,))
    ),
    "killed": lambda folder: Run(recorded(folder).events[:6]),
    "killed at once": lambda folder: Run(recorded(folder).events[:1]),
}


@pytest.mark.parametrize("kind", RUNS)
def test_every_element_is_closed(kind: str, tmp_path: Path) -> None:
    assert [] == Outline(page(RUNS[kind](tmp_path))).open


@pytest.mark.parametrize("kind", RUNS)
def test_every_section_is_there_and_has_its_heading(kind: str, tmp_path: Path) -> None:
    outline = Outline(page(RUNS[kind](tmp_path)))
    ids = {attributes.get("id") for _, attributes in outline.elements}
    assert {*SECTIONS, *(f"{name}-title" for name in SECTIONS)} <= ids


def test_no_id_is_given_twice(tmp_path: Path) -> None:
    ids = [attributes["id"] for _, attributes in Outline(page(recorded(tmp_path))).elements if "id" in attributes]
    assert len(set(ids)) == len(ids)


def test_nothing_is_fetched(tmp_path: Path) -> None:
    outline = Outline(page(recorded(tmp_path)))
    assert not [a for tag, a in outline.elements if "src" in a or tag in ("link", "img", "iframe")]
    assert all((attributes["href"] or "").startswith("#") for attributes in outline.of("a"))


def test_the_policy_lets_only_the_script_and_style_of_the_page_run(tmp_path: Path) -> None:
    text = page(recorded(tmp_path))
    (policy,) = (a["content"] for a in Outline(text).of("meta") if a.get("http-equiv") == "Content-Security-Policy")
    script = re.search(r"<script>(.*?)</script>", text, re.DOTALL)
    assert script is not None
    digest = base64.b64encode(hashlib.sha256(script[1].encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in str(policy)
    assert "default-src 'none'" in str(policy)


EVIL = "</script><script>alert(1)</script><img src=x onerror=alert(1)>\"'"


def test_what_a_log_holds_is_never_markup(tmp_path: Path) -> None:
    def spoil(graph: Any, note: Any) -> None:
        graph[0].name = EVIL
        note.warned(EVIL, detail=EVIL)
        note.decided(EVIL, EVIL, graph[0], key=EVIL)
        note.declined(graph[0], EVIL)
        note.count(EVIL)

    run = lowered(tmp_path, editing("spoil", spoil))
    opening = {**run.opening, "recipe": EVIL, "versions": {EVIL: EVIL}, "model": {"class": EVIL}}
    outline = Outline(page(Run([opening, *run.events[1:]])))
    assert ([], 2) == (outline.of("img"), len(outline.of("script")))


def test_the_nodes_come_back_as_they_are(tmp_path: Path) -> None:
    stories = Stories.of(lowered(tmp_path))
    unpacked = json.loads(gzip.decompress(base64.b64decode(packed_nodes(stories))))
    assert unpacked == json.loads(json.dumps(columns_of(stories)))


def test_the_same_run_gives_the_same_page(tmp_path: Path) -> None:
    run = recorded(tmp_path)
    assert page(run) == page(run)


def test_a_failure_stands_before_everything_else(tmp_path: Path) -> None:
    text = page(RUNS["failed"](tmp_path))
    assert text.index("ZeroDivisionError: oh") < text.index('id="plan"')


def test_a_killed_run_names_the_pass_that_was_running(tmp_path: Path) -> None:
    events = list(recorded(tmp_path).events)
    started = [index for index, event in enumerate(events) if event["event"] == "pass.started"]
    assert "The log ends while negate-twice was running" in page(Run(events[: started[1] + 1]))


def test_a_value_of_the_recipe_says_where_it_comes_from(tmp_path: Path) -> None:
    assert re.search(r'nodes = 6  <span class="from"># recipe: [^<]*test.toml:5', page(recorded(tmp_path)))
