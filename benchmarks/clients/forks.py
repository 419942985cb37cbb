# SPDX-License-Identifier: Apache-2.0
"""Run programs as forks of one process that has loaded PyTorch, its exporters and lading.

`python forks.py` reads a line of JSON for each run from stdin (program, case, exporter, record, folder, timeout), and
writes one with its exit code, None for a run that did not end in time, and the last lines that it has said.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

_PROGRAMS = Path(__file__).parent / "programs"
_LINES = 3
_STARTED_APART = ("lading.takeover.startup", "lading.batch", "lading.__main__")


def load() -> None:
    """Load what an export loads, by every exporter, so that no fork has to."""
    import torch

    import lading

    for found in pkgutil.walk_packages(lading.__path__, "lading."):
        if not found.name.startswith(_STARTED_APART):
            with contextlib.suppress(ImportError):
                importlib.import_module(found.name)
    layer, x = torch.nn.Linear(2, 2), torch.zeros(1, 2)
    lading.export(layer, x, verify=True)
    torch.onnx.export(layer, (x,), os.devnull, dynamo=False)
    # Threads do not survive a fork.
    torch.set_num_threads(1)


def ran(asked: dict[str, Any]) -> dict[str, Any]:
    """Run one case in a fork."""
    said = Path(asked["folder"]) / "said.txt"
    child = os.fork()
    if child == 0:
        _run(asked, said)
    end = time.monotonic() + asked["timeout"]
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-_LINES:]
            return {"code": os.waitstatus_to_exitcode(status), "said": lines}
        if time.monotonic() > end:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return {"code": None, "said": []}
        time.sleep(0.1)


def _run(asked: dict[str, Any], said: Path) -> NoReturn:
    import watch

    import lading

    code = 1
    try:
        os.setsid()
        output = os.open(said, os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(asked["folder"])
        os.environ.update({watch.EXPORTER: asked["exporter"], watch.RECORD: asked["record"]})
        sys.path.insert(0, str(_PROGRAMS))
        if asked["exporter"] == "lading":
            lading.install()
        importlib.import_module(asked["program"]).main(asked["case"])
        code = 0
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    load()
    for line in sys.stdin:
        print(json.dumps(ran(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
