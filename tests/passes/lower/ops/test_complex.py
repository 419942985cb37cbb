# SPDX-License-Identifier: Apache-2.0
"""Complex numbers as pairs and Fourier transforms, model by model: the calls of a function, lowered and run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
import onnx_ir as ir
import pytest
import torch
import torch._prims  # registers the operators
from lading.passes import dialect
from support.calls import operators, tensor
from support.operator_check import NEWEST, compare, lowered, run
from torch.utils._python_dispatch import TorchDispatchMode

F, P = torch.fft, torch.ops.prims


class _Calls(TorchDispatchMode):
    """Records the operator calls that are made under it."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.made.append((func, args, kwargs or {}, result))
        return result


def _model(function: Callable[..., torch.Tensor], inputs: list[torch.Tensor], free: bool) -> tuple[ir.Model, Any]:
    values: dict[int, ir.Value] = {}
    alive: list[torch.Tensor] = []
    constants: list[ir.Value] = []

    def described(item: torch.Tensor, name: str | None) -> ir.Value:
        dims = [ir.SymbolicDim(f"d{size}") if free else size for size in item.shape]
        value = ir.Value(name=name, shape=ir.Shape(dims), type=ir.TensorType(dialect.onnx_dtype(item.dtype)))
        values[id(item)] = value
        alive.append(item)
        return value

    def value_of(item: Any) -> ir.Value:
        item = item if isinstance(item, torch.Tensor) else torch.tensor(item)
        if id(item) not in values:
            name = f"w{len(constants)}"
            constants.append(described(item, name))
            constants[-1].shape = ir.Shape(list(item.shape))
            constants[-1].const_value = ir.tensor_adapters.TorchTensor(item, name=name)
        return values[id(item)]

    graph_inputs = [described(item, f"x{i}") for i, item in enumerate(inputs)]
    with torch.no_grad(), _Calls() as calls:
        expected = function(*inputs)
    nodes: list[ir.Node] = []
    for overload, args, kwargs, result in calls.made:
        results = result if isinstance(result, (tuple, list)) else [result]
        outputs = [described(item, None) for item in results]
        dialect.encode(overload, args, kwargs, outputs, value_of=value_of, append=nodes.append)
    output = values[id(expected)]
    output.name = "y"
    graph = ir.Graph(graph_inputs, [output], nodes=nodes, initializers=constants, name="complex")
    return ir.Model(graph, ir_version=10), expected


def _agrees(function: Callable[..., torch.Tensor], *inputs: torch.Tensor, opset: int, free: bool) -> onnx.ModelProto:
    model, expected = _model(function, list(inputs), free)
    proto = lowered(model, opset)
    compare(expected, run(proto, inputs)[0], rtol=1e-3, atol=1e-4)
    return proto


ROTATIONS = torch.polar(torch.ones(5, 4), tensor(5, 4))


def rotated(x: torch.Tensor) -> torch.Tensor:
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * ROTATIONS[:, None]).flatten(3)


def arithmetic(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    x, y = torch.complex(a, b), torch.complex(b, a)
    return ((x * y + 2 - torch.complex(a, a)) / torch.complex(b, b) * 3j).abs()


def with_reals(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    x = torch.complex(a, b)
    return torch.view_as_real(x * a + b - x.conj() / 2)


def moved_about(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    x = torch.complex(a, b)
    joined = torch.cat([x[:, 1:3].transpose(0, 1).reshape(-1), x.permute(1, 0)[-1]])
    return torch.view_as_real(joined.unsqueeze(-1).expand(-1, 2))


def primitives(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    x = P.conj_physical.default(torch.complex(a, b))
    return P.real.default(x) + 2 * P.imag.default(x)


def primitive_transforms(a: torch.Tensor) -> torch.Tensor:
    spectrum = P.fft_c2c.default(P.fft_r2c.default(a, dim=[1], onesided=True), dim=[0], forward=False)
    return P.fft_c2r.default(spectrum, dim=[1], last_dim_size=9)


X, Y = tensor(3, 8), tensor(3, 8, seed=1)
CASES: dict[str, tuple[Any, ...]] = {
    "rfft": (lambda x: torch.view_as_real(F.rfft(x)), X),
    "rfft-odd-ortho": (lambda x: torch.view_as_real(F.rfft(x, norm="ortho")), tensor(3, 7)),
    "rfft-first-axis": (lambda x: torch.view_as_real(F.rfft(x, dim=0)), X),
    "rfft-long": (lambda x: torch.view_as_real(F.rfft(x)), tensor(2, 1024)),
    "rfft-in-stages": (lambda x: torch.view_as_real(F.rfft(x)), tensor(2, 600)),
    "rfft-first-axis-in-stages": (lambda x: torch.view_as_real(F.rfft(x, dim=0)), tensor(525, 2)),
    "fft-and-back-in-stages": (lambda x: F.ifft(F.fft(x) * 1j).imag, tensor(2, 520)),
    "irfft-in-stages": (lambda x: F.irfft(F.rfft(x), n=602, norm="ortho"), tensor(2, 600)),
    "rfft-of-a-long-prime": (lambda x: torch.view_as_real(F.rfft(x)), tensor(521)),
    "fft": (lambda x: torch.view_as_real(F.fft(x)), X),
    "ifft": (lambda x: F.ifft(F.fft(x)).real, X),
    "irfft": (lambda x: F.irfft(F.rfft(x)), X),
    "irfft-odd": (lambda x: F.irfft(F.rfft(x), n=7), X),
    "irfft2": (lambda x: F.irfft2(F.rfft2(x) * 2, s=(4, 6), norm="ortho"), tensor(2, 4, 6)),
    "fftn": (lambda x: F.fftn(x, norm="forward").imag, tensor(2, 4, 6)),
    "fft-of-fft": (lambda x: F.fft(F.fft(x, dim=-1), dim=-2).real, tensor(2, 5, 4)),
    "rotary": (rotated, tensor(2, 5, 3, 8)),
    "arithmetic": (arithmetic, X, Y),
    "with-reals": (with_reals, X, Y),
    "polar": (lambda a, b: torch.polar(a.abs(), b).angle(), X, Y),
    "exp": (lambda a, b: torch.view_as_real(torch.exp(torch.complex(a, b)).sum(-1)), X, Y),
    "matmul": (lambda a, b: torch.view_as_real(torch.complex(a, b) @ torch.complex(b, a).T), X, Y),
    "where": (lambda a, b: torch.view_as_real(torch.where(a > 0, torch.complex(a, b), torch.complex(b, a))), X, Y),
    "moved-about": (moved_about, X, Y),
    "primitives": (primitives, X, Y),
    "primitive-fft": (primitive_transforms, X),
}
FREE = ("rfft", "fft", "ifft", "fft-of-fft", "arithmetic", "with-reals")


@pytest.mark.parametrize("opset", [7, 13, 17, NEWEST])
@pytest.mark.parametrize("name", CASES)
def test_complex_models_agree_with_eager(name: str, opset: int) -> None:
    function, *inputs = CASES[name]
    _agrees(function, *inputs, opset=opset, free=False)


@pytest.mark.parametrize("name", FREE)
def test_complex_models_keep_free_axes(name: str) -> None:
    function, *inputs = CASES[name]
    _agrees(function, *inputs, opset=NEWEST, free=True)


def test_a_short_transform_is_one_product() -> None:
    function, x = CASES["rfft"]
    assert ["MatMul", "Reshape", "Identity"] == operators(_agrees(function, x, opset=18, free=False))
