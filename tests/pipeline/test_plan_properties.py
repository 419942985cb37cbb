# SPDX-License-Identifier: Apache-2.0
"""Random sets of passes: what has an order gets one that keeps every promise, and what has none says why."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import attrs
from hypothesis import assume, given
from hypothesis import strategies as st
from lading.pipeline.errors import PlanError
from lading.pipeline.facts import Fact
from lading.pipeline.plan import Plan, make_plan
from lading.pipeline.recipe import Recipe
from lading.pipeline.registry import Registry
from lading.pipeline.resolve import resolve
from support.fake_passes import fake, registry_of

NAMES = tuple("pass-" + letter for letter in "abcdefghij")
FACTS = tuple(Fact)


@attrs.frozen
class Shape:
    """What one random pass declares."""

    name: str
    requires: tuple[Fact, ...] = ()
    provides: tuple[Fact, ...] = ()
    closes: tuple[Fact, ...] = ()
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()


def build(shapes: list[Shape]) -> tuple[Recipe, Registry]:
    classes = [fake(**attrs.asdict(shape, recurse=False)) for shape in shapes]
    recipe = Recipe(
        name="random",
        about="For a test",
        file="random.toml",
        folder=Path("."),
        lineage=("random",),
        target={},
        steps={shape.name: {} for shape in shapes},
        places={shape.name: "random.toml:1" for shape in shapes},
    )
    return recipe, registry_of(*classes)


def planned(shapes: list[Shape]) -> Plan:
    recipe, registry = build(shapes)
    return make_plan(resolve(recipe, registry), registry)


@st.composite
def layered(draw: st.DrawFn) -> list[Shape]:
    """Passes that have an order: the hidden one of NAMES, which every requirement and wish respects."""
    count = draw(st.integers(1, len(NAMES)))
    names = NAMES[:count]
    owner = {fact: draw(st.integers(0, count - 1)) for fact in draw(st.lists(st.sampled_from(FACTS), unique=True))}
    shapes = []
    for index, name in enumerate(names):
        earlier, later = names[:index], names[index + 1 :]
        available = [fact for fact, place in owner.items() if place < index]
        shapes.append(
            Shape(
                name=name,
                requires=tuple(draw(st.lists(st.sampled_from(available), unique=True))) if available else (),
                provides=tuple(fact for fact, place in owner.items() if place == index),
                after=tuple(draw(st.lists(st.sampled_from(earlier), unique=True, max_size=3))) if earlier else (),
                before=tuple(draw(st.lists(st.sampled_from(later), unique=True, max_size=3))) if later else (),
            )
        )
    # A fact may be closed by who comes after the last pass that requires it.
    for fact in owner:
        last = max((index for index, shape in enumerate(shapes) if fact in shape.requires), default=None)
        if last is not None and draw(st.booleans()):
            closer = draw(st.integers(last, count - 1))
            shapes[closer] = attrs.evolve(shapes[closer], closes=(*shapes[closer].closes, fact))
    return shapes


def relabelled(shapes: list[Shape], seed: int) -> list[Shape]:
    """The same passes under other names, so that the hidden order is not the order of names."""
    order = list(NAMES)
    random.Random(seed).shuffle(order)
    new = dict(zip(NAMES, order, strict=True))

    def named(names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(new[name] for name in names)

    return [
        attrs.evolve(shape, name=new[shape.name], after=named(shape.after), before=named(shape.before))
        for shape in shapes
    ]


ORDERED = st.builds(relabelled, layered(), st.integers(0, 999))


@given(ORDERED)
def test_every_edge_is_respected(shapes: list[Shape]) -> None:
    plan = planned(shapes)
    place = {node.id: index for index, node in enumerate(plan.nodes)}
    assert [] == [edge for edge in plan.edges if place[edge.first] >= place[edge.then]]


@given(ORDERED)
def test_every_promise_is_kept(shapes: list[Shape]) -> None:
    place = {node.id: index for index, node in enumerate(planned(shapes).nodes)}
    provider = {fact: shape.name for shape in shapes for fact in shape.provides}
    broken = []
    for shape in shapes:
        here = place[shape.name]
        broken += [fact for fact in shape.requires if place[provider[fact]] >= here]
        broken += [name for name in shape.after if place[name] >= here]
        broken += [name for name in shape.before if place[name] <= here]
        for other in shapes:
            held = set(shape.closes) & set(other.requires) and not set(shape.provides) & set(other.requires)
            if held and other is not shape and place[other.name] >= here:
                broken.append(other.name)
    assert [] == broken


@given(ORDERED)
def test_every_step_is_there_once(shapes: list[Shape]) -> None:
    assert sorted(shape.name for shape in shapes) == sorted(node.id for node in planned(shapes).nodes)


@given(ORDERED, st.randoms(use_true_random=False))
def test_the_order_of_declaration_does_not_matter(shapes: list[Shape], shuffler: random.Random) -> None:
    expected = planned(shapes)
    shuffler.shuffle(shapes)
    again = planned(shapes)
    assert ([node.id for node in expected.nodes], expected.edges) == ([node.id for node in again.nodes], again.edges)


@given(ORDERED)
def test_every_edge_has_a_reason_that_names_it(shapes: list[Shape]) -> None:
    assert all(edge.first in edge.why or edge.then in edge.why for edge in planned(shapes).edges)


@given(ORDERED)
def test_the_order_is_the_smallest_by_name(shapes: list[Shape]) -> None:
    plan = planned(shapes)
    waiting = {node.id: {edge.first for edge in plan.edges if edge.then == node.id} for node in plan.nodes}
    done: list[str] = []
    while waiting:
        done.append(min(name for name, needs in waiting.items() if needs <= set(done)))
        del waiting[done[-1]]
    assert done == [node.id for node in plan.nodes]


def message_of(shapes: list[Shape]) -> str:
    try:
        planned(shapes)
    except PlanError as error:
        return str(error)
    raise AssertionError("no error")


@given(ORDERED, st.data())
def test_a_circle_is_walked_back_to_its_start(shapes: list[Shape], data: st.DataObject) -> None:
    plan = planned(shapes)
    assume(plan.edges)
    edge = data.draw(st.sampled_from(plan.edges))
    # The wish to run the other way round closes a circle.
    turned = [
        attrs.evolve(shape, after=(*shape.after, edge.then)) if shape.name == edge.first else shape for shape in shapes
    ]
    walk = re.findall(r"'([a-z-]+)' before '([a-z-]+)':", message_of(turned))
    ends = [then for _, then in walk]
    starts = [first for first, _ in walk]
    assert (starts[1:] + starts[:1], True) == (ends, "drop this wish: " in message_of(turned))


@given(ORDERED, st.data())
def test_a_missing_provider_is_named_with_who_could(shapes: list[Shape], data: st.DataObject) -> None:
    required = sorted({fact for shape in shapes for fact in shape.requires}, key=str)
    assume(required)
    fact = data.draw(st.sampled_from(required))
    provider = next(shape.name for shape in shapes if fact in shape.provides)
    recipe, registry = build(shapes)
    recipe = attrs.evolve(recipe, steps={name: table for name, table in recipe.steps.items() if name != provider})
    try:
        make_plan(resolve(recipe, registry), registry)
    except PlanError as error:
        message = str(error)
    assert f"[step.{provider}]" in message


@given(ORDERED, st.data())
def test_two_providers_are_both_named(shapes: list[Shape], data: st.DataObject) -> None:
    provided = [(fact, shape) for shape in shapes for fact in shape.provides]
    assume(provided and len(shapes) > 1)
    fact, first = data.draw(st.sampled_from(provided))
    second = data.draw(st.sampled_from([shape for shape in shapes if shape is not first]))
    doubled = [attrs.evolve(shape, provides=(*shape.provides, fact)) if shape is second else shape for shape in shapes]
    message = message_of(doubled)
    names = sorted((first.name, second.name))
    assert message.startswith(f"two steps provide {fact}: '{names[0]}' and '{names[1]}'")


@given(ORDERED, st.data())
def test_an_unknown_name_gets_the_nearest_one(shapes: list[Shape], data: st.DataObject) -> None:
    index = data.draw(st.integers(0, len(shapes) - 1))
    shape: Any = shapes[index]
    shapes[index] = attrs.evolve(shape, after=(*shape.after, f"{shape.name}z"))
    assert f"did you mean '{shape.name}'?" in message_of(shapes)
