# SPDX-License-Identifier: Apache-2.0
"""Every page of the documentation is in the navigation of the site."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_page_is_left_out_and_none_is_missing():
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:")[2]
    assert pages == set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE))
