# SPDX-License-Identifier: Apache-2.0
"""``lading recipes``, ``plan`` and ``passes``, and a recipe resolved from Python."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import onnx
import pytest
import torch

import lading as package

PHONE = '[recipe]\nname = "phone"\nabout = "For phones"\nextends = "web"\n'


@pytest.fixture
def project(nets):
    Path("exports").mkdir()
    Path("exports/phone.toml").write_text(PHONE)
    Path("pyproject.toml").write_text(
        '[tool.lading]\nrecipe = "phone"\nrecipe-folders = ["exports"]\n[tool.lading.set]\ntarget.opset = 16\n'
    )


def test_each_recipe_is_listed_on_one_line(lading):
    lines = lading("recipes").out.splitlines()
    assert len(json.loads(lading("recipes", "--format", "json").out)) == len(lines)


def test_show_may_be_left_out(lading):
    assert lading("recipes", "show", "debug").out == lading("recipes", "debug").out
    assert lading("passes", "show", "lower").out == lading("passes", "lower").out


@pytest.mark.parametrize(
    ("line", "setting"),
    [
        ("opset = 17  # override: --set target.opset=17", "target.opset=17"),
        ("doc_strings = true  # recipe: recipes/debug.toml:10", "tidy.rounds=2"),
        ("rounds = 2  # override: --set tidy.rounds=2", "tidy.rounds=2"),
        ("size_limit = 1048576  # default of fold-constants", "tidy.rounds=2"),
    ],
)
def test_resolved_says_where_each_value_is_from(lading, line, setting):
    assert line in lading("recipes", "show", "debug", "--resolved", "--set", setting).out.splitlines()


def test_resolved_says_something_of_every_value(lading):
    lines = lading("recipes", "show", "inference", "--resolved").out.splitlines()
    values = lines[lines.index("[target]") :]
    assert [] == [line for line in values if " = " in line and "  # " not in line]


def test_a_flat_recipe_makes_the_same_file(nets, lading):
    settings = ["--set", "target.opset=16", "--set", "fold-constants.size_limit=9"]
    Path("flat.toml").write_text(lading("recipes", "show", "web", "--flat", *settings).out)
    assert 0 == lading("export", "nets.py:net", "-o", "a.onnx", "-r", "web", *settings).code
    assert 0 == lading("export", "nets.py:net", "-o", "b.onnx", "-r", "flat.toml").code
    assert Path("a.onnx").read_bytes() == Path("b.onnx").read_bytes()


def test_diff_names_the_values(lading):
    assert lading("recipes", "diff", "inference", "inference-opset9").out.startswith("inference -> inference-opset9")
    found = json.loads(lading("recipes", "diff", "inference", "inference-opset9", "--format", "json").out)
    assert ["target.opset"] == [change["key"] for change in found["changes"]]


def test_new_writes_a_recipe_that_runs(nets, lading):
    assert 0 == lading("recipes", "new", "--from", "web", "mine.toml").code
    assert "web and mine do the same\n" == lading("recipes", "diff", "web", "mine.toml").out


def test_new_extends_a_file_from_another_folder(nets, lading):
    Path("phone.toml").write_text(PHONE)
    Path("below").mkdir()
    lading("recipes", "new", "--from", "phone.toml", "below/mine.toml")
    assert 'extends = "../phone.toml"' in Path("below/mine.toml").read_text()
    assert "do the same" in lading("recipes", "diff", "phone.toml", "below/mine.toml").out


def test_new_overwrites_nothing(nets, lading):
    Path("mine.toml").write_text("mine")
    assert 2 == lading("recipes", "new", "mine.toml").code
    assert "mine" == Path("mine.toml").read_text()


def test_the_schema_is_a_schema(lading):
    jsonschema.Draft7Validator.check_schema(json.loads(lading("recipes", "schema").out))


def test_a_project_gives_the_recipe_and_values(project, lading):
    assert 0 == lading("export", "nets.py:net", "-o", "net.onnx").code
    model = onnx.load("net.onnx")
    assert "phone" == {entry.key: entry.value for entry in model.metadata_props}["lading.recipe"]
    assert 16 == model.opset_import[0].version


def test_the_plan_says_what_the_project_gives(project, lading):
    said = lading("plan").out
    assert "defaults of the project: pyproject.toml, target.opset\n" in said
    assert "opset 16  (override: pyproject.toml:5)" in said


def test_an_option_goes_over_the_project(project, lading):
    lading("export", "nets.py:net", "-o", "net.onnx", "-r", "inference", "--opset", "11")
    assert 11 == onnx.load("net.onnx").opset_import[0].version


def test_recipes_of_the_project_are_listed(project, lading):
    assert "For phones" == json.loads(lading("recipes", "--format", "json").out)["phone"]


def test_python_reads_a_projects_defaults_where_asked_to(project):
    model, x = torch.nn.Linear(4, 2).eval(), torch.randn(3, 4)
    assert 18 == package.export(model, x).opset
    assert 16 == package.export(model, x, defaults=package.find_project()).opset


def test_a_recipe_resolved_from_python_is_one_flat_file(nets):
    resolved = package.resolve("web", overrides={"target.opset": 15}, settings=["tidy.rounds=2"])
    Path("flat.toml").write_text(resolved.to_toml())
    assert resolved.hash == package.resolve("flat.toml").hash


def test_a_plan_is_drawn(lading):
    assert lading("plan", "--svg").out.startswith("<svg xmlns")


def test_a_plan_refuses_functions_at_an_opset_that_has_none(lading):
    refused = lading("plan", "inference-opset13", "--set", 'inline.preserve=["Block"]')
    assert 2 == refused.code
    assert "inline.preserve needs opset 15, and the target is 13" in refused.err


def test_a_plan_is_compared(lading):
    assert "+ verify" in lading("plan", "inference", "--diff", "debug").out.splitlines()
    assert ["verify"] == json.loads(lading("plan", "inference", "--diff", "debug", "--json").out)["added"]


def test_a_difference_cannot_be_drawn(lading):
    assert 2 == lading("plan", "--diff", "debug", "--svg").code


def test_a_pass_shows_a_graph_before_and_after(lading):
    said = lading("passes", "show", "drop-identity").out
    assert (
        said.index("Before::")
        < said.index("After::")
        < said.index("requires  onnx")
        < said.index("signed_zeros = false")
    )
