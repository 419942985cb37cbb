# SPDX-License-Identifier: Apache-2.0
"""A part-of-speech tagger: embedding, two bidirectional LSTM layers, a score for every tag at every word.

lading export examples/lstm_tagger.py:lstm_tagger -o tagger.onnx --verify
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LstmTagger(nn.Module):
    """Word numbers ``[batch, words]`` to scores ``[batch, words, tags]`` and the best tags ``[batch, words]``."""

    def __init__(self, vocabulary: int = 200, width: int = 32, tags: int = 12) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=0)
        self.lstm = nn.LSTM(width, width, num_layers=2, bidirectional=True, batch_first=True, dropout=0.1)
        self.scores = nn.Linear(2 * width, tags)

    def forward(self, words: Tensor) -> tuple[Tensor, Tensor]:
        states, _ = self.lstm(self.embedding(words))
        scores = self.scores(states)
        return scores, scores.argmax(dim=-1)


def lstm_tagger() -> tuple[LstmTagger, tuple[Tensor]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LstmTagger().eval()
        words = torch.randint(0, 200, (3, 9))
    return model, (words,)


lstm_tagger.dynamic_axes = {"words": {0: "batch", 1: "words"}}  # type: ignore[attr-defined]
