# SPDX-License-Identifier: Apache-2.0
"""In-place writes, views and shared weights become pure operators on named values."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn


class WritesInPlace(nn.Module):
    def forward(self, x):
        y = x.clone()
        y[:, 0] = 1.0
        y.mul_(2).add_(x)
        return y


class WritesThroughView(nn.Module):
    def forward(self, x):
        y = torch.zeros(3, 4)
        row = y[1]
        row += x
        y.view(-1)[2] = 7.0
        return y, row


class WritesItsInput(nn.Module):
    def forward(self, x):
        x.relu_()
        return x + 1


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(11, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, ids):
        return self.head(self.embed(ids))


class SharedModule(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.again = self.layer

    def forward(self, x):
        return self.again(torch.relu(self.layer(x)))


def test_in_place_writes_leave_no_in_place_operator(captured):
    graph = captured(WritesInPlace(), torch.randn(2, 3)).graph
    assert [] == [node.op_type for node in graph if node.op_type.endswith("_")]


@pytest.mark.parametrize("model", [WritesInPlace(), WritesItsInput()], ids=lambda model: type(model).__name__)
def test_in_place_writes_compute_what_eager_does(captured, model):
    assert captured(model, torch.randn(2, 3)).same_as_eager()


def test_writes_through_views_reach_the_base(captured):
    assert captured(WritesThroughView(), torch.randn(4)).same_as_eager()


def test_input_of_the_user_is_not_written(captured):
    x = torch.randn(2, 3)
    before = x.clone()
    captured(WritesItsInput(), x)
    assert torch.equal(before, x)


def test_tied_weight_is_one_initializer_under_its_first_name(captured):
    result = captured(Tied().eval(), torch.tensor([[1, 2]]))
    assert ["embed.weight"] == list(result.graph.initializers)


def test_tied_names_are_kept(captured):
    result = captured(Tied().eval(), torch.tensor([[1, 2]]))
    assert {"embed.weight": ("head.weight",)} == result.capture.tied


def test_initializer_wraps_the_storage_of_the_parameter(captured):
    model = Tied().eval()
    result = captured(model, torch.tensor([[1, 2]]))
    assert result.graph.initializers["embed.weight"].const_value.raw is model.embed.weight


def test_module_used_twice_has_its_first_name(captured):
    result = captured(SharedModule(), torch.randn(2, 4))
    assert ["layer.weight", "layer.bias"] == list(result.graph.initializers)


def test_initializers_are_in_the_order_of_the_state_dict(captured):
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(inplace=True))
    result = captured(model, torch.randn(1, 1, 5, 5))
    expected = [name for name in model.state_dict() if name != "1.num_batches_tracked"]
    assert expected == list(result.graph.initializers)


def test_output_that_is_an_input_is_an_alias(captured):
    class Same(nn.Module):
        def forward(self, x, y):
            return x, x + y

    result = captured(Same(), (torch.randn(2), torch.randn(2)))
    assert "alias" == result.graph.outputs[0].producer().op_type
    assert result.same_as_eager()


def test_output_given_twice_has_two_values(captured):
    class Twice(nn.Module):
        def forward(self, x):
            y = x + 1
            return y, y

    result = captured(Twice(), torch.randn(2))
    assert 2 == len({id(value) for value in result.graph.outputs})
    assert result.same_as_eager()


def test_constant_output_works(captured):
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("scale", torch.tensor([2.0, 3.0]))

        def forward(self, x):
            return self.scale, torch.tensor([1, 2]), 3, 2.5, True, x

    assert captured(Constant(), torch.randn(2)).same_as_eager()


def test_unused_input_stays_an_input(captured):
    class Ignores(nn.Module):
        def forward(self, x, unused):
            return x + 1

    result = captured(Ignores(), (torch.randn(2), torch.randn(3)))
    assert ["x", "unused"] == [value.name for value in result.graph.inputs]


class DropsNothing(nn.Module):
    def forward(self, x):
        return torch.ops.aten.native_dropout.default(x + 1, 0.5, False)


def test_an_operator_that_returns_its_argument_reads_what_went_in(captured):
    dropout = next(node for node in captured(DropsNothing(), torch.randn(2, 3)).graph if "dropout" in node.op_type)
    assert dropout.inputs[0] is not dropout.outputs[0]
    assert captured(DropsNothing(), torch.randn(2, 3)).same_as_eager()


class BiasGradient(nn.Module):
    def forward(self, g, x, w):
        mask = [False, False, True]
        return torch.ops.aten.convolution_backward.default(g, x, w, [4], [1], [0], [1], False, [0], 1, mask)[2]


def test_a_tensor_that_an_operator_leaves_out_keeps_its_place(captured):
    (node,) = captured(BiasGradient(), (torch.randn(2, 4, 5), torch.randn(2, 3, 7), torch.randn(4, 3, 3))).graph
    assert [None, None, (4,)] == [None if out.shape is None else tuple(out.shape) for out in node.outputs]


class WritesActivations(nn.Module):
    """Activations that write into a tensor, into a part of one, and into one that another name stands for as well."""

    def forward(self, x):
        y = x * 2
        same, part = y, y[:, 1]
        F.relu6(y, inplace=True)
        F.leaky_relu(part, 0.3, inplace=True)
        y.transpose(0, 1)[1:].clamp_(max=0.5).tanh_()
        z = (x - 1).clamp_(min=x * 0.5)
        whole = (x * 3).long().relu_()
        return same, part, z, whole, F.silu(F.elu(x + 1, inplace=True), inplace=True)


def test_activations_that_write_are_as_in_eager(captured):
    result = captured(WritesActivations(), torch.randn(3, 4), dynamic_axes={"x": {0: "n", 1: "m"}})
    assert result.same_as_eager()
    assert result.same_as_eager(torch.randn(5, 2))


def test_a_buffer_that_an_activation_writes_is_written(captured):
    class Kept(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("state", torch.tensor([-1.0, 2.0]))

        def forward(self, x):
            self.state.relu_()
            return x + self.state

    model = Kept()
    result = captured(model, torch.randn(3, 2))
    assert ["state"] == list(result.capture.buffer_writes)
    assert [-1.0, 2.0] == model.state.tolist()
    assert result.run(torch.zeros(3, 2))[0][0].tolist() == [0.0, 2.0]
