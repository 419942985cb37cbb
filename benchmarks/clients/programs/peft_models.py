# SPDX-License-Identifier: Apache-2.0
"""Adapted models of peft with `torch.onnx.export`, random weights: `python peft_models.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("LoRA", "LoRA, merged", "IA3", "DoRA")


def main(case: str) -> None:
    watch.begin()
    import torch
    from peft import IA3Config, LoraConfig, get_peft_model
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(0)
    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    base = BertForSequenceClassification(config)
    places = ["query", "value"]
    if case == "IA3":
        adapter = IA3Config(target_modules=places, feedforward_modules=[], init_ia3_weights=False)
    else:
        adapter = LoraConfig(r=4, target_modules=places, use_dora=case == "DoRA", init_lora_weights=False)
    model = get_peft_model(base, adapter).eval()
    if case.endswith("merged"):
        model = model.merge_and_unload()
    axes = {0: "batch", 1: "sequence"}
    torch.onnx.export(
        model,
        (torch.randint(0, 1000, (2, 9)), torch.ones(2, 9, dtype=torch.long)),
        "adapted.onnx",
        input_names=["input_ids", "attention_mask"],
        output_names=["logits"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "logits": {0: "batch"}},
    )


if __name__ == "__main__":
    main(sys.argv[1])
