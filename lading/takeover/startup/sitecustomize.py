# SPDX-License-Identifier: Apache-2.0
"""Run by Python at its start where `lading run` has put this folder on PYTHONPATH.

The program must not notice: its path is what it would be, a `sitecustomize` of its own is run, and lading is imported
only when `torch.onnx` is.
"""

from __future__ import annotations

import os
import sys

import lading_lookout


def _take_over() -> None:
    try:
        from lading.takeover.processes import begin
    except ImportError as error:
        _complain(f"{sys.executable} has no lading to export with: {error}")
        return
    begin()


def _complain(what: str) -> None:
    import json

    sys.stderr.write(f"lading run: {what}\n")
    terms = json.loads(os.environ["LADING_RUN"])
    line = {"run": terms["run"], "model": "?", "function": "torch.onnx", "status": "not taken over", "error": what}
    with open(terms["record"], "a", encoding="utf-8") as record:
        record.write(json.dumps(line) + "\n")


def _make_way() -> None:
    """Take this folder off the path, and let a `sitecustomize` of the environment's own take this one's place."""
    folder = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or ".") != folder]
    this = sys.modules.pop("sitecustomize")
    del sys.modules["lading_lookout"]
    try:
        import sitecustomize  # noqa: F401
    except ImportError as error:
        if error.name != "sitecustomize":
            raise
        # Python looks for what it has just imported.
        sys.modules["sitecustomize"] = this


if "LADING_RUN" in os.environ:
    lading_lookout.Lookout(_take_over).start()
_make_way()
