# SPDX-License-Identifier: Apache-2.0
"""Whatever ends the writing of a model, the old one stands there or the new one, whole."""

from __future__ import annotations

import json
import mmap
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from faults.replacing import KINDS, NAME, version_in, write
from lading.pipeline.errors import UsageError

OLD, NEW = 1, 2
ROOT = Path(__file__).parents[2]

every_replacement = pytest.mark.parametrize(
    ("before", "after"), [(a, b) for a in KINDS for b in KINDS], ids=lambda kind: kind
)


def in_a_process(code: str, *arguments: object, around: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "OMP_NUM_THREADS": "1"}
    command = [*around, sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)


def test_processes_killed_at_every_change_and_at_random_moments() -> None:
    command = [sys.executable, str(ROOT / "tests" / "faults" / "kills.py"), "--moments", "20"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "OMP_NUM_THREADS": "1"}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    seen = json.loads(answer.stdout)
    assert [] == seen["problems"]
    assert seen["killed"] >= 200
    assert min(seen["killed, the old stands"], seen["killed, the new stands"]) > 0


@every_replacement
def test_what_somebody_has_mapped_stays_as_it_was(before: str, after: str, tmp_path: Path) -> None:
    write(tmp_path, OLD, before)
    maps = {}
    for path in tmp_path.iterdir():
        with open(path, "rb") as file:
            maps[path] = (mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), path.read_bytes())
    write(tmp_path, NEW, after)
    assert NEW == version_in(tmp_path)
    assert all(mapped[:] == content for mapped, content in maps.values())


@every_replacement
def test_a_file_size_limit(before: str, after: str, tmp_path: Path) -> None:
    write(tmp_path, OLD, before)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(UsageError, match="the file size limit is reached"):
            write(tmp_path, NEW, after)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert OLD == version_in(tmp_path)
    assert [] == list(tmp_path.glob(".*"))


FULL = """
import errno, os, subprocess, sys
from pathlib import Path
from faults.replacing import version_in, write
from lading.pipeline.errors import UsageError
folder = Path(sys.argv[1])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=" + sys.argv[4], "tmpfs", folder], check=True)
write(folder, 1, sys.argv[2])
try:
    write(folder, 2, sys.argv[3])
except UsageError as error:
    print(error.what)
print(version_in(folder), [name for name in os.listdir(folder) if name.startswith(".")])
"""


def mounts() -> bool:
    """Whether a process of this user can have a small file system of its own."""
    try:
        return not subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode
    except OSError:
        return False


@pytest.mark.skipif(not mounts(), reason="needs a mount of its own (unshare -Urm)")
@pytest.mark.parametrize(("before", "after"), [("inline", "inline"), ("external", "external"), ("inline", "shards")])
@pytest.mark.parametrize("room", ["500k", "1000k"], ids=["full while data are written", "room for both"])
def test_a_full_disk(room: str, before: str, after: str, tmp_path: Path) -> None:
    answer = in_a_process(FULL, tmp_path, before, after, room, around=("unshare", "-Urm"))
    lines = answer.stdout.splitlines()
    assert 0 == answer.returncode, answer.stderr
    if room == "500k":
        assert "the disk is full" in lines[0]
    assert ("1 []" if room == "500k" else "2 []") == lines[-1]


READ_ONLY = """
import os, sys
from pathlib import Path
from faults.replacing import version_in, write
from lading.pipeline.errors import UsageError
folder = Path(sys.argv[1])
write(folder, 1, "external")
folder.chmod(0o555)
if os.geteuid() == 0:
    os.setuid(65534)
try:
    write(folder, 2, "external")
except UsageError as error:
    print(error.what)
print(version_in(folder))
"""


def test_a_folder_that_is_read_only() -> None:
    # Not below pytest's own folder, which nobody but its owner may enter.
    with tempfile.TemporaryDirectory(prefix="lading-read-only-") as folder:
        answer = in_a_process(READ_ONLY, folder)
    assert [f"the folder of {folder}/{NAME} is read-only", "1"] == answer.stdout.splitlines(), answer.stderr


TOGETHER = """
import os, sys
from pathlib import Path
import torch
from faults.replacing import version_in, write
torch.set_num_threads(1)
folder = Path(sys.argv[1])
write(folder, 1, "external")
for round in range(5):
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                write(folder, 2 + number, sys.argv[2 + number % 2])
                code = 0
            finally:
                os._exit(code)
        children.append(child)
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(codes, version_in(folder) in range(2, 6), list(folder.glob(".*")))
"""


@pytest.mark.parametrize("kinds", [("external", "external"), ("shards", "inline"), ("safetensors", "external")])
def test_exports_to_one_path_at_the_same_time(kinds: tuple[str, str], tmp_path: Path) -> None:
    answer = in_a_process(TOGETHER, tmp_path, *kinds)
    assert ["[0, 0, 0, 0] True []"] * 5 == answer.stdout.splitlines(), answer.stderr


def test_hidden_files_of_a_living_process_are_left_alone(tmp_path: Path) -> None:
    from lading.passes.files.replacement import Replacement

    write(tmp_path, 1, "external")
    with Replacement(tmp_path / NAME) as files:
        files.write_data(f"{NAME}.data", [b"half of it"])
        (hidden,) = tmp_path.glob(".*")
        write(tmp_path, 2, "external")
        assert hidden.exists()
    assert not hidden.exists()


def test_files_that_look_alike_are_left_alone(tmp_path: Path) -> None:
    others = [f".{NAME}.part", f".other.{NAME}.0123abcd.part", f".{NAME}.more.0123abcd.part", f"{NAME}.0123abcd.part"]
    for name in others:
        (tmp_path / name).write_bytes(b"")
    write(tmp_path, 1, "external")
    write(tmp_path, 2, "external")
    assert sorted(others) == sorted(path.name for path in tmp_path.iterdir() if path.name.endswith(".part"))


def test_without_hard_links_data_are_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    write(tmp_path, 1, "external")
    monkeypatch.setattr(os, "link", refused)
    write(tmp_path, 2, "external")
    assert version_in(tmp_path) == 2
    assert [] == list(tmp_path.glob(".*"))


def test_data_files_have_one_name_afterwards(tmp_path: Path) -> None:
    """`onnx.load` takes a second name of a data file for an attack."""
    write(tmp_path, 1, "shards")
    write(tmp_path, 2, "shards")
    assert {1} == {path.stat().st_nlink for path in tmp_path.iterdir()}


def test_an_error_after_the_new_model_stands_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replace = os.replace

    def failing(source: str | Path, target: str | Path) -> None:
        if str(source).endswith(".link.part"):
            raise OSError(5, "Input/output error")
        replace(source, target)

    write(tmp_path, 1, "external")
    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(UsageError, match="the new model stands, with its data under hidden names"):
        write(tmp_path, 2, "external")
    assert version_in(tmp_path) == 2
    monkeypatch.undo()
    write(tmp_path, 3, "external")
    assert version_in(tmp_path) == 3
    assert [] == list(tmp_path.glob(".*"))
