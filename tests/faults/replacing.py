# SPDX-License-Identifier: Apache-2.0
"""Models of a known content that replace each other, processes that die while they do, and a look at what is left.

A process is forked for each death, from one that has everything loaded, so that hundreds take seconds. Where it dies is
either a count, of the calls by which Python changes a folder, or a moment, of the clock.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import torch
from lading.passes.serialize import Serialize
from lading.passes.weights import Weight
from lading.pipeline.note import Note
from lading.pipeline.work import Target, Work

NAME = "model.onnx"
SIZES = (8, 3000, 60_000, 20_000)

KINDS: Mapping[str, Mapping[str, Any]] = {
    "inline": {},
    "external": {"external_data_threshold": 1024},
    "shards": {"external_data_threshold": 1024, "external_data_shard": 100_000},
    "safetensors": {"external_data_format": "safetensors"},
}

_CHANGES = frozenset({"open", "os.rename", "os.link", "os.remove", "os.chmod", "os.truncate", "shutil.copyfile"})


def work(version: int) -> Work:
    """Return a model all of whose numbers are `version`."""
    graph = ir.from_onnx_text('<ir_version: 8, opset_import: ["" : 17]> main (float[N] x) => (float[N] y) {y = Abs(x)}')
    graph.metadata_props["version"] = str(version)
    last = graph.graph.inputs[0]
    for index, size in enumerate(SIZES):
        value = ir.val(f"w{index}", const_value=Weight(torch.full((size,), float(version)), f"w{index}"))
        graph.graph.register_initializer(value)
        total = ir.node("ReduceSum", [value], attributes={"keepdims": 0})
        summed = ir.node("Add", [last, total.outputs[0]])
        for node in (total, summed):
            graph.graph.insert_before(graph.graph[-1], node)
        last = summed.outputs[0]
    graph.graph[-1].replace_input_with(0, last)
    return Work(target=Target(17), request=types.SimpleNamespace(file=None), model=graph)


def write(folder: Path, version: int, kind: str, **options: Any) -> None:
    made = work(version)
    made.request.file = folder / NAME
    Serialize(**{**KINDS[kind], "sync": "never", **options}).run(made, Note())


def version_in(folder: Path) -> int | None:
    """Return the version of the model in a folder, None if there is no model; every number of it is looked at.

    Raises:
        AssertionError: numbers of two versions are mixed, or something is missing.
    """
    if not (folder / NAME).exists():
        return None
    model = onnx.load(folder / NAME, load_external_data=False)
    onnx.checker.check_model(_without_data(model))
    (stated,) = {int(prop.value) for prop in model.metadata_props if prop.key == "version"}
    assert [(f"w{index}", size) for index, size in enumerate(SIZES)] == [
        (tensor.name, tensor.dims[0]) for tensor in model.graph.initializer
    ]
    for tensor in model.graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        data = tensor.raw_data
        if entries:
            with open(folder / entries["location"], "rb") as file:
                file.seek(int(entries["offset"]))
                data = file.read(int(entries["length"]))
        values = np.frombuffer(data, np.float32)
        assert tensor.dims[0] == len(values), f"{tensor.name} has {len(values)} numbers"
        assert np.all(values == stated), f"{tensor.name} is of another version than the model"
    return stated


def _without_data(model: onnx.ModelProto) -> onnx.ModelProto:
    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    for tensor in model.graph.initializer:
        value = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
        bare.graph.input.append(value)
    del bare.graph.initializer[:]
    return bare


def dying(act: Callable[[], None], *, at: int | None = None, after: float | None = None) -> bool:
    """Fork, run `act` in the child, and kill it; return whether it died of that, and not of having finished.

    Args:
        act: what the child does.
        at: kill it just before its change of that number.
        after: kill it after so many seconds.
    """
    child = os.fork()
    if child == 0:
        _child(act, at)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert signal.SIGKILL == os.WTERMSIG(status)
        return True
    assert 0 == os.waitstatus_to_exitcode(status), "the child failed by itself"
    return False


def _child(act: Callable[[], None], at: int | None) -> None:
    code = 1
    try:
        if at is not None:
            _die_before(at)
        act()
        code = 0
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _die_before(number: int) -> None:
    left = number

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        if event not in _CHANGES or (event == "open" and not _writes(arguments)):
            return
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    sys.addaudithook(hook)


def _writes(arguments: tuple[Any, ...]) -> bool:
    flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
    return bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))


def moments(count: int, longest: float, seed: int) -> list[float]:
    """Return seconds at which to kill, evenly drawn."""
    generator = random.Random(seed)
    return [generator.uniform(0, longest) for _ in range(count)]
