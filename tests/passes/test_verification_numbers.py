# SPDX-License-Identifier: Apache-2.0
"""How outputs are compared, what inputs are drawn, and which sizes are tried: the parts of the verify pass."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lading.passes.verification.comparison import Tolerance, compare
from lading.passes.verification.inputs import Roots, draw_like, other_sizes
from lading.passes.verification.limits import keeping_test
from torch import Tensor

# How outputs are compared ---------------------------------------------------------------------------------------------


def problem(expected: Any, got: Any, **kind: Any) -> str | None:
    return compare("y", torch.tensor(expected, **kind), torch.tensor(got, **kind), Tolerance()).problem


def test_the_tolerance_is_on_the_scale_of_the_output() -> None:
    assert problem([100.0, 0.0], [100.0, 0.009]) is None


def test_a_difference_above_the_tolerance_is_a_problem() -> None:
    assert "1 of 2 values differ by more than 1.0e-04 of the scale" == problem([100.0, 0.0], [100.0, 0.011])


def test_mask_values_do_not_set_the_scale() -> None:
    assert problem([-3.4e38, 1.0, 2.0, 3.0], [-3.4e38, 1.1, 2.0, 3.0]) is not None


def test_mask_values_are_compared_with_themselves() -> None:
    assert problem([-3.4e38, 1.0, 2.0, 3.0], [-3.3e38, 1.0, 2.0, 3.0]) is not None


def test_nan_must_stand_in_the_same_places() -> None:
    assert "NaN stands in 1 places and not in 0" == problem([1.0, 2.0], [1.0, math.nan])


def test_nan_in_the_same_place_is_equal() -> None:
    assert problem([1.0, math.nan], [1.0, math.nan]) is None


def test_infinities_have_signs() -> None:
    assert "infinities stand in other places" == problem([1.0, math.inf], [1.0, -math.inf])


def test_half_precision_has_a_wider_tolerance() -> None:
    assert problem([1.0, 2.0], [1.0, 2.01], dtype=torch.float16) is None


def test_outputs_of_a_half_precision_model_have_a_wider_tolerance() -> None:
    expected, got = torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.01])
    assert compare("y", expected, got, Tolerance(), torch.float16).problem is None


def test_large_integers_are_compared_exactly() -> None:
    assert 1.0 == compare("y", torch.tensor([2**62]), torch.tensor([2**62 + 1]), Tolerance()).absolute


ROWS = torch.arange(24.0).reshape(2, 4, 3)


@pytest.mark.parametrize(
    ("got", "said"),
    [
        (ROWS[:, [0, 2, 1, 3]], True),
        (ROWS.flip(0), False),
        (ROWS[:, [0, 1, 1, 3]], False),
        (ROWS[:, [0, 2, 1, 3]] + torch.tensor([0.0, 0.0, 0.1]), False),
    ],
    ids=["exchanged", "in another matrix", "one twice", "changed too"],
)
def test_rows_that_only_stand_in_another_order_are_told(got: Tensor, said: bool) -> None:
    problem = compare("y", ROWS, got, Tolerance()).problem
    assert problem is not None
    assert said == ("rows stand in another order" in problem)


def test_complex_numbers_may_come_as_pairs() -> None:
    expected = torch.complex(torch.randn(3), torch.randn(3))
    assert compare("y", expected, torch.view_as_real(expected), Tolerance()).problem is None


# Which inputs are drawn -----------------------------------------------------------------------------------------------


def drawn(example: Tensor, *shape: int) -> Tensor:
    return draw_like(example, shape, torch.Generator().manual_seed(0))


def test_integers_stay_in_the_range_of_the_example() -> None:
    values = drawn(torch.tensor([5, 9, 7]), 1000)
    assert {5, 6, 7, 8, 9} == set(values.tolist())


def test_floats_are_drawn_from_the_example() -> None:
    values = drawn(torch.tensor([0.25, -1.5]), 100)
    assert {0.25, -1.5} == set(values.tolist())


def test_a_constant_float_is_varied_upward() -> None:
    values = drawn(torch.zeros(4), 100)
    assert (True, True) == (bool((values >= 0).all()), len(set(values.tolist())) > 50)


def test_rows_of_a_mask_stay_rows_of_the_mask() -> None:
    mask = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0]])
    assert {(1, 1, 1, 0, 1, 1), (1, 0, 0, 0, 1, 0)} == set(map(tuple, drawn(mask, 5, 6).tolist()))


def test_a_square_mask_keeps_its_order() -> None:
    causal = torch.ones(4, 4, dtype=torch.bool).tril()
    assert torch.equal(causal[:3, :3], drawn(causal, 3, 3))


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.int32, torch.uint8, torch.bool]
)
def test_the_element_type_stays(dtype: torch.dtype) -> None:
    assert (dtype, (3, 2)) == ((values := drawn(torch.tensor([[0, 1], [2, 3]]).to(dtype), 3, 2)).dtype, values.shape)


def test_an_empty_example_can_grow() -> None:
    assert (2, 5, 4) == drawn(torch.empty(2, 0, 4), 2, 5, 4).shape


@pytest.mark.parametrize(("size", "others"), [(1, [2, 7]), (4, [1, 5, 7]), (6, [1, 7, 5]), (7, [1, 8, 5]), (0, [1, 7])])
def test_other_sizes(size: int, others: list[int]) -> None:
    assert others == other_sizes(size)


# Stated limits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("(width % 8) == 0", False),
        ("width > 3", True),
        ("not (width > 3)", False),
        ("(width // 2) == 5", True),
        ("max(width, 20) == 20", True),
        ("ceil((width / 2)) + 2*width == 27", False),
        ("width > 20 or width == 10", True),
        ("unknown == 3", True),
    ],
)
def test_limits_are_read_from_their_words(condition: str, holds: bool) -> None:
    keeps = keeping_test(condition)
    assert keeps is not None
    assert holds == keeps({"width": 10})


@pytest.mark.parametrize("condition", ["__import__('os')", "a.b == 3", "no python", "[1][0]"])
def test_other_words_are_no_limit(condition: str) -> None:
    assert keeping_test(condition) is None


@pytest.mark.parametrize(
    ("standing", "roots"),
    [
        ({"n": 4, "2*n": 8}, {"n": 4}),
        ({"2*n": 8, "n - 1": 3}, {"n": 4}),
        ({"n": 4, "n - 1": 7}, {"n": 4, "n - 1": 7}),
        ({"batch-size": 4, "x.shape[1]": 2}, {"batch-size": 4, "x.shape[1]": 2}),
    ],
    ids=["derived", "without its root", "not what it says", "only names"],
)
def test_axes_vary_by_themselves_but_where_their_names_say_otherwise(standing: dict, roots: dict) -> None:
    assert roots == Roots(standing).sizes
    assert {**roots, **standing} == Roots(standing).all(roots)


def test_an_axis_that_would_be_shorter_than_nothing_has_no_size() -> None:
    assert Roots({"n - 3": 2}).all({"n": 2}) is None
