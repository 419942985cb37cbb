# SPDX-License-Identifier: Apache-2.0
"""Axes that are dynamic and have no name of the user's: those that the model ties together are one, as in PyTorch."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.export import Dim

import lading

CAPTURES = ("record", "export")


class Added(nn.Module):
    def forward(self, x, y):
        return x + y, torch.cat([x, y])


class Sum(nn.Module):
    def forward(self, x, y):
        return x + y


class Shifted(nn.Module):
    """Needs one axis to be by one longer than the other."""

    def forward(self, x, y):
        return x + y[1:]


class Doubled(nn.Module):
    def forward(self, x, y):
        return torch.cat([x, x]) * y


class Asserting(nn.Module):
    def forward(self, x, y):
        assert x.shape[0] == y.shape[0], "one row for each"
        return x.sum() + y.sum()


def tensor(*shape):
    return torch.arange(float(torch.Size(shape).numel())).reshape(shape)


def made(free, model, sizes, shapes, capture, **options):
    args = tuple(tensor(size, 2) for size in sizes)
    return free(model, args, None, dynamic_shapes=shapes, settings=[f"trace.strategy={capture}"], **options)


def file_axes(found):
    return [found.exported.axes.get(name, {}).get(0) for name in found.exported.input_names]


@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize(
    "hints",
    [(Dim.AUTO, Dim.AUTO), (Dim.DYNAMIC, Dim.DYNAMIC), (Dim.DYNAMIC, Dim.AUTO)],
    ids=["auto", "dynamic", "both"],
)
def test_axes_that_must_be_equal_are_one(free, capture, hints):
    found = made(free, Added(), (3, 3), tuple({0: hint} for hint in hints), capture)
    assert (["x_dynamic_axes_1"] * 2, []) == (file_axes(found), list(found.exported.limits))
    assert ["", ""] == [found.differs(tensor(size, 2), tensor(size, 2) - 7) for size in (1, 6)]


@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize("hint", [Dim.AUTO, Dim.DYNAMIC], ids=["auto", "dynamic"])
@pytest.mark.parametrize("named", [0, 1])
def test_one_that_the_user_has_named_gives_the_name(free, capture, hint, named):
    shapes = [{0: hint}, {0: hint}]
    shapes[named] = {0: "rows"}
    found = made(free, Added(), (3, 3), tuple(shapes), capture)
    assert (["rows", "rows"], []) == (file_axes(found), list(found.exported.limits))
    assert "" == found.differs(tensor(5, 2), tensor(5, 2))


@pytest.mark.parametrize("capture", CAPTURES)
def test_two_that_the_user_has_named_stay_two_and_the_file_is_limited(free, capture):
    found = made(free, Added(), (3, 3), ({0: "a"}, {0: "b"}), capture)
    assert (["a", "b"], 1) == (file_axes(found), len(found.exported.limits))


@pytest.mark.parametrize("capture", CAPTURES)
@pytest.mark.parametrize(
    ("model", "sizes", "axis", "others"),
    [(Shifted(), (3, 4), "x_dynamic_axes_1 + 1", (6, 7)), (Doubled(), (3, 6), "2*x_dynamic_axes_1", (5, 10))],
    ids=["by one", "twice"],
)
def test_an_axis_that_follows_from_another_is_an_expression_over_it(free, capture, model, sizes, axis, others):
    found = made(free, model, sizes, ({0: Dim.DYNAMIC}, {0: Dim.DYNAMIC}), capture)
    assert (["x_dynamic_axes_1", axis], []) == (file_axes(found), list(found.exported.limits))
    assert "" == found.differs(*(tensor(size, 2) for size in others))


@pytest.mark.parametrize("capture", CAPTURES)
def test_what_the_models_python_asserts_is_taken_for_what_it_needs(free, capture):
    found = made(free, Asserting(), (3, 3), ({0: Dim.AUTO}, {0: Dim.AUTO}), capture)
    assert (["x_dynamic_axes_1"] * 2, []) == (file_axes(found), list(found.exported.limits))


def test_all_of_a_chain_are_the_first(free):
    class Chain(nn.Module):
        def forward(self, x, y, z):
            return (y + z) * x

    found = made(free, Chain(), (3, 3, 3), ({0: Dim.AUTO},) * 3, "record")
    assert ["x_dynamic_axes_1"] * 3 == file_axes(found)
    assert "" == found.differs(*(tensor(7, 2) for _ in range(3)))


def test_a_decision_that_is_followed_on_both_sides_ties_nothing(free):
    class Either(nn.Module):
        def forward(self, x, y):
            return (x * y).sum() if x.shape[0] == y.shape[0] else x.sum() - y.sum()

    found = made(free, Either(), (3, 3), ({0: Dim.AUTO}, {0: Dim.AUTO}), "record")
    assert ["x_dynamic_axes_1", "y_dynamic_axes_1"] == file_axes(found)
    assert ["", ""] == [found.differs(tensor(4, 2), tensor(size, 2)) for size in (4, 5)]


@pytest.mark.parametrize("capture", CAPTURES)
def test_an_axis_of_size_one_that_is_broadcast_is_not_the_other(free, capture):
    found = made(free, Sum(), (3, 1), ({0: Dim.AUTO}, {0: Dim.AUTO}), capture)
    assert ["x_dynamic_axes_1", None] == file_axes(found)
    assert "" == found.differs(tensor(5, 2), tensor(1, 2))


def test_ranges_of_both_hold_for_the_one(free):
    shapes = ({0: Dim.AUTO(min=2, max=8)}, {0: Dim.AUTO(min=3, max=9)})
    found = made(free, Added(), (3, 3), shapes, "record")
    assert ["x_dynamic_axes_1 >= 3", "x_dynamic_axes_1 <= 8"] == [limit.condition for limit in found.exported.limits]


def test_an_axis_that_may_not_become_a_constant_takes_one_that_may_along():
    class Three(nn.Module):
        def forward(self, x, y):
            return x + y + torch.ones(3, 2)

    args = tensor(3, 2), tensor(3, 2)
    with pytest.raises(lading.CaptureError, match="fixed to 3"):
        lading.export(Three(), args, dynamic_shapes=({0: Dim.AUTO}, {0: Dim.DYNAMIC}))


@pytest.mark.parametrize("capture", CAPTURES)
def test_what_follows_from_what_is_on_record(free, capture):
    found = made(free, Shifted(), (3, 4), ({0: "rows"}, {0: Dim.AUTO}), capture)
    (decision,) = [
        one["details"]
        for event in found.exported.events
        for one in event.get("decisions") or ()
        if one["what"] == "axis follows from another"
    ]
    assert ("y_dynamic_axes_1", "rows + 1") == (decision["axis"], decision["size"])
