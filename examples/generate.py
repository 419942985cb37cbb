# SPDX-License-Identifier: Apache-2.0
"""A decoder with a sliding window, exported once, that writes text in onnxruntime: token for token what eager writes.

python examples/generate.py "Beautiful is"

One file serves the prompt and every step after it: batch, past and new length are free, from an empty cache to one
that the window cuts. The decoder learns a page of text by heart first, which takes some seconds.
"""

from __future__ import annotations

import codecs
import contextlib
import io
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, MistralConfig, MistralForCausalLM

import lading

WINDOW = 24
LENGTH = 96

CONFIG = MistralConfig(
    vocab_size=128,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    sliding_window=WINDOW,
    max_position_embeddings=1024,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)


def page() -> str:
    """Return the text that Python carries in its module `this`."""
    with contextlib.redirect_stdout(io.StringIO()):
        import this
    return codecs.decode(this.s, "rot13")


def encoded(text: str) -> list[int]:
    """Return a text as numbers of ASCII characters, the words of the decoder."""
    return list(text.encode("ascii", "replace"))


def trained(steps: int = 250) -> MistralForCausalLM:
    """Return a decoder that has read `page()` again and again."""
    torch.manual_seed(0)
    model = MistralForCausalLM(CONFIG)
    words = torch.tensor(encoded(page()))
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3)
    for _ in range(steps):
        starts = torch.randint(0, len(words) - 65, (8,)).tolist()
        batch = torch.stack([words[start : start + 65] for start in starts])
        loss = model(input_ids=batch, labels=batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model.eval()


def cache(batch: int, past: int) -> DynamicCache:
    """Return a cache of `past` words, as the example to export with."""
    made = DynamicCache(config=CONFIG)
    for layer in range(CONFIG.num_hidden_layers):
        shape = (batch, CONFIG.num_key_value_heads, past, CONFIG.head_dim)
        made.update(torch.zeros(shape), torch.zeros(shape), layer)
    return made


def exported(model: MistralForCausalLM, file: str | Path) -> lading.Exported:
    """Export one step: new words, their places, what to attend to and the cache, to scores and the new cache."""
    batch, past, new = 2, 5, 3
    kwargs = {
        "input_ids": torch.zeros(batch, new, dtype=torch.int64),
        "attention_mask": torch.ones(batch, past + new, dtype=torch.int64),
        "position_ids": torch.arange(past, past + new).expand(batch, -1),
        "past_key_values": cache(batch, past),
    }
    axes: dict[str, dict[int, str]] = {
        "input_ids": {0: "batch", 1: "new"},
        "attention_mask": {0: "batch", 1: "past + new"},
        "position_ids": {0: "batch", 1: "new"},
    }
    for layer in range(CONFIG.num_hidden_layers):
        for part in ("key", "value"):
            axes[f"past_key_values.{layer}.{part}"] = {0: "batch", 2: "past"}
    return lading.export(model, ({},), file, kwargs=kwargs, dynamic_axes=axes)


class Runner:
    """Steps of an exported decoder in onnxruntime."""

    def __init__(self, file: str | Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # it warns of what its own optimizations leave alone
        self._session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self._inputs = [one.name for one in self._session.get_inputs()]
        self._caches = [name for name in self._inputs if name.startswith("past_key_values")]
        self.held: list[Any] = []

    def start(self, batch: int) -> None:
        """Forget everything."""
        shape = (batch, CONFIG.num_key_value_heads, 0, CONFIG.head_dim)
        self.held = [np.zeros(shape, np.float32) for _ in self._caches]

    def scores(self, words: Any, first: int) -> Any:
        """Return the scores ``[batch, new, vocabulary]`` of new words ``[batch, new]`` that begin at place `first`."""
        batch, new = words.shape
        feeds = {
            "input_ids": words,
            "attention_mask": np.ones((batch, self.held[0].shape[2] + new), np.int64),
            "position_ids": np.tile(np.arange(first, first + new), (batch, 1)),
            **dict(zip(self._caches, self.held, strict=True)),
        }
        found, *self.held = self._session.run(None, {name: feeds[name] for name in self._inputs})
        return found


def written(runner: Runner, prompt: list[int], length: int = LENGTH) -> list[int]:
    """Return a prompt with the words of the highest score after it, one step of the file for each."""
    runner.start(1)
    words = list(prompt)
    scores = runner.scores(np.array([words]), 0)
    while len(words) < length:
        words.append(int(scores[0, -1].argmax()))
        scores = runner.scores(np.array([words[-1:]]), len(words) - 1)
    return words


def written_by_eager(model: MistralForCausalLM, prompt: list[int], length: int = LENGTH) -> list[int]:
    """Return what PyTorch makes of the same prompt."""
    given = torch.tensor([prompt])
    with torch.no_grad():
        found = model.generate(given, max_length=length, min_length=length, do_sample=False, eos_token_id=None)
    return found[0].tolist()


def main() -> None:
    """Train, export, and write."""
    prompt = encoded(sys.argv[1] if len(sys.argv) > 1 else "Beautiful is")
    model = trained()
    exported(model, "decoder.onnx")
    begun = time.perf_counter()
    words = written(Runner("decoder.onnx"), prompt)
    print(bytes(words).decode("ascii"))
    print(f"{len(words) - len(prompt)} steps of decoder.onnx in {time.perf_counter() - begun:.2f} s, ", end="")
    same = words == written_by_eager(model, prompt)
    print(f"token for token {'as' if same else 'unlike'} PyTorch, past a window of {WINDOW}")


if __name__ == "__main__":
    main()
