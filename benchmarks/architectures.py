# SPDX-License-Identifier: Apache-2.0
"""More models of the ``transformers`` library than the examples have, small and with random weights.

They widen the comparison of graphs: relative positions, rotary halves, parallel blocks, windows, convolutions and
sequences of sound, beside what the examples have.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

Example = tuple[nn.Module, tuple[()], dict[str, Tensor]]
Factory = Callable[[], Example]

_EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "huggingface.py"
_spec = importlib.util.spec_from_file_location("huggingface", _EXAMPLES)
assert _spec is not None
assert _spec.loader is not None
huggingface = importlib.util.module_from_spec(_spec)
sys.modules["huggingface"] = huggingface
_spec.loader.exec_module(huggingface)

SIZES = {
    "vocab_size": huggingface.VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
}
IMAGES = {"pixel_values": {0: "batch"}}


def _text(kind: str, config: str, **sizes: Any) -> Factory:
    def factory() -> Example:
        settings = getattr(transformers, config)(**{**SIZES, **sizes})
        return huggingface.random_weights(getattr(transformers, kind), settings), (), huggingface.text(2, 9, padding=3)

    factory.dynamic_axes = huggingface.ENCODER  # type: ignore[attr-defined]
    return factory


def _image(kind: str, config: str, size: int = 32, **sizes: Any) -> Factory:
    def factory() -> Example:
        settings = getattr(transformers, config)(**sizes)
        model = huggingface.random_weights(getattr(transformers, kind), settings)
        return model, (), {"pixel_values": huggingface.image(2, size)}

    factory.dynamic_axes = IMAGES  # type: ignore[attr-defined]
    return factory


_DECODER = {"use_cache": False, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_PATCHES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}

albert = _text("AlbertModel", "AlbertConfig", embedding_size=16)
electra = _text("ElectraModel", "ElectraConfig", embedding_size=16)
mobilebert = _text("MobileBertModel", "MobileBertConfig", embedding_size=16, intra_bottleneck_size=16)
deberta_v2 = _text(
    "DebertaV2Model", "DebertaV2Config", relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=16
)
mpnet = _text("MPNetModel", "MPNetConfig")
modernbert = _text(
    "ModernBertModel",
    "ModernBertConfig",
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
    cls_token_id=1,
    sep_token_id=2,
)
opt = _text("OPTForCausalLM", "OPTConfig", ffn_dim=64, word_embed_proj_dim=32, **_DECODER)
bloom = _text("BloomForCausalLM", "BloomConfig", n_layer=2, n_head=4, **_DECODER)
gpt_neox = _text("GPTNeoXForCausalLM", "GPTNeoXConfig", **_DECODER)
mistral = _text("MistralForCausalLM", "MistralConfig", num_key_value_heads=2, sliding_window=6, **_DECODER)
phi = _text("PhiForCausalLM", "PhiConfig", **_DECODER)
gemma = _text("GemmaForCausalLM", "GemmaConfig", num_key_value_heads=2, head_dim=8, **_DECODER)
swin = _image(
    "SwinModel", "SwinConfig", image_size=32, patch_size=4, embed_dim=16, depths=[1, 1], num_heads=[2, 4], window_size=4
)
convnext = _image("ConvNextModel", "ConvNextConfig", hidden_sizes=[16, 32], depths=[1, 1], num_stages=2)
hf_resnet = _image("ResNetModel", "ResNetConfig", embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1])
segformer = _image(
    "SegformerForSemanticSegmentation",
    "SegformerConfig",
    size=64,
    hidden_sizes=[16, 32],
    depths=[1, 1],
    num_encoder_blocks=2,
    sr_ratios=[4, 1],
    patch_sizes=[7, 3],
    strides=[4, 2],
    num_attention_heads=[1, 2],
    mlp_ratios=[2, 2],
    decoder_hidden_size=16,
)
dinov2 = _image("Dinov2Model", "Dinov2Config", **_PATCHES)


def bart() -> Example:
    config = transformers.BartConfig(
        vocab_size=huggingface.VOCABULARY,
        d_model=32,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=64,
        **_DECODER,
    )
    inputs = huggingface.text(2, 9, padding=3)
    inputs["decoder_input_ids"] = huggingface.text(2, 7)["input_ids"]
    return huggingface.random_weights(transformers.BartModel, config), (), inputs


def wav2vec2() -> Example:
    config = transformers.Wav2Vec2Config(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        conv_dim=[16, 16],
        conv_stride=[5, 2],
        conv_kernel=[10, 3],
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    sound = torch.randn(2, 400, generator=torch.Generator().manual_seed(4))
    return huggingface.random_weights(transformers.Wav2Vec2Model, config), (), {"input_values": sound}


bart.dynamic_axes = {**huggingface.ENCODER, "decoder_input_ids": {0: "batch", 1: "target"}}  # type: ignore[attr-defined]
wav2vec2.dynamic_axes = {"input_values": {0: "batch", 1: "samples"}}  # type: ignore[attr-defined]
