# SPDX-License-Identifier: Apache-2.0
"""Loops in Python over a length that is free: state-space models, recurrences by hand, chunks."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from torch import nn

from dynamic_models.decoding import SMALL
from dynamic_models.experts import EXAMPLE, OTHERS, words
from dynamic_models.registry import Call, dynamic, sizes


def _vectors(batch: int, length: int) -> Call:
    return (torch.randn(batch, length, 8),), {}


class ElmanByHand(nn.Module):
    """A recurrence as a loop in Python, all states kept."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.again = nn.Linear(8, 6), nn.Linear(6, 6)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = x.new_zeros(x.shape[0], 6)
        states = []
        for place in range(x.shape[1]):
            state = torch.tanh(self.into(x[:, place]) + self.again(state))
            states.append(state)
        return torch.stack(states, 1)


@dynamic("recurrences", _vectors, EXAMPLE, *OTHERS)
def elman_by_hand() -> nn.Module:
    return ElmanByHand()


class CellInALoop(nn.Module):
    """An LSTMCell in a loop over `unbind`, the last state kept."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(8, 6)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        state = x.new_zeros(x.shape[0], 6), x.new_zeros(x.shape[0], 6)
        for step in x.unbind(1):
            state = self.cell(step, state)
        return state


@dynamic("recurrences", _vectors, EXAMPLE, *OTHERS)
def cell_in_a_loop() -> nn.Module:
    return CellInALoop()


class SelectiveScan(nn.Module):
    """A diagonal state-space layer, step by step."""

    def __init__(self) -> None:
        super().__init__()
        self.log_decay = nn.Parameter(torch.randn(8, 4))
        self.select = nn.Linear(8, 9)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        step, into, out = self.select(x).split([1, 4, 4], -1)
        decay = torch.exp(-torch.exp(self.log_decay) * nn.functional.softplus(step).unsqueeze(-1))
        drive = x.unsqueeze(-1) * into.unsqueeze(2)
        state = x.new_zeros(x.shape[0], 8, 4)
        results = []
        for place in range(x.shape[1]):
            state = decay[:, place] * state + drive[:, place]
            results.append((state * out[:, place].unsqueeze(1)).sum(-1))
        return torch.stack(results, 1)


@dynamic("recurrences", _vectors, EXAMPLE, *OTHERS)
def selective_scan() -> nn.Module:
    return SelectiveScan()


class ChunkedAttention(nn.Module):
    """Attention inside of chunks of four, each as a round of a Python loop."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.layer(x).chunk(3, -1)
        results = []
        for start in range(0, x.shape[1], 4):
            part = slice(start, start + 4)
            scores = query[:, part] @ key[:, part].transpose(1, 2) / 8**0.5
            results.append(scores.softmax(-1) @ value[:, part])
        return torch.cat(results, 1)


@dynamic("recurrences", _vectors, EXAMPLE, *OTHERS)
def chunked_attention() -> nn.Module:
    return ChunkedAttention()


class ReversedPass(nn.Module):
    """A loop that runs from the last place to the first."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = torch.zeros_like(x[:, 0])
        out = torch.zeros_like(x)
        for place in reversed(range(x.shape[1])):
            state = self.cell(x[:, place], state)
            out[:, place] = state
        return out


@dynamic("recurrences", _vectors, EXAMPLE, *OTHERS)
def reversed_pass() -> nn.Module:
    return ReversedPass()


class CumulativeDecay(nn.Module):
    """A linear recurrence without a loop, by cumulative sums of logarithms."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logs = nn.functional.logsigmoid(x)
        total = logs.cumsum(1)
        weights = (total.unsqueeze(2) - total.unsqueeze(1)).exp()
        mask = torch.ones(x.shape[1], x.shape[1], device=x.device).tril()
        return torch.einsum("btsd,bsd->btd", weights * mask[None, :, :, None], x)


@dynamic("recurrences", _vectors, EXAMPLE, *OTHERS)
def cumulative_decay() -> nn.Module:
    return CumulativeDecay()


@dynamic("recurrences", _vectors, *sizes(batch=(2, 1, 3, 2, 1, 4), length=(5, 2, 7, 11, 16, 3)))
def bidirectional_gru() -> nn.Module:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.GRU(8, 6, num_layers=2, bidirectional=True, batch_first=True)

        def forward(self, x: torch.Tensor) -> Any:
            return self.layer(x)

    return Both()


def state_space(name: str, kind: str, **more: Any) -> None:
    @dynamic("recurrences", words, EXAMPLE, *OTHERS, name=name)
    def build() -> nn.Module:
        class Logits(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                config = getattr(transformers, kind + "Config")(**{**SMALL, **more})
                self.model = getattr(transformers, kind + "ForCausalLM")(config)

            def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, use_cache: bool) -> torch.Tensor:
                return self.model(input_ids=input_ids, attention_mask=attention_mask, use_cache=use_cache).logits

        return Logits()


state_space("mamba", "Mamba", state_size=4, expand=2, time_step_rank=4)
state_space("falcon_mamba", "FalconMamba", state_size=4, expand=2, time_step_rank=4)
state_space("mamba2", "Mamba2", state_size=4, expand=2, num_heads=8, head_dim=8, n_groups=2, chunk_size=4)
state_space(
    "jamba",
    "Jamba",
    num_experts=2,
    num_experts_per_tok=1,
    attn_layer_period=2,
    attn_layer_offset=1,
    mamba_d_state=4,
    mamba_dt_rank=4,
    use_mamba_kernels=False,
)
state_space("recurrent_gemma", "RecurrentGemma", lru_width=32, attention_window_size=16, head_dim=8)


class TwoInTurn(nn.Module):
    """Two kinds of steps in turn: a mixing one at even places, a gated one at odd places."""

    def __init__(self) -> None:
        super().__init__()
        self.even, self.odd = nn.Linear(16, 8), nn.GRUCell(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state = x.new_zeros(x.shape[0], 8)
        results = []
        for place in range(x.shape[1]):
            if place % 2 == 0:
                state = torch.tanh(self.even(torch.cat([x[:, place], state], -1)))
            else:
                state = self.odd(x[:, place], state)
            results.append(state)
        return torch.stack(results, 1)


@dynamic("recurrences", _vectors, EXAMPLE, *OTHERS)
def two_in_turn() -> nn.Module:
    return TwoInTurn()


class CarriedChunks(nn.Module):
    """Linear attention by chunks of four, with a memory that is handed on, and a last chunk that may be shorter."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 24)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = self.layer(x).chunk(3, -1)
        memory = x.new_zeros(x.shape[0], 8, 8)
        results = []
        for q, k, v in zip(query.split(4, 1), key.split(4, 1), value.split(4, 1), strict=True):
            inside = (q @ k.transpose(1, 2)).tril() @ v
            results.append(q @ memory + inside)
            memory = memory + k.transpose(1, 2) @ v
        return torch.cat(results, 1)


@dynamic("recurrences", _vectors, EXAMPLE, *OTHERS)
def carried_chunks() -> nn.Module:
    return CarriedChunks()


class Rwkv(nn.Module):
    """RWKV without a state that comes in."""

    def __init__(self) -> None:
        super().__init__()
        config = transformers.RwkvConfig(
            vocab_size=64, context_length=64, hidden_size=32, num_hidden_layers=2, intermediate_size=48
        )
        self.model = transformers.RwkvForCausalLM(config)

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=input_ids, use_cache=False).logits


def _ids(batch: int, length: int) -> Call:
    return (torch.randint(3, 64, (batch, length)),), {}


@dynamic("recurrences", _ids, EXAMPLE, *OTHERS)
def rwkv() -> nn.Module:
    return Rwkv()
