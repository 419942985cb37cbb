# SPDX-License-Identifier: Apache-2.0
"""`optimum.exporters.onnx.onnx_export_from_model` of optimum-onnx, small models with random weights.

`python optimum_models.py CASE`
"""

from __future__ import annotations

import sys

import watch

CASES = ("encoder", "decoder with past", "encoder-decoder")


def main(case: str) -> None:
    watch.begin()
    import torch
    from optimum.exporters.onnx import onnx_export_from_model
    from transformers import (
        BertConfig,
        BertForSequenceClassification,
        GPT2Config,
        GPT2LMHeadModel,
        T5Config,
        T5ForConditionalGeneration,
    )

    torch.manual_seed(0)
    if case == "encoder":
        config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
        model, task = BertForSequenceClassification(config), "text-classification"
    elif case == "decoder with past":
        model, task = GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2)), "text-generation-with-past"
    else:
        config = T5Config(d_model=32, d_ff=64, d_kv=16, num_layers=2, num_heads=2, decoder_start_token_id=0)
        model, task = T5ForConditionalGeneration(config), "text2text-generation-with-past"
    onnx_export_from_model(model.eval(), "optimum", task=task, do_validation=False)


if __name__ == "__main__":
    main(sys.argv[1])
