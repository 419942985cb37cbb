# SPDX-License-Identifier: Apache-2.0
"""The plan: the steps of a recipe as a graph whose every edge has a reason, and one order that respects them all."""

from __future__ import annotations

import graphlib
import heapq
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from .declare import OPTION_METADATA, PassDeclaration
from .errors import PlanError, did_you_mean, near_miss
from .facts import Fact
from .recipe import LATEST, TargetTable, load_recipe, shipped_recipes
from .registry import Registry
from .resolve import ResolvedGroup, ResolvedRecipe, ResolvedStep

if TYPE_CHECKING:
    import networkx as nx


@attrs.frozen
class Edge:
    """`first` runs before `then`.  A hard edge follows from facts, a soft one from `after` or `before`."""

    first: str
    then: str
    why: str
    hard: bool


@attrs.frozen
class Skipped:
    """A step that will not run, and why."""

    id: str
    pass_name: str
    spec: str
    why: str


@attrs.frozen(kw_only=True)
class PlanNode:
    """One place in the order: a single step, or a group of steps that repeat until they change nothing."""

    id: str
    steps: tuple[ResolvedStep, ...]
    group: ResolvedGroup | None = None

    @property
    def requires(self) -> frozenset[Fact]:
        """What must hold before this node runs: what its steps require and none of them provides."""
        return frozenset(fact for step in self.steps for fact in step.declaration.requires) - (
            self.provides if self.group else frozenset()
        )

    @property
    def provides(self) -> frozenset[Fact]:
        """What holds afterwards."""
        return frozenset(fact for step in self.steps for fact in step.declaration.provides)


@attrs.frozen(kw_only=True)
class Plan:
    """The order of a recipe's steps, with the reasons for it.  Computed before anything runs."""

    recipe: ResolvedRecipe
    nodes: tuple[PlanNode, ...]
    edges: tuple[Edge, ...]
    skipped: tuple[Skipped, ...]

    def steps(self) -> tuple[ResolvedStep, ...]:
        """The passes in the order in which they first run."""
        return tuple(step for node in self.nodes for step in node.steps)


def make_plan(resolved: ResolvedRecipe, registry: Registry, *, given: frozenset[Fact] = frozenset()) -> Plan:
    """Put the steps of a recipe into an order.

    Facts give hard edges: from the provider of a fact to each step that requires it, and from each step that requires
    a fact to the step that closes it.  `after` and `before` give soft edges between passes that are in the plan.  The
    order is the lexicographically smallest that respects all edges, so that equal recipes have equal plans.  `given`
    are facts that hold already, because the recipe is the rest of another one, whose steps may be named as well.

    Raises:
        PlanError: a required fact has no provider or a fact has two, a name in `after` or `before` is unknown, or the
            edges go round in a circle.  The message walks the path and says what would work.  Or an option is set
            that needs a newer opset than the target.
    """
    nodes, skipped = _nodes(resolved)
    for node in nodes:
        for step in node.steps:
            _check_options(step, resolved)
    if not given:
        _check_names(resolved, registry)
    edges = [
        *_fact_edges(nodes, skipped, registry, given),
        *_closing_edges(nodes),
        *_soft_edges(nodes),
    ]
    edges = sorted(set(edges), key=lambda edge: (edge.first, edge.then, not edge.hard, edge.why))
    by_id = {node.id: node for node in nodes}
    order = [by_id[name] for name in _smallest_order(by_id, edges)]
    return Plan(
        recipe=resolved,
        nodes=tuple(order),
        edges=tuple(edges),
        skipped=tuple(sorted(skipped, key=lambda skip: skip.id)),
    )


def essential_edges(plan: Plan) -> tuple[Edge, ...]:
    """The edges without those that follow from others, for a drawing; the order they imply is the same."""
    import networkx as nx

    kept = set(nx.transitive_reduction(_graph([node.id for node in plan.nodes], plan.edges)).edges)
    return tuple(edge for edge in plan.edges if (edge.first, edge.then) in kept)


def _smallest_order(names: Iterable[str], edges: Sequence[Edge]) -> list[str]:
    """Return the lexicographically smallest order that respects all edges.

    Every export plans, and few plans are drawn or go round in a circle: networkx is loaded for those.
    """
    sorter: graphlib.TopologicalSorter[str] = graphlib.TopologicalSorter(dict.fromkeys(names, ()))
    for edge in edges:
        sorter.add(edge.then, edge.first)
    try:
        sorter.prepare()
    except graphlib.CycleError:
        raise _circle(_graph(names, edges), edges) from None
    ready: list[str] = []
    order: list[str] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, name)
        order.append(heapq.heappop(ready))
        sorter.done(order[-1])
    return order


def _graph(names: Iterable[str], edges: Iterable[Edge]) -> nx.DiGraph[str]:
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(names)
    graph.add_edges_from((edge.first, edge.then) for edge in edges)
    return graph


def _nodes(resolved: ResolvedRecipe) -> tuple[list[PlanNode], list[Skipped]]:
    nodes: list[PlanNode] = []
    skipped: list[Skipped] = []

    def running(steps: Iterable[ResolvedStep], off: str | None) -> tuple[ResolvedStep, ...]:
        kept = []
        for step in steps:
            why = off or _why_skipped(step, resolved)
            if why is None:
                kept.append(step)
            else:
                skipped.append(Skipped(step.id, step.declaration.name, step.spec, why))
        return tuple(kept)

    for entry in resolved.entries:
        if isinstance(entry, ResolvedGroup):
            steps = running(entry.members, None if entry.enabled else f"its group '{entry.id}' is not enabled")
            if steps:
                _check_members(entry, steps)
                nodes.append(PlanNode(id=entry.id, steps=steps, group=entry))
        elif steps := running((entry,), None):
            nodes.append(PlanNode(id=entry.id, steps=steps))
    return nodes, skipped


def _why_skipped(step: ResolvedStep, resolved: ResolvedRecipe) -> str | None:
    if not step.enabled:
        return "not enabled"
    needed, opset = step.declaration.needs_opset, resolved.opset.value
    if needed is not None and opset != LATEST and opset < needed:
        return f"needs opset {needed}, and the target is {opset}"
    return None


def _check_options(step: ResolvedStep, resolved: ResolvedRecipe) -> None:
    opset = resolved.opset.value
    for field in attrs.fields(type(step.made)):
        declared = field.metadata.get(OPTION_METADATA)
        needed = None if declared is None else declared.needs_opset
        if needed is None or opset == LATEST or opset >= needed or not getattr(step.made, field.name):
            continue
        raise PlanError(
            f"{step.id}.{field.name} needs opset {needed}, and the target is {opset}",
            where=step.settings[field.name].where,
            hint=f"opset {needed} or newer{_a_recipe_from(needed, resolved)}, or leave {step.id}.{field.name} empty",
        )


def _a_recipe_from(opset: int, resolved: ResolvedRecipe) -> str:
    """Name the shipped recipe that is most like this one, and whose own target is new enough, if there is such."""
    targets = {name: load_recipe(name).target.get("opset") for name in shipped_recipes()}
    values = {name: TargetTable().opset if own is None else own.value for name, own in targets.items()}
    near = near_miss(
        resolved.name, [name for name, value in values.items() if not isinstance(value, int) or value >= opset]
    )
    return "" if near in (None, resolved.name) else f" (recipe '{near}')"


def _check_members(group: ResolvedGroup, steps: Sequence[ResolvedStep]) -> None:
    for index, earlier in enumerate(steps):
        for later in steps[index + 1 :]:
            why = _soft_reason(later, earlier)
            if why is not None:
                raise PlanError(
                    f"group '{group.id}' runs '{earlier.id}' before '{later.id}', but {why}",
                    where=group.where,
                    hint=f"list '{later.id}' before '{earlier.id}'",
                )
            for fact in earlier.declaration.requires:
                if fact in later.declaration.provides:
                    raise PlanError(
                        f"group '{group.id}' runs '{earlier.id}', which needs {fact}, before '{later.id}' provides it",
                        where=group.where,
                        hint=f"list '{later.id}' before '{earlier.id}'",
                    )


def _soft_reason(first: ResolvedStep, then: ResolvedStep) -> str | None:
    """Why `first` should run before `then`, by their own or the recipe's word."""
    if _names(first) & {*then.declaration.after, *then.after}:
        return f"'{then.id}' asks to run after '{first.id}'"
    if _names(then) & {*first.declaration.before, *first.before}:
        return f"'{first.id}' asks to run before '{then.id}'"
    return None


def _names(step: ResolvedStep) -> set[str]:
    return {step.id, step.declaration.name}


def _check_names(resolved: ResolvedRecipe, registry: Registry) -> None:
    known = {entry.id for entry in resolved.entries}
    for step in resolved.steps():
        known |= _names(step)
    for who, where, label, names in _soft_names(resolved):
        for name in names:
            if name not in known and not registry.knows(name):
                hint = did_you_mean(name, known.union(registry.names()))
                raise PlanError(f"{who} asks to run {label} '{name}', which nothing is called", where=where, hint=hint)


def _soft_names(resolved: ResolvedRecipe) -> Iterable[tuple[str, str, str, tuple[str, ...]]]:
    for entry in (*resolved.entries, *resolved.steps()):
        for label, names in (("after", entry.after), ("before", entry.before)):
            said = entry.head.get(label)
            yield f"step '{entry.id}'", entry.where if said is None else said.where, label, names
    for step in resolved.steps():
        yield f"pass '{step.declaration.name}'", step.where, "after", step.declaration.after
        yield f"pass '{step.declaration.name}'", step.where, "before", step.declaration.before


def _fact_edges(
    nodes: Sequence[PlanNode], skipped: Sequence[Skipped], registry: Registry, given: frozenset[Fact]
) -> Iterable[Edge]:
    provider: dict[Fact, PlanNode] = {}
    for node in nodes:
        for fact in sorted(node.provides, key=str):
            if fact in provider:
                raise _two_providers(fact, provider[fact], node)
            provider[fact] = node
    for node in nodes:
        for fact in sorted(node.requires, key=str):
            if fact not in provider and fact in given:
                continue
            if fact not in provider:
                raise _missing_provider(fact, node, skipped, registry)
            if provider[fact] is node:
                asker = _step_with(node, fact)
                raise PlanError(
                    f"step '{asker.id}' requires {fact}, which it provides itself",
                    where=asker.where,
                    hint="a pass provides what was not there before it",
                )
            else:
                why = f"'{node.id}' requires {fact}, which '{provider[fact].id}' provides"
                yield Edge(provider[fact].id, node.id, why, hard=True)


def _two_providers(fact: Fact, first: PlanNode, second: PlanNode) -> PlanError:
    places = ", ".join(f"{node.id} ({_step_with(node, fact).where})" for node in (first, second))
    return PlanError(
        f"two steps provide {fact}: '{first.id}' and '{second.id}'",
        where=places,
        hint=f"{second.id}.enabled = false, or {first.id}.enabled = false",
    )


def _step_with(node: PlanNode, fact: Fact) -> ResolvedStep:
    return next(step for step in node.steps if fact in (*step.declaration.provides, *step.declaration.requires))


def _missing_provider(fact: Fact, node: PlanNode, skipped: Sequence[Skipped], registry: Registry) -> PlanError:
    possible = registry.providers_of(fact)
    asker = _step_with(node, fact)
    off = [skip for skip in skipped if skip.pass_name in possible or fact in _provides(skip.pass_name, registry)]
    if off:
        detail = "; ".join(f"'{skip.id}' would, and is skipped: {skip.why}" for skip in off)
        hint = f"{off[0].id}.enabled = true"
        if "opset" in off[0].why:
            hint = f"a higher target.opset, or {node.id}.enabled = false"
        return PlanError(
            f"step '{asker.id}' requires {fact}, and no step provides it; {detail}", where=asker.where, hint=hint
        )
    if possible:
        lines = " or ".join(f"[step.{name}]" for name in possible)
        hint = f"add {lines} to the recipe (provided by pass {', '.join(possible)})"
    else:
        hint = f"no known pass provides {fact}; take '{node.id}' out with {node.id}.enabled = false"
    return PlanError(f"step '{asker.id}' requires {fact}, and no step provides it", where=asker.where, hint=hint)


def _provides(name: str, registry: Registry) -> tuple[Fact, ...]:
    return registry.declaration(name).provides if registry.knows(name) else ()


def _closing_edges(nodes: Sequence[PlanNode]) -> Iterable[Edge]:
    for closing in nodes:
        for step in closing.steps:
            for fact in step.declaration.closes:
                for node in nodes:
                    if node is closing or fact not in node.requires:
                        continue
                    if node.requires.intersection(step.declaration.provides):
                        continue
                    why = f"'{closing.id}' closes {fact}, which '{node.id}' requires"
                    yield Edge(node.id, closing.id, why, hard=True)


def _soft_edges(nodes: Sequence[PlanNode]) -> Iterable[Edge]:
    by_name: dict[str, list[PlanNode]] = {}
    for node in nodes:
        for name in {node.id, *(name for step in node.steps for name in _names(step))}:
            by_name.setdefault(name, []).append(node)
    for node in nodes:
        for asker, after, before in _wishes(node):
            for side, names in (("after", after), ("before", before)):
                wished: dict[str, list[str]] = {}
                for name in names:
                    for other in by_name.get(name, ()):
                        if other is not node:
                            wished.setdefault(other.id, []).append(name)
                for other_id, asked in wished.items():
                    first, then = (other_id, node.id) if side == "after" else (node.id, other_id)
                    yield Edge(first, then, _wish(asker, side, asked, other_id), hard=False)


def _wishes(node: PlanNode) -> Iterable[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    if node.group is not None:
        yield f"the recipe asks for '{node.id}'", node.group.after, node.group.before
    for step in node.steps:
        declaration: PassDeclaration = step.declaration
        yield f"the recipe asks for '{step.id}'", step.after, step.before
        yield f"pass {declaration.name} asks", declaration.after, declaration.before


def _wish(asker: str, side: str, names: Sequence[str], other: str) -> str:
    listed = ", ".join(f"'{name}'" for name in sorted(set(names)))
    if list(names) == [other]:
        return f"{asker} to run {side} {listed}"
    return f"{asker} to run {side} {listed} in '{other}'"


def _circle(graph: nx.DiGraph[str], edges: Sequence[Edge]) -> PlanError:
    import networkx as nx

    loop = [pair[:2] for pair in nx.find_cycle(graph)]
    # The walk starts at the smallest name, whatever the search began with.
    start = min(range(len(loop)), key=lambda index: loop[index][0])
    reasons: Mapping[tuple[str, str], list[Edge]] = {pair: [] for pair in loop}
    for edge in edges:
        if (edge.first, edge.then) in reasons:
            reasons[edge.first, edge.then].append(edge)
    lines = []
    weakest: Edge | None = None
    for first, then in loop[start:] + loop[:start]:
        why = reasons[first, then]
        lines.append(f"'{first}' before '{then}': {'; '.join(edge.why for edge in why)}")
        if weakest is None and not any(edge.hard for edge in why):
            weakest = why[0]
    walk = "\n    ".join(lines)
    hint = "one of these steps cannot be in this recipe: enabled = false"
    if weakest is not None:
        hint = f"drop this wish: {weakest.why}"
    return PlanError(f"the steps go round in a circle:\n    {walk}", hint=hint)
