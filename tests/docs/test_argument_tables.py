# SPDX-License-Identifier: Apache-2.0
"""The page for those who come from torch.onnx has every argument of both signatures in its tables."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest
import torch
from support.classic_signature import OF_TORCH_1_8

from lading.overrides import FurtherArguments

PAGE = (Path(__file__).parents[2] / "docs" / "from-torch-onnx.md").read_text(encoding="utf-8")


def table(heading: str) -> list[list[str]]:
    """Return the rows of the table under a heading, each as its cells."""
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def named(heading: str) -> list[str]:
    return [name for row in table(heading) for name in re.findall(r"`(\w+)`", row[0])]


CLASSIC, MODERN = named("The arguments of PyTorch 1.8"), named("The arguments of today")


def test_the_classic_table_has_the_arguments_of_torch_1_8_in_their_order():
    assert OF_TORCH_1_8 == CLASSIC


@pytest.mark.parametrize("name", inspect.signature(torch.onnx.export).parameters)
def test_the_installed_torch_has_no_argument_that_the_page_leaves_out(name):
    assert name in {*CLASSIC, *MODERN}


@pytest.mark.parametrize("name", FurtherArguments.__annotations__)
def test_what_lading_takes_without_a_place_of_its_own_is_on_the_page(name):
    assert name in {*CLASSIC, *MODERN}


@pytest.mark.parametrize("row", [*table("The arguments of PyTorch 1.8"), *table("The arguments of today")], ids=str)
def test_every_argument_is_told(row):
    assert (3, True) == (len(row), bool(row[1]))
