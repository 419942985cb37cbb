# SPDX-License-Identifier: Apache-2.0
"""What two recipes, and two plans, have differently."""

from __future__ import annotations

import json

import pytest
from lading.passes import BUILTIN
from lading.pipeline.plan import make_plan
from lading.pipeline.plan_diff import PlanDifference, plan_difference
from lading.pipeline.recipe import load_recipe
from lading.pipeline.recipe_diff import RecipeDifference, recipe_difference
from lading.pipeline.registry import Registry
from lading.pipeline.resolve import ResolvedRecipe, resolve


def resolved(name: str, *settings: str) -> ResolvedRecipe:
    return resolve(load_recipe(name), Registry(BUILTIN, entry_points=False), settings=settings)


def recipes(one: ResolvedRecipe, other: ResolvedRecipe) -> RecipeDifference:
    return recipe_difference(one, other)


def plans(one: ResolvedRecipe, other: ResolvedRecipe) -> PlanDifference:
    registry = Registry(BUILTIN, entry_points=False)
    return plan_difference(make_plan(one, registry), make_plan(other, registry))


def test_recipes_differ_by_value() -> None:
    found = recipes(resolved("inference"), resolved("inference-opset13"))
    ((key, one, other),) = [(change.key, change.one, change.other) for change in found.changes]
    assert one is not None
    assert other is not None
    assert ("target.opset", 18, 13) == (key, one.value, other.value)


def test_each_side_of_a_value_has_its_place() -> None:
    text = recipes(resolved("inference"), resolved("inference-opset13")).text()
    assert "target.opset: 18 -> 13\n    inference: recipes/base.toml:9\n    inference-opset13: recipes/" in text


def test_a_step_that_one_recipe_lacks_is_a_difference() -> None:
    found = recipes(resolved("base"), resolved("inference"))
    assert {"tidy.until-stable", "drop-dead.enabled"} <= {change.key for change in found.changes if change.one is None}


def test_a_switched_off_step_is_a_difference() -> None:
    found = recipes(resolved("inference"), resolved("inference", "drop-dead.enabled=false"))
    assert ["drop-dead.enabled"] == [change.key for change in found.changes]


def test_the_same_recipe_has_no_difference() -> None:
    assert "do the same" in recipes(resolved("inference"), resolved("inference")).text()


@pytest.mark.parametrize(("one", "other"), [("inference", "training"), ("web", "debug"), ("aten", "base")])
def test_differences_go_through_json(one: str, other: str) -> None:
    json.dumps([recipes(resolved(one), resolved(other)).to_dict(), plans(resolved(one), resolved(other)).to_dict()])


def test_plans_differ_by_steps_edges_and_what_is_skipped() -> None:
    found = plans(resolved("inference"), resolved("debug"))
    assert (("verify",), ()) == (found.added, found.removed)
    assert {"verify": ("not enabled", None)} == found.skipped
    assert "'verify' requires file, which 'serialize' provides" in {edge.why for edge in found.edges_added}
    assert {"serialize"} == set(found.changed)


def test_a_step_at_another_place_has_moved() -> None:
    other = resolved("inference", 'tidy.until_stable=["drop-dead", "fold-constants"]')
    one = resolved("inference", 'tidy.until_stable=["fold-constants", "drop-dead"]')
    assert 1 == len(plans(one, other).moved)


def test_equal_plans_are_said_to_be() -> None:
    assert "inference and inference have the same plan\n" == plans(resolved("inference"), resolved("inference")).text()
