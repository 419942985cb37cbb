# SPDX-License-Identifier: Apache-2.0
"""Batches in processes of this machine: done, skipped, failed, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import onnx
import pytest
import torch
from support.batches import exports, write_models

from lading.batch import Summary, run_batch
from lading.batch.file import load_batch
from lading.batch.job import run_job
from lading.cli import main


def statuses(summary: Summary) -> dict[str, str]:
    return {result.job: result.status for result in summary.results}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Summary, list[dict[str, object]]]:
    """One batch with models that work, one that fails and one that kills its process."""
    folder = tmp_path_factory.mktemp("mixed")
    write_models(folder)
    file = exports(folder, "deadly.always", "unsupported", "net", more="opsets = [13, 18]", verify="false")
    told: list[dict[str, object]] = []
    return run_batch(file, workers=1, tell=lambda said: told.append(dict(said))), told


def test_what_fails_stops_nothing(mixed: tuple[Summary, list[dict[str, object]]]) -> None:
    assert {
        "always/inference": "failed",
        "unsupported/inference": "failed",
        "net/inference/13": "exported",
        "net/inference/18": "exported",
    } == statuses(mixed[0])


def test_files_have_the_opsets_of_their_jobs(mixed: tuple[Summary, list[dict[str, object]]]) -> None:
    files = [result.file for result in mixed[0].results if result.status == "exported"]
    assert [13, 18] == [onnx.load(file).opset_import[0].version for file in files]


def test_a_process_that_dies_is_replaced_and_its_job_begun_once_more(
    mixed: tuple[Summary, list[dict[str, object]]],
) -> None:
    always = [said for said in mixed[1] if said["job"] == "always/inference"]
    assert ["begun", "again", "begun"] == [key for said in always for key in ("begun", "again") if key in said]
    assert "its process was ended by signal 9 (out of memory?)" == mixed[0].results[0].error


def test_a_failure_has_its_code_and_what_replays_it(mixed: tuple[Summary, list[dict[str, object]]]) -> None:
    result = mixed[0].results[1]
    assert ("unsupported", 4) == (result.code, result.exit_code)
    assert result.reproducer is not None
    assert (Path(result.reproducer) / "failure.json").is_file()


def test_the_page_has_every_job_and_fetches_nothing(mixed: tuple[Summary, list[dict[str, object]]]) -> None:
    page = mixed[0].page.read_text()
    assert all(result.job in page for result in mixed[0].results)
    assert "http" not in page
    assert "lading replay unsupported/inference.failed/inference-fallback" in page
    assert [result.to_dict() for result in mixed[0].results] == json.loads(
        (mixed[0].page.parent / "batch.json").read_text()
    )["exports"]


# ---- what is exported already; in this process, which is the same and faster -----------------------------------------


def once(file: Path) -> str:
    return run_job(load_batch(file).jobs[0]).status


def test_what_has_not_changed_is_left_as_it_is(folder: Path) -> None:
    file = exports(folder, "net", verify="false")
    assert ["exported", "unchanged"] == [once(file), once(file)]


@pytest.mark.parametrize("change", ["code", "imported code", "recipe", "the file", "the record", "inputs"])
def test_what_has_changed_is_exported_again(folder: Path, change: str) -> None:
    file = exports(folder, "net", verify="false")
    assert "exported" == once(file)
    target = folder / "exported" / "net" / "inference.onnx"
    record = target.with_suffix(".record.json")
    if change == "code":
        models = folder / "batch_models.py"
        models.write_text(models.read_text() + "\n# another line\n")
    elif change == "imported code":
        (folder / "activation.py").write_text("import torch\n\n\ndef act(x):\n    return torch.sin(x)\n")
        sys.modules.pop("activation", None)
    elif change == "recipe":
        exports(folder, "net", verify="false", set='["fold-constants.enabled=false"]')
    elif change == "inputs":
        exports(folder, "net", verify="false", more='inputs = ["x:float32[rows=3,8]"]')
    elif change == "the file":
        target.write_bytes(target.read_bytes() + b"\x00")
    else:
        record.write_text(record.read_text()[:-40])
    assert "exported" == once(file)


COUNTED = """
import torch

import activation
from pathlib import Path

HERE = Path(__file__).parent


class Net(torch.nn.Module):
    def forward(self, x):
        return activation.act(x) * float((HERE / "scale.txt").read_text())


def net():
    with open(HERE / "made.txt", "a") as made:
        made.write("x")
    return Net(), (torch.ones(2),)
"""


@pytest.fixture
def counted(folder: Path) -> Path:
    """A model that reads a file, and leaves a mark each time that it is made; everything is older than the test."""
    (folder / "counted_model.py").write_text(COUNTED)
    (folder / "scale.txt").write_text("2.0")
    for path in folder.iterdir():
        os.utime(path, (1e9, 1e9))
    return folder


def counted_exports(folder: Path, more: str = 'depends = ["scale*"]') -> Path:
    return exports(folder, "counted_model.net", verify="false", more=more)


def made(folder: Path) -> int:
    return len((folder / "made.txt").read_text())


def test_a_model_that_says_on_what_it_depends_is_not_made_to_learn_that_nothing_has_changed(counted: Path) -> None:
    file = counted_exports(counted)
    assert (["exported", "unchanged", "unchanged"], 1) == ([once(file), once(file), once(file)], made(counted))


def test_a_model_that_does_not_say_so_is_made(counted: Path) -> None:
    file = counted_exports(counted, more="")
    assert (["exported", "unchanged"], 2) == ([once(file), once(file)], made(counted))


@pytest.mark.parametrize(
    "change",
    ["its file", "a file that it imports", "a file that it depends on", "one more of these", "a neighbour"],
)
def test_a_model_is_made_anew_where_a_file_has_changed(counted: Path, change: str) -> None:
    file = counted_exports(counted)
    once(file)
    name, text = {
        "its file": ("counted_model.py", COUNTED + "# more\n"),
        "a file that it imports": ("activation.py", "import torch\n\n\ndef act(x):\n    return torch.sin(x)\n"),
        "a file that it depends on": ("scale.txt", "3.0"),
        "one more of these": ("scale_2.txt", "3.0"),
        "a neighbour": ("local_settings.py", "NEW = True\n"),
    }[change]
    (counted / name).write_text(text)
    sys.modules.pop("activation", None)
    once(file)
    assert 2 == made(counted)


@pytest.mark.parametrize("key", ["recipe", "versions", "packages"])
def test_a_model_is_made_anew_for_another_recipe_or_version(counted: Path, key: str) -> None:
    file = counted_exports(counted)
    once(file)
    record = counted / "exported" / "net" / "inference.record.json"
    said = json.loads(record.read_text())
    said["stamp"][key] = "other" if key == "recipe" else {**said["stamp"][key], "torch": "1.8.0"}
    record.write_text(json.dumps(said))
    assert ("unchanged", 2) == (once(file), made(counted))


def test_what_has_changed_since_the_job_began_tells_nothing(counted: Path) -> None:
    file = counted_exports(counted)
    os.utime(counted / "scale.txt", (4e9, 4e9))
    assert (["exported", "unchanged"], 2) == ([once(file), once(file)], made(counted))


def test_a_program_in_a_file_is_not_loaded_to_learn_that_nothing_has_changed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = torch.export.export(torch.nn.ReLU(), (torch.ones(2),))
    torch.export.save(program, folder / "relu.pt2")
    os.utime(folder / "relu.pt2", (1e9, 1e9))
    (folder / "exports.toml").write_text('[batch]\nverify = false\n[model.relu]\nmodel = "relu.pt2"\n')
    assert "exported" == once(folder / "exports.toml")
    monkeypatch.setattr("lading.model_reference.load_model", None)
    assert "unchanged" == once(folder / "exports.toml")


def test_a_file_that_a_process_has_imported_before_it_changed_is_refused(folder: Path) -> None:
    file = exports(folder, "net", verify="false")
    assert "exported" == once(file)
    (folder / "activation.py").write_text("import torch\n\n\ndef act(x):\n    return torch.cos(x)\n")
    result = run_job(load_batch(file).jobs[0])
    assert ("failed", "usage") == (result.status, result.code)
    assert "has changed since this process has imported it" in str(result.error)


def test_other_weights_are_another_model(folder: Path) -> None:
    file = exports(folder, "net", verify="false")
    assert "exported" == once(file)
    key = json.loads((folder / "exported" / "net" / "inference.record.json").read_text())["key"]
    models = folder / "batch_models.py"
    (folder / "seeds.py").write_text("SEED = 1\n")
    models.write_text(models.read_text().replace("torch.manual_seed(0)", "torch.manual_seed(1)"))
    assert "exported" == once(file)
    assert key != json.loads((folder / "exported" / "net" / "inference.record.json").read_text())["key"]


# ---- killed, and run again -------------------------------------------------------------------------------------------


def half_done(folder: Path) -> tuple[Path, subprocess.Popen[bytes], IO[bytes]]:
    """Start a batch of two jobs; returns its file, its process and what that says, once the first job has ended."""
    file = exports(folder, "net", "waits", verify="false")
    command = f"from lading.cli import main; main(['batch', {str(file)!r}, '--workers', '1'])"
    # Where the tests run in the background of a shell, Ctrl-C is ignored, and processes inherit that.
    heeding = f"import signal; signal.signal(signal.SIGINT, signal.default_int_handler); {command}"
    running = subprocess.Popen([sys.executable, "-c", heeding], start_new_session=True, stderr=subprocess.PIPE)
    assert running.stderr is not None
    # Without a terminal there is a line for each job that has ended.
    assert b"net/inference" in running.stderr.readline()
    return file, running, running.stderr


def test_a_killed_batch_goes_on_where_it_ended(folder: Path) -> None:
    file, running, told = half_done(folder)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    told.close()
    assert not (folder / "exported" / "waits" / "inference.onnx").exists()
    (folder / "go").touch()
    assert {"net/inference": "unchanged", "waits/inference": "exported"} == statuses(run_batch(file, workers=1))


def test_an_interrupted_batch_says_what_is_done_and_leaves_with_130(folder: Path) -> None:
    _, running, told = half_done(folder)
    # As a terminal does: the processes that do the work get it too, one of them in the middle of a job.
    os.killpg(running.pid, signal.SIGINT)
    said = told.read().decode()
    assert (130, "interrupted: 1 exported, 1 not done; the same command goes on from there\n") == (running.wait(), said)
    assert "net/inference" in (folder / "exported" / "index.html").read_text()


# ---- the command -----------------------------------------------------------------------------------------------------


def leaves_with(*arguments: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(["batch", *arguments])
    return int(leaving.value.code or 0)


def test_a_pattern_that_matches_nothing_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert 2 == leaves_with(str(exports(folder, "net")), "--only", "resnet/*")
    assert "no export matches 'resnet/*'" in capsys.readouterr().err


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert 0 == leaves_with("--schema")
    assert "A file of exports of lading" == json.loads(capsys.readouterr().out)["title"]
