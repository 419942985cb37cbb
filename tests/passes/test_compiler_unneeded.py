# SPDX-License-Identifier: Apache-2.0
"""Exports leave PyTorch's compiler unloaded, and whoever needs it gets it whole, during an export and after one.

Nor do they load what only other calls need: a runtime to verify with, networkx to draw plans, a console to log to.
"""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys, torch, lading

class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU())

    def forward(self, x):
        y = self.layers(x)
        table = torch.tensor([1.0, 2.0])
        return torch.cat([y, y.sigmoid()], 1).flatten(1).softmax(1) * table[1] + y.mean()

class Asking(torch.nn.Module):
    def forward(self, x):
        return x * 2 if torch._dynamo.eval_frame.OptimizedModule is not None else x

loaded = {}
def note(what):
    unneeded = ("torch._dynamo", "torch._inductor", "networkx", "onnxruntime", "onnxscript", "scipy")
    loaded[what] = sorted(name for name in sys.modules if name.startswith(unneeded))
x = torch.randn(2, 1, 6, 6)
lading.export(Model().eval(), x)
note("fixed sizes")
lading.export(Model().eval(), x, input_names=["x"], dynamic_axes={"x": {0: "batch", 2: "height"}})
note("free sizes")
try:
    lading.export(lambda x: x + torch.ones(7), x)
except lading.CaptureError:
    note("a failure")
left = "_dynamo" in vars(torch)
if sys.argv[1] == "during":
    lading.export(Asking(), x)
else:
    import torch._dynamo
compiled = torch.compile(Model().eval(), backend="eager")
same = bool(torch.isfinite(compiled(x)).all()) and torch._dynamo.utils.counters["stats"]["unique_graphs"] == 1
again = lading.export(Model().eval(), x).model_proto.ByteSize() > 0
source = sys.modules["torch._dynamo.source"]
own = source.ConstantSource.__module__ == "torch._dynamo.source"
whole = own and torch._dynamo.config is sys.modules["torch._dynamo.config"]
print(json.dumps({"loaded": loaded, "left": left, "same": same, "again": again, "whole": whole}))
"""


@pytest.fixture(scope="module", params=["during", "after"])
def found(request):
    """What a program saw that needs the compiler during an export, or after those that do not."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, request.param], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_no_export_loads_the_compiler_or_another_large_library_that_it_can_do_without(found):
    assert {"fixed sizes": [], "free sizes": [], "a failure": []} == found["loaded"]


def test_nothing_stands_in_its_place_afterwards(found):
    assert not found["left"]


def test_the_compiler_is_whole_where_something_needs_it(found):
    assert (True, True) == (found["whole"], found["same"])


def test_models_are_exported_where_the_compiler_is_loaded(found):
    assert found["again"]
