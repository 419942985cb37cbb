# SPDX-License-Identifier: Apache-2.0
"""Requested axes stay free: symbols, arithmetic on sizes, guards, and what happens when an axis cannot stay free."""

from __future__ import annotations

import math
import operator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

BATCH = {"x": {0: "batch"}}


def image(x):
    y = F.conv2d(x, torch.ones(4, 3, 3, 3), stride=2)
    y = F.max_pool2d(F.relu(y), 2)
    y = F.interpolate(y, scale_factor=2.0, mode="bilinear", align_corners=False)
    return F.pad(y, (0, 1, 2, 0)).flatten(1).sum(1)


def heads(x):
    batch, length, width = x.shape
    return x.view(batch, length, 2, width // 2).transpose(1, 2).reshape(batch * 2, length, -1) @ x.new_ones(width // 2)


def positions(x):
    length = x.shape[1]
    mask = torch.ones(length, length, dtype=torch.bool).tril()
    return x.masked_fill(~mask[None, :, :1], 0.0) + torch.arange(length)[None, :, None]


def windows(x):
    length = x.shape[1]
    padded = F.pad(x, (0, 0, 0, (-length) % 4))
    return padded.reshape(x.shape[0], -1, 4, x.shape[2]).mean(2)


def normalised(x):
    return x * (x.shape[1] ** -0.5) / math.prod(x.shape[:2])


def halves(x):
    half = x.shape[1] // 2
    return torch.cat([x[:, half:], x[:, :half]], dim=1), x[:, : max(half, 1)]


def sizes(x):
    return x.shape[0], x.shape[0] * x.shape[1] + 1, x.numel(), x.shape[1] / 2


BOTH = {"x": {0: "batch", 1: "length"}}
SEQUENCES = [heads, positions, windows, normalised, halves, sizes]


@pytest.mark.parametrize("model", SEQUENCES, ids=lambda model: model.__name__)
@pytest.mark.parametrize("example", [(2, 5), (1, 1), (3, 8)], ids=str)
def test_sequence_models_are_right_at_other_sizes(captured, model, example):
    result = captured(model, torch.randn(*example, 6), dynamic_axes=BOTH)
    assert () == result.capture.specialisations
    assert result.same_as_eager(torch.randn(2, 7, 6))
    assert result.same_as_eager(torch.randn(5, 12, 6))


@pytest.mark.parametrize("example", [(2, 32, 48), (1, 40, 40)], ids=str)
def test_image_models_are_right_at_other_sizes(captured, example):
    batch, height, width = example
    axes = {"x": {0: "batch", 2: "height", 3: "width"}}
    result = captured(image, torch.randn(batch, 3, height, width), dynamic_axes=axes)
    assert () == result.capture.specialisations
    assert result.same_as_eager(torch.randn(3, 3, 36, 52))


def test_shapes_are_written_over_the_names_of_the_user(captured):
    result = captured(windows, torch.randn(2, 6, 3), dynamic_axes=BOTH)
    assert ["batch", "(length + 3) // 4", 3] == [
        dim if isinstance(dim, int) else dim.value for dim in result.graph.outputs[0].shape
    ]


def test_static_dimensions_of_inputs_stay_numbers(captured):
    (value,) = captured(heads, torch.randn(2, 5, 6), dynamic_axes=BATCH).graph.inputs
    assert ["batch", 5, 6] == [dim if isinstance(dim, int) else dim.value for dim in value.shape]


def test_a_size_is_read_once(captured):
    ops = captured(heads, torch.randn(2, 5, 6), dynamic_axes=BOTH).ops()
    assert 2 == ops["aten::sym_size"]


def test_equal_expressions_are_computed_once(captured):
    def model(x):
        return x.new_ones(x.shape[0] * 3 + 1), x.new_zeros(1 + 3 * x.shape[0])

    ops = captured(model, torch.randn(2), dynamic_axes={"x": [0]}).ops()
    assert (1, 1) == (ops["aten::mul"], ops["aten::add"])


def test_one_name_on_two_axes_is_one_symbol(captured):
    result = captured(lambda x, y: x + y, (torch.randn(3), torch.randn(3)), dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
    assert ((), ()) == (result.capture.specialisations, result.capture.guards)


def test_two_names_that_must_agree_leave_a_guard(captured):
    result = captured(lambda x, y: x + y, (torch.randn(3), torch.randn(3)), dynamic_axes={"x": {0: "n"}, "y": {0: "m"}})
    assert [("n == m", True, False)] == [
        (guard.condition, guard.outcome, guard.by_user) for guard in result.capture.guards
    ]


def test_a_size_that_the_model_refuses_leaves_a_guard_with_its_line(captured):
    def model(x):
        if x.shape[0] > 4:
            raise ValueError("too many")
        return x

    result = captured(model, torch.randn(3), dynamic_axes={"x": {0: "n"}})
    line = model.__code__.co_firstlineno + 1
    (guard,) = (guard for guard in result.capture.guards if guard.by_user)
    expected = ("n > 4", False, f"tests/passes/trace/test_record_dynamic.py:{line}")
    assert expected == (guard.condition, guard.outcome, guard.source)


def test_an_axis_that_is_read_as_a_number_is_a_specialisation(captured):
    def model(x):
        return x.repeat(operator.index(x.shape[0]))

    result = captured(model, torch.randn(3), dynamic_axes={"x": {0: "n"}})
    line = model.__code__.co_firstlineno + 1
    (special,) = result.capture.specialisations
    expected = ("n", 3, f"tests/passes/trace/test_record_dynamic.py:{line}")
    assert expected == (special.axis, special.size, special.source)


def test_an_axis_that_must_fit_a_weight_is_a_specialisation(captured):
    class Adds(nn.Module):
        def __init__(self):
            super().__init__()
            self.bias = nn.Parameter(torch.ones(3))

        def forward(self, x):
            return x + self.bias

    (special,) = captured(Adds(), torch.randn(3), dynamic_axes={"x": {0: "n"}}).capture.specialisations
    assert ("n", 3) == (special.axis, special.size)


def test_a_loop_over_an_axis_is_a_specialisation(captured):
    def model(x):
        total = x[0] * 0
        for row in x:
            total = total + row
        return total

    (special,) = captured(model, torch.randn(3, 2), dynamic_axes={"x": {0: "n"}}).capture.specialisations
    assert ("n", 3) == (special.axis, special.size)


def test_number_of_nonzero_elements_is_bound_to_the_operator(captured):
    def model(x):
        found = torch.nonzero(x > 0)
        return found.shape[0], found * 2, x.new_ones(found.shape[0])

    result = captured(model, torch.tensor([1.0, -1.0, 2.0]), dynamic_axes={"x": {0: "n"}})
    assert result.same_as_eager(torch.tensor([1.0, -1.0, 2.0, 4.0]))


def test_boolean_masks_keep_a_size_of_their_own(captured):
    result = captured(lambda x: x[x > 0].sum(), torch.tensor([1.0, -1.0, 2.0]))
    assert result.same_as_eager(torch.tensor([-1.0, -1.0, 2.0]))


def test_unique_is_captured(captured):
    result = captured(lambda x: torch.unique(x, return_inverse=True), torch.tensor([3, 1, 3]))
    assert result.same_as_eager(torch.tensor([5, 5, 5]))


def test_value_of_a_tensor_may_be_a_size(captured):
    def model(x, n):
        return torch.ones(n.item()) * 2

    result = captured(model, (torch.randn(2), torch.tensor(3)))
    assert result.same_as_eager(torch.randn(2), torch.tensor(5))


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("...i,...i", [(2, 3), (2, 3)]),
        ("bii->bi", [(2, 3, 3)]),
        ("bi,cj->bicj", [(2, 3), (7, 5)]),
        ("b...d,d->...b", [(2, 3, 4, 5), (5,)]),
    ],
)
def test_einsum_stays_whole(captured, equation, shapes):
    def model(*x):
        return torch.einsum(equation, *x)

    axes = {f"x.{index}": {0: "batch"} for index, shape in enumerate(shapes) if shape[0] == 2}
    result = captured(model, tuple(torch.randn(shape) for shape in shapes), dynamic_axes=axes)
    assert {"prim::ListConstruct": 1, "aten::einsum": 1} == result.ops()
    assert result.same_as_eager(*(torch.randn(4 if shape[0] == 2 else shape[0], *shape[1:]) for shape in shapes))


@pytest.mark.parametrize(
    ("left", "right"),
    [((2, 3, 4), (4, 5)), ((4,), (4, 5)), ((2, 3, 4), (4,)), ((2, 1, 3, 4), (6, 4, 5)), ((4,), (4,))],
    ids=str,
)
def test_matmul_stays_whole(captured, left, right):
    result = captured(lambda x, y: x @ y, (torch.randn(left), torch.randn(right)))
    assert {"aten::matmul": 1} == result.ops()
    assert result.same_as_eager()


def test_sizes_that_do_not_fit_are_an_error_of_the_users_line(captured):
    from lading.pipeline.errors import CaptureError

    def model(x, y):
        return x @ y

    with pytest.raises(CaptureError, match=r"(?s)RuntimeError.*test_record_dynamic\.py:\d+: return x @ y"):
        captured(model, (torch.randn(2, 3), torch.randn(4, 5)))
