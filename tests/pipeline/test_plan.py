# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lading.passes import BUILTIN
from lading.pipeline.errors import PlanError
from lading.pipeline.facts import Fact
from lading.pipeline.plan import Plan, essential_edges, make_plan
from lading.pipeline.recipe import load_recipe
from lading.pipeline.registry import Registry
from lading.pipeline.resolve import resolve
from support.fake_passes import fake, order_of, plan_of, registry_of

GRAPH, FLAT, ONNX, FILE = Fact.GRAPH, Fact.FLAT, Fact.ONNX, Fact.FILE

TRACE = fake("trace", provides=(GRAPH,))
INLINE = fake("inline", requires=(GRAPH,), provides=(FLAT,), closes=(GRAPH,))
LOWER = fake("lower", requires=(FLAT,), provides=(ONNX,), closes=(FLAT,))
FOLD = fake("fold", requires=(ONNX,))
DROP = fake("drop", requires=(ONNX,), after=("fold",))
WRITE = fake("write", requires=(ONNX,), provides=(FILE,), closes=(ONNX,))
SPINE = (TRACE, INLINE, LOWER, WRITE)


def steps(*classes: Any) -> str:
    return "".join(f"[step.{pass_class.declaration.name}]\n" for pass_class in classes)


def planned(folder: Path, text: str, *classes: Any, **more: Any) -> Plan:
    return plan_of(folder, text, registry_of(*classes), **more)


def failure(folder: Path, text: str, *classes: Any) -> str:
    with pytest.raises(PlanError) as caught:
        planned(folder, text, *classes)
    return str(caught.value).replace(str(folder / "test.toml"), "FILE")


def reasons(plan: Plan) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for edge in plan.edges:
        found.setdefault((edge.first, edge.then), []).append(edge.why)
    return found


def test_facts_give_the_order(tmp_path: Path) -> None:
    assert ["trace", "inline", "lower", "write"] == order_of(planned(tmp_path, steps(*SPINE), *SPINE))


def test_ties_break_by_name(tmp_path: Path) -> None:
    free = [fake(name) for name in ("b", "c", "a")]
    assert ["a", "b", "c"] == order_of(planned(tmp_path, steps(*free), *free))


def test_an_edge_says_which_fact_it_is_for(tmp_path: Path) -> None:
    edges = reasons(planned(tmp_path, steps(TRACE, INLINE), TRACE, INLINE))
    assert {("trace", "inline"): ["'inline' requires graph, which 'trace' provides"]} == edges


def test_a_pass_on_a_graph_lands_before_what_closes_it(tmp_path: Path) -> None:
    zeta = fake("zeta", requires=(ONNX,))
    plan = planned(tmp_path, steps(*SPINE, zeta), *SPINE, zeta)
    assert ["'write' closes onnx, which 'zeta' requires"] == reasons(plan)["zeta", "write"]


def test_closing_lets_through_who_needs_what_the_closer_provides(tmp_path: Path) -> None:
    verify = fake("verify", requires=(ONNX, FILE))
    assert "verify" == order_of(planned(tmp_path, steps(*SPINE, verify), *SPINE, verify))[-1]


def test_after_and_before_are_soft_edges(tmp_path: Path) -> None:
    first, last = fake("z-first", before=("m",)), fake("a-last", after=("m",))
    middle = fake("m")
    assert ["z-first", "m", "a-last"] == order_of(planned(tmp_path, steps(first, middle, last), first, middle, last))


def test_the_recipe_may_ask_for_an_order_too(tmp_path: Path) -> None:
    free = [fake(name) for name in "ab"]
    plan = planned(tmp_path, '[step.a]\nafter = ["b"]\n[step.b]\n', *free)
    assert {("b", "a"): ["the recipe asks for 'a' to run after 'b'"]} == reasons(plan)


def test_wishes_about_known_passes_that_are_not_there_are_ignored(tmp_path: Path) -> None:
    assert ["drop", "lower"] == sorted(order_of(planned(tmp_path, steps(DROP, LOWER_ALONE), DROP, LOWER_ALONE, FOLD)))


LOWER_ALONE = fake("lower", provides=(ONNX,))


def test_wishes_go_by_the_name_of_the_pass_or_the_id_of_the_step(tmp_path: Path) -> None:
    a, b = fake("a", after=("b",)), fake("b")
    plan = planned(tmp_path, '[step.a]\n[step.other]\npass = "b"\n', a, b)
    assert ["other", "a"] == order_of(plan)


def test_a_wish_about_nothing_known_is_an_error(tmp_path: Path) -> None:
    a, b = fake("a", after=("fold-constant",)), fake("fold-constants")
    expected = (
        "pass 'a' asks to run after 'fold-constant', which nothing is called\n"
        "  at: FILE:4\n"
        "  try: did you mean 'fold-constants'?"
    )
    assert expected == failure(tmp_path, steps(a), a, b)


def test_a_missing_provider_names_who_could_and_the_line_to_add(tmp_path: Path) -> None:
    expected = (
        "step 'inline' requires graph, and no step provides it\n"
        "  at: FILE:4\n"
        "  try: add [step.trace] to the recipe (provided by pass trace)"
    )
    assert expected == failure(tmp_path, steps(INLINE), INLINE, TRACE)


def test_a_fact_that_nothing_known_provides(tmp_path: Path) -> None:
    assert "no known pass provides graph" in failure(tmp_path, steps(INLINE), INLINE)


def test_a_disabled_provider_is_named(tmp_path: Path) -> None:
    expected = (
        "step 'inline' requires graph, and no step provides it; 'trace' would, and is skipped: not enabled\n"
        "  at: FILE:6\n"
        "  try: trace.enabled = true"
    )
    assert expected == failure(tmp_path, "[step.trace]\nenabled = false\n[step.inline]\n", TRACE, INLINE)


def test_two_providers_are_both_named(tmp_path: Path) -> None:
    other = fake("record", provides=(GRAPH,))
    expected = (
        "two steps provide graph: 'record' and 'trace'\n"
        "  at: record (FILE:5), trace (FILE:4)\n"
        "  try: trace.enabled = false, or record.enabled = false"
    )
    assert expected == failure(tmp_path, steps(TRACE, other), TRACE, other)


def test_a_pass_cannot_provide_its_own_requirement(tmp_path: Path) -> None:
    selfish = fake("selfish", requires=(GRAPH,), provides=(GRAPH,))
    assert "requires graph, which it provides itself" in failure(tmp_path, steps(selfish), selfish)


def test_a_circle_is_walked_edge_by_edge(tmp_path: Path) -> None:
    early = fake("early", requires=(ONNX,), before=("trace",))
    expected = (
        "the steps go round in a circle:\n"
        "    'early' before 'trace': pass early asks to run before 'trace'\n"
        "    'trace' before 'inline': 'inline' requires graph, which 'trace' provides\n"
        "    'inline' before 'lower': 'lower' requires flat, which 'inline' provides\n"
        "    'lower' before 'early': 'early' requires onnx, which 'lower' provides\n"
        "  try: drop this wish: pass early asks to run before 'trace'"
    )
    assert expected == failure(tmp_path, steps(*SPINE, early), *SPINE, early)


def test_a_circle_of_facts_alone(tmp_path: Path) -> None:
    late = fake("late", requires=(GRAPH, ONNX))
    assert "'late' before 'inline': 'inline' closes graph, which 'late' requires" in failure(
        tmp_path, steps(*SPINE, late), *SPINE, late
    )


def test_a_disabled_step_is_skipped_with_the_reason(tmp_path: Path) -> None:
    plan = planned(tmp_path, "[step.a]\nenabled = false\n", fake("a"))
    assert [("a", "not enabled")] == [(skip.id, skip.why) for skip in plan.skipped]


def test_a_step_that_needs_a_higher_opset_is_skipped_with_the_reason(tmp_path: Path) -> None:
    plan = planned(tmp_path, "[target]\nopset = 18\n[step.a]\n", fake("a", needs_opset=20))
    assert [("a", "needs opset 20, and the target is 18")] == [(skip.id, skip.why) for skip in plan.skipped]


@pytest.mark.parametrize("opset", ["20", '"latest"'])
def test_a_step_runs_at_the_opset_it_needs(opset: str, tmp_path: Path) -> None:
    plan = planned(tmp_path, f"[target]\nopset = {opset}\n[step.a]\n", fake("a", needs_opset=20))
    assert ["a"] == order_of(plan)


TIDY = '[step.tidy]\nuntil-stable = ["fold", "drop"]\nrounds = 3\n'


def test_a_group_is_one_place_in_the_order(tmp_path: Path) -> None:
    plan = planned(tmp_path, steps(*SPINE) + TIDY, *SPINE, FOLD, DROP)
    assert ["trace", "inline", "lower", "tidy", "write"] == order_of(plan)


def test_the_members_of_a_group_keep_their_order(tmp_path: Path) -> None:
    plan = planned(tmp_path, steps(*SPINE) + TIDY, *SPINE, FOLD, DROP)
    assert [["fold", "drop"]] == [[step.id for step in node.steps] for node in plan.nodes if node.group]


def test_a_wish_about_a_member_is_about_its_group(tmp_path: Path) -> None:
    late = fake("a-late", requires=(ONNX,), after=("drop",))
    plan = planned(tmp_path, steps(*SPINE, late) + TIDY, *SPINE, FOLD, DROP, late)
    assert ["pass a-late asks to run after 'drop' in 'tidy'"] == reasons(plan)["tidy", "a-late"]


def test_a_group_against_the_wish_of_a_member_is_an_error(tmp_path: Path) -> None:
    text = steps(*SPINE) + '[step.tidy]\nuntil-stable = ["drop", "fold"]\n'
    expected = "group 'tidy' runs 'drop' before 'fold', but 'drop' asks to run after 'fold'"
    assert expected in failure(tmp_path, text, *SPINE, FOLD, DROP)


def test_a_group_that_is_off_skips_its_members(tmp_path: Path) -> None:
    plan = planned(tmp_path, steps(*SPINE) + TIDY + "enabled = false\n", *SPINE, FOLD, DROP)
    assert ["drop", "fold"] == [skip.id for skip in plan.skipped]


def test_a_member_that_is_off_leaves_the_group(tmp_path: Path) -> None:
    plan = planned(tmp_path, steps(*SPINE) + TIDY + "[step.fold]\nenabled = false\n", *SPINE, FOLD, DROP)
    assert [["drop"]] == [[step.id for step in node.steps] for node in plan.nodes if node.group]


def test_drawings_leave_out_what_follows(tmp_path: Path) -> None:
    late = fake("late", requires=(FLAT, ONNX), provides=(FILE,))
    middle = fake("middle", requires=(FLAT,), provides=(ONNX,))
    flat = fake("flat", provides=(FLAT,))
    plan = planned(tmp_path, steps(flat, middle, late), flat, middle, late)
    drawn = [(edge.first, edge.then) for edge in essential_edges(plan)]
    assert [("flat", "middle"), ("middle", "late")] == drawn


@pytest.mark.parametrize("opset", [7, 14])
def test_an_option_that_needs_a_newer_opset_is_an_error_before_capture(opset: int) -> None:
    """Functions came with IR version 8, which came with opset 15."""
    settings = [f"target.opset={opset}", 'inline.preserve=["Block"]']
    registry = Registry(BUILTIN)

    with pytest.raises(PlanError) as raised:
        make_plan(resolve(load_recipe("inference"), registry, settings=settings), registry)

    assert f"inline.preserve needs opset 15, and the target is {opset}" == raised.value.what
    assert "opset 15 or newer, or leave inline.preserve empty" == raised.value.hint


@pytest.mark.parametrize(("recipe", "hint"), [("inference-opset13", " (recipe 'inference')"), ("torch-1.8", "")])
def test_the_hint_names_a_recipe_of_its_kind_that_is_new_enough(recipe: str, hint: str) -> None:
    registry = Registry(BUILTIN)

    with pytest.raises(PlanError) as raised:
        make_plan(resolve(load_recipe(recipe), registry, settings=['inline.preserve=["Block"]']), registry)

    assert f"opset 15 or newer{hint}, or leave inline.preserve empty" == raised.value.hint


@pytest.mark.parametrize("opset", ["15", '"latest"'])
def test_an_option_may_be_set_from_the_opset_on_that_it_needs(opset: str) -> None:
    settings = [f"target.opset={opset}", 'inline.preserve=["Block"]']
    registry = Registry(BUILTIN)

    plan = make_plan(resolve(load_recipe("inference"), registry, settings=settings), registry)

    assert "inline" in [step.id for step in plan.steps()]
