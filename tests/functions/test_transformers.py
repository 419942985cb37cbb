# SPDX-License-Identifier: Apache-2.0
"""Layers of transformers as functions, one in the other, and the same bytes from every process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

IDS = torch.arange(14).reshape(2, 7)
AXES = {"input_ids": {0: "batch", 1: "length"}}


def bert():
    transformers = pytest.importorskip("transformers")
    config = transformers.BertConfig(
        vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    return transformers.BertModel(config, add_pooling_layer=False)


def gpt2():
    transformers = pytest.importorskip("transformers")
    config = transformers.GPT2Config(vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=32, use_cache=False)
    return transformers.GPT2Model(config)


@pytest.mark.parametrize(
    ("build", "preserve", "calls", "layer"),
    [
        (bert, "LayerNorm,BertAttention,BertLayer", ["LayerNorm", "BertLayer", "BertLayer"], "BertLayer"),
        (gpt2, "LayerNorm,GPT2Attention,GPT2Block", ["GPT2Block", "GPT2Block", "LayerNorm"], "GPT2Block"),
    ],
    ids=["bert", "gpt2"],
)
def test_layers_in_layers_are_one_function_each(kept, build, preserve, calls, layer):
    torch.manual_seed(0)
    found = kept(build().eval(), IDS, preserve, dynamic_axes=AXES, input_names=["input_ids"])
    assert sorted(preserve.split(",")) == sorted(found.functions)
    assert calls == found.calls
    assert {"LayerNorm", preserve.split(",")[1]} == {n.op_type for n in found.functions[layer] if n.domain == "modules"}


PROGRAM = """
import hashlib, torch, lading
from torch import nn

torch.manual_seed(0)
layer = lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
net = nn.Sequential(layer(), layer()).eval()
for _ in range(2):
    axes = {"input": {1: "n"}}
    made = lading.export(net, (torch.ones(1, 3, 8),), export_modules_as_functions=True, dynamic_axes=axes)
    print(hashlib.sha256(made.model_proto.SerializeToString(deterministic=True)).hexdigest(), len(made.model.functions))
"""


def test_files_are_the_same_from_every_process():
    lines = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
        )
        lines += run.stdout.splitlines()
    assert 4 == len(lines)
    assert 1 == len(set(lines))
    assert int(lines[0].split()[1]) >= 2
