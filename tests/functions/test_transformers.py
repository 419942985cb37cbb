# SPDX-License-Identifier: Apache-2.0
"""Layers of transformers as functions, one in the other, and the same bytes from every process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter

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
net = nn.Sequential(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), nn.LayerNorm(8)).eval()
for strategy in ("record", "export", "script"):
    given = torch.jit.script(net) if strategy == "script" else net
    for _ in range(2):
        made = lading.export(
            given, (torch.ones(1, 3, 8),), export_modules_as_functions=True,
            dynamic_axes={"input": {1: "n"}}, settings=[f"trace.strategy={strategy}"],
        )
        print(strategy, hashlib.sha256(made.model_proto.SerializeToString()).hexdigest(), len(made.model.functions))
"""


def test_files_are_the_same_from_every_process():
    running = []
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        command = [sys.executable, "-c", PROGRAM]
        running.append(subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True))
    lines = [line.split() for process in running for line in process.communicate()[0].splitlines()]
    files = Counter((strategy, digest) for strategy, digest, _ in lines)
    assert {"record": 4, "export": 4, "script": 4} == {strategy: count for (strategy, _), count in files.items()}
    assert {True} == {int(functions) >= 2 for *_, functions in lines}
