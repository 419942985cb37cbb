# SPDX-License-Identifier: Apache-2.0
"""A result that is given without a question is the one that PyTorch's own rule gives."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from lading.passes.torch_private import FakeTensor
from lading.passes.trace import fake_results


def _form(tensor):
    expression = [n if isinstance(n, int) else n.node.expr for n in (*tensor.shape, *tensor.stride())]
    assert isinstance(tensor, FakeTensor)
    return tensor.dtype, tensor.fake_device, expression, tensor.storage_offset(), tensor.untyped_storage()._cdata


@pytest.fixture
def compared(monkeypatch):
    """The operators of which a result was given without a question, each compared with PyTorch's rule."""
    found = []
    given = fake_results.FakeResults._unasked

    def unasked(self, func, args, kwargs):
        made = given(self, func, args, kwargs)
        if made is not None:
            wanted = self.fake.dispatch(func, (), tuple(args), dict(kwargs))
            *form, memory = _form(made)
            *expected, other_memory = _form(wanted)
            assert expected == form, func
            of = {arg.untyped_storage()._cdata for arg in args if isinstance(arg, FakeTensor)}
            assert (other_memory in of) == (memory in of), func
            found.append(func.name())
        return made

    monkeypatch.setattr(fake_results.FakeResults, "_unasked", unasked)
    return found


class Applied(torch.nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function
        self.weight = torch.nn.Parameter(torch.ones(8, 2, 3, 3))
        self.wide = torch.nn.Parameter(torch.ones(6, 4, 1, 1))

    def forward(self, x):
        y = x.exp()
        made = self.function(self, y)
        return made if isinstance(made, torch.Tensor) else tuple(made)


ELEMENTWISE = [
    *(torch.relu, F.hardswish, F.hardsigmoid, F.silu, F.mish, F.gelu, torch.sigmoid, torch.tanh, F.leaky_relu, F.elu),
    *(F.hardtanh, F.softplus, torch.log, torch.sqrt, torch.rsqrt, torch.neg, torch.abs, torch.erf, torch.isnan),
    *(lambda x: x + 1, lambda x: 1 - x, lambda x: x * 2.5, lambda x: x / 3, lambda x: x**2, lambda x: x.clamp(0, 6)),
    *(lambda x: x.clamp(min=0.5), lambda x: x > 0, lambda x: x == 2, lambda x: ~(x > 0), lambda x: x.to(torch.int32)),
    *(lambda x: x + x.sin(), lambda x: x * x, lambda x: torch.maximum(x, x.cos()), lambda x: x > x.cos()),
    *(lambda x: (x > 0) & (x < 1), lambda x: F.gelu(x, approximate="tanh"), lambda x: x.double() * 0.5),
]
OTHERS = [
    *(
        lambda m, x: torch.cat([x, x.sin(), x], 1),
        lambda m, x: torch.cat([x, x], 0),
        lambda m, x: torch.cat([x, x], -1),
    ),
    *(lambda m, x: F.conv2d(x, m.weight, groups=2), lambda m, x: F.conv2d(x, m.weight, stride=2, padding=1, groups=2)),
    *(
        lambda m, x: F.conv2d(x, m.wide, torch.ones(6)),
        lambda m, x: F.conv2d(x, m.weight, padding=2, dilation=2, groups=2),
    ),
    *(lambda m, x: x.softmax(-1), lambda m, x: x.log_softmax(1), lambda m, x: x * x[:, :, :1, :1].contiguous()),
    *(lambda m, x: x + m.wide[:4, 0], lambda m, x: x.transpose(1, 3), lambda m, x: x.permute(0, 2, 3, 1).relu()),
    *(
        lambda m, x: x.unsqueeze(1) + 1,
        lambda m, x: x.unsqueeze(-1),
        lambda m, x: x.transpose(1, 2).unsqueeze(2).relu(),
    ),
    *(lambda m, x: x.view(x.shape[0], -1), lambda m, x: x.view(-1), lambda m, x: x.flatten(1).relu()),
    *(lambda m, x: F.avg_pool2d(x, 2).relu(), lambda m, x: torch.cat([F.avg_pool2d(x, 2)] * 2, 1).relu()),
    *(lambda m, x: F.conv2d(F.max_pool2d(x, 2), m.wide).relu(), lambda m, x: x.expand(2, *x.shape).relu()),
]
AXES = {"fixed": None, "batch": {0: "batch"}, "all": {0: "batch", 2: "height", 3: "width"}}


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize("function", ELEMENTWISE)
def test_elementwise(function, axes, captured, compared):
    layouts = (lambda x: x, lambda x: x.permute(0, 2, 3, 1), lambda x: x[:, 1:], lambda x: x[0, 0, 0, 0])
    for layout in layouts:
        model = Applied(lambda _, x, layout=layout: function(layout(x)))
        captured(model, (torch.rand(2, 4, 6, 8),), dynamic_axes=axes and {"x": axes})
    assert len(compared) > len(layouts)


@pytest.mark.parametrize("axes", AXES.values(), ids=AXES)
@pytest.mark.parametrize("function", OTHERS)
def test_others(function, axes, captured, compared):
    for shape in ((2, 4, 6, 8), (3, 4, 7, 5)):
        captured(Applied(function), (torch.rand(shape),), dynamic_axes=axes and {"x": axes})
    assert len(compared) > 1


@pytest.mark.parametrize("shape", [(2, 1, 6, 6), (1, 4, 1, 1), (0, 4, 5, 5), (2, 4, 1, 5)])
def test_sizes_of_one_and_none(shape, captured, compared):
    kernel = torch.ones(8, shape[1], 1, 1)

    def forward(_, x):
        return (
            x.relu(),
            torch.cat([x, x], 1),
            F.conv2d(x, kernel) if x.shape[0] else x,
            x.softmax(1),
            x.transpose(1, 2) + 1,
        )

    captured(Applied(forward), (torch.rand(shape),))
    assert compared or 0 in shape
