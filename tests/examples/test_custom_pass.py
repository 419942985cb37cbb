# SPDX-License-Identifier: Apache-2.0
"""The example of a pass of one's own, inserted in each of the three ways, on a real model."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import lading

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FOLDER = Path(__file__).parents[2] / "examples" / "custom_pass"


@pytest.fixture
def softmax_head(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.find_spec("softmax_head")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SoftmaxHead


@pytest.fixture
def classifier():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 5)), (torch.randn(2, 4, 4),)


def _sums(exported):
    (probabilities,) = exported(torch.randn(2, 4, 4))
    return probabilities.sum(axis=1)


def test_it_is_inserted_by_the_call(classifier, softmax_head):
    exported = lading.export(*classifier, passes=[softmax_head(axis=1)])
    np.testing.assert_allclose(np.ones(2), _sums(exported), rtol=1e-5)


def test_it_is_inserted_by_a_recipe_file(classifier):
    exported = lading.export(*classifier, recipe=FOLDER / "with_softmax.toml")
    np.testing.assert_allclose(np.ones(2), _sums(exported), rtol=1e-5)


def test_it_is_inserted_by_its_entry_point(classifier, tmp_path, monkeypatch):
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    info = tmp_path / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    points = project["entry-points"]["lading.passes"]
    (info / "entry_points.txt").write_text(
        "[lading.passes]\n" + "".join(f"{name} = {place}\n" for name, place in points.items())
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(FOLDER))
    recipe = tmp_path / "by_name.toml"
    recipe.write_text('[recipe]\nname = "by-name"\nabout = "By its name"\nextends = "inference"\n[step.softmax-head]\n')
    exported = lading.export(*classifier, recipe=recipe)
    np.testing.assert_allclose(np.ones(2), _sums(exported), rtol=1e-5)


def test_its_work_is_on_record(classifier, softmax_head):
    exported = lading.export(*classifier, passes=[softmax_head()])
    (event,) = [event for event in exported.events if event.get("pass") == "softmax-head" and "counts" in event]
    assert {"heads added": 1} == event["counts"]


def test_it_declines_an_output_that_is_not_there(classifier, softmax_head):
    exported = lading.export(*classifier, passes=[softmax_head(output="scores")])
    (event,) = [event for event in exported.events if event.get("pass") == "softmax-head" and "counts" in event]
    assert ["the graph has no such output"] == list(event["declined"])


def test_the_node_that_it_made_says_so_in_the_file(classifier, softmax_head):
    exported = lading.export(*classifier, passes=[softmax_head()])
    (softmax,) = [node for node in exported.model_proto.graph.node if node.op_type == "Softmax"]
    assert {"lading.passes": "softmax-head"} == {entry.key: entry.value for entry in softmax.metadata_props}


def test_its_own_tests_pass(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    spec = importlib.util.spec_from_file_location("its_own_tests", FOLDER / "test_softmax_head.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    assert 3 == len(tests)
    for each in tests:
        each()
