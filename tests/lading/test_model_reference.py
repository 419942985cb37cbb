# SPDX-License-Identifier: Apache-2.0
"""How MODEL is found, and what is said when it is not."""

from __future__ import annotations

import pytest
from lading.pipeline.errors import UsageError

from lading.model_reference import load_model

FILE = """
import torch
from neighbour import WIDTH

class Net(torch.nn.Linear):
    pass

def alone():
    return Net(WIDTH, 2)

def with_args():
    return alone(), (torch.ones(1, WIDTH),)

def with_kwargs():
    return alone(), (), {"input": torch.ones(1, WIDTH)}

with_kwargs.dynamic_axes = {"input": {0: "batch"}}
ready = alone()

def raising():
    raise RuntimeError("no weights here")

def wrong():
    return "a string"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "nets.py").write_text(FILE)
    (tmp_path / "neighbour.py").write_text("WIDTH = 3\n")
    (tmp_path / "broken.py").write_text("import torch\n1 / 0\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["alone", "ready", "with_args", "with_kwargs"])
def test_a_factory_may_return_a_model_with_or_without_a_call(folder, name):
    assert "Net" == type(load_model(f"nets.py:{name}").model).__name__


def test_axes_that_the_factory_declares_come_along(folder):
    assert {"input": {0: "batch"}} == load_model("nets.py:with_kwargs").dynamic_axes


def test_the_factory_makes_the_model_anew(folder):
    named = load_model("nets.py:alone")
    assert named.model is not named.factory()


def test_a_module_is_found_from_the_working_folder(folder):
    assert 3 == load_model("nets:alone").model.in_features


@pytest.mark.parametrize(
    ("reference", "what", "hint"),
    [
        ("nets.py", "does not name a model", "path/to/file.py:factory"),
        ("nest.py:alone", "no file", "nets.py"),
        ("nets.py:aloen", "no 'aloen'", "alone"),
        ("no_such_module:net", "no module 'no_such_module'", "path/to/file.py:factory"),
        ("broken.py:net", "ZeroDivisionError", "broken.py:2"),
        ("nets.py:raising", "no weights here", "nets.py:"),
        ("nets.py:wrong", "returned str", "return a model"),
    ],
)
def test_what_cannot_be_had_says_what_and_what_would_work(folder, reference, what, hint):
    with pytest.raises(UsageError) as caught:
        load_model(reference)
    assert what in str(caught.value)
    assert hint in str(caught.value)
