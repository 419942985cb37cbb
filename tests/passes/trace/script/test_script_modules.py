# SPDX-License-Identifier: Apache-2.0
"""Names, origins and state of scripted modules, and the forms in which TorchScript reaches lading."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import onnx_ir as ir
import pytest
import torch
from lading.passes.request import Request
from lading.passes.signature.binding import bind_arguments
from lading.passes.trace.script.strategy import jit_trace, script
from lading.pipeline.errors import CaptureError
from lading.pipeline.origin import origin_of
from torch import Tensor, nn

from lading.exporting import export


class Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        if x.sum() > 0:
            x = self.linear(x)
        return x


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.head = nn.Linear(3, 2)
        self.twin = nn.Linear(3, 2)
        self.twin.weight = self.head.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.gate(x)
        return self.head(x) + self.twin(x)


def captured(model: Any, *args: Any, **options: Any) -> tuple[ir.Model, Any]:
    return script(bind_arguments(Request(model=model, args=(*args, {})), **options))


@pytest.fixture
def net() -> Any:
    return torch.jit.script(Net().eval())


def test_weights_have_their_names_of_the_state_dict(net: Any) -> None:
    model, _ = captured(net, torch.ones(2, 3))
    assert {"gate.linear.weight", "gate.linear.bias", "head.weight", "head.bias", "twin.bias"} <= set(
        model.graph.initializers
    )


def test_tied_weights_stay_tied(net: Any) -> None:
    model, capture = captured(net, torch.ones(2, 3))
    assert "twin.weight" not in model.graph.initializers
    assert {"head.weight": ("twin.weight",)} == {k: v for k, v in capture.tied.items() if k == "head.weight"}


def test_the_model_and_its_buffers_are_what_they_were(net: Any) -> None:
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    captured(net, torch.ones(2, 3))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


def test_a_write_to_a_buffer_is_on_record(net: Any) -> None:
    _, capture = captured(net, torch.ones(2, 3))
    assert ["gate.calls"] == list(capture.buffer_writes)


def test_nodes_know_module_class_and_line(net: Any) -> None:
    model, _ = captured(net, torch.ones(2, 3))
    origins = {origin_of(node) for node in ir.traversal.RecursiveGraphIterator(model.graph)}
    found = {(origin.module, origin.module_class) for origin in origins if origin is not None}
    assert {("gate", "Gate"), ("gate.linear", "Linear"), ("head", "Linear"), ("", "Net")} <= found
    assert any(origin is not None and "test_script_modules.py:" in origin.source for origin in origins)


def test_inputs_have_the_names_of_the_schema(net: Any) -> None:
    model, _ = captured(net, torch.ones(2, 3))
    assert ["x"] == [value.name for value in model.graph.inputs]


def test_training_mode_is_what_is_asked_for() -> None:
    model = torch.jit.script(nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5)).eval())
    made, _ = captured(model, torch.ones(2, 3), mode="train")
    assert "dropout" in {node.op_type for node in made.graph}
    assert not model.training


def test_a_loaded_module_is_captured(net: Any) -> None:
    buffer = io.BytesIO()
    torch.jit.save(net, buffer)
    buffer.seek(0)
    model, _ = captured(torch.jit.load(buffer), torch.ones(2, 3))
    assert "gate.linear.weight" in model.graph.initializers


SAVING = """
import torch
def moved(x, by: int):
    if by > 2:
        return torch.nn.functional.pad(x, [by, 0], mode="reflect")
    return torch.nn.functional.pad(x, [0, by])
class Moving(torch.nn.Module):
    def forward(self, x):
        return moved(x, 3) + moved(x, 3), moved(x, 1)
torch.jit.save(torch.jit.script(Moving()), "moving.pt")
"""

LOADING = """
import torch, lading
loaded = torch.jit.load("moving.pt")
lading.export(loaded, torch.randn(2, 8), verify=True, settings=["trace.strategy=script"])
def moved(x, by: int):
    return x * by
torch.jit.script(moved)
lading.export(loaded, torch.randn(2, 8), verify=True, settings=["trace.strategy=script"])
"""


def test_functions_of_a_loaded_module_are_its_own(tmp_path: Path) -> None:
    # TorchScript takes functions from files; in another process nothing has their names, or something else has.
    for name, text in (("saving.py", SAVING), ("loading.py", LOADING)):
        (tmp_path / name).write_text(text)
        run = subprocess.run([sys.executable, name], cwd=tmp_path, capture_output=True, text=True)
        assert 0 == run.returncode, run.stderr


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            return self.linear(x)
        return x


def test_constants_of_a_frozen_module_keep_their_names() -> None:
    frozen = torch.jit.freeze(torch.jit.script(Branching().eval()))
    model, _ = captured(frozen, torch.ones(2, 3))
    assert {"linear.weight", "linear.bias"} == {name for name in model.graph.initializers if "linear" in name}


def test_a_trace_keeps_the_sizes_that_it_reads_as_tensors() -> None:
    class Halves(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.view(x.shape[0] // 2, -1)

    exported = export(torch.jit.trace(Halves(), torch.ones(4, 3)), (torch.ones(4, 3),), dynamic_axes={"x": [0]})
    assert (4, 6) == exported(np.ones((8, 3), np.float32))[0].shape


def test_a_module_by_way_of_a_trace() -> None:
    arguments = bind_arguments(Request(model=Gate().eval(), args=(torch.ones(2, 3),)))
    model, capture = jit_trace(arguments)
    assert "jit-trace" == capture.strategy
    assert "linear.weight" in model.graph.initializers


def test_the_script_strategy_refuses_a_plain_module() -> None:
    arguments = bind_arguments(Request(model=Gate(), args=(torch.ones(2, 3),)))
    with pytest.raises(CaptureError, match="is a Gate"):
        script(arguments)


def test_a_scripted_part_of_a_plain_module_keeps_its_place() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = torch.jit.script(Branching())

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x) + 1

    exported = export(Outer().eval(), (torch.ones(2, 3),), overrides={"trace.strategy": "record"})
    assert "inner.linear.weight" in exported.model.graph.initializers


def test_example_outputs_do_not_make_the_model_run(net: Any) -> None:
    arguments = bind_arguments(Request(model=net, args=(torch.ones(2, 3),)))
    given = attrs.evolve(arguments, example_outputs=torch.ones(2, 2))
    model, _ = script(given)
    assert 1 == len(model.graph.outputs)
