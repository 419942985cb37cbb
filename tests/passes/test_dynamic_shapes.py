# SPDX-License-Identifier: Apache-2.0
"""Dynamic axes as dynamic_shapes and as examples: every form says the same, and contradictions are told."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lading.passes.normalize_arguments import NormalizeArguments
from lading.passes.request import Request
from lading.pipeline.errors import UsageError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.work import Target, Work
from torch.export import Dim, ShapesCollection

import lading


def bound(model, args=(), kwargs=None, **options):
    work = Work(target=Target(opset=18), request=Request(model=model, args=args, kwargs=kwargs))
    NormalizeArguments(**options).run(work, Note())
    return work.need(Fact.ARGUMENTS)


def axes(arguments):
    return {item.name: dict(item.axes) for item in arguments.inputs if item.axes}


def two(x, y):
    return x, y


def nested(x, past, **more):
    return x


X, Y = torch.zeros(4, 6, 2), torch.zeros(8, 3)
NAMED = {"x": {0: "batch", 1: "length"}, "y": {0: "other"}}
FORMS = [
    {"x": {0: "batch", 1: "length"}, "y": {0: "other"}},
    ({0: "batch", 1: "length"}, {0: "other"}),
    [("batch", "length", None), ["other", None]],
    {"x": ["batch", "length", 2], "y": {0: "other", 1: 3}},
    {"x": {0: Dim("batch"), 1: Dim("length")}, "y": {0: Dim("other"), 1: Dim.STATIC}},
    {"x": {-3: "batch", -2: "length"}, "y": (Dim("other"), None)},
]


@pytest.mark.parametrize("form", FORMS, ids=range(len(FORMS)))
def test_each_form_says_the_same(form):
    assert NAMED == axes(bound(two, (X, Y), dynamic_shapes=form))


def test_nested_structures_match_by_name_and_by_position():
    past = [{"key": torch.zeros(2, 5), "value": torch.zeros(2, 5)}]
    expected = {"past.0.key": {1: "past"}, "past.0.value": {1: "past"}, "extra": {0: "n"}}
    by_name = {"past": [{"key": {1: "past"}, "value": {1: "past"}}], "extra": {0: "n"}}
    by_position = (None, [({1: "past"}, {1: "past"})], {0: "n"})
    gathered = {"past": [{"key": {1: "past"}, "value": {1: "past"}}], "more": {"extra": {0: "n"}}}
    for form in (by_name, by_position, gathered):
        call = bound(nested, (X, past), {"extra": torch.zeros(7)}, dynamic_shapes=form)
        assert expected == axes(call)


def test_members_of_star_args():
    def many(*xs):
        return xs

    assert {"xs.1": {0: "n"}} == axes(bound(many, (X, Y), dynamic_shapes={"xs": (None, {0: "n"})}))


def starred(x, *ys, **more):
    return x


@pytest.mark.parametrize(
    "form",
    [
        ({0: "n"}, ({0: "n"}, None), {"a": {0: "n"}, "b": None}),
        ({0: "n"}, {0: "n"}, None, {0: "n"}, None),
        {"x": {0: "n"}, "ys": ({0: "n"}, None), "more": {"a": {0: "n"}, "b": None}},
    ],
    ids=["by parameter", "by argument", "by name"],
)
def test_star_args_and_keywords_as_one_entry_and_each_by_itself(form):
    call = ((X, X, Y), {"a": X, "b": Y})
    assert {"x": {0: "n"}, "ys.0": {0: "n"}, "a": {0: "n"}} == axes(bound(starred, *call, dynamic_shapes=form))


def test_hints_make_up_names_by_the_rule_of_the_classic_exporter():
    call = bound(two, (X, Y), dynamic_shapes={"x": {0: Dim.DYNAMIC, 2: Dim.AUTO}, "y": Dim.AUTO})
    expected = {
        "x": {0: "x_dynamic_axes_1", 2: "x_dynamic_axes_2"},
        "y": {0: "y_dynamic_axes_1", 1: "y_dynamic_axes_2"},
    }
    assert expected == axes(call)
    assert {"x_dynamic_axes_2", "y_dynamic_axes_1", "y_dynamic_axes_2"} == call.relaxed_axes


def test_ranges_and_derived_dims():
    n = Dim("n", min=2, max=50)
    call = bound(two, (X, Y), dynamic_shapes={"x": {0: n}, "y": {0: 2 * n}})
    assert {"x": {0: "n"}, "y": {0: "2*n"}} == axes(call)
    assert ["n >= 2", "n <= 50"] == call.ranges["n"].conditions("n")


def test_what_a_collection_of_torch_export_gives():
    collection = ShapesCollection()
    collection[X] = {0: Dim("batch"), 1: Dim("length")}
    collection[Y] = {0: Dim("other")}
    assert NAMED == axes(bound(two, (X, Y), dynamic_shapes=collection))


def test_a_collection_about_other_tensors_is_refused():
    shapes = ShapesCollection()
    shapes[X.clone()] = {0: "n"}
    with pytest.raises(UsageError, match="the ShapesCollection does not fit the call"):
        bound(two, (X, Y), dynamic_shapes=shapes)


def test_caches_take_keys_and_values_in_two_lists():
    transformers = pytest.importorskip("transformers")
    cache = transformers.DynamicCache()
    for layer in range(2):
        cache.update(torch.zeros(1, 2, 3, 4), torch.zeros(1, 2, 3, 4), layer)
    forms = (
        [[{2: "past"}] * 2, [{2: "past"}] * 2],
        {"key_cache": [{2: "past"}] * 2, "value_cache": [{2: "past"}] * 2},
        [{"key": {2: "past"}, "value": {2: "past"}}] * 2,
    )
    names = [f"past.{layer}.{half}" for layer in range(2) for half in ("key", "value")]
    for form in forms:
        assert {name: {2: "past"} for name in names} == axes(bound(nested, (X, cache), dynamic_shapes=(None, form)))


WRONG = [
    ({"z": {0: "n"}}, "'z', which is no argument of the call"),
    (({0: "n"},), "1 entries, and the call 2 arguments"),
    ({"x": {3: "n"}}, "the axis 3 for 'x'"),
    ({"x": {0: "n", -3: "m"}}, "axis 0 of 'x' twice"),
    ({"x": ("n",)}, "1 dimensions for 'x', which has 3"),
    ({"x": {0: 5}}, "fixes x\\[0\\] to 5, and the example has 4"),
    ({"x": {0: "n"}, "y": {0: "n"}}, "'n' stands for 4 and for 8"),
    ({"x": {0: Dim("n", min=5)}}, "outside of the range 5\\.\\. of 'n'"),
    ({"x": {0: Dim("n")}, "y": {0: 3 * Dim("n")}}, "'3\\*n' is 12 where 'n' is 4"),
    ({"x": {0: 1.5}}, "which is no dimension"),
    ({"x": "batch"}, "'batch' for the tensor 'x'"),
    ("x", "dynamic_shapes is a str"),
]


@pytest.mark.parametrize(("form", "message"), WRONG, ids=[message for _, message in WRONG])
def test_what_does_not_fit_is_refused(form, message):
    with pytest.raises(UsageError, match=message):
        bound(two, (X, Y), dynamic_shapes=form)


def test_a_baked_argument_cannot_be_dynamic():
    with pytest.raises(UsageError, match="makes 'y' dynamic, which is no tensor"):
        bound(two, (X, 3), dynamic_shapes={"y": Dim.DYNAMIC})


# ---- with dynamic_axes -----------------------------------------------------------------------------------------------


def test_both_ways_may_say_the_same():
    assert NAMED == axes(bound(two, (X, Y), dynamic_axes=NAMED, dynamic_shapes=FORMS[0]))


def test_a_name_of_the_user_takes_the_place_of_one_made_up():
    shapes = {"x": {0: Dim.AUTO}}
    assert {"x": {0: "b"}} == axes(bound(two, (X, Y), dynamic_axes={"x": {0: "b"}}, dynamic_shapes=shapes))


DISAGREEING = [
    ({"x": {0: "b"}}, {"x": {0: "c"}}, "axis 0 of 'x' is 'b'; in dynamic_shapes it is 'c'"),
    ({"x": {1: "b"}}, {"x": {0: "b", 1: "b2"}}, "axis 1 of 'x' is 'b'; in dynamic_shapes it is 'b2'"),
    ({"y": {0: "b"}}, {"x": {0: "b"}}, "axis 0 of 'y' is 'b'; in dynamic_shapes it is fixed"),
    ({"x": {0: "b"}}, {"x": {0: "b", 1: "c"}}, "axis 1 of 'x' is fixed; in dynamic_shapes it is 'c'"),
]


@pytest.mark.parametrize(("dynamic_axes", "dynamic_shapes", "message"), DISAGREEING)
def test_both_ways_must_agree(dynamic_axes, dynamic_shapes, message):
    with pytest.raises(UsageError, match=message):
        bound(two, (X, Y), dynamic_axes=dynamic_axes, dynamic_shapes=dynamic_shapes)


# ---- examples --------------------------------------------------------------------------------------------------------


def call(*sizes):
    return torch.zeros(sizes[0], 3), torch.zeros(sizes[1], sizes[0])


def test_what_differs_is_dynamic_and_what_varies_together_shares_a_name():
    expected = {"x": {0: "d0"}, "y": {0: "d1", 1: "d0"}}
    assert expected == axes(bound(two, call(2, 5), examples=[call(3, 5), call(3, 6)]))


def test_the_first_example_is_the_call_where_there_are_no_arguments():
    arguments = bound(two, examples=[call(2, 5), call(2, 6)])
    assert ({"y": {0: "d0"}}, (2, 3)) == (axes(arguments), tuple(arguments.inputs[0].tensor.shape))


def test_names_of_the_user_are_taken_for_what_varies_together():
    arguments = bound(two, call(2, 5), examples=[call(3, 5)], dynamic_axes={"x": {0: "batch"}})
    assert {"x": {0: "batch"}, "y": {1: "batch"}} == axes(arguments)


UNLIKE = [
    ((torch.zeros(2, 3),), "missing"),
    ((torch.zeros(2, 3, 1), torch.zeros(5, 2)), "'x' is float32 of 2 dimensions in one example and float32 of 3"),
    ((torch.zeros(2, 3, dtype=torch.int64), torch.zeros(5, 2)), "int64 of 2 dimensions in another"),
    ((torch.zeros(2, 3), 4), "the tensors of one example are x, y, and of another x"),
]


@pytest.mark.parametrize(("example", "message"), UNLIKE, ids=[message for _, message in UNLIKE])
def test_examples_that_differ_in_more_than_sizes_are_refused(example, message):
    with pytest.raises(UsageError, match=message):
        bound(two, call(2, 5), examples=[example])


def test_a_baked_value_that_differs_is_refused():
    with pytest.raises(UsageError, match="'y' is 1 in one example and 2 in another"):
        bound(two, (X, 1), examples=[(X, 2)])


def test_an_axis_fixed_in_dynamic_shapes_cannot_differ():
    with pytest.raises(UsageError, match="axis 0 of 'x' is fixed in dynamic_shapes, and has the sizes 2, 3"):
        bound(two, call(2, 5), examples=[call(3, 5)], dynamic_shapes={"x": None, "y": {1: "n"}})


# ---- properties ------------------------------------------------------------------------------------------------------

SIZES = st.lists(st.integers(0, 5), min_size=0, max_size=4)
NAMES = st.sampled_from(["a", "b", "c", "d"])


@st.composite
def shapes_and_axes(draw):
    """Shapes of two tensors, and names for some of their axes; equal sizes may share a name."""
    shapes = [draw(SIZES), draw(SIZES)]
    named: list[dict[int, str]] = []
    for shape in shapes:
        chosen = {axis: f"{draw(NAMES)}{size}" for axis, size in enumerate(shape) if draw(st.booleans())}
        named.append(chosen)
    return shapes, named


FORM_OF_TENSOR = {
    "dict": lambda shape, named: dict(named),
    "list": lambda shape, named: [named.get(axis) for axis in range(len(shape))],
    "sizes": lambda shape, named: tuple(named.get(axis, size) for axis, size in enumerate(shape)),
    "dims": lambda shape, named: {axis: Dim(name) for axis, name in named.items()},
    "from the end": lambda shape, named: {axis - len(shape): name for axis, name in named.items()},
}


@given(shapes_and_axes(), st.sampled_from(sorted(FORM_OF_TENSOR)), st.booleans())
@settings(max_examples=80, deadline=None)
def test_every_form_comes_to_what_was_named(case, form, by_name):
    shapes, named = case
    said = [FORM_OF_TENSOR[form](shape, chosen) for shape, chosen in zip(shapes, named, strict=True)]
    tensors = tuple(torch.zeros(shape) for shape in shapes)
    arguments = bound(two, tensors, dynamic_shapes=dict(zip("xy", said, strict=True)) if by_name else tuple(said))
    assert {name: chosen for name, chosen in zip("xy", named, strict=True) if chosen} == axes(arguments)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=4))
@settings(max_examples=60, deadline=None)
def test_examples_make_exactly_the_differing_sizes_dynamic(sizes):
    first, *others = [call(*pair) for pair in sizes]
    found = axes(bound(two, first, examples=others))
    histories = {("x", 0): 0, ("y", 0): 1, ("y", 1): 0}
    varying = {place for place, member in histories.items() if len({pair[member] for pair in sizes}) > 1}
    assert varying == {(name, axis) for name, given in found.items() for axis in given}
    together = {pair[0] for pair in sizes if pair[0] != pair[1]} == set()
    names = {found["x"][0], found["y"][0]} if {("x", 0), ("y", 0)} <= varying else set()
    assert not names or (len(names) == 1) == together


# ---- in the file -----------------------------------------------------------------------------------------------------


class Rows(torch.nn.Module):
    def forward(self, x, y):
        return x.flatten().sum() + y, x @ y.t()


FILE_FORMS = [
    {"dynamic_shapes": {"x": {0: Dim("n", min=2, max=30)}, "y": {0: Dim("m")}}},
    {"dynamic_shapes": ({0: "n"}, {0: "m"})},
    {"dynamic_shapes": {"x": {0: Dim.AUTO}, "y": {0: Dim.DYNAMIC}}, "dynamic_axes": {"x": {0: "n"}, "y": {0: "m"}}},
    {"examples": [(torch.zeros(3, 2), torch.zeros(5, 2))], "dynamic_axes": {"x": {0: "n"}, "y": {0: "m"}}},
]


@pytest.mark.parametrize("form", FILE_FORMS, ids=range(len(FILE_FORMS)))
@pytest.mark.parametrize("strategy", ["record", "export"])
def test_the_file_has_the_axes_and_is_right_at_other_sizes(form, strategy):
    args = (torch.randn(2, 2), torch.randn(4, 2))
    exported = lading.export(Rows(), args, verify=True, settings=[f"trace.strategy={strategy}"], **form)
    assert ({0: "n"}, {0: "m"}, {0: "n", 1: "m"}) == tuple(exported.axes[name] for name in ("x", "y", "output.1"))
    assert "passed" == exported.verification.status


N = Dim("n", min=2, max=50)


class Doubled(torch.nn.Module):
    """Takes half of a size and a size that is known to be thrice it, and one."""

    def forward(self, x, y):
        return x.view(-1, 2, x.shape[1]).sum(1) + x.shape[0] // 2, torch.cat([x, x[::2]]) - y[1:]


@pytest.mark.parametrize("strategy", ["record", "export"])
def test_sizes_that_follow_from_one_that_no_axis_has_are_no_limit_and_vary_together(strategy):
    args = (torch.randn(8, 3), torch.randn(13, 3))
    shapes = ({0: 2 * N}, {0: 3 * N + 1})
    exported = lading.export(
        Doubled(), args, dynamic_shapes=shapes, verify=True, settings=[f"trace.strategy={strategy}"]
    )
    assert {"n >= 2", "n <= 50"} == {limit.condition for limit in exported.limits}
    assert all(limit.declared for limit in exported.limits)
    passed = [check.sizes for check in exported.verification.checks if check.status == "passed"]
    assert {"n": 7, "2*n": 14, "3*n + 1": 22} in passed


def test_outputs_are_named_over_the_size_that_the_others_follow_from():
    exported = lading.export(
        Doubled(), (torch.randn(8, 3), torch.randn(13, 3)), dynamic_shapes=({0: 2 * N}, {0: 3 * N + 1})
    )
    assert ({0: "n"}, {0: "3*n"}) == (exported.axes["output.0"], exported.axes["output.1"])


def test_a_size_that_follows_is_fixed_with_its_root():
    class Fixed(torch.nn.Module):
        def forward(self, x, y):
            return x + torch.ones(4), y * 2

    args, shapes = (torch.randn(4), torch.randn(8)), ({0: N}, {0: 2 * N})
    exported = lading.export(Fixed(), args, dynamic_shapes=shapes, settings=["dynamic-axes.on_fixed_axis=warn"])
    assert {} == exported.axes


def test_a_size_that_follows_from_none_is_refused():
    with pytest.raises(UsageError, match=r"'2\*n' is that for no 'n'"):
        bound(two, (torch.zeros(5), Y), dynamic_shapes=({0: 2 * N}, None))


class NeedsThree(torch.nn.Module):
    def forward(self, x):
        return x @ torch.ones(3, 3)


def test_an_axis_left_to_the_capture_may_become_a_constant_and_one_asked_for_may_not():
    exported = lading.export(NeedsThree(), torch.randn(2, 3), dynamic_shapes=({0: "n", 1: Dim.AUTO},))
    assert {0: "n"} == exported.axes["x"]
    with pytest.raises(lading.CaptureError, match="is fixed to 3"):
        lading.export(NeedsThree(), torch.randn(2, 3), dynamic_shapes=({0: "n", 1: Dim.DYNAMIC},))


def test_ranges_and_the_table_of_axes_are_in_the_audit():
    exported = lading.export(NeedsThree(), torch.randn(2, 3), dynamic_shapes=({0: Dim("n", max=9)},))
    found = [decided for event in exported.events for decided in event.get("decisions") or ()]
    assert "n <= 9" in [decided["details"].get("condition") for decided in found]
    assert {"0": "n"} in [decided["details"].get("axes") for decided in found]
