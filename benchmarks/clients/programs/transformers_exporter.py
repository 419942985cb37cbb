# SPDX-License-Identifier: Apache-2.0
"""`transformers.exporters` of transformers, small models, random weights: `python transformers_exporter.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("BERT", "Qwen3", "ViT", "T5 encoder")


def main(case: str) -> None:
    watch.begin()
    import torch
    import transformers
    from transformers.exporters.exporter_onnx import OnnxConfig, OnnxExporter

    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    tokens = {"input_ids": torch.randint(0, 90, (2, 9)), "attention_mask": torch.ones(2, 9, dtype=torch.long)}
    if case == "BERT":
        model, inputs = transformers.BertModel(transformers.BertConfig(vocab_size=100, **small)), tokens
    elif case == "Qwen3":
        config = transformers.Qwen3Config(vocab_size=100, num_key_value_heads=1, head_dim=16, use_cache=False, **small)
        model, inputs = transformers.Qwen3ForCausalLM(config), tokens
    elif case == "ViT":
        config = transformers.ViTConfig(image_size=32, patch_size=8, **small)
        model, inputs = transformers.ViTForImageClassification(config), {"pixel_values": torch.randn(2, 3, 32, 32)}
    else:
        config = transformers.T5Config(vocab_size=100, d_model=32, d_ff=64, d_kv=16, num_layers=2, num_heads=2)
        model, inputs = transformers.T5EncoderModel(config), tokens
    OnnxExporter().export(model.eval(), inputs, config=OnnxConfig(dynamic=True))


if __name__ == "__main__":
    main(sys.argv[1])
