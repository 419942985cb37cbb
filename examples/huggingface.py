# SPDX-License-Identifier: Apache-2.0
"""Models of the ``transformers`` library, built from a configuration with random weights: nothing is downloaded.

``bert_base`` and ``gpt2_full`` have their real size; the others are small, with every kind of layer that the real
ones have. Caches of keys and values are off, so that every model is a function from tensors to tensors.

    lading export examples/huggingface.py:llama -o llama.onnx --verify
"""

from __future__ import annotations

import torch
import transformers
from torch import Tensor, nn

Example = tuple[nn.Module, tuple[()], dict[str, Tensor]]

TEXT = {0: "batch", 1: "sequence"}
ENCODER = {"input_ids": TEXT, "attention_mask": TEXT}
VOCABULARY = 96


def random_weights(kind: type[nn.Module], config: transformers.PreTrainedConfig) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return kind(config).eval()


def text(batch: int, length: int, vocabulary: int = VOCABULARY, padding: int = 0) -> dict[str, Tensor]:
    """Return random words; the last ``padding`` words of the last row are masked."""
    generator = torch.Generator().manual_seed(1)
    words = torch.randint(3, vocabulary, (batch, length), generator=generator)
    mask = torch.ones(batch, length, dtype=torch.int64)
    if padding:
        words[-1, -padding:] = 1
        mask[-1, -padding:] = 0
    return {"input_ids": words, "attention_mask": mask}


def image(batch: int, size: int) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(2))


def bert() -> Example:
    config = transformers.BertConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    inputs = text(2, 9, padding=3)
    inputs["token_type_ids"] = torch.zeros_like(inputs["input_ids"])
    inputs["token_type_ids"][:, 5:] = 1
    return random_weights(transformers.BertForSequenceClassification, config), (), inputs


def bert_base() -> Example:
    return random_weights(transformers.BertModel, transformers.BertConfig()), (), text(1, 128, vocabulary=30_000)


def distilbert() -> Example:
    config = transformers.DistilBertConfig(
        vocab_size=VOCABULARY,
        dim=32,
        hidden_dim=64,
        n_layers=2,
        n_heads=4,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    return random_weights(transformers.DistilBertForMaskedLM, config), (), text(2, 9, padding=3)


def roberta() -> Example:
    config = transformers.RobertaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
        type_vocab_size=1,
        initializer_range=0.2,
    )
    return random_weights(transformers.RobertaForTokenClassification, config), (), text(2, 9, padding=3)


def gpt2() -> Example:
    config = transformers.GPT2Config(
        vocab_size=VOCABULARY,
        n_embd=32,
        n_layer=2,
        n_head=4,
        n_positions=64,
        initializer_range=0.2,
        use_cache=False,
        bos_token_id=1,
        eos_token_id=2,
    )
    return random_weights(transformers.GPT2LMHeadModel, config), (), text(2, 9, padding=3)


def gpt2_full() -> Example:
    config = transformers.GPT2Config(use_cache=False)
    return random_weights(transformers.GPT2LMHeadModel, config), (), text(1, 128, vocabulary=50_000)


def llama() -> Example:
    config = transformers.LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.2,
        use_cache=False,
    )
    return random_weights(transformers.LlamaForCausalLM, config), (), text(2, 9, padding=3)


def qwen2() -> Example:
    config = transformers.Qwen2Config(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.2,
        tie_word_embeddings=True,
        use_cache=False,
    )
    return random_weights(transformers.Qwen2ForCausalLM, config), (), text(2, 9, padding=3)


def t5() -> Example:
    config = transformers.T5Config(
        vocab_size=VOCABULARY,
        d_model=32,
        d_kv=8,
        d_ff=64,
        num_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        use_cache=False,
    )
    inputs = text(2, 9, padding=3)
    inputs["decoder_input_ids"] = text(2, 7)["input_ids"]
    return random_weights(transformers.T5ForConditionalGeneration, config), (), inputs


def vit() -> Example:
    config = transformers.ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        image_size=32,
        patch_size=8,
        initializer_range=0.2,
        num_labels=7,
    )
    return random_weights(transformers.ViTForImageClassification, config), (), {"pixel_values": image(2, 32)}


def clip() -> Example:
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    config = transformers.CLIPConfig(
        text_config={
            **sizes,
            "vocab_size": VOCABULARY,
            "max_position_embeddings": 24,
            "bos_token_id": 1,
            "eos_token_id": 5,
        },
        vision_config={**sizes, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    inputs = text(3, 9, padding=3)
    inputs["pixel_values"] = image(2, 32)
    return random_weights(transformers.CLIPModel, config), (), inputs


def whisper() -> Example:
    config = transformers.WhisperConfig(
        vocab_size=VOCABULARY,
        num_mel_bins=8,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        d_model=32,
        max_source_positions=20,
        max_target_positions=24,
        init_std=0.2,
        use_cache=False,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=1,
        begin_suppress_tokens=None,
    )
    inputs = {
        "input_features": torch.randn(2, 8, 40, generator=torch.Generator().manual_seed(3)),
        "decoder_input_ids": text(2, 7)["input_ids"],
    }
    return random_weights(transformers.WhisperForConditionalGeneration, config), (), inputs


for factory in (bert_base, distilbert, roberta, gpt2, gpt2_full, llama, qwen2):
    factory.dynamic_axes = ENCODER  # type: ignore[attr-defined]
bert.dynamic_axes = {**ENCODER, "token_type_ids": TEXT}  # type: ignore[attr-defined]
t5.dynamic_axes = {**ENCODER, "decoder_input_ids": {0: "batch", 1: "target"}}  # type: ignore[attr-defined]
vit.dynamic_axes = {"pixel_values": {0: "batch"}}  # type: ignore[attr-defined]
clip.dynamic_axes = {  # type: ignore[attr-defined]
    "input_ids": {0: "texts", 1: "sequence"},
    "attention_mask": {0: "texts", 1: "sequence"},
    "pixel_values": {0: "images"},
}
whisper.dynamic_axes = {  # type: ignore[attr-defined]
    "input_features": {0: "batch"},
    "decoder_input_ids": {0: "batch", 1: "target"},
}
