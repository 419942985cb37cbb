# SPDX-License-Identifier: Apache-2.0
"""The page in headless Chromium: stories, keys, screens of all sizes, both schemes of colours, many nodes."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lading.pipeline.origin import Origin, set_origin
from lading.pipeline.report.page import page
from support.browser import Browser, chromium
from support.fake_passes import chain_model, fake
from support.recorded_runs import TEXT, lowered, recorded

pytestmark = pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine")

MANY = 5000


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    started = Browser(tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A page of a small run with origins, one with groups, and one of many nodes."""
    from lading.pipeline.facts import Fact

    def capture(self: Any, work: Any, note: Any) -> None:
        work.model = chain_model(MANY)
        for number, node in enumerate(work.model.graph):
            set_origin(node, Origin(f"layer.{number // 50}", "Layer", f"model.py:{number % 97}"))

    many = fake("capture-many", capture, provides=(Fact.ONNX,))
    folder = tmp_path_factory.mktemp("pages")
    runs = {
        "small": lowered(folder),
        "groups": recorded(folder, TEXT.replace("[step.look-around]\nenabled = false\n", "[step.look-around]\n")),
        "many": recorded(folder, "[step.capture-many]\n", many),
    }
    found = {}
    for name, run in runs.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(page(run), encoding="utf-8")
    return found


def show(browser: Browser, file: Path, fragment: str = "", **screen: Any) -> None:
    browser.screen(screen.pop("width", 1280), screen.pop("height", 900), **screen)
    browser.open(file, fragment)
    browser.wait("document.documentElement.dataset.ready === 'yes'")


def story(browser: Browser) -> str:
    return str(browser.of("document.getElementById('story').innerText"))


def options(browser: Browser) -> int:
    return int(browser.of("document.querySelectorAll('#list [role=option]').length"))


def search(browser: Browser, text: str, count: str) -> None:
    browser.of("document.getElementById('search').focus()")
    browser.of("document.getElementById('search').value = ''")
    browser.type(text)
    browser.wait(f"document.getElementById('count').textContent === {count!r}")


@pytest.mark.parametrize("name", ["small", "groups", "many"])
def test_the_page_asks_the_network_for_nothing_and_complains_of_nothing(
    name: str, browser: Browser, files: dict[str, Path]
) -> None:
    show(browser, files[name])
    assert ([], [files[name].resolve().as_uri()]) == (browser.said, browser.asked)


def test_a_search_finds_nodes_by_words_in_any_order(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["many"])
    search(browser, "model.py:7, layer.3", "0 nodes")
    search(browser, "layer.7 Neg", "275 nodes")


def test_a_node_tells_its_story_when_it_is_chosen(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["small"])
    browser.of("document.querySelector('#list [role=option]').click()")
    assert "aten::linear in encoder.0 (Block), model.py:7" in story(browser)


def test_the_address_names_the_chosen_node(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["small"])
    browser.of("document.querySelectorAll('#list [role=option]')[1].click()")
    assert "#node=2" == browser.of("location.hash")


def test_an_address_with_a_node_opens_its_story(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["many"], "#node=4321")
    assert "#4321" in story(browser)
    assert browser.of("document.querySelector('#list [aria-selected=true]') !== null")


def test_a_number_in_a_story_leads_to_that_node(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["groups"], "#node=7")
    browser.of("document.querySelector('#story button').click()")
    assert "#node=7" != browser.of("location.hash")


def test_nodes_that_are_gone_are_shown_when_asked_for(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["groups"])
    before = browser.of("document.getElementById('count').textContent")
    browser.of("document.getElementById('gone').click()")
    assert ("6 nodes", "8 nodes") == (before, browser.of("document.getElementById('count').textContent"))


def test_the_list_holds_only_what_is_seen(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["many"])
    assert 5 < options(browser) < 60
    assert MANY * 52 == browser.of("document.querySelector('#list').scrollHeight")


def test_the_list_is_drawn_anew_as_it_is_scrolled(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["many"])
    browser.of("document.getElementById('list').scrollTop = 1e9")
    browser.wait(f"document.querySelector('#list [aria-posinset=\"{MANY}\"]') !== null")


def test_the_arrow_keys_go_through_the_list(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["many"])
    browser.of("document.getElementById('list').focus()")
    browser.press("ArrowDown", 3)
    browser.press("ArrowUp")
    assert "#node=2" == browser.of("location.hash")
    browser.press("End")
    assert f"#node={MANY}" == browser.of("location.hash")
    browser.press("Home")
    assert "#node=1" == browser.of("location.hash")


def test_a_screen_reader_is_told_which_node_is_chosen(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["many"])
    browser.of("document.getElementById('list').focus()")
    browser.press("ArrowDown", 2)
    chosen = "document.getElementById(document.getElementById('list').getAttribute('aria-activedescendant'))"
    said = browser.of(f"[{chosen}.getAttribute('aria-selected'), {chosen}.getAttribute('aria-posinset')]")
    assert ["true", "2"] == said


def test_a_slash_goes_to_the_search_and_enter_to_its_first_find(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["many"])
    browser.press("/")
    assert "search" == browser.of("document.activeElement.id")
    search(browser, "#4999", "1 node")
    browser.press("Enter")
    assert "#node=4999" == browser.of("location.hash")


def test_the_tab_key_begins_with_the_way_to_the_content(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["small"])
    browser.press("Tab")
    assert ["skip", True] == browser.of(
        "[document.activeElement.className, document.activeElement.getBoundingClientRect().left >= 0]"
    )


def test_everything_that_scrolls_or_is_chosen_can_be_reached_by_tab(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["groups"])
    reached = set()
    for _ in range(90):
        browser.press("Tab")
        reached.add(browser.of("document.activeElement.id || document.activeElement.tagName"))
    assert {"search", "gone", "list", "story", "A", "SUMMARY", "PRE"} <= reached


@pytest.mark.parametrize("name", ["small", "groups", "many"])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_the_page_is_never_wider_than_the_screen(
    width: int, name: str, browser: Browser, files: dict[str, Path]
) -> None:
    show(browser, files[name], "#node=2", width=width, height=800, phone=width < 700)
    assert width >= browser.of("document.documentElement.scrollWidth")


CONTRAST = """
(() => {
  const parse = (color) => { const n = color.match(/[\\d.]+/g).map(Number); return n.length < 4 ? [...n, 1] : n; };
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    let under = [255, 255, 255];
    for (const [r, g, b, a] of layers.reverse()) under = [r, g, b].map((c, i) => c * a + under[i] * (1 - a));
    return under;
  };
  const poor = [];
  for (const element of document.querySelectorAll('body *:not(script):not(style):not(svg):not(svg *)')) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility()) continue;
    const [one, other] = [light(parse(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) poor.push(`${element.tagName}.${element.className} ${ratio.toFixed(2)}`);
  }
  return [...new Set(poor)];
})()
"""


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_stands_out_from_what_is_behind_it(dark: bool, browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["groups"], "#node=7", dark=dark)
    browser.of("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert [] == browser.of(CONTRAST)


def test_the_page_follows_the_scheme_of_the_reader(browser: Browser, files: dict[str, Path]) -> None:
    colours = []
    for dark in (False, True):
        show(browser, files["small"], dark=dark)
        said = str(browser.of("getComputedStyle(document.body).backgroundColor"))
        colours.append(sum(map(int, re.findall(r"\d+", said))) / 3)
    assert colours[0] > 200 > 60 > colours[1]


def test_headings_go_down_one_level_at_a_time(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["groups"], "#node=2")
    levels = browser.of("[...document.querySelectorAll('h1, h2, h3, h4')].map((one) => Number(one.tagName[1]))")
    assert (1, 1) == (levels[0], levels.count(1))
    assert all(then - first <= 1 for first, then in itertools.pairwise(levels))


def test_landmarks_are_there_and_named(browser: Browser, files: dict[str, Path]) -> None:
    show(browser, files["groups"])
    counted = browser.of("['header', 'nav', 'main', 'footer'].map((one) => document.querySelectorAll(one).length)")
    assert [1, 1, 1, 1] == counted
    assert browser.of("[...document.querySelectorAll('section')].every((one) => one.matches('[aria-labelledby]'))")


def test_without_scripts_everything_but_the_nodes_is_there(browser: Browser, files: dict[str, Path]) -> None:
    browser.screen(1280, 900)
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(files["groups"])
        text = browser.of("document.body.innerText")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert "negate-twice" in text
    assert "lading audit LOG --node NAME tells the same" in text
