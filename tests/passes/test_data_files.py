# SPDX-License-Identifier: Apache-2.0
"""Files of weights beside a model: their names, what stands where, and who can read them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import lading

X = torch.linspace(-1, 1, 2 * 3 * 40).reshape(2, 3, 40)


class Mixed(nn.Module):
    """Weights that stay as they are, one that is transposed, two that are tied, and small ones."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Linear(40, 64)
        self.second = nn.Linear(64, 40)
        self.scale = nn.Parameter(torch.randn(40))
        self.table = nn.Parameter(torch.randn(64, 64))
        self.again = self.table

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        middle = self.first(x) @ self.table @ self.again
        return self.second(middle) * self.scale


def export(folder: Path, model: nn.Module | None = None, **options: Any) -> Any:
    model = model or Mixed().eval()
    settings = {f"serialize.{key}": value for key, value in options.items()}
    return lading.export(model, X, folder / "model.onnx", overrides=settings)


def right(folder: Path) -> bool:
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (found,) = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    return np.allclose(Mixed().eval()(X).detach().numpy(), found, atol=1e-5)


def places(folder: Path) -> dict[str, tuple[str, int, int]]:
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    found = {}
    for tensor in model.graph.initializer:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        if entries:
            found[tensor.name] = (entries["location"], int(entries["offset"]), int(entries["length"]))
    return found


SHARDED = {"external_data_threshold": 1, "external_data_shard": 16 << 10}
FORMS: dict[str, dict[str, Any]] = {
    "raw": {"external_data_threshold": 1},
    "raw shards": SHARDED,
    "a file each": {"external_data_threshold": 1, "external_data_shard": 1},
    "safetensors": {"external_data_format": "safetensors"},
    "safetensors shards": {"external_data_format": "safetensors", "external_data_shard": 16 << 10},
}


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_every_form_runs_in_onnxruntime_and_loads_in_onnx(options: dict[str, Any], tmp_path: Path) -> None:
    export(tmp_path, **options)
    onnx.checker.check_model(tmp_path / "model.onnx", full_check=True)
    onnx.load(tmp_path / "model.onnx")
    assert right(tmp_path)


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_every_form_is_the_same_bytes_again(options: dict[str, Any], tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two", "two"):
        (tmp_path / name).mkdir(exist_ok=True)
        export(tmp_path / name, **options)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1] == contents[2]


@pytest.mark.parametrize("options", FORMS.values(), ids=FORMS)
def test_the_result_names_every_file(options: dict[str, Any], tmp_path: Path) -> None:
    result = export(tmp_path, **options)
    written = result.work.values[lading.Fact.FILE]
    assert sorted(os.listdir(tmp_path)) == sorted(Path(path).name for path in (written.path, *written.data_paths))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) == written.bytes


def test_shards_are_numbered_and_no_larger_than_asked(tmp_path: Path) -> None:
    export(tmp_path, **SHARDED)
    files = sorted(path.name for path in tmp_path.glob("*.data"))
    assert [f"model.onnx-0000{n}-of-0000{len(files)}.data" for n in range(1, len(files) + 1)] == files
    assert len(files) > 1
    assert all(path.stat().st_size <= (16 << 10) + 64 for path in tmp_path.glob("*.data"))


def test_a_file_each(tmp_path: Path) -> None:
    export(tmp_path, external_data_threshold=1, external_data_shard=1)
    assert len(places(tmp_path)) == len(list(tmp_path.glob("*.data")))
    assert {0} == {offset for _, offset, _ in places(tmp_path).values()}


def test_safetensors_has_the_names_of_state_dict_and_torch_reads_it(tmp_path: Path) -> None:
    model = Mixed().eval()
    result = export(tmp_path, model, external_data_format="safetensors")
    loaded = load_file(tmp_path / "model.onnx.safetensors")
    state = model.state_dict()
    for name, tensor in loaded.items():
        parameter, turned = name.removesuffix(".T"), name.endswith(".T")
        assert torch.equal(tensor, state[parameter].T if turned else state[parameter]), name
    assert {name.removesuffix(".T") for name in loaded} == state.keys() - {"again"}
    assert loaded.keys() == result.model.graph.initializers.keys() & places(tmp_path).keys()


def test_without_folding_of_weights_safetensors_is_a_state_dict(tmp_path: Path) -> None:
    settings = {"fold-constants.weights": False, "serialize.external_data_format": "safetensors"}
    lading.export(Mixed().eval(), X, tmp_path / "model.onnx", overrides=settings)
    fresh = Mixed()
    nn.init.zeros_(fresh.table)
    missing = fresh.load_state_dict(load_file(tmp_path / "model.onnx.safetensors"), strict=False)
    assert (["again"], []) == missing
    assert torch.equal(Mixed().table, fresh.table)


def test_shards_of_safetensors_have_an_index(tmp_path: Path) -> None:
    export(tmp_path, external_data_format="safetensors", external_data_shard=16 << 10)
    index = json.loads((tmp_path / "model.onnx.safetensors.index.json").read_text())
    assert {name: place for name, (place, _, _) in places(tmp_path).items()} == index["weight_map"]
    assert sum(length for _, _, length in places(tmp_path).values()) == index["metadata"]["total_size"]
    for name, file in index["weight_map"].items():
        with safe_open(tmp_path / file, "pt") as opened:
            assert name in opened.keys()  # noqa: SIM118


@pytest.mark.parametrize("form", ["raw", "safetensors"])
def test_what_fills_pages_stands_on_a_page_and_all_is_aligned_for_its_type(form: str, tmp_path: Path) -> None:
    class Types(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("bytes_", torch.ones(65, dtype=torch.uint8))
            self.register_buffer("doubles", torch.ones(67, dtype=torch.float64))
            self.register_buffer("halfs", torch.ones(69, dtype=torch.float16))
            self.register_buffer("pages", torch.ones(2, 1024))
            self.register_buffer("singles", torch.ones(71))
            self.register_buffer("more", torch.ones(4, 1024))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            total = sum(buffer.double().sum() for buffer in self.buffers())
            return x + total.float()

    settings = {
        "serialize.external_data_threshold": 1,
        "serialize.external_data_format": form,
        "fold-constants.weights": False,
    }
    lading.export(Types(), X, tmp_path / "model.onnx", overrides=settings)
    table = places(tmp_path)
    assert [0, 0] == [table[name][1] % 4096 for name in ("pages", "more")]
    sizes = {"bytes_": 1, "doubles": 8, "halfs": 2, "pages": 4, "singles": 4, "more": 4}
    assert dict.fromkeys(sizes, 0) == {name: table[name][1] % size for name, size in sizes.items()}


def test_tied_weights_stand_there_once(tmp_path: Path) -> None:
    export(tmp_path, external_data_format="safetensors")
    assert "table" in places(tmp_path)
    assert "again" not in places(tmp_path)
