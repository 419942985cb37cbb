# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import hashlib
import io
import os
import resource
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from lading.passes.files import atomic_write, model_bytes
from lading.passes.serialize import Serialize, Written
from lading.passes.weights import ComputedWeight, Weight
from lading.pipeline.errors import LadingError, UsageError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.origin import Origin, set_origin
from lading.pipeline.work import Target, Work
from torch import nn

import lading

MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
main (float[N, 8] x) => (float[N, 4] y)
{
    product = MatMul(x, weight)
    y = Add(product, bias)
}
"""


def make_work(target: Any, *, weight: torch.Tensor | None = None, bias: torch.Tensor | None = None) -> Work:
    model = ir.from_onnx_text(MODEL)
    tensors = {
        "weight": torch.arange(32.0).reshape(4, 8).T if weight is None else weight,
        "bias": torch.ones(4) if bias is None else bias,
    }
    nodes = list(model.graph)
    for node, index, name in ((nodes[0], 1, "weight"), (nodes[1], 1, "bias")):
        value = ir.val(name, const_value=Weight(tensors[name], f"layer.{name}"))
        node.replace_input_with(index, value)
        model.graph.register_initializer(value)
        set_origin(node, Origin("encoder.layer", "Linear", "model.py:12", ("trace", "lower")))
    return Work(target=Target(17), request=SimpleNamespace(file=target), model=model)


def write(target: Any, work: Work | None = None, **options: Any) -> Written:
    work = work or make_work(target)
    Serialize(**options).run(work, Note())
    return work.need(Fact.FILE)


def outputs(path: str | bytes) -> np.ndarray:
    session = onnxruntime.InferenceSession(path)
    return session.run(None, {"x": np.ones((2, 8), np.float32)})[0]


def expected() -> np.ndarray:
    return (np.ones((2, 8)) @ np.arange(32.0).reshape(4, 8).T + 1).astype(np.float32)


def test_one_file_that_loads_checks_and_runs(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    written = write(path)
    onnx.checker.check_model(str(path), full_check=True)
    np.testing.assert_allclose(expected(), outputs(str(path)))
    assert Written(str(path), (), path.stat().st_size) == written
    assert ["model.onnx"] == os.listdir(tmp_path)


def test_the_stream_is_what_protobuf_reads(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write(path)
    proto = onnx.load(path)
    assert ["weight", "bias"] == [tensor.name for tensor in proto.graph.initializer]
    assert proto == onnx.load_model_from_string(proto.SerializeToString())


def test_weights_go_to_a_data_file_on_page_boundaries(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    work = make_work(path, weight=torch.randn(8, 4), bias=torch.randn(4))
    big = Weight(torch.randn(100, 100), "big")
    for name in ("first", "second"):
        value = ir.val(name, const_value=Weight(big.raw, name))
        work.model.graph.register_initializer(value)
    written = write(path, work, external_data_threshold=1)
    assert written.data_paths == (str(tmp_path / "model.onnx.data"),)
    proto = onnx.load(path, load_external_data=False)
    places = {t.name: {e.key: e.value for e in t.external_data} for t in proto.graph.initializer}
    assert {"model.onnx.data"} == {place["location"] for place in places.values()}
    assert [0, 0] == [int(places[name]["offset"]) % 4096 for name in ("first", "second")]
    onnx.checker.check_model(str(path))
    outputs(str(path))
    for tensor in onnx.load(path).graph.initializer:
        assert (
            onnx.numpy_helper.to_array(tensor).tobytes()
            == work.model.graph.initializers[tensor.name].const_value.tobytes()
        )


def test_a_file_object_gets_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write(path)
    stream = io.BytesIO()
    assert Written(None, (), path.stat().st_size) == write(stream)
    assert path.read_bytes() == stream.getvalue()


def test_an_unbuffered_file_object_gets_the_same_bytes(tmp_path: Path) -> None:
    path, other = tmp_path / "model.onnx", tmp_path / "other"
    write(path)
    with open(other, "wb", buffering=0) as stream:
        write(stream)
    assert path.read_bytes() == other.read_bytes()


def test_nothing_is_written_without_a_target(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    size = write(path).bytes
    assert Written(None, (), size) == write(None)


def test_a_stream_that_fails_is_cut_back() -> None:
    class Full(io.BytesIO):
        def write(self, data: Any) -> int:
            if self.tell() > 100:
                raise OSError(28, "No space left on device")
            return super().write(data)

    stream = Full(b"before")
    stream.seek(6)
    with pytest.raises(OSError, match="No space"):
        write(stream)
    assert b"before" == stream.getvalue()


def test_text_streams_are_refused() -> None:
    with pytest.raises(UsageError, match="does not take bytes"):
        write(io.StringIO())


def test_equal_models_make_equal_bytes(tmp_path: Path) -> None:
    digests = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "model.onnx"
        write(path, external_data_threshold=16)
        digests.add((hashlib.sha256(path.read_bytes()).hexdigest(), (tmp_path / name / "model.onnx.data").read_bytes()))
    assert 1 == len(digests)


@pytest.mark.parametrize(
    ("level", "keys"),
    [
        ("none", set()),
        ("light", {"lading.module", "lading.passes"}),
        ("full", {"lading.module", "lading.passes", "lading.class", "lading.source"}),
    ],
)
def test_provenance_levels(level: str, keys: set[str], tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    work = make_work(path)
    write(path, work, provenance="full")
    write(path, work, provenance=level)
    assert keys == {prop.key for prop in onnx.load(path).graph.node[0].metadata_props}


def test_doc_strings_give_the_source_line(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write(path, doc_strings=True)
    assert "model.py:12" == onnx.load(path).graph.node[0].doc_string


def test_every_domain_in_use_is_imported(tmp_path: Path) -> None:
    work = make_work(None)
    graph = work.model.graph
    graph.insert_before(graph[0], ir.node("Mystery", [graph.inputs[0]], domain="my.ops"))
    work.model.opset_imports["left.over"] = 3
    work.target = Target(17, {"my.ops": 5})
    write(None, work)
    assert {"": 17, "my.ops": 5} == dict(work.model.opset_imports)


# What goes wrong ------------------------------------------------------------------------------------------------------


def interrupted(error: BaseException) -> ComputedWeight:
    def rows(start: int, stop: int) -> torch.Tensor:
        if start > 0:
            raise error
        return torch.zeros(stop - start, 1024)

    return ComputedWeight(rows, ir.DataType.FLOAT, (4096, 1024), what="broken", sources=())


@pytest.mark.parametrize("threshold", [0, 1024])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), MemoryError(), RuntimeError("boom")], ids=repr)
def test_an_interrupt_leaves_the_old_files(error: BaseException, threshold: int, tmp_path: Path) -> None:
    path, data = tmp_path / "model.onnx", tmp_path / "model.onnx.data"
    path.write_bytes(b"old model")
    data.write_bytes(b"old data")
    work = make_work(path)
    work.model.graph.register_initializer(ir.val("broken", const_value=interrupted(error)))
    with pytest.raises(type(error)):
        write(path, work, external_data_threshold=threshold)
    assert (b"old model", b"old data") == (path.read_bytes(), data.read_bytes())
    assert ["model.onnx", "model.onnx.data"] == sorted(os.listdir(tmp_path))


@pytest.mark.parametrize("links", [True, False])
def test_a_failed_rename_puts_the_pair_back(links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, data = tmp_path / "model.onnx", tmp_path / "model.onnx.data"
    path.write_bytes(b"old model")
    data.write_bytes(b"old data")
    replace = os.replace

    def failing(source: Any, target: Any) -> None:
        if Path(target) == path and str(source).endswith(".part"):
            raise OSError(5, "Input/output error")
        replace(source, target)

    def no_links(*_: Any) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "replace", failing)
    if not links:
        monkeypatch.setattr(os, "link", no_links)
    with pytest.raises(UsageError, match="cannot be written"):
        write(path, external_data_threshold=1)
    assert (b"old model", b"old data") == (path.read_bytes(), data.read_bytes())
    assert ["model.onnx", "model.onnx.data"] == sorted(os.listdir(tmp_path))


def test_a_full_disk_is_a_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"old model")
    work = make_work(path)
    value = ir.val("big", const_value=Weight(torch.zeros(1 << 20), "big"))
    work.model.graph.register_initializer(value)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(UsageError, match="file size limit"):
            write(path, work)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert b"old model" == path.read_bytes()
    assert ["model.onnx"] == os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("target", "message"),
    [("missing/model.onnx", "does not exist"), ("", "is a folder"), ("file/model.onnx", "does not exist")],
)
def test_targets_that_cannot_be(target: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=message):
        write(tmp_path / target)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes to read-only folders")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(UsageError, match="read-only"):
        write(tmp_path / "model.onnx")


def test_a_folder_that_reports_no_write_access(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(UsageError, match="read-only"):
        write(tmp_path / "model.onnx")


def test_devices_are_written_to() -> None:
    assert write("/dev/null").bytes > 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_links_are_followed_and_modes_kept(tmp_path: Path) -> None:
    real, link = tmp_path / "real.onnx", tmp_path / "link.onnx"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real)
    write(link)
    assert link.is_symlink()
    assert 0o640 == stat.S_IMODE(real.stat().st_mode)
    outputs(str(real))


@pytest.mark.parametrize("name", ["../weights", "sub/weights", "/abs", "..", "model.onnx"])
def test_data_file_names_stay_in_the_folder(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write(tmp_path / "model.onnx", external_data_threshold=1, external_data_file=name)


def test_a_file_object_cannot_have_external_data() -> None:
    with pytest.raises(UsageError, match="second file"):
        write(io.BytesIO(), external_data_threshold=1)


def test_past_the_protobuf_limit_weights_leave_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_bytes, "PROTOBUF_LIMIT", 6000)
    path = tmp_path / "model.onnx"
    work, note = make_work(path), Note()
    work.model.graph.register_initializer(ir.val("big", const_value=Weight(torch.zeros(4096), "big")))
    Serialize().run(work, note)
    assert (str(tmp_path / "model.onnx.data"),) == work.need(Fact.FILE).data_paths
    assert ["external data"] == [decision.what for decision in note.decisions]
    onnx.checker.check_model(str(path))


def test_weights_without_data_are_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    with pytest.raises(LadingError, match=r"layer\.weight"):
        write(path, make_work(path, weight=torch.empty(8, 4, device="meta")))
    assert [] == os.listdir(tmp_path)


MEMORY = """
import io, resource, sys, types
import torch, onnx_ir as ir
from lading.passes.serialize import Serialize
from lading.passes.weights import Weight
from lading.pipeline.note import Note
from lading.pipeline.work import Target, Work
import onnx
model = ir.Model(ir.Graph([], [], nodes=[], opset_imports={"": 17}, name="g"), ir_version=8)
for index in range(8):
    weight = torch.ones(2048, 2048)
    view = Weight(weight, f"w{index}")
    view = view.transposed((1, 0)) if index % 2 else view
    model.graph.register_initializer(ir.val(f"w{index}", const_value=view))
work = Work(target=Target(17), request=types.SimpleNamespace(file=None), model=model)
Serialize().run(work, Note())
work.request.file = sys.argv[1]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
Serialize(external_data_threshold=int(sys.argv[2])).run(work, Note())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("threshold", ["0", "1024"])
def test_peak_memory_does_not_grow_with_the_weights(threshold: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "model.onnx"), threshold]
    grown = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 24 << 10, "kilobytes more than before writing, for 128 MB of weights of which half are transposed"


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert [] == [path.name for path in tmp_path.rglob(".*.part")]


def test_check_target_answers_before_anything_is_made(tmp_path: Path) -> None:
    assert tmp_path.resolve() / "model.onnx" == atomic_write.check_target(tmp_path / "model.onnx")
    assert [] == os.listdir(tmp_path)


def test_the_file_says_what_made_it(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    lading.export(nn.Linear(2, 3), (torch.randn(1, 2),), path)
    stated = {prop.key: prop.value for prop in onnx.load(path).metadata_props}
    assert {"lading.recipe", "lading.recipe_hash", "lading.versions"} <= set(stated)
    assert f"torch {torch.__version__}, onnx {onnx.__version__}" in stated["lading.versions"]
