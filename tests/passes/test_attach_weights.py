# SPDX-License-Identifier: Apache-2.0
"""Exports of models whose values are in a checkpoint: each file is run and compared with the model that was saved."""

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
from safetensors.torch import save_file
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import lading
from lading import UsageError
from lading.verifying import verify_file

IDS = torch.randint(0, 50, (2, 7), generator=torch.Generator().manual_seed(0))


class Speller(nn.Module):
    """An embedding tied to the output, a weight used as it stands, a transposed one, and a normalisation to fold."""

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.embed = nn.Embedding(50, 32, dtype=dtype)
        self.mix = nn.Linear(32, 32, dtype=dtype)
        self.table = nn.Parameter(torch.randn(32, 32, dtype=dtype))
        self.conv = nn.Conv1d(32, 32, 3, padding=1, dtype=dtype)
        self.norm = nn.BatchNorm1d(32, dtype=dtype)
        self.head = nn.Linear(32, 50, bias=False, dtype=dtype)
        self.head.weight = self.embed.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.mix(self.embed(ids)) @ self.table
        return self.head(self.norm(self.conv(x.transpose(1, 2))).transpose(1, 2))


def saved(seed: int = 0) -> Speller:
    torch.manual_seed(seed)
    model = Speller().eval()
    model.norm.running_mean.normal_()
    model.norm.running_var.uniform_(1, 2)
    return model


def state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.contiguous() for name, tensor in model.state_dict().items() if name != "head.weight"}


def empty(how: str = "meta", **options: Any) -> Speller:
    if how == "fake":
        with FakeTensorMode():
            return Speller(**options).eval()
    with torch.device("meta"):
        return Speller(**options).eval()


def save_shards(tensors: dict[str, torch.Tensor], folder: Path) -> None:
    table = {}
    for number, name in enumerate(tensors):
        file = f"model-{number % 3}.safetensors"
        table[name] = file
    for file in set(table.values()):
        save_file({name: tensors[name] for name in table if table[name] == file}, folder / file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_file(state(saved()), tmp_path / "model.safetensors")
    return tmp_path


def export(model: Any, path: Path, weights: Path, **options: Any) -> Any:
    axes = {"ids": {0: "batch", 1: "length"}}
    return lading.export(model, (IDS,), path, weights=weights, dynamic_axes=axes, **options)


def agrees(path: Path, model: nn.Module | None = None) -> bool:
    session = onnxruntime.InferenceSession(path)
    for ids in (IDS, IDS[:1, :4]):
        (found,) = session.run(None, {"ids": ids.numpy()})
        if not np.allclose((model or saved())(ids).detach().numpy(), found, atol=1e-4):
            return False
    return True


def locations(path: Path) -> dict[str, str]:
    model = onnx.load(path, load_external_data=False)
    return {
        tensor.name: entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }


# ---- where the values come from --------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ["record", "export", "jit-trace"])
@pytest.mark.parametrize("how", ["meta", "fake"])
def test_a_model_without_values(how: str, strategy: str, folder: Path) -> None:
    export(empty(how), folder / "model.onnx", folder, overrides={"trace.strategy": strategy})
    assert agrees(folder / "model.onnx")


def test_the_values_of_a_real_model_are_of_no_account(folder: Path) -> None:
    export(saved(seed=1), folder / "model.onnx", folder)
    assert agrees(folder / "model.onnx")


def test_shards_with_an_index(tmp_path: Path) -> None:
    save_shards(state(saved()), tmp_path)
    export(empty(), tmp_path / "model.onnx", tmp_path)
    assert agrees(tmp_path / "model.onnx")
    assert len(set(locations(tmp_path / "model.onnx").values())) > 1


@pytest.mark.parametrize("name", ["model.safetensors.index.json", ""])
def test_an_index_is_named_or_found(name: str, tmp_path: Path) -> None:
    save_shards(state(saved()), tmp_path)
    export(empty(), tmp_path / "model.onnx", tmp_path / name)
    assert agrees(tmp_path / "model.onnx")


def test_an_export_within_the_mode_of_its_fake_tensors(folder: Path) -> None:
    with FakeTensorMode():
        model = Speller().eval()
        ids = torch.zeros(2, 7, dtype=torch.long)
        lading.export(model, (ids,), folder / "model.onnx", weights=folder, dynamic_axes={"ids": [0, 1]})
    assert agrees(folder / "model.onnx")


def test_the_model_is_afterwards_what_it_was(folder: Path) -> None:
    model = empty()
    before = dict(model.named_parameters())
    export(model, folder / "model.onnx", folder, verify=True)
    assert all(before[name] is parameter for name, parameter in model.named_parameters())
    assert all(parameter.is_meta for parameter in model.parameters())


def test_verification_loads_the_weights(folder: Path) -> None:
    verification = export(empty(), folder / "model.onnx", folder, verify=True).verification
    assert {"passed"} == {check.status for check in verification.checks}
    save_file(state(saved(seed=1)), folder / "other.safetensors")
    other = verify_file(folder / "model.onnx", empty(), (IDS,), weights=folder / "other.safetensors")
    assert other.status == "failed"


def test_python_that_reads_small_buffers_reads_them_in_the_checkpoint(tmp_path: Path) -> None:
    class Repeats(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("count", torch.tensor(0))
            self.scale = nn.Parameter(torch.ones(300))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for _ in range(int(self.count)):
                x = x * self.scale
            return x

    save_file({"count": torch.tensor(3), "scale": torch.full((300,), 2.0)}, tmp_path / "model.safetensors")
    with torch.device("meta"):
        model = Repeats()
    lading.export(model, (torch.ones(300),), tmp_path / "model.onnx", weights=tmp_path)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    assert {8.0} == set(session.run(None, {"x": np.ones(300, np.float32)})[0].tolist())


def test_weights_as_inputs_are_fed_from_the_checkpoint(folder: Path) -> None:
    result = export(empty(), folder / "model.onnx", folder, export_params=False, verify=True)
    assert result.verification.passed
    assert {} == locations(folder / "model.onnx")


# ---- referred to, or copied ------------------------------------------------------------------------------------------


def test_what_is_used_as_it_stands_is_referred_to(folder: Path) -> None:
    export(empty(), folder / "model.onnx", folder)
    assert {"embed.weight": "model.safetensors", "table": "model.safetensors"} == locations(folder / "model.onnx")
    onnx.checker.check_model(folder / "model.onnx", full_check=True)


def test_what_is_turned_or_folded_is_copied(folder: Path) -> None:
    export(empty(), folder / "model.onnx", folder, overrides={"serialize.external_data_threshold": 1024})
    places = locations(folder / "model.onnx")
    assert {"conv.weight", "mix.weight.T"} <= {name for name in places if places[name] == "model.onnx.data"}
    assert agrees(folder / "model.onnx")


def test_without_folding_of_weights_all_large_ones_are_referred_to(folder: Path) -> None:
    settings = {"fold-constants.weights": False, "fold-batch-norm.enabled": False}
    export(empty(), folder / "model.onnx", folder, overrides=settings)
    assert {"model.safetensors"} == set(locations(folder / "model.onnx").values())
    assert {"embed.weight", "mix.weight", "table", "conv.weight"} == locations(folder / "model.onnx").keys()
    assert agrees(folder / "model.onnx")


def test_a_folder_below_that_of_the_model(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    save_file(state(saved()), tmp_path / "weights" / "model.safetensors")
    export(empty(), tmp_path / "model.onnx", tmp_path / "weights")
    assert {"weights/model.safetensors"} == set(locations(tmp_path / "model.onnx").values())
    assert agrees(tmp_path / "model.onnx")


def elsewhere(folder: Path) -> Path:
    (folder / "elsewhere").mkdir()
    return folder / "elsewhere" / "model.onnx"


def test_in_another_folder_weights_are_copied_and_that_is_on_record(folder: Path) -> None:
    path = elsewhere(folder)
    result = export(empty(), path, folder)
    (folder / "model.safetensors").unlink()
    assert ["model.onnx"] == os.listdir(path.parent)
    assert agrees(path)
    (event,) = (event for event in result.events if event.get("step") == "serialize" and "decisions" in event)
    assert ["weights copied"] == [decision["what"] for decision in event["decisions"]]


def test_in_another_folder_they_cannot_be_referred_to(folder: Path) -> None:
    with pytest.raises(UsageError, match=r"it is not in .*elsewhere or below it") as caught:
        export(empty(), elsewhere(folder), folder, overrides={"serialize.weights": "refer"})
    assert caught.value.hint is not None
    assert "serialize.weights = 'copy'" in caught.value.hint


def test_copied_where_asked(folder: Path) -> None:
    export(empty(), folder / "model.onnx", folder, overrides={"serialize.weights": "copy"})
    assert {} == locations(folder / "model.onnx")
    assert agrees(folder / "model.onnx")


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_files_under_links_are_not_referred_to(link: str, folder: Path) -> None:
    """`onnx.load` refuses data files that are links or have two names."""
    (folder / "model.safetensors").rename(folder / "real")
    getattr(folder / "model.safetensors", link)(folder / "real")
    export(empty(), folder / "model.onnx", folder)
    assert {} == locations(folder / "model.onnx")
    assert agrees(folder / "model.onnx")


@pytest.mark.parametrize("name", ["model.safetensors", "link.onnx"])
def test_the_checkpoint_is_not_written_over_by_the_model(name: str, folder: Path) -> None:
    (folder / "link.onnx").symlink_to(folder / "model.safetensors")
    before = (folder / "model.safetensors").read_bytes()
    with pytest.raises(UsageError, match="would be written over"):
        export(empty(), folder / name, folder)
    assert before == (folder / "model.safetensors").read_bytes()


def test_the_checkpoint_is_not_written_over_by_data(folder: Path) -> None:
    settings = {"serialize.external_data_threshold": 1, "serialize.external_data_file": "model.safetensors"}
    with pytest.raises(UsageError, match="would be written over"):
        export(empty(), folder / "model.onnx", folder, overrides=settings)
    assert not (folder / "model.onnx").exists()


def test_the_same_bytes_again(folder: Path) -> None:
    contents = []
    for _ in range(2):
        export(empty(), folder / "model.onnx", folder, overrides={"serialize.external_data_threshold": 1024})
        contents.append([(folder / name).read_bytes() for name in ("model.onnx", "model.onnx.data")])
    assert contents[0] == contents[1]


def test_the_file_does_not_say_where_the_checkpoint_was(folder: Path) -> None:
    path = elsewhere(folder)
    export(empty(), path, folder)
    assert str(folder).encode() not in path.read_bytes()


def test_a_checkpoint_that_changes_meanwhile_is_an_error(folder: Path) -> None:
    @lading.a_pass("change-checkpoint", requires=(lading.Fact.ONNX,))
    class ChangeCheckpoint:
        """Write to the checkpoint."""

        def run(self, work: Any, note: Any) -> None:
            with open(folder / "model.safetensors", "r+b") as file:
                file.seek(-4, os.SEEK_END)
                file.write(b"\1\2\3\4")
            os.utime(folder / "model.safetensors", ns=(1, 1))

    with pytest.raises(UsageError, match="was changed while it was read"):
        export(empty(), folder / "model.onnx", folder, passes=[ChangeCheckpoint()])
    assert not (folder / "model.onnx").exists()


# ---- names, shapes, types --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["embed.weight", "head.weight"])
def test_a_tied_weight_is_stored_under_any_of_its_names(name: str, tmp_path: Path) -> None:
    tensors = state(saved())
    tensors[name] = tensors.pop("embed.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    export(empty(), tmp_path / "model.onnx", tmp_path)
    assert agrees(tmp_path / "model.onnx")


def test_a_tied_weight_that_is_stored_twice_must_be_equal(tmp_path: Path) -> None:
    tensors = state(saved())
    save_file({**tensors, "head.weight": tensors["embed.weight"].clone()}, tmp_path / "model.safetensors")
    export(empty(), tmp_path / "model.onnx", tmp_path)
    save_file({**tensors, "head.weight": tensors["embed.weight"] + 1}, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="one tensor in the model, and differ in the checkpoint"):
        export(empty(), tmp_path / "model.onnx", tmp_path)


def test_a_module_under_two_names(tmp_path: Path) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(32, 32)
            self.second = self.first

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(ids.float()))

    torch.manual_seed(0)
    model = Twice()
    save_file({"second.weight": model.first.weight, "second.bias": model.first.bias}, tmp_path / "model.safetensors")
    with torch.device("meta"):
        bare = Twice()
    assert lading.export(bare, (torch.ones(1, 32),), tmp_path / "model.onnx", weights=tmp_path, verify=True)


def test_prefixes_are_translated(tmp_path: Path) -> None:
    tensors = {f"model.speller.{name}": tensor for name, tensor in state(saved()).items()}
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="have no values"):
        export(empty(), tmp_path / "model.onnx", tmp_path)
    export(empty(), tmp_path / "model.onnx", tmp_path, overrides={"attach-weights.rename": {"model.speller.": ""}})
    assert agrees(tmp_path / "model.onnx")


def test_prefixes_that_collide_are_refused(tmp_path: Path) -> None:
    save_file({"a.x": torch.ones(1), "b.x": torch.ones(1)}, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=r"'a\.x' and 'b\.x' .* would both be called 'x'"):
        export(empty(), tmp_path / "m.onnx", tmp_path, overrides={"attach-weights.rename": {"a.": "", "b.": ""}})


def test_missing_tensors_are_listed_with_what_is_near(tmp_path: Path) -> None:
    tensors = state(saved())
    tensors["mix.weigth"] = tensors.pop("mix.weight")
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=r"mix\.weight \(is it 'mix\.weigth' there\?\)"):
        export(empty(), tmp_path / "model.onnx", tmp_path)


def test_a_parameter_of_a_real_model_must_be_there_too(tmp_path: Path) -> None:
    tensors = state(saved())
    del tensors["table"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="table is not in it"):
        export(saved(), tmp_path / "model.onnx", tmp_path)


def test_what_the_graph_does_not_use_may_be_missing(folder: Path) -> None:
    with torch.device("meta"):
        model = Speller().eval()
        model.more = nn.Linear(3, 3)
    export(model, folder / "model.onnx", folder)
    assert agrees(folder / "model.onnx")


def test_buffers_with_values_of_their_own_need_no_checkpoint(folder: Path) -> None:
    model = empty()
    model.register_buffer("offset", torch.arange(300.0), persistent=False)
    model.forward = lambda ids: Speller.forward(model, ids) + model.offset[:50]  # type: ignore[method-assign]
    export(model, folder / "model.onnx", folder)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    want = saved()(IDS) + torch.arange(50.0)
    assert np.allclose(want.detach().numpy(), session.run(None, {"ids": IDS.numpy()})[0], atol=1e-3)


@pytest.mark.parametrize("mode", ["warn", "error"])
def test_tensors_that_the_model_does_not_have(mode: str, tmp_path: Path) -> None:
    save_file({**state(saved()), "more.weight": torch.ones(2)}, tmp_path / "model.safetensors")
    options = {"overrides": {"attach-weights.unexpected": mode}}
    if mode == "error":
        with pytest.raises(UsageError, match=r"1 tensors that the model does not have:\n  more\.weight"):
            export(empty(), tmp_path / "model.onnx", tmp_path, **options)
    else:
        result = export(empty(), tmp_path / "model.onnx", tmp_path, **options)
        assert ["the checkpoint has 1 tensors that the model does not have"] == result.warnings


def test_shapes_must_agree(tmp_path: Path) -> None:
    save_file({**state(saved()), "table": torch.ones(32, 31)}, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=r"table has the shape \[32, 31\], table of the model \[32, 32\]"):
        export(empty(), tmp_path / "model.onnx", tmp_path)


def test_types_must_agree_or_are_cast_on_request(tmp_path: Path) -> None:
    halves = {
        name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in state(saved()).items()
    }
    save_file(halves, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=r"table is bfloat16, table of the model float32"):
        export(empty(), tmp_path / "model.onnx", tmp_path)
    result = export(empty(), tmp_path / "model.onnx", tmp_path, overrides={"attach-weights.dtype": "cast"}, verify=True)
    assert result.verification.passed
    rounded = saved()
    rounded.load_state_dict({**halves, "head.weight": halves["embed.weight"]})
    assert agrees(tmp_path / "model.onnx", rounded)


def test_without_a_checkpoint_weights_without_values_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(lading.LadingError, match="has no data: it is on the meta device"):
        lading.export(empty(), (IDS,), tmp_path / "model.onnx")


def test_a_recipe_without_the_step_refuses_a_checkpoint(folder: Path) -> None:
    (folder / "own.toml").write_text(
        '[recipe]\nname = "own"\nabout = "Own"\n[target]\nopset = 18\n'
        + "".join(f"[step.{step}]\n" for step in ("normalize-arguments", "trace", "inline", "lower", "fallback"))
        + "".join(f"[step.{step}]\n" for step in ("initializers", "dynamic-axes", "serialize"))
    )
    with pytest.raises(UsageError, match="attach-weights"):
        export(empty(), folder / "model.onnx", folder, recipe=folder / "own.toml")
