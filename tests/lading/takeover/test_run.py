# SPDX-License-Identifier: Apache-2.0
"""`lading run`: programs in processes of their own, unchanged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import attrs
import onnx
import pytest

LADING_RUN = [sys.executable, "-c", "from lading.cli import main; main()", "run"]

PROGRAM = """
import sys
import torch
from torch.onnx import export


class Net(torch.nn.Module):
    def forward(self, x):
        return x * 2


if __name__ == "__main__":
    export(Net().eval(), (torch.ones(2, 3),), sys.argv[1], opset_version=13, dynamo=False)
    print("wrote", sys.argv[1:])
"""

STARTER = """
import multiprocessing
import subprocess
import sys
import program
import torch


def export(name):
    program.export(program.Net().eval(), (torch.ones(1),), name)


if __name__ == "__main__":
    subprocess.run([sys.executable, "program.py", "a.onnx"], check=True)
    for method, name in (("spawn", "b.onnx"), ("fork", "c.onnx")):
        process = multiprocessing.get_context(method).Process(target=export, args=(name,))
        process.start()
        process.join()
"""

ECHO = "import sys; print(sys.argv[1:])"

FAILING = """
import torch

torch.onnx.export(torch.nn.Linear(2, 2), (), "no.onnx")
"""


@attrs.frozen
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in (("program", PROGRAM), ("starter", STARTER), ("failing", FAILING), ("echo", ECHO)):
        (tmp_path / f"{name}.py").write_text(text)

    def run(*arguments: str, **environment: str) -> Answer:
        done = subprocess.run(
            [*LADING_RUN, *arguments],
            capture_output=True,
            text=True,
            env={**os.environ, **environment},
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    return run


def test_an_export_and_the_table_after_the_programs_output(run, tmp_path):
    answer = run(
        *("--recipe", "inference", "--set", "target.opset=15", "--log", "logs", "--verify"),
        *("--", "python", "program.py", "m.onnx", "--verify", "-r", "x"),
    )
    assert (0, "wrote ['m.onnx', '--verify', '-r', 'x']\n") == (answer.code, answer.out)
    title, header, line = answer.err.splitlines()[-3:]
    assert "lading: 1 export" == title
    assert ["model", "file", "opset", "capture", "nodes", "checks", "s", "log"] == header.split()
    assert ["Net", "m.onnx", "13", "->", "15", "record", "1", "passed:"] == line.split()[:8]
    model = onnx.load(tmp_path / "m.onnx")
    assert ("lading", 15) == (model.producer_name, model.opset_import[0].version)
    assert ["exports.jsonl", "m.jsonl"] == sorted(path.name for path in (tmp_path / "logs").iterdir())
    (written,) = (tmp_path / "logs" / "exports.jsonl").read_text().splitlines()
    assert ("Net", 15) == (json.loads(written)["model"], json.loads(written)["opset"])


@pytest.mark.parametrize("command", [["echo.py"], ["-m", "echo"], ["python", "echo.py"]], ids=" ".join)
def test_forms_of_the_command(run, command):
    answer = run("--", *command, "--dry-run", "-v")
    assert (0, "['--dry-run', '-v']\n") == (answer.code, answer.out)


def test_a_console_script_beside_this_python(run):
    answer = run("--", "lading", "recipes")
    assert 0 == answer.code
    assert "drop-in" in answer.out


def test_processes_that_the_program_starts_are_covered(run, tmp_path):
    answer = run("--", "python", "starter.py")
    assert 0 == answer.code, answer.err
    made = [onnx.load(tmp_path / name).producer_name for name in ("a.onnx", "b.onnx", "c.onnx")]
    assert ["lading"] * 3 == made
    assert "lading: 3 exports" in answer.err


def test_an_export_that_fails_and_the_programs_exit_code(run):
    answer = run("--", "python", "failing.py")
    assert 1 == answer.code
    assert "lading: 1 export, 1 failed" in answer.err
    assert "UsageError: the model's argument input is missing" in answer.err


def test_the_exit_code_of_a_program_without_exports(run):
    answer = run("--", "python", "-c", "import sys; print('out'); sys.exit(7)")
    assert (7, "out\n", "lading: 0 exports\n") == (answer.code, answer.out, answer.err)


def test_a_program_that_a_signal_ends(run):
    answer = run("--", "python", "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    assert 128 + signal.SIGKILL == answer.code


def test_a_request_to_end_reaches_the_program(run, tmp_path):
    (tmp_path / "waits.py").write_text(
        "import pathlib, signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(5))\n"
        "pathlib.Path('ready').touch()\n"
        "time.sleep(60)\n"
    )
    process = subprocess.Popen([*LADING_RUN, "--", "waits.py"], stderr=subprocess.DEVNULL)
    for _ in range(6000):
        if (tmp_path / "ready").exists():
            break
        time.sleep(0.01)
    process.terminate()
    assert 5 == process.wait(60)


def test_a_dry_run(run, tmp_path):
    answer = run("--dry-run", "--", "python", "program.py", "m.onnx")
    assert 0 == answer.code
    assert "lading: 1 export, 1 planned" in answer.err
    assert "pytorch" == onnx.load(tmp_path / "m.onnx").producer_name


SEEN = """
import sys
print(sys.path)
print(sorted(set(sys.modules) & {"lading", "lading_lookout", "torch", "json"}))
print([type(finder).__name__ for finder in sys.meta_path if "Lookout" in type(finder).__name__])
import sitecustomize
print(getattr(sitecustomize, "MINE", None))
"""


def test_what_a_program_sees_that_imports_no_torch(run, tmp_path):
    (tmp_path / "seen.py").write_text(SEEN)
    plain = subprocess.run([sys.executable, "seen.py"], capture_output=True, text=True)
    path, loaded, finders, mine = run("--", "python", "seen.py").out.splitlines()
    assert ([], ["Lookout"], "None") == (eval(loaded), eval(finders), mine)
    assert plain.stdout.splitlines()[0] == path or not plain.stdout


def test_a_sitecustomize_of_the_programs_own_runs(run, tmp_path):
    (tmp_path / "seen.py").write_text(SEEN)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text("MINE = 'yes'\n")
    answer = run("--", "python", "seen.py", PYTHONPATH=str(tmp_path / "site"))
    assert "yes" == answer.out.splitlines()[3]


def test_a_python_without_lading_is_told(run, tmp_path):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("")
    (tmp_path / "torch" / "onnx.py").write_text("")
    # -S leaves site-packages out, and with them lading; sitecustomize is imported by hand in its place.
    code = "import sitecustomize, sys; sys.path.insert(0, '.'); import torch.onnx"
    answer = run("--", "python", "-S", "-c", code)
    assert 0 == answer.code
    assert "1 not taken over" in answer.err
    assert "has no lading to export with" in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--", "no-such-program"], "there is no program 'no-such-program'"),
        (["--recipe", "drop-inn", "--", "python", "program.py"], "drop-in"),
        (["--set", "trace.strateggy=x", "--", "python", "program.py"], "strategy"),
        ([], "Missing argument"),
    ],
    ids=["program", "recipe", "setting", "nothing"],
)
def test_mistakes_are_said_before_the_program_runs(run, arguments, message):
    answer = run(*arguments)
    assert (2, "") == (answer.code, answer.out)
    assert message in answer.err
