# SPDX-License-Identifier: Apache-2.0
"""Steps of decoders with caches: batch, past and new length free."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from dynamic_models.registry import Call, dynamic, sizes

VOCABULARY = 64
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
EXAMPLE, *OTHERS = sizes(batch=(2, 1, 3, 2, 1, 4), past=(5, 0, 1, 9, 17, 3), new=(3, 4, 1, 2, 1, 7))


def pairs(layers: int, batch: int, heads: int, past: int, width: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    def one() -> torch.Tensor:
        return torch.randn(batch, heads, past, width)

    return [(one(), one()) for _ in range(layers)]


def step(config: Any, heads: int = 2, width: int = 8, layers: int = 2, *, places: bool = False) -> Any:
    """Return what makes the call of a decoder step with a `DynamicCache`, with the places of the new words on request.

    A cache with a window forgets how many words there were, so that such models need the places.
    """

    def call(batch: int, past: int, new: int) -> Call:
        cache = DynamicCache(config=config)
        for index, (key, value) in enumerate(pairs(layers, batch, heads, past, width)):
            cache.update(key, value, index)
        mask = torch.ones(batch, past + new, dtype=torch.int64)
        ids = torch.randint(3, VOCABULARY, (batch, new))
        given = {"input_ids": ids, "attention_mask": mask, "past_key_values": cache}
        if places:
            given["position_ids"] = torch.arange(past, past + new).expand(batch, -1)
        return (), given

    return call


def decoder(name: str, kind: str, config: Any, heads: int = 2, width: int = 8, *, places: bool = False) -> None:
    """Register a decoder step of transformers."""

    @dynamic("decoding", step(config, heads, width, places=places), EXAMPLE, *OTHERS, name=name)
    def build() -> nn.Module:
        return getattr(transformers, kind)(config)


def _config(kind: str, **more: Any) -> Any:
    return getattr(transformers, kind)(**{**SMALL, **more})


decoder("llama_step", "LlamaForCausalLM", _config("LlamaConfig"))
decoder("qwen2_step", "Qwen2ForCausalLM", _config("Qwen2Config"))
decoder("qwen3_step", "Qwen3ForCausalLM", _config("Qwen3Config", head_dim=8))
decoder("phi3_step", "Phi3ForCausalLM", _config("Phi3Config"))
decoder("gpt_neox_step", "GPTNeoXForCausalLM", _config("GPTNeoXConfig"), heads=4)
decoder("gpt2_step", "GPT2LMHeadModel", _config("GPT2Config", n_embd=32, n_layer=2, n_head=4, n_positions=128), heads=4)
decoder("opt_step", "OPTForCausalLM", _config("OPTConfig", ffn_dim=48, word_embed_proj_dim=32), heads=4)
decoder("bloom_step", "BloomForCausalLM", _config("BloomConfig", n_layer=2, n_head=4), heads=4)
decoder("falcon_step", "FalconForCausalLM", _config("FalconConfig", multi_query=False, alibi=False), heads=4)
decoder("mistral_step", "MistralForCausalLM", _config("MistralConfig", sliding_window=6), places=True)
decoder("gemma2_step", "Gemma2ForCausalLM", _config("Gemma2Config", head_dim=8, sliding_window=6), places=True)
decoder("gemma3_step", "Gemma3ForCausalLM", _config("Gemma3TextConfig", head_dim=8, sliding_window=6), places=True)


class FlatCache(nn.Module):
    """A decoder whose cache goes in and out as plain tensors."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor, *past: torch.Tensor) -> tuple[torch.Tensor, ...]:
        cache = DynamicCache()
        for layer in range(len(past) // 2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        result = self.model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True)
        kept = result.past_key_values
        flat = [tensor for layer in kept.layers for tensor in (layer.keys, layer.values)]
        return (result.logits, *flat)


def _flat(batch: int, past: int, new: int) -> Call:
    flat = [tensor for pair in pairs(2, batch, 2, past, 8) for tensor in pair]
    mask = torch.ones(batch, past + new, dtype=torch.int64)
    return (torch.randint(3, VOCABULARY, (batch, new)), mask, *flat), {}


@dynamic("decoding", _flat, EXAMPLE, *OTHERS)
def llama_flat_cache() -> nn.Module:
    return FlatCache(transformers.LlamaForCausalLM(_config("LlamaConfig")))


@dynamic("decoding", _flat, {"batch": 1, "past": 0, "new": 1}, *OTHERS)
def llama_from_an_empty_cache() -> nn.Module:
    return FlatCache(transformers.LlamaForCausalLM(_config("LlamaConfig")))


def _crossed(layers: int, heads: int, width: int, hidden: int, batch: int, past: int, source: int) -> Call:
    own, cross = DynamicCache(), DynamicCache()
    for index, (key, value) in enumerate(pairs(layers, batch, heads, past, width)):
        own.update(key, value, index)
    for index, (key, value) in enumerate(pairs(layers, batch, heads, source, width)):
        cross.update(key, value, index)
    encoded = transformers.modeling_outputs.BaseModelOutput(last_hidden_state=torch.randn(batch, source, hidden))
    return (), {
        "encoder_outputs": encoded,
        "attention_mask": torch.ones(batch, source, dtype=torch.int64),
        "decoder_input_ids": torch.randint(3, VOCABULARY, (batch, 1)),
        "past_key_values": EncoderDecoderCache(own, cross),
    }


def _translating(batch: int, past: int, source: int) -> Call:
    return _crossed(2, 4, 8, 32, batch, past, source)


TRANSLATING, *OTHERS_TRANSLATING = sizes(batch=(2, 1, 3, 2, 1, 4), past=(5, 1, 2, 9, 17, 3), source=(7, 4, 1, 12, 5, 6))


TRANSLATOR = {
    "vocab_size": VOCABULARY,
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": 64,
    "init_std": 0.2,
    "pad_token_id": 0,
}


@dynamic("decoding", _translating, TRANSLATING, *OTHERS_TRANSLATING)
def t5_step() -> nn.Module:
    config = transformers.T5Config(
        vocab_size=VOCABULARY, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, initializer_factor=2.0
    )
    return transformers.T5ForConditionalGeneration(config)


@dynamic("decoding", _translating, TRANSLATING, *OTHERS_TRANSLATING)
def bart_step() -> nn.Module:
    config = transformers.BartConfig(
        **TRANSLATOR,
        bos_token_id=1,
        eos_token_id=2,
    )
    return transformers.BartForConditionalGeneration(config)


class WindowedCache(nn.Module):
    """One attention layer whose cache keeps the last eight places only."""

    window = 8

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))

    def forward(self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        keys = torch.cat([keys, self.key(x)], 1)[:, -self.window :]
        values = torch.cat([values, self.value(x)], 1)[:, -self.window :]
        attended = torch.nn.functional.scaled_dot_product_attention(self.query(x), keys, values)
        return attended, keys, values


def _windowed(batch: int, past: int) -> Call:
    return (torch.randn(batch, 1, 16), torch.randn(batch, past, 16), torch.randn(batch, past, 16)), {}


@dynamic("decoding", _windowed, *sizes(batch=(2, 1, 3, 2, 1, 4), past=(5, 0, 7, 8, 3, 1)))
def windowed_cache() -> nn.Module:
    return WindowedCache()


decoder("olmo2_step", "Olmo2ForCausalLM", _config("Olmo2Config"))
decoder("cohere_step", "CohereForCausalLM", _config("CohereConfig"))
decoder("stablelm_step", "StableLmForCausalLM", _config("StableLmConfig", partial_rotary_factor=0.5))


class FullCache(nn.Module):
    """Attention over a cache of a fixed size, in which the new places are overwritten."""

    size = 24

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(16, 16) for _ in range(3))

    def forward(
        self, x: torch.Tensor, places: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        keys = keys.index_copy(1, places, self.key(x))
        values = values.index_copy(1, places, self.value(x))
        seen = torch.arange(self.size, device=x.device)[None] <= places[:, None]
        attended = torch.nn.functional.scaled_dot_product_attention(self.query(x), keys, values, attn_mask=seen)
        return attended, keys, values


def _full(batch: int, past: int, new: int) -> Call:
    places = torch.arange(past, past + new)
    return (torch.randn(batch, new, 16), places, torch.randn(batch, 24, 16), torch.randn(batch, 24, 16)), {}


@dynamic("decoding", _full, EXAMPLE, *OTHERS)
def full_cache() -> nn.Module:
    return FullCache()


@dynamic("decoding", _translating, TRANSLATING, *OTHERS_TRANSLATING)
def marian_step() -> nn.Module:
    config = transformers.MarianConfig(
        **TRANSLATOR,
        eos_token_id=2,
        decoder_start_token_id=0,
    )
    return transformers.MarianMTModel(config)
