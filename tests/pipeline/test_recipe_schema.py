# SPDX-License-Identifier: Apache-2.0
"""The schema admits what recipes say, and refuses what reading a recipe refuses."""

from __future__ import annotations

import importlib.resources
import sys
from typing import Any

import jsonschema
import pytest
from lading.passes import BUILTIN
from lading.pipeline.recipe import RECIPES_PACKAGE, load_recipe, shipped_recipes
from lading.pipeline.recipe_schema import recipe_schema
from lading.pipeline.registry import Registry
from lading.pipeline.resolve import resolve

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HEAD = '[recipe]\nname = "r"\nabout = "x"\nextends = "inference"\n'


@pytest.fixture(scope="module")
def validator() -> Any:
    schema = recipe_schema(Registry(BUILTIN, entry_points=False))
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_fits(name: str, validator: Any) -> None:
    text = importlib.resources.files(RECIPES_PACKAGE).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    validator.validate(tomllib.loads(text))


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_with_all_its_values_fits(name: str, validator: Any) -> None:
    resolved = resolve(load_recipe(name), Registry(BUILTIN, entry_points=False))
    validator.validate(tomllib.loads(resolved.to_toml()))


@pytest.mark.parametrize(
    "text",
    [
        '[step.verify]\nrtol = 1\nenabled = true\nafter = ["tidy"]\n',
        "[step.fold-constants]\nsize-limit = 4\n",
        '[step.tidy]\nuntil-stable = ["drop-dead"]\nrounds = 2\n',
        '[step.mine]\npass = "my_package:Mine"\nwhatever = 3\n',
        '[step.again]\npass = "fold-constants"\nsize_limit = 4\n',
        '[step.trace]\npass = "my_package:Trace"\nwhatever = 3\n',
        '[target]\nopset = "latest"\ncustom_opsets = { "acme" = 2 }\n',
        '[step.serialize]\nprovenance = "none"\n[step.initializers]\nkeep_as_inputs = "none"\n',
    ],
)
def test_what_a_recipe_may_say_fits(text: str, validator: Any) -> None:
    validator.validate(tomllib.loads(HEAD + text))


@pytest.mark.parametrize(
    "text",
    [
        "[steps.verify]\nrtol = 1\n",
        "[step.verify]\nrtoll = 1\n",
        "[step.verify]\nrtol = -1\n",
        "[step.verify]\nsamples = 1.5\n",
        '[step.trace]\nstrategy = "guess"\n',
        '[step.trace]\nanswers = ["guess"]\n',
        '[step.again]\npass = "fold-constants"\nsize_limt = 4\n',
        '[step.tidy]\nuntil-stable = ["drop-dead"]\nrounds = 0\n',
        "[step.tidy]\nuntil-stable = []\n",
        "[step.target]\nopset = 3\n",
        "[target]\nopset = 6\n",
        '[target]\nopset = "newest"\n',
        "[step.trace]\nenabled = 1\n",
    ],
)
def test_what_no_recipe_may_say_is_refused(text: str, validator: Any) -> None:
    assert not validator.is_valid(tomllib.loads(HEAD + text))


def test_an_option_has_its_help_and_default(validator: Any) -> None:
    options = validator.schema["definitions"]["verify"]["properties"]
    assert {"description", "default", "minimum"} <= set(options["rtol"])
