# SPDX-License-Identifier: Apache-2.0
"""Evaluation, training and preserved modes, module by module."""

from __future__ import annotations

import pytest
import torch
from torch import nn


def network():
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Dropout(0.5), nn.ReLU())


def training_flag(node):
    return bool(node.attributes["train"].value) if "train" in node.attributes else None


def test_evaluation_drops_dropout(captured):
    ops = captured(network().train(), torch.randn(1, 2, 5, 5)).ops()
    assert {"aten::convolution": 1, "aten::batch_norm": 1, "aten::relu": 1} == ops


def test_model_in_training_mode_is_mentioned_once(captured):
    note = captured(network().train(), torch.randn(1, 2, 5, 5)).note
    assert 1 == len(note.warnings)


@pytest.mark.parametrize("layer", [nn.Dropout, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout])
def test_training_keeps_dropout_whole(captured, layer):
    result = captured(layer(0.3), torch.randn(1, 2, 5, 5), training="train")
    (node,) = result.graph
    assert True is training_flag(node)


def test_dropout_in_place_in_training(captured):
    def model(x):
        y = x * 1
        nn.functional.dropout(y, 0.5, True, inplace=True)
        return y

    assert "aten::dropout" in captured(model, torch.randn(3), training="train").ops()


def test_training_normalises_by_the_batch(captured):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    assert captured(model, torch.randn(4, 2, 5, 5), training="train").same_as_eager()


def test_training_keeps_running_statistics_available(captured):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3))
    writes = captured(model, torch.randn(4, 2, 5, 5), training="train").capture.buffer_writes
    assert {"1.running_mean", "1.running_var", "1.num_batches_tracked"} == set(writes)


def test_preserve_keeps_the_flag_of_each_module(captured):
    model = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.25))
    model[0].eval()
    (node,) = captured(model, torch.randn(3), training="preserve").graph
    assert 0.25 == node.attributes["p"].value


def test_frozen_normalisation_stays_frozen(captured):
    class Frozen(nn.BatchNorm2d):
        def train(self, mode=True):
            return super().train(False)

    ops = captured(nn.Sequential(Frozen(3)), torch.randn(2, 3, 4, 4), training="train").ops()
    assert {"aten::batch_norm": 1} == ops


def test_instance_norm_that_tracks_statistics(captured):
    model = nn.InstanceNorm2d(3, track_running_stats=True)
    assert captured(model, torch.randn(2, 3, 4, 4)).same_as_eager()
