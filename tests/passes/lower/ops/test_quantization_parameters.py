# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
import torch.ao.quantization.fx._decomposed  # registers the operators
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST, check

OPSETS = (7, 10, 13, 18, NEWEST)

D = torch.ops.quantized_decomposed
OBSERVED = torch.ops.aten._fused_moving_avg_obs_fq_helper_functional.default

X, HALF = tensor(4, 6) * 3, (tensor(4, 6) * 3).half()
ON, OFF = torch.tensor([1]), torch.tensor([0])
INF = float("inf")


def _observed(
    x: torch.Tensor,
    observes: torch.Tensor = ON,
    quantizes: torch.Tensor = ON,
    low: float = -1.0,
    high: float = 2.0,
    bounds: tuple[int, int] = (0, 127),
    channels: int = 0,
    symmetric: bool = False,
) -> Call:
    shape = [channels] if channels else [1]
    running = torch.full(shape, low), torch.full(shape, high)
    scale, zero = torch.full(shape, 0.05), torch.full(shape, 3, dtype=torch.int32)
    arguments = (0.01, *bounds, 0 if channels else -1, bool(channels), symmetric)
    return call(OBSERVED, x, observes, quantizes, *running, scale, zero, *arguments)


CALLS = [
    call(D.choose_qparams.tensor, X, 0, 255, 1e-5, torch.uint8),
    call(D.choose_qparams.tensor, X.abs() + 1, -128, 127, 1e-5, torch.int8),
    call(D.choose_qparams_symmetric.tensor, X, -127, 127, 1e-5, torch.int8),
    call(D.choose_qparams_symmetric.tensor, X, 0, 255, 1e-5, torch.uint8),
    call(D.choose_qparams_per_token.default, HALF, torch.int8),
    call(D.choose_qparams_per_token_asymmetric.default, X, torch.int8),
    _observed(X),
    _observed(X, low=INF, high=-INF),
    _observed(X, low=INF, high=-INF, bounds=(0, 255)),
    _observed(X, symmetric=True, bounds=(-128, 127)),
    _observed(X, observes=OFF),
    _observed(X, quantizes=OFF),
    _observed(X, observes=OFF, quantizes=OFF),
    _observed(X, channels=4, symmetric=True, bounds=(-128, 127)),
    _observed(tensor(4, 2, 3), channels=4, bounds=(-128, 127)),
    _observed(torch.zeros(3, 3), low=INF, high=-INF),
    _observed(torch.full((3, 3), 1e-5), low=INF, high=-INF),
    _observed(torch.tensor([[-1e-5, 2e-5]]), low=INF, high=-INF),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(CALLS, OPSETS))
def test_chosen_parameters_agree(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)


@pytest.mark.parametrize("seed", range(12))
def test_ranges_of_every_kind_agree(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    spread_of = 10.0 ** torch.randint(-6, 4, [1], generator=generator).item()
    x = (torch.rand(5, 7, generator=generator) - torch.rand(1, generator=generator)) * spread_of
    item = _observed(x, low=INF, high=-INF, symmetric=seed % 2 == 1, bounds=(-128, 127) if seed % 3 else (0, 255))
    check(item.overload, *item.args, opset=17)
