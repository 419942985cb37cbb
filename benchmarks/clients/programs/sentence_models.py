# SPDX-License-Identifier: Apache-2.0
"""Models of sentence-transformers with `torch.onnx.export`, random weights: `python sentence_models.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("mean pooling", "first token", "cross-encoder")


def main(case: str) -> None:
    watch.begin()
    import tempfile

    import torch
    from sentence_transformers import CrossEncoder, SentenceTransformer, models
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        words = ["[PAD]", "[UNK]", *"abcdefgh"]
        tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
        tokenizer.pre_tokenizer = Whitespace()
        names = {"pad_token": "[PAD]", "unk_token": "[UNK]"}
        PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
        config = BertConfig(
            vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
        )
        kind = BertForSequenceClassification if case == "cross-encoder" else BertModel
        config.num_labels = 1
        kind(config).save_pretrained(folder)
        if case == "cross-encoder":
            whole = CrossEncoder(folder, device="cpu")
            tokens = whole.tokenizer([["a b", "c"], ["d", "e f g"]], padding=True, return_tensors="pt")
        else:
            transformer = models.Transformer(folder)
            pooling = models.Pooling(32, "mean" if case == "mean pooling" else "cls")
            whole = SentenceTransformer(modules=[transformer, pooling, models.Normalize()], device="cpu")
            tokens = whole.tokenize(["a b c", "d e"])

    class Flat(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.whole = whole.model if case == "cross-encoder" else whole

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            if case == "cross-encoder":
                return self.whole(input_ids, attention_mask).logits
            features = {"input_ids": input_ids, "attention_mask": attention_mask}
            return self.whole(features)["sentence_embedding"]

    axes = {0: "batch", 1: "sequence"}
    torch.onnx.export(
        Flat().eval(),
        (tokens["input_ids"], tokens["attention_mask"]),
        "sentence.onnx",
        input_names=["input_ids", "attention_mask"],
        output_names=["embedding"],
        dynamic_axes={"input_ids": axes, "attention_mask": axes, "embedding": {0: "batch"}},
        opset_version=17,
    )


if __name__ == "__main__":
    main(sys.argv[1])
