# SPDX-License-Identifier: Apache-2.0
"""Exports in processes that order sets and dictionaries of strings differently are the same, byte for byte."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from support.example_models import EXAMPLES

MODELS = ("lstm_tagger.py:lstm_tagger", "resnet.py:resnet50_narrow", "translator.py:translator")
RECIPES = ("inference", "training")

SCRIPT = """
import sys
from pathlib import Path

import lading
from lading.model_reference import load_model

folder, recipes, models = Path(sys.argv[1]), sys.argv[2].split(), sys.argv[3].split()
for number, reference in enumerate(models):
    named = load_model(reference)
    for recipe in recipes:
        file, axes = folder / f"{number}-{recipe}.onnx", named.dynamic_axes
        lading.export(named.model, named.args, file, kwargs=named.kwargs, dynamic_axes=axes, recipe=recipe)
"""


def test_exports_do_not_depend_on_the_order_of_hashes(tmp_path: Path) -> None:
    models = " ".join(str(EXAMPLES / model) for model in MODELS)
    running = []
    for seed in ("1", "4242"):
        folder = tmp_path / seed
        folder.mkdir()
        command = [sys.executable, "-c", SCRIPT, str(folder), " ".join(RECIPES), models]
        running.append((folder, subprocess.Popen(command, env={**os.environ, "PYTHONHASHSEED": seed})))
    assert [0, 0] == [process.wait() for _, process in running]
    first, second = (
        {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in folder.iterdir()} for folder, _ in running
    )
    assert len(MODELS) * len(RECIPES) == len(first)
    assert first == second
