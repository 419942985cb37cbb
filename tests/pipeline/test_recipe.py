# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path

import pytest
from lading.passes import BUILTIN
from lading.pipeline.errors import RecipeError, UsageError
from lading.pipeline.plan import make_plan
from lading.pipeline.recipe import Setting, load_recipe, shipped_recipes
from lading.pipeline.registry import Registry
from lading.pipeline.resolve import resolve
from support.fake_passes import recipe_file

HEAD = '[recipe]\nname = "r"\nabout = "x"\n'


def failure(path: Path | str) -> str:
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    return str(caught.value)


def test_shipped_recipes_are_those_of_the_documentation() -> None:
    expected = {"base", "inference", "inference-opset13", "inference-opset9", "inference-latest", "debug"}
    assert expected <= set(shipped_recipes())


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_goes_by_its_own_name(name: str) -> None:
    assert name == load_recipe(name).name


def test_inference_is_for_opset_18() -> None:
    assert 18 == load_recipe("inference").target["opset"].value


def test_values_know_file_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = load_recipe(recipe_file(tmp_path, HEAD + "[step.trace]\nenabled = false\n"))
    assert Setting(False, "recipe", "test.toml:5") == recipe.steps["trace"]["enabled"]


def test_dashes_and_underscores_are_the_same_in_keys(tmp_path: Path) -> None:
    recipe = load_recipe(recipe_file(tmp_path, '[step.tidy]\nuntil-stable = ["a"]\n'))
    assert ["a"] == recipe.steps["tidy"]["until_stable"].value


def test_extends_merges_key_by_key(tmp_path: Path) -> None:
    recipe_file(tmp_path, HEAD + "[target]\nopset = 9\n[step.a]\none = 1\ntwo = 2\n", "parent")
    child = recipe_file(tmp_path, '[recipe]\nname = "c"\nabout = "x"\nextends = "parent.toml"\n[step.a]\ntwo = 3\n')
    recipe = load_recipe(child)
    settings = {key: (setting.value, setting.source) for key, setting in recipe.steps["a"].items()}
    assert {"one": (1, "parent"), "two": (3, "recipe")} == settings


def test_extends_takes_the_target_too(tmp_path: Path) -> None:
    recipe_file(tmp_path, HEAD + "[target]\nopset = 9\n", "parent")
    child = recipe_file(tmp_path, '[recipe]\nname = "c"\nabout = "x"\nextends = "parent.toml"\n')
    assert 9 == load_recipe(child).target["opset"].value


def test_extends_takes_shipped_names(tmp_path: Path) -> None:
    child = recipe_file(tmp_path, '[recipe]\nname = "c"\nabout = "x"\nextends = "inference"\n')
    assert ("c", "inference", "base") == load_recipe(child).lineage


def test_a_circle_of_extends_is_walked(tmp_path: Path) -> None:
    for name, parent in (("a", "b"), ("b", "c"), ("c", "b")):
        recipe_file(tmp_path, f'[recipe]\nname = "{name}"\nabout = "x"\nextends = "{parent}.toml"\n', name)
    assert f"in a circle: {tmp_path}/b.toml -> {tmp_path}/c.toml -> {tmp_path}/b.toml" in failure(tmp_path / "a.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[recipe]\nname = "r"\nabout = "x"\nextend = "base"\n', "\n  at: FILE:4\n  try: did you mean 'extends'?"),
        ('[recipe]\nname = "r"\n', "[recipe] has no 'about'\n  at: FILE:1"),
        ('[recipe]\nname = "r"\nabout = 3\n', "recipe.about must be text, not 3\n  at: FILE:3"),
        (HEAD + "[targets]\nopset = 9\n", "'targets'\n  at: FILE:4\n  try: did you mean 'target'?"),
        (HEAD + "[steps.trace]\n", "unknown table 'steps'"),
        (HEAD + "[target]\nopsett = 9\n", "'opsett' in [target]\n  at: FILE:5\n  try: did you mean 'opset'?"),
        (HEAD + "[step]\ntrace = 3\n", "step.trace is not a table"),
        (HEAD + "[step.target]\n", "'target' cannot be the id of a step\n  at: FILE:4"),
        (HEAD + '[step."a b"]\n', "'a b' cannot be the id of a step"),
        (HEAD + "[step.a]\nsize-limit = 1\nsize_limit = 2\n", "'size_limit' is given twice in [step.a]\n  at: FILE:6"),
        (HEAD + "[step.a]\nx = 1\nx = 2\n", "recipe is not TOML"),
        (HEAD + "target = 3\n", "unknown key 'target' in [recipe]"),
        ("target = 3\n" + HEAD, "'target' is not a table\n  at: FILE:1"),
        (HEAD + "[step.a\n", "recipe is not TOML: "),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(text: str, message: str, tmp_path: Path) -> None:
    path = recipe_file(tmp_path, text)
    assert message.replace("FILE", str(path)) in failure(path)


def test_a_syntax_error_has_its_line(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, HEAD + "[step.a]\nx = \n")
    assert f"at: {path}:5" in failure(path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("inferense", "no recipe is called 'inferense'\n  try: did you mean 'inference'?"),
        ("missing.toml", "no recipe file 'missing.toml'"),
        ("./missing", "no recipe file './missing'"),
    ],
)
def test_an_unknown_recipe(name: str, message: str) -> None:
    assert message in failure(name)


def test_a_near_file_is_suggested(tmp_path: Path) -> None:
    recipe_file(tmp_path, HEAD, "mine")
    assert "did you mean 'mine.toml'?" in failure(tmp_path / "mime.toml")


def test_a_name_that_is_a_file_is_told_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe_file(tmp_path, HEAD, "mine")
    monkeypatch.chdir(tmp_path)
    assert "a recipe of your own goes by its path: mine.toml" in failure("mine")


def test_a_missing_parent_is_said_where_it_is_named(tmp_path: Path) -> None:
    path = recipe_file(tmp_path, '[recipe]\nname = "c"\nabout = "x"\nextends = "infrence"\n')
    assert f"no recipe is called 'infrence'\n  at: {path}:4" in failure(path)


def test_a_recipe_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe")
    assert "recipe is not UTF-8 text" in failure(path)


@pytest.mark.parametrize(
    ("text", "key", "line"),
    [
        ("[target]\nopset = 5\n", "opset", 5),
        ("[target]\nopsets = 18\n", "opsets", 5),
        ("[target]\n\ncustom_opsets = { acme = 0 }\n", "custom_opsets", 6),
        ("[step.trace]\nenabled = 1\n", "trace.enabled", 5),
        ("[step.trace]\n\nstrategi = 'auto'\n", "strategi", 6),
        ("[step.trace]\nstrategy = 'guess'\n", "trace.strategy", 5),
        ("[step]\ntrace = { strategy = 'guess' }\n", "trace.strategy", 5),
        ("step.trace.strategy = 'guess'\n", "trace.strategy", 2),
        ("[step.trace]\nrounds = 2\n", "trace", 5),
        ("[step.trace]\nexamples = []\n", "examples", 5),
        ("[step.verify]\nrtol = -1\n", "verify.rtol", 5),
        ("[step.nosuch]\n", "nosuch", 4),
        ("[step.mine]\npass = 'nosuch'\n", "nosuch", 5),
        ("[step.mine]\npass = 'nosuch.py:Mine'\n", "nosuch.py", 5),
        ("[step.tidy]\nuntil-stable = []\n", "tidy", 5),
        ("[step.tidy]\nuntil-stable = ['nosuch']\n", "nosuch", 5),
        ("[step.tidy]\nuntil-stable = ['drop-dead']\nlevel = 3\n", "level", 6),
        ("[step.trace]\nafter = ['nosuch']\n", "nosuch", 5),
    ],
)
def test_a_mistake_is_said_with_file_line_and_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, key: str, line: int
) -> None:
    monkeypatch.chdir(tmp_path)
    registry = Registry(BUILTIN, entry_points=False)
    head = HEAD if not text.startswith("step.") else ""
    tail = HEAD if head == "" else ""
    path = tmp_path / "test.toml"
    path.write_text(head + text if head else "\n" + text + tail)
    with pytest.raises(UsageError) as caught:
        make_plan(resolve(load_recipe(path), registry), registry)
    assert key in caught.value.what
    assert f"test.toml:{line}" == caught.value.where
