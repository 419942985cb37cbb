# SPDX-License-Identifier: Apache-2.0
"""A plan as an SVG file: well-formed, alone, and with everything that the plan says."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from lading.pipeline.report.plan_file import plan_file
from support.fake_passes import STANDARD, plan_of, registry_of

SVG = "{http://www.w3.org/2000/svg}"
TEXT = (
    "[step.capture]\nnodes = 6\n[step.negate-twice]\n"
    '[step.tidy]\nuntil-stable = ["drop-pair"]\nrounds = 2\n'
    "[step.look-around]\nenabled = false\n[step.write]\n"
)


@pytest.fixture
def picture(tmp_path: Path) -> ElementTree.Element:
    return ElementTree.fromstring(plan_file(plan_of(tmp_path, TEXT, registry_of(*STANDARD))))


def words(picture: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in picture.iter(f"{SVG}text")]


def test_it_is_a_document_of_its_own(picture: ElementTree.Element) -> None:
    assert f"{SVG}svg" == picture.tag
    assert picture.find(f"{SVG}style") is not None


def test_the_steps_stand_in_the_order_of_the_plan(picture: ElementTree.Element) -> None:
    steps = [word for word in words(picture) if word in ("capture", "negate-twice", "tidy", "drop-pair", "write")]
    assert "capture" == steps[0]
    assert "write" == steps[-1]
    assert ["tidy", "drop-pair"] == steps[steps.index("tidy") : steps.index("tidy") + 2]


def test_what_is_skipped_stands_there_with_why(picture: ElementTree.Element) -> None:
    assert {"look-around", "skipped: not enabled"} <= set(words(picture))


def test_an_arrow_has_its_reason(picture: ElementTree.Element) -> None:
    reasons = [title.text or "" for path in picture.iter(f"{SVG}path") for title in path.iter(f"{SVG}title")]
    assert any("requires" in reason for reason in reasons)
