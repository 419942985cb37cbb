# SPDX-License-Identifier: Apache-2.0
"""Libraries' own export calls under `lading run`, of those libraries that are installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

CLIENTS = Path(__file__).parents[3] / "benchmarks" / "clients"
LADING_RUN = [sys.executable, "-c", "from lading.cli import main; main()", "run", "--"]


@pytest.mark.parametrize(
    ("library", "program", "case"),
    [
        ("lightning", "lightning_module", "dynamic"),
        ("torch_geometric", "geometric", "GCN"),
        ("silero_vad", "silero", "16 kHz"),
    ],
)
def test_each_file_is_right(library, program, case, tmp_path):
    if importlib.util.find_spec(library) is None:
        pytest.skip(f"{library} is not installed; benchmarks/clients/clients.py makes an environment that has it")
    record = tmp_path / "exports.jsonl"
    environment = {
        "PYTHONPATH": str(CLIENTS),
        "CLIENTS_EXPORTER": "lading",
        "CLIENTS_RECORD": str(record),
    }
    done = subprocess.run(
        [*LADING_RUN, sys.executable, str(CLIENTS / "programs" / f"{program}.py"), case],
        cwd=tmp_path,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert 0 == done.returncode, done.stderr
    exports = [json.loads(line) for line in record.read_text().splitlines()]
    assert [("right", 18)] == [(export["status"], export["opset"]) for export in exports]
