# SPDX-License-Identifier: Apache-2.0
"""When two calls share a body, and what crosses its border."""

from __future__ import annotations

import onnx
import pytest
import torch
from torch import nn

STRATEGIES = ("record", "export", "script")


class Scaled(nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, x):
        return x * torch.tensor([self.factor, 1.0, 2.0]) + self.factor


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_other_literals_make_another_body(kept, strategy):
    model = nn.Sequential(Scaled(1.0), Scaled(2.0), Scaled(1.0))
    made = kept(model, torch.randn(2, 3), "Scaled", strategy=strategy)
    assert ["Scaled", "Scaled_1", "Scaled"] == made.calls
    assert 1 == len(made.functions["Scaled"].inputs)


def test_other_static_shapes_make_another_body(kept):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(x).sum() + self.relu(x[:, :2]).sum() + self.relu(x).max()

    assert ["ReLU", "ReLU_1", "ReLU"] == kept(Model(), torch.randn(2, 3), "ReLU").calls


class Encoder(nn.Module):
    """One class of layers on sequences of two lengths."""

    def __init__(self):
        super().__init__()
        self.source, self.target = nn.LayerNorm(4), nn.LayerNorm(4)

    def forward(self, x, y):
        return self.source(x).sum(1) + self.target(y).sum(1)


def test_sizes_of_other_names_share_a_body_that_names_none(kept):
    axes = {"x": {0: "batch", 1: "source"}, "y": {0: "batch", 1: "target"}}
    args = torch.randn(2, 3, 4), torch.randn(2, 5, 4)
    made = kept(Encoder(), args, "LayerNorm", opset=24, dynamic_axes=axes)
    assert ["LayerNorm", "LayerNorm"] == made.calls
    (function,) = made.exported.model_proto.functions
    dims = [dim for info in function.value_info for dim in info.type.tensor_type.shape.dim]
    assert {"batch", ""} == {dim.dim_param for dim in dims if not dim.dim_value}


def test_sizes_that_all_calls_have_keep_their_names(kept):
    axes = {"x": {0: "batch", 1: "length"}, "y": {0: "batch", 1: "length"}}
    args = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    (function,) = kept(Encoder(), args, "LayerNorm", opset=24, dynamic_axes=axes).exported.model_proto.functions
    names = {dim.dim_param for info in function.value_info for dim in info.type.tensor_type.shape.dim if dim.dim_param}
    assert {"batch", "length"} == names


class Repeated(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x, times: int):
        return self.fc(x) * times


class Outside(nn.Module):
    """A size of one tensor that a layer on another one needs."""

    def __init__(self):
        super().__init__()
        self.a, self.b = Repeated(), Repeated()

    def forward(self, x, y):
        times = y.shape[1]
        return self.b(self.a(x, times), times)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_size_that_no_input_has_is_an_input(kept, strategy):
    axes = {"x": {0: "batch"}, "y": {1: "times"}}
    made = kept(Outside(), (torch.randn(2, 4), torch.randn(2, 5)), "Repeated", strategy=strategy, dynamic_axes=axes)
    assert ["Repeated", "Repeated"] == made.calls
    assert "size" in [value.name for value in made.functions["Repeated"].inputs]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_size_that_an_input_has_is_read_from_it(kept, strategy):
    axes = {"x": {0: "batch", 1: "length"}, "y": {0: "batch", 1: "length"}}
    made = kept(Outside(), (torch.randn(2, 5, 4), torch.randn(2, 5)), "Repeated", strategy=strategy, dynamic_axes=axes)
    assert ["input", "fc.weight.T", "fc.bias"] == [value.name for value in made.functions["Repeated"].inputs]


class Found(nn.Module):
    def forward(self, x):
        places = torch.nonzero(x > 0)
        return places * 2, places.shape[0]


class Counted(nn.Module):
    def __init__(self):
        super().__init__()
        self.up, self.down = Found(), Found()

    def forward(self, x):
        above, many = self.up(x)
        below, few = self.down(-x)
        return above + many, below + few


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_size_that_only_the_run_knows_crosses_the_border(kept, strategy):
    made = kept(Counted(), torch.randn(4, 5), "Found", strategy=strategy, dynamic_axes={"x": {0: "batch"}})
    assert (["Found"], ["Found", "Found"]) == (list(made.functions), made.calls)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.relu(self.a(x)))


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_shared_weight_is_stored_once(kept, strategy):
    made = kept(Tied(), torch.randn(2, 4), "Linear", strategy=strategy)
    assert ["Linear", "Linear"] == made.calls
    assert ["a.bias", "a.weight", "b.bias"] == sorted(made.exported.model.graph.initializers)


def test_a_weight_that_is_used_in_its_own_form_too_stays_in_it(kept):
    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4, bias=False)

        def forward(self, x):
            return self.fc(x) @ self.fc.weight

    made = kept(Both(), torch.randn(2, 3, 4), "Linear")
    assert ["fc.weight"] == list(made.exported.model.graph.initializers)
    assert ["Transpose", "MatMul"] == made.operators("Linear")


def test_what_a_body_does_to_its_weights_alone_is_done_once(kept):
    class Tagger(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm = nn.LSTM(3, 4, bidirectional=True)

        def forward(self, x):
            return self.lstm(x)[0]

    made = kept(Tagger(), torch.randn(5, 2, 3), "LSTM", dynamic_axes={"x": {0: "length"}})
    assert "Concat" not in made.operators("LSTM")
    assert made.counts("fold-constants")["lifted out of LSTM"] > 10


def test_weights_left_to_the_caller_stay_as_they_are(kept):
    made = kept(nn.Sequential(nn.Linear(4, 4)), torch.randn(2, 3, 4), "Linear", export_params=False)
    assert ["input", "0.weight", "0.bias"] == [value.name for value in made.exported.model.graph.inputs]
    assert ["Transpose", "MatMul", "Add"] == made.operators("Linear")


def test_complex_numbers_cross_the_border(kept):
    class Spectrum(nn.Module):
        def forward(self, x):
            return torch.fft.fft(x) * torch.tensor([2.0 - 1j])

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.spectrum = Spectrum()

        def forward(self, x):
            return torch.view_as_real(torch.fft.ifft(self.spectrum(x)))

    assert ["Spectrum"] == kept(Model(), torch.randn(4, 6), "Spectrum", dynamic_axes={"x": {0: "batch"}}).calls


def test_an_operator_without_a_lowering_is_decomposed_in_the_body(kept):
    class Odd(nn.Module):
        def forward(self, x):
            return torch.special.log_ndtr(x)

    made = kept(nn.Sequential(Odd(), Odd()), torch.randn(2, 4), "Odd")
    assert ["Odd", "Odd"] == made.calls
    assert [] == [node for node in made.functions["Odd"] if node.domain]


def test_calls_on_equal_inputs_are_not_made_one(kept):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x):
            return self.fc(x) * self.fc(x)

    assert ["Linear", "Linear"] == kept(Model(), torch.randn(2, 4), "Linear").calls


def test_functions_have_no_initializers_and_pass_the_full_check(kept):
    made = kept(nn.Sequential(Scaled(1.0)), torch.randn(2, 3), "Scaled", dynamic_axes={"input": {0: "batch"}})
    onnx.checker.check_model(made.exported.model_proto, full_check=True)
    assert not made.functions["Scaled"].graph.initializers
