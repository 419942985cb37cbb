# SPDX-License-Identifier: Apache-2.0
"""A decision that the model's Python takes on a free size: the file is right on both sides, or says its limit."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

LENGTH = {"x": {1: "length"}}
IMAGE = {"x": {0: "batch", 2: "height", 3: "width"}}


def cut_if_long(x):
    if x.shape[1] > 8:
        x = x[:, :8]
    return x.cumsum(1)


def padded_if_odd(x):
    if x.shape[1] % 4:
        x = F.pad(x, (0, 4 - x.shape[1] % 4))
    return x.reshape(x.shape[0], -1, 4).mean(-1)


def early_return(x):
    if x.shape[1] == 1:
        return x * 2
    return x.sum(1, keepdim=True)


def three_ways(x):
    if x.shape[1] < 4:
        return x + 1
    if x.shape[1] < 8:
        return x - 1
    return x * 3


def one_decision_after_another(x):
    if x.shape[1] > 6:
        x = x[:, 1:]
    y = x.exp()
    if x.shape[1] % 2:
        y = torch.cat([y, y[:, :1]], 1)
    return y.reshape(y.shape[0], -1, 2).amax(-1)


def window(x):
    return torch.cat([x, x[:, :1] * 0], 1)[:, -5:]


def window_cut_in_python(x):
    start = max(x.shape[1] - 5, 0)
    return x[:, start:] * 2


def sizes_as_results(x):
    if x.shape[1] > 8:
        return x.mean(1), x.shape[1] - 8
    return x.sum(1), x.shape[1]


SEQUENCES = [
    cut_if_long,
    padded_if_odd,
    early_return,
    three_ways,
    one_decision_after_another,
    window,
    window_cut_in_python,
    sizes_as_results,
]


@pytest.mark.parametrize("example", [1, 3, 6, 11], ids=lambda size: f"example {size}")
@pytest.mark.parametrize("model", SEQUENCES, ids=lambda model: model.__name__)
def test_a_file_is_right_on_both_sides_whichever_the_example_is_on(free, model, example):
    exported = free(model, [torch.randn(2, example)], LENGTH)
    assert [] == exported.limits
    assert {} == {
        length: problem
        for length in (1, 2, 3, 4, 5, 6, 7, 8, 9, 13)
        if (problem := exported.differs(torch.randn(2, length)))
    }


class Padded(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.up = nn.Conv2d(3, 4, 4, stride=4), nn.ConvTranspose2d(4, 3, 4, stride=4)

    def forward(self, x):
        height, width = x.shape[-2:]
        bottom, right = (4 - height % 4) % 4, (4 - width % 4) % 4
        if bottom or right:
            x = F.pad(x, (0, right, 0, bottom))
        return self.up(self.down(x).relu())[..., :height, :width]


@pytest.mark.parametrize("size", [(8, 8), (9, 8), (8, 10), (7, 6), (4, 13)], ids=str)
def test_two_axes_are_decided_each_by_itself(free, size):
    exported = free(Padded().eval(), [torch.randn(1, 3, 8, 8)], IMAGE)
    assert "" == exported.differs(torch.randn(2, 3, *size))


class Pyramid(nn.Module):
    """Two maps of an image, and the places of the smaller one, which has one column for narrow images."""

    def __init__(self):
        super().__init__()
        self.fine, self.coarse = (nn.Conv2d(3, 4, 3, stride=size, padding=1) for size in (16, 32))

    def forward(self, x):
        coarse = self.coarse(x)
        if self.fine(x).shape[3] == 2 * coarse.shape[3]:
            coarse = coarse * 2
        height, width = coarse.shape[-2:]
        rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        return coarse.flatten(2) + columns.flatten()[..., None].float().flatten() + rows.flatten()


def test_a_side_with_a_size_that_is_one_there_comes_to_an_end(free):
    exported = free(Pyramid().eval(), [torch.randn(1, 3, 64, 160)], IMAGE)
    assert [] == exported.limits
    assert {} == {
        width: problem
        for width in (4, 16, 17, 32, 33, 100)
        if (problem := exported.differs(torch.randn(2, 3, 40, width)))
    }


def test_what_both_sides_share_stands_once(free):
    class Deep(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.Sequential(*[nn.Linear(4, 4) for _ in range(5)])

        def forward(self, x):
            if x.shape[1] > 3:
                x = x.flip(1)
            return self.layers(x)

    exported = free(Deep().eval(), [torch.randn(2, 3, 4)], LENGTH)
    assert (1, 5) == (exported.count("If"), exported.count("MatMul") + exported.count("Gemm"))


def test_a_decision_in_every_layer_is_an_if_in_every_layer(free):
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x):
            x = self.layer(x)
            return x.cumsum(1) if x.shape[1] > 3 else x.tanh()

    exported = free(nn.Sequential(Layer(), Layer(), Layer()).eval(), [torch.randn(2, 3, 4)], {"input": {1: "length"}})
    assert (3, 3) == (exported.count("If"), exported.count("MatMul") + exported.count("Gemm"))
    assert ["", ""] == [exported.differs(torch.randn(2, length, 4)) for length in (2, 7)]


def test_a_decision_without_effect_leaves_no_if(free):
    def model(x):
        long = x.shape[1] > 3
        return x * (2.0 if long else 4.0 / 2)

    exported = free(model, [torch.randn(2, 3)], LENGTH)
    assert (0, []) == (exported.count("If"), exported.limits)
    assert ["length > 3: both sides are one program"] == exported.decided("decision without effect")


def test_what_an_operator_fails_without_is_a_limit_without_a_further_recording(free):
    def model(x):
        return torch.cat([x[:, ::2], x[:, : x.shape[1] // 2]])

    exported = free(model, [torch.randn(2, 8)], LENGTH)
    assert ["length // 2 == (length + 1) // 2 is True"] == exported.limits
    (why,) = exported.decided("size decided for good")
    assert why.endswith(": an operator of the model fails otherwise")


def test_a_condition_that_code_of_the_model_asks_first_has_two_sides_though_an_operator_needs_it(free):
    def model(x):
        halves = x[:, ::2], x[:, : x.shape[1] // 2]
        return torch.cat(halves) if halves[0].shape[1] == halves[1].shape[1] else torch.cat(halves, 1)

    exported = free(model, [torch.randn(2, 8)], LENGTH)
    assert [] == exported.limits
    assert ["", ""] == [exported.differs(torch.randn(2, length)) for length in (6, 7)]


def test_attention_that_is_causal_from_two_words_on_leaves_no_if(free):
    class Attention(nn.Module):
        def forward(self, x, mask):
            causal = x.shape[1] > 1 and mask is None
            return F.scaled_dot_product_attention(x, x, x, attn_mask=mask, is_causal=causal)

    axes = {"x": {1: "length"}, "mask": {1: "length", 2: "length"}}
    exported = free(Attention(), [torch.randn(2, 3, 4), torch.zeros(2, 3, 3)], axes)
    assert (0, []) == (exported.count("If"), exported.limits)


@pytest.mark.parametrize("example", [1, 3])
def test_attention_that_is_causal_from_two_words_on_is_causal_always(free, example):
    def model(x):
        return F.scaled_dot_product_attention(x, x, x, is_causal=x.shape[1] > 1)

    exported = free(model, [torch.randn(2, example, 4)], LENGTH)
    assert (0, []) == (exported.count("If"), exported.limits)
    assert ["", "", ""] == [exported.differs(torch.randn(2, length, 4)) for length in (1, 2, 5)]


def test_attention_to_a_past_that_is_causal_for_two_words_chooses_at_run_time(free):
    def model(x, past):
        keys = torch.cat([past, x], 1)
        return F.scaled_dot_product_attention(x, keys, keys, is_causal=x.shape[1] > 1)

    axes = {"x": {1: "new"}, "past": {1: "past"}}
    exported = free(model, [torch.randn(2, 3, 4), torch.randn(2, 2, 4)], axes)
    assert 1 == exported.count("If")
    sizes = [(1, 4), (1, 1), (3, 2), (5, 1)]
    assert ["", "", "", ""] == [exported.differs(torch.randn(2, n, 4), torch.randn(2, p, 4)) for n, p in sizes]


def test_a_side_on_which_the_model_refuses_is_a_limit(free):
    def model(x):
        if x.shape[1] > 6:
            raise ValueError("too long")
        return x + 1

    exported = free(model, [torch.randn(2, 3)], LENGTH)
    assert ["length > 6 is False"] == exported.limits


def test_results_of_other_ranks_are_a_limit(free):
    def model(x):
        return x if x.shape[1] > 2 else x[0]

    exported = free(model, [torch.randn(2, 3)], LENGTH)
    assert ["length > 2 is True"] == exported.limits


def test_a_range_of_sizes_leaves_a_decision_no_other_side(free):
    def model(x):
        return x[:, :8] if x.shape[1] > 8 else x

    length = torch.export.Dim("length", min=1, max=8)
    exported = free(model, [torch.randn(2, 3)], None, dynamic_shapes=({1: length},))
    assert ["length >= 1 is True", "length <= 8 is True"] == exported.limits


def test_without_further_recordings_the_side_of_the_example_is_a_limit(free):
    exported = free(cut_if_long, [torch.randn(2, 3)], LENGTH, settings=["trace.other_sides=0"])
    assert ["length > 8 is False"] == exported.limits


def test_a_loop_inside_of_both_sides_is_carried_over(free):
    @torch.jit.script
    def doubled(x: torch.Tensor) -> torch.Tensor:
        total = x
        for i in range(x.size(0)):
            total = total + x[i]
        return total

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = doubled

        def forward(self, x):
            x = self.inner(x)
            return x.flip(1) if x.shape[1] > 3 else x

    exported = free(Model(), [torch.randn(2, 3)], {"x": {0: "rows", 1: "length"}})
    assert ["", ""] == [exported.differs(torch.randn(rows, length)) for rows, length in ((4, 2), (3, 5))]


def test_weights_and_literals_of_both_sides_are_kept_apart(free):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.short, self.long = nn.Linear(4, 4), nn.Linear(4, 4)

        def forward(self, x):
            if x.shape[1] > 3:
                return self.long(x) + torch.tensor([1.0, 2.0, 3.0, 4.0])
            return self.short(x) + torch.tensor([5.0, 6.0, 7.0, 8.0])

    exported = free(Model().eval(), [torch.randn(2, 3, 4)], LENGTH)
    assert ["", ""] == [exported.differs(torch.randn(2, length, 4)) for length in (2, 5)]


def test_an_axis_that_the_model_fixes_leaves_the_other_decisions_their_sides(free):
    def model(x):
        x = x * torch.ones(3, 1)
        return x.flip(1) if x.shape[1] % 2 else x

    axes = {"x": {0: "channels", 1: "length"}}
    exported = free(model, [torch.randn(3, 4)], axes, settings=["dynamic-axes.on_fixed_axis=warn"])
    assert (3, "length") == exported.exported.model.graph.inputs[0].shape.dims[:2]
    assert ["", ""] == [exported.differs(torch.randn(3, length)) for length in (4, 7)]


def kept_answer(x):
    factor = 2 if x.shape[1] > 8 else 3
    if x.shape[1] % 2:
        x = x * factor
    return x


def answer_kept_for_later(x):
    is_long = bool(x.shape[1] > 8)
    is_wide = bool(x.shape[1] % 3 == 0)
    if x.shape[1] % 2:
        x = x + 1 if is_long else x - 1
        x = x * 5 if is_wide else x
    return x


def answer_kept_past_another_decision(x):
    factor = 2 if x.shape[1] > 8 else 3
    if x.shape[1] % 2:
        x = x + 1
    if x.shape[1] % 3 == 0:
        x = x * factor
    return x


@pytest.mark.parametrize("example", [2, 5, 6, 7, 9, 10, 12], ids=lambda size: f"example {size}")
@pytest.mark.parametrize(
    "model",
    [kept_answer, answer_kept_for_later, answer_kept_past_another_decision],
    ids=lambda model: model.__name__,
)
def test_an_answer_without_effect_that_is_kept_has_one_on_another_side(free, model, example):
    exported = free(model, [torch.randn(2, example)], LENGTH)
    for length in range(1, 20):
        assert "" == exported.differs(torch.randn(2, length)), length


ROWS_AND_LENGTH = {"x": {0: "rows", 1: "length"}}


def scaled_where_both_hold(x):
    is_long = 1 if x.shape[1] > 8 else 0
    is_tall = 1 if x.shape[0] > 2 else 0
    return x * 3 if is_long + is_tall == 2 else x


def scaled_where_two_of_three_hold(x):
    votes = (1 if x.shape[1] > 8 else 0) + (1 if x.shape[0] > 2 else 0) + (1 if x.shape[1] % 2 else 0)
    return x * 3 if votes == 2 else x


def scaled_after_a_decision_with_effect(x):
    is_long = 1 if x.shape[1] > 8 else 0
    is_tall = 1 if x.shape[0] > 2 else 0
    if x.shape[1] % 2:
        x = x + 1
    return x * 3 if is_long + is_tall == 2 else x


@pytest.mark.parametrize("example", [(2, 6), (4, 6), (2, 12), (4, 12)], ids=str)
@pytest.mark.parametrize(
    "model",
    [scaled_where_both_hold, scaled_where_two_of_three_hold, scaled_after_a_decision_with_effect],
    ids=lambda model: model.__name__,
)
def test_answers_that_have_an_effect_together_only(free, model, example):
    exported = free(model, [torch.randn(*example)], ROWS_AND_LENGTH)
    for rows in (1, 2, 3, 5):
        for length in (1, 2, 7, 8, 9, 10, 13):
            assert "" == exported.differs(torch.randn(rows, length)), (rows, length)


def doubled_beyond_500_whatever_divides(x):
    if x.shape[1] % 32 == 0:
        x = x + 1
    return x * 2 if x.shape[1] > 500 else x


def doubled_where_a_remainder_meets_a_border(x):
    return x * 2 if x.shape[1] % 7 == 3 and x.shape[1] > 1000 else x


def doubled_in_the_third_hundred_of_eighths(x):
    return x * 2 if x.shape[1] // 8 > 200 and x.shape[1] % 2 else x


@pytest.mark.parametrize("example", [6, 64, 65], ids=str)
@pytest.mark.parametrize(
    "model",
    [
        doubled_beyond_500_whatever_divides,
        doubled_where_a_remainder_meets_a_border,
        doubled_in_the_third_hundred_of_eighths,
    ],
    ids=lambda model: model.__name__,
)
def test_sizes_that_turn_one_decision_and_keep_another_are_found(free, model, example):
    exported = free(model, [torch.randn(2, example)], LENGTH)
    for length in (31, 32, 500, 501, 512, 544, 1001, 1004, 1011, 1607, 1608, 1609, 1616, 1617):
        assert "" == exported.differs(torch.randn(2, length)), length
    assert [] == exported.limits


def test_a_border_where_another_axis_has_to_be_small(free):
    def model(x):
        if x.shape[0] * x.shape[1] > 4000:
            return x + 1
        return x * 2 if x.shape[1] > 1500 else x

    exported = free(model, [torch.randn(4, 6)], ROWS_AND_LENGTH)
    for rows, length in ((1, 1499), (1, 1500), (1, 1501), (2, 1501), (2, 2000), (2, 2001), (4, 1501), (8, 30)):
        assert "" == exported.differs(torch.randn(rows, length)), (rows, length)
