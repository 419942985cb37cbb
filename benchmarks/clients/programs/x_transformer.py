# SPDX-License-Identifier: Apache-2.0
"""Models of x-transformers with `torch.onnx.export`, random weights: `python x_transformer.py CASE`."""

from __future__ import annotations

import sys

import watch

CASES = ("decoder", "decoder, rotary", "decoder, alibi", "encoder", "encoder-decoder", "vision")


def main(case: str) -> None:
    watch.begin()
    import torch
    from x_transformers import Decoder, Encoder, TransformerWrapper, ViTransformerWrapper, XTransformer

    torch.manual_seed(0)
    options = {"decoder, rotary": {"rotary_pos_emb": True}, "decoder, alibi": {"alibi_pos_bias": True}}.get(case, {})
    tokens = torch.randint(0, 100, (2, 12))
    axes = {"input": {0: "batch", 1: "sequence"}}
    names = ["input"]
    args = (tokens,)
    if case == "vision":
        layers = Encoder(dim=32, depth=2, heads=2)
        model = ViTransformerWrapper(image_size=32, patch_size=8, num_classes=10, attn_layers=layers)
        args, axes = (torch.randn(2, 3, 32, 32),), {"input": {0: "batch"}}
    elif case == "encoder-decoder":
        sides = {f"{side}_{key}": value for side in ("enc", "dec") for key, value in _SIDE.items()}
        whole = XTransformer(dim=32, **sides)

        class Both(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.whole = whole

            def forward(self, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
                states = self.whole.encoder(source, return_embeddings=True)
                return self.whole.decoder.net(target, context=states)

        model, args, names = Both(), (tokens, torch.randint(0, 100, (2, 7))), ["source", "target"]
        axes = {"source": {0: "batch", 1: "source"}, "target": {0: "batch", 1: "target"}}
    else:
        kind = Encoder if case == "encoder" else Decoder
        layers = kind(dim=32, depth=2, heads=2, **options)
        model = TransformerWrapper(num_tokens=100, max_seq_len=64, attn_layers=layers)
    torch.onnx.export(model.eval(), args, "transformer.onnx", input_names=names, dynamic_axes=axes)


_SIDE = {"num_tokens": 100, "depth": 1, "heads": 2, "max_seq_len": 64}

if __name__ == "__main__":
    main(sys.argv[1])
