# SPDX-License-Identifier: Apache-2.0
"""Modules that do more than compute: hooks, parametrizations, state kept in Python, lazily made parts."""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
from collections import OrderedDict
from typing import Any

import torch
from constructs.registry import EAGER_ONLY, construct, layer, t
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune

AS_MODULE = ("eager", "traced", "program")


@construct((t(2, 3),), (t(4, 3),), axes={"x": [0]}, forms=("eager", "traced", "by jit-trace"))
class ForwardHooks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.second = nn.Linear(4, 2)
        self.first.register_forward_hook(lambda module, args, output: output * 2)
        self.second.register_forward_pre_hook(lambda module, args: (args[0] + 1,))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


@construct((t(2, 3),), forms=("eager",))
class HooksThatCollect(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
        self.seen: dict[str, Tensor] = {}
        for name, part in self.body.named_children():
            part.register_forward_hook(functools.partial(self._keep, name))

    def _keep(self, name: str, module: nn.Module, args: Any, output: Tensor) -> None:
        self.seen[name] = output

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.seen.clear()
        self.body(x)
        return dict(self.seen)


@construct((t(2, 3),), forms=EAGER_ONLY)
class HooksOnKeywords(nn.Module):
    class Inner(nn.Module):
        def forward(self, x: Tensor, *, scale: float = 1.0) -> Tensor:
            return x * scale

    def __init__(self) -> None:
        super().__init__()
        self.inner = self.Inner()
        self.inner.register_forward_pre_hook(lambda m, args, kwargs: (args, {"scale": 3.0}), with_kwargs=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x, scale=2.0)


def _hooked() -> nn.Module:
    made = nn.Linear(3, 2)
    made.register_forward_hook(lambda module, args, output: (output, args[0] * 2))
    return made


layer("hook_on_the_model_itself", _hooked, (t(2, 3),), forms=("eager", "program"))


class _Symmetric(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.triu() + x.triu(1).transpose(-1, -2)


class _Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def _parametrized(*parametrizations: nn.Module) -> nn.Module:
    made = nn.Linear(3, 3)
    for one in parametrizations:
        parametrize.register_parametrization(made, "weight", one)
    return made


layer("parametrized", lambda: _parametrized(_Symmetric()), (t(2, 3),), (t(4, 3),), axes={"input": [0]}, forms=AS_MODULE)
layer("parametrized_twice", lambda: _parametrized(_Symmetric(), _Scaled()), (t(2, 3),), forms=AS_MODULE)
layer("weight_normed", lambda: nn.utils.weight_norm(nn.Linear(3, 4)), (t(2, 3),), forms=AS_MODULE)
layer(
    "weight_normed_by_parametrization",
    lambda: parametrizations.weight_norm(nn.Conv1d(3, 4, 3, padding=1)),
    (t(2, 3, 6),),
    (t(2, 3, 9),),
    axes={"input": [2]},
    forms=AS_MODULE,
)
layer("spectral_normed", lambda: parametrizations.spectral_norm(nn.Linear(3, 4)), (t(2, 3),), forms=AS_MODULE)
layer("spectral_normed_by_hook", lambda: nn.utils.spectral_norm(nn.Linear(3, 4)), (t(2, 3),), forms=("eager",))

layer("pruned", lambda: prune.l1_unstructured(nn.Linear(3, 4), "weight", amount=0.5), (t(2, 3),), forms=AS_MODULE)
layer("lazy_layer_after_a_call", lambda: _called(nn.LazyLinear(4)), (t(2, 3),), forms=AS_MODULE)


def _called(made: nn.Module) -> nn.Module:
    made(torch.zeros(1, 3))
    return made


@construct((t(2, 3),), forms=("eager", "program"))
class CountsInPython(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.history: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        self.history.append(self.calls)
        return x * (self.calls + len(self.history))


@construct((t(2, 4),), (t(3, 6),), axes={"x": [0, 1]}, forms=EAGER_ONLY)
class MaskKeptInPython(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[str, Tensor] = {}

    def mask(self, x: Tensor) -> Tensor:
        if "mask" not in self.cache:
            self.cache["mask"] = torch.ones(x.shape[1], x.shape[1]).tril()
        return self.cache["mask"]

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.mask(x) + x @ self.mask(x).t()


@construct((t(2, 3),), forms=EAGER_ONLY)
class LayerMadeInForward(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.made: nn.Module | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.made is None:
            self.made = nn.LayerNorm(x.shape[-1])
        return self.made(x)


@construct((t(2, 3),), forms=("eager",))
class BufferMadeInForward(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        if not hasattr(self, "offset"):
            self.register_buffer("offset", torch.arange(3.0), persistent=False)
        return x + self.offset


@construct((t(2, 3),), forms=("eager", "program"))
class RunningMean(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(3))
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.steps += 1
        self.mean = self.mean * 0.9 + x.mean(0) * 0.1
        return x - self.mean, self.steps


@dataclasses.dataclass
class _Settings:
    width: int = 3
    scale: float = 2.0
    names: tuple[str, ...] = ("a", "b")


class _Mode(enum.Enum):
    SUM = "sum"
    MEAN = "mean"


@construct((t(2, 3),), forms=("eager", "traced", "program", "by jit-trace"))
class SettingsAndModes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.settings = _Settings()
        self.mode = _Mode.MEAN

    @property
    def scale(self) -> float:
        return self.settings.scale * len(self.settings.names)

    def forward(self, x: Tensor) -> Tensor:
        match self.mode:
            case _Mode.SUM:
                return x.sum(-1) * self.scale
            case _Mode.MEAN:
                return x.mean(-1) * self.scale


@construct((t(2, 3),), forms=EAGER_ONLY)
class PythonOfManyKinds(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.functions = [torch.sin, lambda x: x * 2, functools.partial(torch.add, alpha=3, other=torch.ones(3))]

    def forward(self, x: Tensor, *more: Tensor, **options: Any) -> Tensor:
        try:
            x = self.absent(x)
        except AttributeError:
            x = x + 1
        total = sum(function(x) for function in self.functions)
        parts = [total for _ in range(2)]
        *_, last = parts
        return functools.reduce(torch.add, parts) + last * options.get("scale", 0.5)


@construct((t(2, 3),), forms=("eager", "traced", "program"))
class SharedAndCopied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        block = nn.Linear(3, 3)
        self.blocks = nn.ModuleList([block, copy.deepcopy(block), block])
        self.table = nn.ParameterDict({"scale": nn.Parameter(torch.ones(3) * 2), "shift": nn.Parameter(torch.ones(3))})
        self.rows = nn.ParameterList([torch.ones(3), torch.zeros(3)])

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x).relu()
        for row in self.rows:
            x = x + row
        return x * self.table["scale"] + self.table["shift"]


@construct((t(2, 3),), forms=("eager",))
class LowRankAdapter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.base = nn.Linear(3, 4)
        self.down = nn.Linear(3, 2, bias=False)
        self.up = nn.Linear(2, 4, bias=False)
        self.base.forward = self._wrapped(self.base.forward)  # type: ignore[method-assign]

    def _wrapped(self, inner: Any) -> Any:
        return lambda x: inner(x) + self.up(self.down(x)) * 0.5

    def forward(self, x: Tensor) -> Tensor:
        return self.base(x)


layer(
    "ordered_sequence",
    lambda: nn.Sequential(OrderedDict([("a", nn.Linear(3, 3)), ("act", nn.Tanh()), ("b", nn.Linear(3, 1))])),
    (t(2, 3),),
    (t(4, 3),),
    axes={"input": [0]},
    forms=("eager", "script", "traced", "frozen", "program"),
)


def _compiled() -> nn.Module:
    return torch.compile(nn.Sequential(nn.Linear(3, 3), nn.ReLU()), backend="eager")  # type: ignore[return-value]


layer("compiled", _compiled, (t(2, 3),), forms=EAGER_ONLY)


def _functional() -> Any:
    layer = nn.Linear(3, 2)
    weights = {name: value.detach() * 2 for name, value in layer.named_parameters()}
    return lambda x: torch.func.functional_call(layer, weights, (x,))


layer("functional_call", _functional, (t(2, 3),), forms=EAGER_ONLY)
layer("data_parallel", lambda: nn.DataParallel(nn.Linear(3, 2)), (t(2, 3),), forms=EAGER_ONLY)
layer(
    "symbolically_traced",
    lambda: torch.fx.symbolic_trace(nn.Sequential(nn.Linear(3, 2), nn.ReLU())),
    (t(2, 3),),
    forms=("eager", "script"),
)
