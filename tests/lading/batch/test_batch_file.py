# SPDX-License-Identifier: Apache-2.0
"""Files of exports: what they come to, and what is refused, with file, line and key; the schema agrees."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
from lading.pipeline.errors import RecipeError

from lading.batch.file import batch_schema, load_batch

try:
    import tomllib
except ImportError:
    import tomli as tomllib

FULL = """
[batch]
output = "files"
recipes = ["inference", "web"]
opsets = [13, "latest"]
set = ["verify.samples=0"]

[model.one]
model = "one.py:make"

[model.two]
model = "package.two:make"
recipes = ["inference"]
opsets = []
inputs = ["x:float32[batch=2,8]"]
weights = "weights.safetensors"
verify = false
set = ["lower.kernels=any"]
"""


def written(folder: Path, text: str) -> Path:
    (folder / "exports.toml").write_text(text)
    return folder / "exports.toml"


def test_each_model_with_each_recipe_and_opset(tmp_path: Path) -> None:
    batch = load_batch(written(tmp_path, FULL))
    assert [
        "one/inference/13",
        "one/inference/latest",
        "one/web/13",
        "one/web/latest",
        "two/inference",
    ] == [job.name for job in batch.jobs]
    assert str(tmp_path / "files" / "one" / "web-opset13.onnx") == batch.jobs[2].file


def test_a_model_says_what_differs_from_the_defaults(tmp_path: Path) -> None:
    job = load_batch(written(tmp_path, FULL)).jobs[-1]
    assert ("package.two:make", None, False, ("verify.samples=0", "lower.kernels=any")) == (
        job.model,
        job.opset,
        job.verify,
        job.settings,
    )


def test_files_are_as_seen_from_the_file_of_exports(tmp_path: Path) -> None:
    jobs = load_batch(written(tmp_path, FULL)).jobs
    assert (f"{tmp_path}/one.py:make", f"{tmp_path}/weights.safetensors") == (jobs[0].model, jobs[-1].weights)


WRONG = [
    ('[batsh]\n[model.a]\nmodel = "a:b"', 1, "unknown table 'batsh'", "did you mean 'batch'?"),
    ('[model.a]\nmodel = "a:b"\nrecipe = "web"', 3, "unknown key 'recipe' in [model.a]", "did you mean 'recipes'?"),
    ('[batch]\nopsets = "13"\n[model.a]\nmodel = "a:b"', 2, "batch.opsets", None),
    ('[model.a]\nmodel = "a:b"\nopsets = [6]', 3, "there is no opset 6", '7 or more, or "latest"'),
    ('[model.a]\nmodel = "a:b"\nrecipes = ["wep"]', 3, "no recipe is called 'wep'", "did you mean 'web'?"),
    ('[model.a]\nmodel = "a:b"\ninputs = ["x:float33[2]"]', 3, "float33", None),
    ("[model.a]\nopsets = [13]", 1, "[model.a] has no 'model'", None),
    ("[batch]\n", None, "there is no model", None),
    ('[model.a]\nmodel = "a:b"\n[model.a]', 3, "not TOML", None),
    ('[model."../a"]\nmodel = "a:b"', None, "'../a' cannot be the name of a model", None),
]


@pytest.mark.parametrize(("text", "line", "what", "hint"), WRONG)
def test_what_makes_no_sense_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int | None, what: str, hint: str | None
) -> None:
    file = written(tmp_path, text)
    with pytest.raises(RecipeError) as raised:
        load_batch(file)
    assert what in raised.value.what
    if line is not None:
        assert f"{file}:{line}" == raised.value.where
    if hint is not None:
        assert hint == raised.value.hint


def test_two_exports_that_would_write_one_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "web.toml").write_text('[recipe]\nname = "mine"\nabout = "Mine"\nextends = "web"\n')
    file = written(tmp_path, '[model.a]\nmodel = "a:b"\nrecipes = ["web", "web.toml"]')
    with pytest.raises(RecipeError, match="would write the same file"):
        load_batch(file)


def test_the_schema_admits_what_is_read() -> None:
    jsonschema.Draft7Validator.check_schema(batch_schema())
    jsonschema.Draft7Validator(batch_schema()).validate(tomllib.loads(FULL))


# What a schema can know: not which recipes there are, nor how inputs are specified.
SHAPES = [0, 1, 2, 3, 6, 7, 9]


@pytest.mark.parametrize("text", [WRONG[index][0] for index in SHAPES])
def test_the_schema_refuses_what_is_refused(text: str) -> None:
    assert not jsonschema.Draft7Validator(batch_schema()).is_valid(tomllib.loads(text))
