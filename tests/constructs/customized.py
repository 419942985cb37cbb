# SPDX-License-Identifier: Apache-2.0
"""What users add to PyTorch: autograd Functions, operators of torch.library, tensors with methods of their own."""

from __future__ import annotations

from typing import Any

import torch
from constructs.registry import EAGER_ONLY, construct, t
from torch import Tensor, nn

LIBRARY = torch.library.Library("lading_constructs", "DEF")
LIBRARY.define("scaled_relu(Tensor x, float factor=2.0) -> Tensor")
LIBRARY.impl("scaled_relu", lambda x, factor=2.0: torch.relu(x) * factor, "CompositeImplicitAutograd")
LIBRARY.define("sum_and_product(Tensor x, Tensor y) -> (Tensor, Tensor)")
LIBRARY.impl("sum_and_product", lambda x, y: (x + y, x * y), "CompositeImplicitAutograd")

BOTH = ("eager", "program")


@torch.library.custom_op("lading_constructs::shifted", mutates_args=())
def shifted(x: Tensor, by: float, times: int = 1) -> Tensor:
    return x + by * times


@shifted.register_fake
def _(x: Tensor, by: float, times: int = 1) -> Tensor:
    return torch.empty_like(x)


@torch.library.custom_op("lading_constructs::halves", mutates_args=())
def halves(x: Tensor) -> tuple[Tensor, Tensor]:
    n = x.shape[0] // 2
    return x[:n].clone(), x[n:].clone()


@halves.register_fake
def _(x: Tensor) -> tuple[Tensor, Tensor]:
    n = x.shape[0] // 2
    return x.new_empty(n, *x.shape[1:]), x.new_empty(x.shape[0] - n, *x.shape[1:])


@construct((t(2, 3),), (t(4, 3),), axes={"x": [0]}, forms=BOTH)
class CompositeOperator(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        a, b = torch.ops.lading_constructs.sum_and_product(x, x + 1)
        return torch.ops.lading_constructs.scaled_relu(a, 0.5) + torch.ops.lading_constructs.scaled_relu(b)


@construct(
    (t(2, 3),),
    (t(4, 3),),
    axes={"x": [0]},
    forms=BOTH,
    lowerings={"lading_constructs::shifted": lambda op, x, *, by, times=1: op.Add(x, by * times)},
)
class OpaqueOperator(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return shifted(x, 0.5) * torch.ops.lading_constructs.shifted(x, 1.0, times=3)


@construct(
    (t(4, 3),),
    (t(7, 3),),
    axes={"x": [0]},
    forms=EAGER_ONLY,
    lowerings={
        "lading_constructs::halves": lambda op, x: (
            op.Slice(x, op.i64([0]), op.Div(op.Shape(x, start=0, end=1), op.i64([2])), op.i64([0])),
            op.Slice(x, op.Div(op.Shape(x, start=0, end=1), op.i64([2])), op.i64([2**62]), op.i64([0])),
        )
    },
)
class OperatorWithTwoResults(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        a, b = halves(x)
        return a * 2, b + 1


class _Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, factor: float) -> Tensor:
        ctx.save_for_backward(x)
        ctx.factor = factor
        return x**3 * factor

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        (x,) = ctx.saved_tensors
        return 3 * x**2 * grad * ctx.factor, None


@construct((t(2, 3),), (t(4, 3),), axes={"x": [0]}, forms=BOTH)
class FunctionInlined(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _Cube.apply(x, 0.5) + x


class _Split(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, at: int) -> tuple[Tensor, Tensor]:
        return x[:at].clone(), x[at:] * 2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.at = inputs[1]

    @staticmethod
    def backward(ctx: Any, a: Tensor, b: Tensor) -> Any:
        return torch.cat([a, b * 2]), None


@construct((t(5, 3),), (t(7, 3),), axes={"x": [0]}, forms=EAGER_ONLY)
class FunctionWithASetup(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return _Split.apply(x, 2)


class _Doubled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.mark_dirty(x)
        x.mul_(2)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad * 2


@construct((t(2, 3),), forms=EAGER_ONLY)
class FunctionThatWrites(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        y = x + 1
        z = _Doubled.apply(y)
        return z + y


class _Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, levels: int = 4) -> Tensor:
        return torch.round(x * levels) / levels

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad, None


@construct((t(2, 3),), (t(4, 3),), axes={"x": [0]}, forms=EAGER_ONLY)
class StraightThrough(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(x, _Rounded.apply(self.layer.weight, 8), self.layer.bias)


class _Hyperbolic(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: float) -> Tensor:
        return torch.from_numpy(x.numpy() * 0).tanh() if scale == 0 else torch.tanh(x * scale)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Any:
        return grad, None


@construct(
    (t(2, 3),),
    (t(4, 3),),
    axes={"x": [0]},
    forms=EAGER_ONLY,
    lowerings={"autograd::_Hyperbolic": lambda op, x, *, scale: op.Tanh(op.Mul(x, scale))},
)
class FunctionKept(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _Hyperbolic.apply(x, 0.5) * 2


class _Tagged(Tensor):
    """A tensor that is only called something else."""


@construct((t(2, 3),), forms=EAGER_ONLY)
class SubclassOfTensor(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3).as_subclass(_Tagged))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).as_subclass(Tensor) + 1


class _Complex(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.view_as_real(torch.fft.rfft(x)).square().sum(-1)


@construct((t(2, 8),), (t(5, 8),), axes={"x": [0]}, forms=("eager", "script", "program"))
class PowerSpectrum(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = _Complex()

    def forward(self, x: Tensor) -> Tensor:
        return (self.inner(x) + 1e-6).log()
