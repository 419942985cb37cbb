# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from lading.passes.outlining.call_regions import calls_in_pieces, region_of
from lading.pipeline.origin import origin_of
from support.module_calls import call, made, model_of, nodes_named

A, B = call("a"), call("b")


def region(text, wanted, others=None):
    """The region of the call A with the nodes `wanted`; `others` belong to other calls."""
    graph = model_of(text).graph
    nodes = nodes_named(graph, *wanted)
    owner = dict.fromkeys(nodes, A)
    for name, other in (others or {}).items():
        owner[nodes_named(graph, name)[0]] = other
    return region_of(graph, nodes, A, owner)


def names(found):
    return made(found.nodes), made(found.after)


def test_nodes_in_a_row_are_the_region():
    text = "g (float[2] x) => (float[2] z) { y = aten.relu(x)  z = aten.exp(y)  w = aten.neg(z) }"
    assert (["y", "z"], []) == names(region(text, ["y", "z"]))


def test_one_node_is_a_region():
    text = "g (float[2] x) => (float[2] z) { y = aten.relu(x)  z = aten.exp(y) }"
    assert (["y"], []) == names(region(text, ["y"]))


def test_what_stands_between_and_depends_on_nothing_inside_stays_before_the_call():
    text = "g (float[2] x) => (float[2] z) { y = aten.relu(x)  other = aten.neg(x)  z = aten.add:Tensor(y, other) }"
    assert (["y", "z"], []) == names(region(text, ["y", "z"]))


def test_what_stands_between_and_is_needed_outside_only_comes_behind():
    text = "g (float[2] x) => (float[2] z, float[2] late) { y = aten.relu(x)  late = aten.neg(y)  z = aten.exp(y) }"
    assert (["y", "z"], ["late"]) == names(region(text, ["y", "z"]))


def test_what_follows_from_something_that_comes_behind_comes_behind_too():
    text = """g (float[2] x) => (float[2] z, float[2] later)
    { y = aten.relu(x)  late = aten.neg(y)  later = aten.exp(late)  z = aten.exp(y) }"""
    assert (["y", "z"], ["late", "later"]) == names(region(text, ["y", "z"]))


def test_what_is_on_a_path_between_two_nodes_goes_in():
    text = "g (float[2] x) => (float[2] z) { y = aten.relu(x)  path = aten.neg(y)  z = aten.exp(path) }"
    assert (["y", "path", "z"], []) == names(region(text, ["y", "z"]))


def test_a_list_that_a_node_on_a_path_takes_goes_in_with_it():
    text = """g (float[2] x) => (float[2] z)
    { y = aten.relu(x)  l = prim.ListConstruct(x, y)  path = aten.cat(l)  z = aten.exp(path) }"""
    assert (["y", "l", "path", "z"], []) == names(region(text, ["y", "z"]))


def test_a_node_of_another_call_on_a_path_is_that_call():
    text = "g (float[2] x) => (float[2] z) { y = aten.relu(x)  path = aten.neg(y)  z = aten.exp(path) }"
    assert B is region(text, ["y", "z"], {"path": B})


def test_a_node_of_another_call_beside_the_path_stays_outside():
    text = "g (float[2] x) => (float[2] z, float[2] late) { y = aten.relu(x)  late = aten.neg(y)  z = aten.exp(y) }"
    assert (["y", "z"], ["late"]) == names(region(text, ["y", "z"], {"late": B}))


def test_reading_in_a_branch_is_reading():
    text = """g (float[2] x, bool c) => (float[2] z, float[2] late)
    { y = aten.relu(x)
      late = prim.If(c) <then_branch = t () => (float[2] p) { p = aten.neg(y) },
                         else_branch = e () => (float[2] q) { q = aten.neg(x) }>
      z = aten.exp(y) }"""
    assert (["y", "z"], ["late"]) == names(region(text, ["y", "z"]))


# ---- calls in pieces -------------------------------------------------------------------------------------------------


def pieces(text, calls):
    def calls_of(node):
        found = origin_of(node).call
        return (found,) if found in calls.values() else ()

    return calls_in_pieces(model_of(text, calls).graph, calls_of)


BRANCHES = """g (float[2] x, bool c) => (float[2] z)
{ y = aten.relu(x)
  z = prim.If(c) <then_branch = t () => (float[2] p) { p = aten.neg(y) },
                  else_branch = e () => (float[2] q) { q = aten.exp(y) }> }"""


def test_a_call_in_one_graph_is_whole():
    assert [] == pieces(BRANCHES, {"y": A, "p": B})


def test_a_call_outside_and_in_a_branch_is_in_pieces():
    assert [A] == pieces(BRANCHES, {"y": A, "p": A})


def test_a_call_in_both_branches_of_one_decision_is_whole_in_each():
    assert [] == pieces(BRANCHES, {"p": A, "q": A})


def test_a_call_that_the_decision_is_part_of_is_whole():
    assert [] == pieces(BRANCHES, {"y": A, "z": A, "p": A, "q": A})


def test_a_call_in_branches_of_two_decisions_is_in_pieces():
    text = """g (float[2] x, bool c) => (float[2] z)
    { y = prim.If(c) <then_branch = t () => (float[2] p) { p = aten.neg(x) },
                      else_branch = e () => (float[2] q) { q = aten.exp(x) }>
      z = prim.If(c) <then_branch = v () => (float[2] r) { r = aten.neg(y) },
                      else_branch = w () => (float[2] s) { s = aten.exp(y) }> }"""
    assert [A] == pieces(text, {"p": A, "r": A})


def test_the_size_that_a_call_reads_outside_does_not_tear_it():
    text = """g (float[N] x, bool c) => (float[N] z)
    { y = aten.sym_size:int <dim = 0> (x)
      z = prim.If(c) <then_branch = t () => (float[N] p) { p = aten.neg(x) },
                      else_branch = e () => (float[N] q) { q = aten.exp(x) }> }"""
    assert [] == pieces(text, {"y": A, "p": A})
