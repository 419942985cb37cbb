# SPDX-License-Identifier: Apache-2.0
"""Arguments and results that are structures, and the names that inputs and outputs get from them."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, NamedTuple

from constructs.registry import EAGER_ONLY, Keywords, construct, ints, t, up
from torch import Tensor, nn

os.environ.setdefault("HF_HUB_OFFLINE", "1")

from transformers.cache_utils import DynamicCache
from transformers.modeling_outputs import BaseModelOutputWithPast, SequenceClassifierOutput

AS_PROGRAM = ("eager", "program", "by export")


@dataclasses.dataclass
class Scaling:
    by: Tensor
    also: Tensor
    power: int = 2


@dataclasses.dataclass
class Found:
    total: Tensor
    parts: list[Tensor]
    missing: Tensor | None = None


class Both(NamedTuple):
    first: Tensor
    second: Tensor


@construct(
    (t(2, 3),), (t(4, 3),), axes={"x": [0]}, forms=("eager", "script", "program"), names=(["x"], ["logits", "hidden"])
)
class DictOfResults(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        hidden = self.layer(x)
        return {"logits": hidden.softmax(-1), "hidden": hidden}


@construct(
    (t(2), Scaling(t(2), t(1))),
    forms=("eager", "by export"),
    names=(["x", "scaling.by", "scaling.also"], ["total", "parts.0", "parts.1"]),
)
class Dataclasses(nn.Module):
    def forward(self, x: Tensor, scaling: Scaling) -> Found:
        y = (x * scaling.by) ** scaling.power
        return Found(y.sum(), [y, y + scaling.also])


@construct(
    (t(2), Both(t(2), t(2, seed=1))),
    forms=("eager", "script", "by export"),
    names=(["x", "both.first", "both.second"], ["first", "second"]),
)
class NamedTuples(nn.Module):
    def forward(self, x: Tensor, both: Both) -> Both:
        return Both(x + both.first, x * both.second)


@construct(
    (t(2), {"a": [t(2), t(3)], "b": {"c": (t(2), t(1))}}),
    forms=AS_PROGRAM,
    names=(["x", "more.a.0", "more.a.1", "more.b.c.0", "more.b.c.1"], ["sums.0", "sums.1", "last.x"]),
)
class Nested(nn.Module):
    def forward(self, x: Tensor, more: dict[str, Any]) -> dict[str, Any]:
        a, b = more["a"]
        c, d = more["b"]["c"]
        return {"sums": [x + a, b.sum()], "last": {"x": c * d}}


@construct(
    (t(2, 3), Keywords(scale=t(1), shift=t(3))),
    (t(4, 3), Keywords(scale=t(1), shift=t(3))),
    axes={"x": [0]},
    forms=("eager", "script", "program"),
    names=(["x", "scale", "shift"], ["output"]),
)
class KeywordArguments(nn.Module):
    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return x * scale + shift


@construct(
    (t(2), t(2, seed=1), Keywords(bias=t(1), factor=3)),
    forms=("eager", "by export"),
    names=(["xs.0", "xs.1", "bias"], ["output"]),
)
class StarArguments(nn.Module):
    def forward(self, *xs: Tensor, factor: int = 2, **more: Tensor) -> Tensor:
        return sum(xs) * factor + more["bias"]  # type: ignore[return-value]


def _with_doubled_scale(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args, {**kwargs, "scale": kwargs["scale"] * 2}


@construct(
    (t(2, 3), Keywords(scale=t(3))), (t(2, 3), Keywords(scale=up(3))), forms=("eager", "program", "by jit-trace")
)
class HookOfKeywords(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_forward_pre_hook(_with_doubled_scale, with_kwargs=True)

    def forward(self, x: Tensor, scale: Tensor) -> Tensor:
        return x * scale


@construct((t(2), True, "sum", None, 2.5), forms=("eager", "program"), names=(["x"], ["output"]))
class ArgumentsThatAreNoTensors(nn.Module):
    def forward(self, x: Tensor, double: bool, how: str, mask: Tensor | None, shift: float) -> Tensor:
        x = x * 2 if double else x
        x = x + shift if mask is None else x * mask
        return x.sum() if how == "sum" else x


@construct((t(2, 3), t(4)), forms=("eager", "script", "traced", "program"), names=(["x", "unused"], ["output"]))
class UnusedInput(nn.Module):
    def forward(self, x: Tensor, unused: Tensor) -> Tensor:
        return x + 1


@construct((t(2, 3),), forms=("eager", "script", "program"))
class InputHandedThrough(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        y = x + 1
        return x, y, y


@construct((t(2, 3),), (t(5, 3),), axes={"x": [0]}, forms=("eager", "script", "program"))
class NumbersAmongTheResults(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, int, float, bool]:
        return x + 1, x.shape[0] * 2, 0.5, True


@construct(
    (t(2, 3), ints(1, 0)),
    forms=("eager", "by export"),
    names=(["x", "labels"], ["loss", "logits", "hidden_states.0", "hidden_states.1"]),
)
class OutputOfTransformers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor, labels: Tensor) -> SequenceClassifierOutput:
        hidden = self.first(x)
        logits = self.head(hidden)
        loss = nn.functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=(x * 1, hidden), attentions=None)


def cache(batch: int, length: int, layers: int = 2) -> DynamicCache:
    """Return a cache with keys and values of two heads."""
    made = DynamicCache()
    for layer in range(layers):
        made.update(t(batch, 2, length, 4, seed=layer), t(batch, 2, length, 4, seed=layer + 9), layer)
    return made


PAST = [f"past_key_values.{layer}.{kind}" for layer in range(2) for kind in ("key", "value")]


@construct(
    (t(2, 1, 8), cache(2, 3)),
    (t(3, 1, 8), cache(3, 5)),
    axes={"x": {0: "b"}} | {name: {0: "b", 2: "past"} for name in PAST},
    forms=("eager", "by export"),
    names=(["x", *PAST], ["last_hidden_state", *(f"output.{name}" for name in PAST)]),
)
class CacheInAndOut(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(8, 24) for _ in range(2)])

    def forward(self, x: Tensor, past_key_values: DynamicCache) -> BaseModelOutputWithPast:
        for number, layer in enumerate(self.layers):
            q, k, v = (part.unflatten(-1, (2, 4)).transpose(1, 2) for part in layer(x).chunk(3, -1))
            k, v = past_key_values.update(k, v, number)
            y = nn.functional.scaled_dot_product_attention(q, k, v)
            x = x + y.transpose(1, 2).flatten(2)
        return BaseModelOutputWithPast(last_hidden_state=x, past_key_values=past_key_values)


@construct((t(2, 4, 8),), (t(3, 6, 8),), axes={"x": {0: "b", 1: "t"}}, forms=("eager", "by export"))
class CacheMadeInside(nn.Module):
    def forward(self, x: Tensor) -> DynamicCache:
        made = DynamicCache()
        made.update(x[:, None, :, :4], x[:, None, :, 4:], 0)
        made.update(x[:, None, -1:, :4], x[:, None, -1:, 4:], 0)
        return made


@construct(
    (t(2), (t(2), (t(1), t(2))), [t(2)]),
    forms=EAGER_ONLY,
    names=(["x", "pair.0", "pair.1.0", "pair.1.1", "rest.0"], ["output"]),
)
class PairInAPair(nn.Module):
    def forward(self, x: Tensor, pair: Any, rest: Any) -> Tensor:
        a, (b, c) = pair
        return x + a * b - c + rest[0]
