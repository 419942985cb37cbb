# SPDX-License-Identifier: Apache-2.0
"""The defaults of a project: found upwards, under everything that is said, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from lading.passes import BUILTIN
from lading.pipeline.errors import RecipeError
from lading.pipeline.project import find_project
from lading.pipeline.recipe import load_recipe
from lading.pipeline.registry import Registry
from lading.pipeline.resolve import resolve


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def project_of(folder: Path, table: str) -> None:
    folder.joinpath("pyproject.toml").write_text(f'[project]\nname = "p"\n[tool.lading]\n{table}')


def failure(folder: Path, table: str) -> str:
    project_of(folder, table)
    with pytest.raises(RecipeError) as caught:
        find_project()
    return str(caught.value)


def test_a_folder_without_one_has_no_defaults(folder: Path) -> None:
    folder.joinpath("pyproject.toml").write_text('[project]\nname = "lading-user"\n')
    assert find_project() is None


def test_the_nearest_one_with_a_table_of_ladings_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project_of(folder, 'recipe = "web"\n')
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    (folder / "a" / "pyproject.toml").write_text('[project]\nname = "other"\n')
    monkeypatch.chdir(below)
    found = find_project()
    assert found is not None
    assert ("../../pyproject.toml", "web") == (found.file, found.recipe)


def test_a_recipe_by_its_path_starts_at_the_projects_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project_of(folder, 'recipe = "exports/phone.toml"\n')
    (folder / "exports").mkdir()
    (folder / "exports" / "phone.toml").write_text('[recipe]\nname = "phone"\nabout = "x"\nextends = "web"\n')
    monkeypatch.chdir(folder / "exports")
    found = find_project()
    assert found is not None
    assert found.recipe is not None
    assert "phone" == load_recipe(found.recipe).name


def test_values_know_their_line(folder: Path) -> None:
    project_of(folder, "[tool.lading.set]\nfold-constants.size-limit = 7\n")
    found = find_project()
    assert found is not None
    resolved = resolve(load_recipe("inference"), Registry(BUILTIN), project=found)
    setting = resolved.sources()["fold-constants.size_limit"]
    assert (7, "override", "pyproject.toml:5") == (setting.value, setting.source, setting.where)


def test_what_is_said_goes_over_the_project(folder: Path) -> None:
    project_of(folder, "[tool.lading.set.target]\nopset = 11\n")
    resolved = resolve(
        load_recipe("inference"), Registry(BUILTIN), settings=["target.opset=12"], project=find_project()
    )
    assert 12 == resolved.opset.value


def test_recipes_of_its_folders_go_by_name_and_extend_each_other(folder: Path) -> None:
    project_of(folder, 'recipe_folders = ["exports"]\n')
    (folder / "exports").mkdir()
    for name, parent in (("phone", "house"), ("house", "web")):
        text = f'[recipe]\nname = "{name}"\nabout = "x"\nextends = "{parent}"\n'
        (folder / "exports" / f"{name}.toml").write_text(text)
    found = find_project()
    assert found is not None
    assert ("phone", "house", "web") == load_recipe("phone", folders=found.folders).lineage[:3]


def test_a_recipe_with_the_name_of_a_shipped_one_is_refused(folder: Path) -> None:
    (folder / "web.toml").write_text('[recipe]\nname = "web"\nabout = "x"\n')
    with pytest.raises(RecipeError, match="two recipes are called 'web'"):
        load_recipe("web", folders=[folder])


@pytest.mark.parametrize(
    ("table", "key", "line"),
    [
        ('recipes = "x"\n', "recipes", 4),
        ("recipe = 3\n", "tool.lading.recipe", 4),
        ('recipe-folders = ["gone"]\n', "recipe-folders", 4),
        ("set = 3\n", "tool.lading.set", 4),
        ("[tool.lading.set]\ntrace = true\n", "tool.lading.set.trace", 5),
        ("[tool.lading.step.trace]\nenabled = true\n", "'step'", 4),
        ("[tool.lading.set]\n'target.opset' = 15\n", "without the quotes: target.opset = ...", 5),
    ],
)
def test_a_mistake_is_said_with_file_line_and_key(folder: Path, table: str, key: str, line: int) -> None:
    said = failure(folder, table)
    assert key in said
    assert f"at: pyproject.toml:{line}" in said


def test_a_value_that_does_not_fit_is_said_with_its_place(folder: Path) -> None:
    project_of(folder, '[tool.lading.set.trace]\nstrategy = "guess"\n')
    with pytest.raises(RecipeError, match=r"trace\.strategy.*\n  at: pyproject\.toml:5"):
        resolve(load_recipe("inference"), Registry(BUILTIN), project=find_project())


@pytest.mark.parametrize("step", ["tidy.rounds", "fold-constants.size_limit"])
def test_a_value_of_a_step_that_the_recipe_lacks_is_left_out(folder: Path, step: str) -> None:
    project_of(folder, f"[tool.lading.set]\n{step} = 2\n")
    registry = Registry(BUILTIN)
    assert step not in resolve(load_recipe("base"), registry, project=find_project()).sources()
    assert 2 == resolve(load_recipe("inference"), registry, project=find_project()).sources()[step].value


def test_a_value_of_a_step_that_no_recipe_has_is_an_error(folder: Path) -> None:
    project_of(folder, "[tool.lading.set]\nfold-constant.size_limit = 2\n")
    with pytest.raises(RecipeError, match=r"no step 'fold-constant'\n  at: pyproject.toml:5\n  try: did you mean"):
        resolve(load_recipe("inference"), Registry(BUILTIN), project=find_project())
