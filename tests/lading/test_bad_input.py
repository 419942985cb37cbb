# SPDX-License-Identifier: Apache-2.0
"""Bad input: each says what, where and the nearest thing that works, and leaves the old file as it was."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

import pytest
from lading.passes.files.atomic_write import check_target

pytestmark = pytest.mark.usefixtures("without_decompositions_of_matrices")

OLD = b"the old file"

CASES = [
    # arguments, exit code, what is said, what is offered
    (["export", "nest.py:net"], 2, "no file", "nets.py"),
    (["export", "nets.py:nte"], 2, "no 'nte'", "net"),
    (["export", "nets.py:net", "-r", "inferense"], 2, "inferense", "inference"),
    (["export", "nets.py:net", "-s", "fold-constants.size_limt=3"], 2, "size_limt", "size_limit"),
    (["export", "nets.py:net", "-s", "fold-constant.size_limit=3"], 2, "fold-constant", "fold-constants"),
    (["export", "nets.py:net", "-s", "fold-constants.size_limit=many"], 2, "size_limit", "--set"),
    (["export", "nets.py:net", "-s", "nothing"], 2, "sets nothing", "step.option=value"),
    (["export", "nets.py:net", "--opset", "6"], 2, "opset 6", "7"),
    (["export", "nets.py:net", "--opset", "99"], 2, "opset 99", "latest"),
    (["export", "nets.py:net", "-i", "x:flaot32[2,4]"], 2, "flaot32", "float32"),
    (["export", "nets.py:net", "-i", "x:float32[2,4]", "-i", "y:float32[2]"], 2, "no input 'y'", "x"),
    (["export", "nets.py:misfit"], 2, "forward", "x"),
    (["export", "nets.py:branching", "-s", "trace.strategy=record"], 3, "value of a tensor", "torch.where"),
    (
        ["export", "nets.py:fixing", "-i", "x:float32[batch=2,4]", "-s", "trace.strategy=record"],
        3,
        "batch",
        "nets.py:16",
    ),
    (["export", "nets.py:unsupported"], 4, "linalg_svd", "linalg_eigh"),
    (["plan", "no-such-recipe"], 2, "no-such-recipe", "inference"),
    (["passes", "fold-constant"], 2, "fold-constant", "fold-constants"),
    (["audit", "missing.jsonl"], 2, "missing.jsonl", ""),
]


@pytest.mark.parametrize(
    ("arguments", "code", "what", "offer"),
    CASES,
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_it_is_said_what_and_what_would_work_and_the_old_file_stays(nets, lading, arguments, code, what, offer):
    (nets / "out.onnx").write_bytes(OLD)
    answer = lading(*arguments, *(["-o", "out.onnx", "-q"] if arguments[0] == "export" else []))
    assert code == answer.code, answer.err
    assert what in answer.err
    assert offer in answer.err
    assert "Traceback" not in answer.err
    assert OLD == (nets / "out.onnx").read_bytes()
    assert {"nets.py", "out.onnx"} == {entry.name for entry in nets.iterdir() if entry.name != "__pycache__"}


def test_every_operator_without_a_lowering_is_listed_with_count_and_place(nets, lading):
    answer = lading("export", "nets.py:unsupported", "-o", "out.onnx", "-q")
    assert "aten::_linalg_svd, 2 times" in answer.err
    assert "aten::_linalg_eigh, once" in answer.err
    assert "nets.py:2" in answer.err


def _export(**arguments):
    import torch

    import lading

    return lading.export(torch.nn.Linear(4, 3), (torch.ones(2, 4),), **arguments)


@pytest.mark.parametrize(
    ("arguments", "what", "offer"),
    [
        ({"dynamic_axes": {"inptu": {0: "batch"}}}, "inptu", "input"),
        ({"dynamic_axes": {"input": {7: "batch"}}}, "7", "2"),
        ({"output_names": ["a", "b", "c"]}, "3", "1"),
        ({"output_names": "logits"}, "logits", "['logits']"),
        ({"training": "evl"}, "evl", "eval"),
        ({"operator_export_type": "ONNX_ATEM"}, "ONNX_ATEM", "aten"),
        ({"recipe": "inferrence"}, "inferrence", "inference"),
        ({"overrides": {"lower.leaves": ()}}, "leaves", "leave"),
        ({"custom_opsets": {"": 3}}, "custom_opsets", "opset"),
    ],
)
def test_an_argument_of_the_call_that_does_not_fit_is_refused(arguments, what, offer):
    from lading import UsageError

    with pytest.raises(UsageError) as caught:
        _export(**arguments)
    assert what in str(caught.value)
    assert offer in str(caught.value)


def test_a_missing_folder_is_named(nets):
    from lading import UsageError

    with pytest.raises(UsageError, match="missing"):
        _export(f="missing/net.onnx")


@pytest.mark.parametrize(("mode", "what"), [(0o555, "read-only"), (0o000, "cannot be reached")])
def test_a_folder_without_permission_is_named(mode, what):
    # Not below pytest's own temporary folder, into which nobody else may look.
    with tempfile.TemporaryDirectory() as top:
        folder = Path(top, "locked")
        folder.mkdir()
        folder.chmod(mode)
        Path(top).chmod(0o755)
        assert what in _said_as_another_user(lambda: check_target(folder / "net.onnx"))


def _said_as_another_user(call) -> str:
    """What a call raises in a process that is not root's: root may write anywhere."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setuid(65534)
            call()
        except Exception as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as said:
        return said.read()


_LIMITED = """
    import resource, signal, torch, lading
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    model = torch.nn.Linear(1024, 1024)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    try:
        lading.export(model, (torch.ones(1, 1024),), "out.onnx", overrides={overrides})
    except lading.LadingError as error:
        print(error)
"""


@pytest.mark.parametrize("overrides", [{}, {"serialize.external_data_threshold": 1024}])
def test_a_disk_that_is_full_leaves_the_old_file_and_nothing_beside_it(nets, overrides):
    (nets / "out.onnx").write_bytes(OLD)
    code = textwrap.dedent(_LIMITED).format(overrides=overrides)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=nets, check=True)
    assert "out.onnx" in ran.stdout
    assert OLD == (nets / "out.onnx").read_bytes()
    assert {"nets.py", "out.onnx"} == {entry.name for entry in nets.iterdir() if entry.name != "__pycache__"}


def test_an_interrupt_while_writing_leaves_the_old_file(nets, monkeypatch):
    from lading.passes.files import model_bytes

    def interrupted(tensor):
        yield b"half a weight"
        raise KeyboardInterrupt

    (nets / "out.onnx").write_bytes(OLD)
    monkeypatch.setattr(model_bytes, "tensor_blocks", interrupted)
    with pytest.raises(KeyboardInterrupt):
        _export(f="out.onnx")
    assert OLD == (nets / "out.onnx").read_bytes()
    assert {"nets.py", "out.onnx"} == {entry.name for entry in nets.iterdir()}
