# SPDX-License-Identifier: Apache-2.0
"""A decoder that is exported once writes what PyTorch writes, from an empty cache to past its window."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

FILE = Path(__file__).parents[2] / "examples" / "generate.py"


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def decoder(generate, tmp_path_factory):
    model, file = generate.trained(steps=30), tmp_path_factory.mktemp("decoder") / "decoder.onnx"
    generate.exported(model, file)
    return model, generate.Runner(file)


@pytest.mark.parametrize("prompt", ["B", "Flat is better", "In the face of ambiguity, refuse"])
def test_each_token_is_that_of_eager(generate, decoder, prompt):
    model, runner = decoder
    words = generate.encoded(prompt)
    length = len(words) + generate.WINDOW + 8
    assert generate.written_by_eager(model, words, length) == generate.written(runner, words, length)
