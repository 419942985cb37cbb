# SPDX-License-Identifier: Apache-2.0
"""A run that is killed leaves a log that can be read and names the pass that was at work."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from lading.pipeline.audit import read_log

RUN = """
import sys, time
from pathlib import Path
from lading.pipeline.audit import JsonLines
from lading.pipeline.facts import Fact
from lading.pipeline.run import run_plan
from lading.pipeline.work import Target, Work
from support.fake_passes import STANDARD, fake, plan_of, registry_of

folder = Path(sys.argv[1])
sleep = fake("sleep", lambda self, work, note: time.sleep(600), requires=(Fact.ONNX,))
plan = plan_of(folder, "[step.capture]\\n[step.sleep]\\n", registry_of(*STANDARD, sleep))
run_plan(plan, Work(target=Target(18)), [JsonLines(folder / "log.jsonl")])
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")
def test_a_killed_run_leaves_the_name_of_the_running_pass(tmp_path: Path) -> None:
    tests = str(Path(__file__).parents[1])
    log = tmp_path / "log.jsonl"
    process = subprocess.Popen([sys.executable, "-c", RUN, str(tmp_path)], env={"PYTHONPATH": tests})
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (log.exists() and b'"step": "sleep", "pass"' in log.read_bytes()):
            time.sleep(0.02)
    finally:
        process.kill()
        process.wait()
    last = read_log(log)[-1][-1]
    assert ("pass.started", "sleep") == (last["event"], last["step"])
