# SPDX-License-Identifier: Apache-2.0
"""The example factories themselves, without any export."""

from __future__ import annotations

import inspect

import pytest
import torch
from support.example_models import EXAMPLES, SMALL, example, input_names, neighbour
from torch.utils import _pytree as pytree

from lading.model_reference import NamedModel, load_model

CHEAP = tuple(reference for reference in SMALL if reference != "digits.py:digits")


def outputs(named: NamedModel) -> list[torch.Tensor]:
    with torch.no_grad():
        return pytree.tree_leaves(named.model(*named.args, **named.kwargs))


@pytest.mark.parametrize("reference", CHEAP)
def test_a_factory_makes_the_same_model_each_time(reference: str) -> None:
    again = load_model(str(EXAMPLES / reference))
    same = [torch.equal(a, b) for a, b in zip(outputs(example(reference)), outputs(again), strict=True)]
    assert {True} == set(same)


@pytest.mark.parametrize("reference", CHEAP)
def test_a_factory_leaves_the_random_state_alone(reference: str) -> None:
    before = torch.random.get_rng_state()
    load_model(str(EXAMPLES / reference))
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize("reference", SMALL)
def test_dynamic_axes_are_axes_of_inputs(reference: str) -> None:
    named = example(reference)
    tensors = dict(zip(input_names(named), (*named.args, *named.kwargs.values()), strict=True))
    assert named.dynamic_axes is not None
    wrong = [
        (name, axis) for name, axes in named.dynamic_axes.items() for axis in axes if not axis < tensors[name].ndim
    ]
    assert [] == wrong


@pytest.mark.parametrize("reference", SMALL)
def test_a_model_is_in_inference_mode(reference: str) -> None:
    assert not example(reference).model.training


@pytest.mark.parametrize("reference", SMALL)
def test_inputs_are_parameters_of_forward(reference: str) -> None:
    named = example(reference)
    assert set(input_names(named)) <= set(inspect.signature(named.model.forward).parameters)


def test_batch_norm_statistics_are_not_trivial() -> None:
    model = example("resnet.py:resnet50_narrow").model
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert 0 < min(float(norm.running_mean.abs().max()) for norm in norms)


def test_the_digits_are_learnt() -> None:
    model, accuracy = example("digits.py:digits").model, neighbour("digits.py:digits", "accuracy")
    with torch.no_grad():
        assert 0.97 < accuracy(lambda images: model(torch.from_numpy(images)).numpy())
