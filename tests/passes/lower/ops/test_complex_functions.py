# SPDX-License-Identifier: Apache-2.0
"""Functions of complex numbers, in one model a family."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

import lading

Function = Callable[[torch.Tensor, torch.Tensor], "list[torch.Tensor]"]

NAMES = {
    "roots and exponentials": "sqrt rsqrt square exp2 expm1 log1p log2 log10 sigmoid sgn",
    "trigonometry": "sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh",
}


def powers(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    zero = x * 0
    return [x**y, x**3.5, x**-2, x**0.5, x**0, x ** (1 - 2j), 2.5**x, zero**2.5, zero ** (x * 0 + 2)]


def rearranged(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    written = x.clone()
    written[1] = y[0]
    return [x.prod(), x.prod(1), x.prod(0, keepdim=True), written, x + torch.ones(3, dtype=x.dtype)]


def questions(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    return [x != y, x == x, x == 1, x != 1j, x.isnan(), x.isinf(), x.isfinite(), torch.isreal(x)]


def systems(x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
    return [torch.linalg.inv(x), torch.linalg.solve(x, y), torch.linalg.solve(x, y[:, 0])]


def named(names: str) -> Function:
    return lambda x, y: [getattr(torch, name)(x) for name in names.split()]


FUNCTIONS: dict[str, Function] = {
    **{family: named(names) for family, names in NAMES.items()},
    "powers": powers,
    "rearranged": rearranged,
    "questions": questions,
    "systems": systems,
}


class Both(torch.nn.Module):
    """A function of two complex matrices, with complex results as pairs."""

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> list[torch.Tensor]:
        results = self.function(torch.view_as_complex(x), torch.view_as_complex(y))
        return [torch.view_as_real(item) if item.is_complex() else item for item in results]


@pytest.mark.parametrize("opset", [7, 13, 18])
@pytest.mark.parametrize("family", FUNCTIONS)
def test_functions_of_complex_numbers_agree(family: str, opset: int) -> None:
    model = Both(FUNCTIONS[family])
    generator = torch.Generator().manual_seed(0)
    x, y, *other = (torch.randn(3, 3, 2, generator=generator) for _ in range(4))
    other[0][0, 0] = torch.tensor([0.0, 0.5])
    exported = lading.export(model, (x, y), None, opset_version=opset)
    for expected, got in zip(model(*other), exported(*other), strict=True):
        torch.testing.assert_close(torch.from_numpy(got), expected, rtol=1e-4, atol=1e-5)
