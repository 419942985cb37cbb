# SPDX-License-Identifier: Apache-2.0
"""Architectures of the transformers library, small and with random weights: every requested axis stays free."""

from __future__ import annotations

import os

import pytest
import torch

os.environ.setdefault("HF_HUB_OFFLINE", "1")
transformers = pytest.importorskip("transformers")

SMALL = {
    "vocab_size": 99,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 37,
    "max_position_embeddings": 64,
}
VISION = {key: SMALL[key] for key in SMALL if key not in ("vocab_size", "max_position_embeddings")} | {
    "image_size": 32,
    "patch_size": 8,
}
NARROW = {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37, "max_position_embeddings": 64}
GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64, "bos_token_id": 1, "eos_token_id": 2}
T5 = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
WHISPER = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 37,
    "decoder_ffn_dim": 37,
    "max_source_positions": 30,
    "max_target_positions": 40,
    "num_mel_bins": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
CLIP = {
    "text_config": {**SMALL, "projection_dim": 16, "eos_token_id": 98, "bos_token_id": 97},
    "vision_config": {**VISION, "projection_dim": 16},
    "projection_dim": 16,
}

TEXT = {0: "batch", 1: "sequence"}
TARGET = {0: "batch", 1: "target"}


def tokens(batch, length):
    ids = torch.randint(3, 90, (batch, length))
    ids[:, -1] = 98
    return ids


def text(batch, length):
    mask = torch.ones(batch, length, dtype=torch.int64)
    mask[:, length - length // 3 :] = 0
    return {"input_ids": (tokens(batch, length), TEXT), "attention_mask": (mask, TEXT)}


def without_cache(batch, length):
    return {**text(batch, length), "use_cache": False}


def translation(batch, length):
    return {**without_cache(batch, length), "decoder_input_ids": (tokens(batch, length + 1), TARGET)}


def pixels(batch, length):
    return {"pixel_values": (torch.randn(batch, 3, 32, 32), {0: "batch"})}


def text_and_pixels(batch, length):
    return {**text(batch, length), "pixel_values": (torch.randn(batch + 1, 3, 32, 32), {0: "images"})}


def speech(batch, length):
    features = {"input_features": (torch.randn(batch, 8, 60), {0: "batch"}), "use_cache": False}
    return {**features, "decoder_input_ids": (tokens(batch, length), TARGET)}


CASES = {
    "bert": ("BertModel", "BertConfig", SMALL, text),
    "distilbert": ("DistilBertForSequenceClassification", "DistilBertConfig", {"vocab_size": 99, **NARROW}, text),
    "roberta": ("RobertaForMaskedLM", "RobertaConfig", {**SMALL, "pad_token_id": 1}, text),
    "gpt2": ("GPT2LMHeadModel", "GPT2Config", {"vocab_size": 99, **GPT}, without_cache),
    "gpt2-cache": ("GPT2LMHeadModel", "GPT2Config", {"vocab_size": 99, **GPT}, text),
    "llama": ("LlamaForCausalLM", "LlamaConfig", {"num_key_value_heads": 2, **SMALL}, text),
    "qwen2": ("Qwen2ForCausalLM", "Qwen2Config", {"num_key_value_heads": 2, **SMALL}, without_cache),
    "t5": ("T5ForConditionalGeneration", "T5Config", {"vocab_size": 99, **T5}, translation),
    "vit": ("ViTForImageClassification", "ViTConfig", VISION, pixels),
    "clip": ("CLIPModel", "CLIPConfig", CLIP, text_and_pixels),
    "whisper": ("WhisperForConditionalGeneration", "WhisperConfig", {"vocab_size": 99, **WHISPER}, speech),
}


def build(case):
    name, config, options, example = CASES[case]
    torch.manual_seed(0)
    return getattr(transformers, name)(getattr(transformers, config)(**options)).eval(), example


@pytest.fixture(params=[(2, 6), (1, 1)], ids=["example-2x6", "example-1x1"])
def recorded(request, captured):
    def record(case):
        model, example = build(case)
        given = example(*request.param)
        kwargs = {name: value[0] if isinstance(value, tuple) else value for name, value in given.items()}
        axes = {name: value[1] for name, value in given.items() if isinstance(value, tuple)}
        return captured(model, (), kwargs, dynamic_axes=axes), example

    return record


@pytest.mark.parametrize("case", CASES)
def test_every_axis_stays_free_and_the_graph_is_right_at_other_sizes(recorded, case):
    result, example = recorded(case)
    assert () == result.capture.specialisations
    other = example(3, 9)
    assert result.same_as_eager(*(other[item.name][0] for item in result.arguments.inputs))


@pytest.mark.parametrize("case", CASES)
def test_initializers_are_names_of_the_state_dict(captured, case):
    model, example = build(case)
    kwargs = {name: value[0] if isinstance(value, tuple) else value for name, value in example(2, 6).items()}
    result = captured(model, (), kwargs)
    named = {name for name, _ in [*model.named_parameters(), *model.named_buffers()]}
    assert set(result.graph.initializers) - set(result.capture.constants) <= named
