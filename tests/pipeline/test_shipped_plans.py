# SPDX-License-Identifier: Apache-2.0
"""The plan of every shipped recipe, as committed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from lading.passes import BUILTIN
from lading.pipeline.plan import make_plan
from lading.pipeline.recipe import load_recipe, shipped_recipes
from lading.pipeline.registry import Registry
from lading.pipeline.render import plan_text, recipe_text
from lading.pipeline.resolve import resolve

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def registry() -> Registry:
    return Registry(BUILTIN, entry_points=False)


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_plan_is_the_golden_one(name: str, registry: Registry, golden: Callable[[Path, str], None]) -> None:
    golden(GOLDEN / f"plan-{name}.txt", plan_text(make_plan(resolve(load_recipe(name), registry), registry)))


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_resolved_recipe_resolves_to_itself(name: str, registry: Registry, tmp_path: Path) -> None:
    resolved = resolve(load_recipe(name), registry)
    path = tmp_path / "again.toml"
    path.write_text(recipe_text(resolved), encoding="utf-8")
    assert resolved.hash == resolve(load_recipe(path), registry).hash


def test_every_golden_plan_is_of_a_shipped_recipe() -> None:
    assert set(shipped_recipes()) == {path.stem.removeprefix("plan-") for path in GOLDEN.glob("plan-*.txt")}


def test_the_order_of_inference_keeps_its_phases(registry: Registry) -> None:
    order = [node.id for node in make_plan(resolve(load_recipe("inference"), registry), registry).nodes]
    expected = ["normalize-arguments", "trace", "inline", "lower", "fallback", "tidy", "initializers", "serialize"]
    assert expected == [step for step in order if step in expected]
