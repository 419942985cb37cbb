# SPDX-License-Identifier: Apache-2.0
"""Files from strangers: models, checkpoints and logs that are cut off, malformed, or lead where they should not.

Whatever is in a file, reading it ends with a result or with a `UsageError`, and never with another exception. The
number of files that the property tests make is `FILES` for each of them; `LADING_FUZZ` multiplies it.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lading.passes.checkpoints.checkpoint import open_checkpoint
from lading.passes.checkpoints.safetensors_format import BITS
from lading.passes.files.external_data import read_model
from lading.pipeline.audit import read_log
from lading.pipeline.errors import UsageError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

FILES = 300 * int(os.environ.get("LADING_FUZZ", "1"))
many = settings(max_examples=FILES, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def model_with(location: str = "data", offset: str | None = "0", length: str | None = "16", **more: str) -> bytes:
    tensor = onnx.TensorProto(name="w", data_type=onnx.TensorProto.FLOAT, dims=[4], data_location=1)
    for key, value in {"location": location, "offset": offset, "length": length, **more}.items():
        if value is not None:
            tensor.external_data.add(key=key, value=value)
    node = onnx.helper.make_node("Add", ["x", "w"], ["y"])
    value = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", value[:1], value[1:], [tensor])
    return onnx.helper.make_model(graph, ir_version=8).SerializeToString()


def in_folder(data: bytes, act: Callable[[Path], Any], **files: bytes) -> Any:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.onnx")
        path.write_bytes(data)
        Path(folder, "data").write_bytes(bytes(64))
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        return act(path)


# ---- models ----------------------------------------------------------------------------------------------------------


def test_a_model_whose_data_are_in_order() -> None:
    assert "w" == in_folder(model_with(), read_model).graph.initializer[0].name


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"location": "/etc/passwd"}, "absolute path"),
        ({"location": "C:\\secret"}, "absolute path"),
        ({"location": "\\\\server\\share"}, "absolute path"),
        ({"location": "../data"}, "leads out of the model's folder"),
        ({"location": "sub/../../data"}, "leads out of the model's folder"),
        ({"location": "..\\data"}, "leads out of the model's folder"),
        ({"location": ""}, "does not say in which file"),
        ({"location": "."}, "does not say in which file"),
        ({"location": "da\0ta"}, "does not say in which file"),
        ({"location": "missing"}, "cannot be read"),
        ({"location": "x" * 5000}, "cannot be read"),
        ({"location": "data/inside"}, "cannot be read"),
        ({"offset": "-1"}, "has the offset '-1'"),
        ({"offset": "1e3"}, "has the offset"),
        ({"offset": "9" * 5000}, "has the offset"),
        ({"offset": "\u0663"}, "has the offset"),
        ({"offset": "49"}, "ends at byte 65 of data, which has 64"),
        ({"offset": str(2**63)}, "ends at byte"),
        ({"offset": "49", "length": None}, "ends at byte 65"),
        ({"length": "17"}, "has 17 bytes, and its type and shape ask for 16"),
        ({"length": str(2**64)}, "its type and shape ask for 16"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_external_data_that_are_refused(stated: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        in_folder(model_with(**stated), read_model)


def test_a_key_that_is_there_twice_is_refused() -> None:
    model = onnx.load_model_from_string(model_with())
    model.graph.initializer[0].external_data.add(key="location", value="/etc/passwd")
    with pytest.raises(UsageError, match="says its location twice"):
        in_folder(model.SerializeToString(), read_model)


@pytest.mark.parametrize(("name", "expected"), [(b"/none", "absolute path"), (b"datum", "cannot be read")])
def test_a_tensor_whose_name_is_no_text_is_refused(name: bytes, expected: str) -> None:
    data = model_with(location=name.decode()).replace(b"w", b"\xff")
    with pytest.raises(UsageError, match=f"the tensor .*{expected}"):
        in_folder(data, read_model)


def test_a_location_that_is_no_text_is_refused() -> None:
    data = model_with(location="datum").replace(b"datum", b"dat\xff\xfe")
    with pytest.raises(UsageError, match="is no name of a file"):
        in_folder(data, read_model)


@pytest.mark.parametrize("to", ["data", "/etc/hostname"])
@pytest.mark.parametrize("way", ["link", "folder/data"])
def test_links_are_refused(way: str, to: str, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(bytes(64))
    (tmp_path / way.partition("/")[0]).symlink_to(to if way == "link" else tmp_path)
    (tmp_path / "model.onnx").write_bytes(model_with(location=way))
    with pytest.raises(UsageError, match="which is a link or behind one"):
        read_model(tmp_path / "model.onnx")


def hidden_in(place: str) -> bytes:
    """Return a model with external data at an absolute path, somewhere else than in an initializer."""
    model = onnx.load_model_from_string(model_with())
    bad = onnx.TensorProto(name="bad", data_type=1, dims=[4], data_location=1)
    bad.external_data.add(key="location", value="/etc/passwd")
    if place == "attribute":
        model.graph.node[0].attribute.add(name="value").t.CopyFrom(bad)
    elif place == "attributes":
        model.graph.node[0].attribute.add(name="value").tensors.append(bad)
    elif place == "subgraph":
        model.graph.node[0].attribute.add(name="body").g.initializer.append(bad)
    elif place == "function":
        model.functions.add(name="f").node.add(op_type="Constant").attribute.add(name="value").t.CopyFrom(bad)
    elif place == "sparse":
        model.graph.sparse_initializer.add().values.CopyFrom(bad)
    else:
        model.training_info.add().algorithm.initializer.append(bad)
    return model.SerializeToString()


@pytest.mark.parametrize("place", ["attribute", "attributes", "subgraph", "function", "sparse", "training"])
def test_external_data_are_found_wherever_they_hide(place: str) -> None:
    with pytest.raises(UsageError, match=r"'bad' is at the absolute path /etc/passwd"):
        in_folder(hidden_in(place), read_model)


@pytest.mark.parametrize("data", [b"", b"no model", b"\x08", bytes(1000)])
def test_what_is_no_model(data: bytes) -> None:
    with pytest.raises(UsageError, match="is not an ONNX file"):
        in_folder(data, read_model)


def read_or_refuse(act: Callable[[], Any]) -> None:
    with contextlib.suppress(UsageError):
        act()


def damaged(data: bytes, seed: int) -> bytes:
    """Cut, change, double or move a piece of some bytes."""
    chance = random.Random(seed)
    piece = bytearray(data)
    for _ in range(chance.randint(1, 4)):
        at, size = chance.randrange(len(piece) + 1), chance.choice((1, 1, 2, 8, 64))
        way = chance.randrange(5)
        if way == 0:
            del piece[at : at + size]
        elif way == 1:
            piece[at : at + size] = chance.randbytes(size)
        elif way == 2:
            piece[at:at] = piece[at : at + size]
        elif way == 3:
            del piece[at:]
        elif at < len(piece):
            piece[at] ^= 1 << chance.randrange(8)
    return bytes(piece)


@many
@given(st.integers(0, 2**32))
def test_damaged_models(seed: int) -> None:
    in_folder(damaged(model_with(), seed), lambda path: read_or_refuse(lambda: read_model(path)))


words = st.one_of(
    st.text(max_size=20), st.integers().map(str), st.sampled_from(["data", "../data", "/etc", "data/", ""])
)


@many
@given(words, words, words)
def test_any_words_in_external_data(location: str, offset: str, length: str) -> None:
    encodable = [text.encode("utf-8", "ignore").decode() for text in (location, offset, length)]
    data = model_with(*encodable)
    in_folder(data, lambda path: read_or_refuse(lambda: read_model(path)))


# ---- checkpoints -----------------------------------------------------------------------------------------------------


def safetensors_bytes(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype: str = "F32", shape: Any = (2,), begin: Any = 0, end: Any = 8) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "shorter than the length of a header"),
        (struct.pack("<Q", 100), "its header ends at byte 108"),
        (struct.pack("<Q", 2**63), "and 100000000 are the most"),
        (safetensors_bytes(b"{"), "is not JSON"),
        (safetensors_bytes(b"\xff\xfe"), "is not JSON"),
        (safetensors_bytes(b"[" * 100_000), "is not JSON"),
        (safetensors_bytes(b'{"a": NaN}'), "is not JSON"),
        (safetensors_bytes(b"[]"), "is not a JSON object"),
        (safetensors_bytes(b'{"a":{}, "a":{}}'), "is there twice"),
        (safetensors_bytes({"__metadata__": {"a": 1}}), "is not a table of texts"),
        (safetensors_bytes({"a": 1}), "is not described by"),
        (safetensors_bytes({"a": {**entry(), "more": 1}}, bytes(8)), "is not described by"),
        (safetensors_bytes({"a": entry("F31")}, bytes(8)), "has the type F31"),
        (safetensors_bytes({"a": entry(shape=(True, 2))}, bytes(8)), "has the shape"),
        (safetensors_bytes({"a": entry(shape=(2.0,))}, bytes(8)), "has the shape"),
        (safetensors_bytes({"a": entry(shape=(-2,))}, bytes(8)), "has the shape"),
        (safetensors_bytes({"a": entry(shape=(2**62,) * 10_000)}, bytes(8)), "which no file can hold"),
        (safetensors_bytes({"a": entry(begin=8, end=0)}, bytes(8)), "has the data_offsets"),
        (safetensors_bytes({"a": entry(begin=0, end=2**70)}, bytes(8)), "has the data_offsets"),
        (safetensors_bytes({"a": entry(shape=(3,))}, bytes(8)), "takes 8 bytes, and its type and shape ask for 12"),
        (safetensors_bytes({"a": entry("F4", (3,), 0, 1)}, bytes(1)), "ask for 1.5"),
        (safetensors_bytes({"a": entry()}, bytes(9)), "its tensors end at byte"),
        (safetensors_bytes({"a": entry()}, bytes(7)), "its tensors end at byte"),
        (safetensors_bytes({"a": entry(), "b": entry()}, bytes(8)), "the one before it ends at"),
        (safetensors_bytes({"a": entry(begin=4, end=12)}, bytes(12)), "the one before it ends at"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_headers_that_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        open_checkpoint(tmp_path)


def test_every_type_of_the_format_is_read_as_its_own_library_reads_it(tmp_path: Path) -> None:
    from lading.passes.checkpoints.checkpoint import TORCH_TYPES

    tensors = {name: torch.zeros(3, 2, dtype=dtype) for name, dtype in TORCH_TYPES.items() if name != "F8_E8M0"}
    save_file(tensors, tmp_path / "model.safetensors")
    found = open_checkpoint(tmp_path).tensors
    assert {name: (tensor.dtype, (3, 2)) for name, tensor in tensors.items()} == {
        name: (tensor.dtype, tensor.shape) for name, tensor in found.items()
    }
    assert TORCH_TYPES.keys() <= BITS.keys()


def valid_checkpoint() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        save_file({"a": torch.ones(2, 3), "b": torch.ones(4, dtype=torch.int8)}, Path(folder, "m.safetensors"))
        return Path(folder, "m.safetensors").read_bytes()


CHECKPOINT = valid_checkpoint()


def load_all(path: Path) -> None:
    for tensor in open_checkpoint(path).tensors.values():
        assert tensor.load().shape == tensor.shape


def accepted_by_the_library(path: Path) -> bool:
    try:
        with safe_open(path, "pt") as file:
            for name in file.keys():  # noqa: SIM118
                file.get_tensor(name)
    except (SafetensorError, Exception):
        return False
    return True


@many
@given(st.integers(0, 2**32))
def test_damaged_checkpoints(seed: int) -> None:
    """And none is taken that the format's own library refuses."""

    def act(path: Path) -> None:
        try:
            load_all(path)
        except UsageError:
            return
        assert accepted_by_the_library(path)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        path.write_bytes(damaged(CHECKPOINT, seed))
        act(path)


leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
anything = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner))
entries = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from([*BITS, "F31"]) | anything,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | anything,
        "data_offsets": st.lists(st.integers(-1, 40), min_size=2, max_size=2) | anything,
    }
)


@many
@given(st.dictionaries(st.text(max_size=5), entries | anything, max_size=3) | anything, st.binary(max_size=40))
def test_any_header(header: Any, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        path.write_bytes(safetensors_bytes(header, data))
        read_or_refuse(lambda: load_all(path))


@pytest.mark.parametrize(
    "file", ["../model.safetensors", "/etc/model.safetensors", "sub/a.safetensors", "a\\b.safetensors", "a.bin", ".."]
)
def test_an_index_that_leads_out_of_its_folder(file: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": file}}))
    with pytest.raises(UsageError, match=r"is not a \.safetensors file in its folder"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": 1}}', "[" * 100_000])
def test_an_index_that_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(content)
    with pytest.raises(UsageError, match="is not a valid index"):
        open_checkpoint(tmp_path)


def test_an_index_over_what_is_not_there(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "one.safetensors")
    for table, message in (({"b": "one.safetensors"}, "which does not have it"), ({"a": "two.safetensors"}, "be read")):
        (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": table}))
        with pytest.raises(UsageError, match=message):
            open_checkpoint(tmp_path)


def test_links_out_of_the_folder_are_followed_on_request_only(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "snapshot").mkdir()
    save_file({"a": torch.ones(2)}, tmp_path / "blobs" / "0123")
    link = tmp_path / "snapshot" / "model.safetensors"
    link.symlink_to("../blobs/0123")
    with pytest.raises(UsageError, match="is a link that leads out of its folder") as caught:
        open_checkpoint(tmp_path / "snapshot")
    assert "attach-weights.follow_links" in str(caught.value.hint)
    assert ["a"] == list(open_checkpoint(tmp_path / "snapshot", follow_links=True).tensors)
    assert ["a"] == list(open_checkpoint(link).tensors)


def test_several_checkpoints_in_a_folder(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "one.safetensors")
    save_file({"b": torch.ones(2)}, tmp_path / "two.safetensors")
    assert {"a", "b"} == open_checkpoint(tmp_path).tensors.keys()
    save_file({"a": torch.ones(2)}, tmp_path / "three.safetensors")
    with pytest.raises(UsageError, match=r"'a' is both in one\.safetensors and in three\.safetensors"):
        open_checkpoint(tmp_path)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match=r"is not an ordinary file|no \.safetensors file"):
        open_checkpoint(tmp_path / "model.safetensors")


# ---- logs ------------------------------------------------------------------------------------------------------------


@many
@given(
    st.lists(anything | st.dictionaries(st.just("event"), st.sampled_from(["run.started", "pass.applied"]) | anything))
)
def test_any_log(lines: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "audit.jsonl")
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        read_or_refuse(lambda: read_log(path))


@many
@given(st.binary(max_size=200))
def test_any_bytes_for_a_log(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "audit.jsonl")
        path.write_bytes(data)
        read_or_refuse(lambda: read_log(path))
