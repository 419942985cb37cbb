# SPDX-License-Identifier: Apache-2.0
"""Stand between a library and `torch.onnx.export`: choose the exporter, take the time, compare each file with eager.

Programs call :func:`begin` before they import their library. The comparison takes place right after the call, while the
model is still as the library has prepared it for the export.
"""

from __future__ import annotations

import functools
import inspect
import json
import os
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

EXPORTER = "CLIENTS_EXPORTER"
"""Variable of the environment: "lading" (the program runs under `lading run`), "torchscript" or "dynamo"."""
RECORD = "CLIENTS_RECORD"
"""Variable of the environment: the file that gets a line of JSON for each export."""


def begin() -> None:
    """Watch the calls of `torch.onnx.export` from now on."""
    import torch.onnx

    exporter = os.environ[EXPORTER]
    original = torch.onnx.export
    signature = inspect.signature(original)

    @functools.wraps(original)
    def export(*args: Any, **kwargs: Any) -> Any:
        if exporter != "lading":
            kwargs["dynamo"] = exporter == "dynamo"
        begun = time.perf_counter(), time.process_time()
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            _put_down(begun, status="no file", reason=f"{type(error).__name__}: {_first_line(error)}")
            raise
        line = _Timed(begun)
        given = signature.bind(*args, **kwargs).arguments
        try:
            line.put_down(**_compared(given, result))
        except Exception as error:
            traceback.print_exc()
            line.put_down(status="not compared", reason=f"{type(error).__name__}: {_first_line(error)}")
        return result

    torch.onnx.export = export


class _Timed:
    def __init__(self, begun: tuple[float, float]) -> None:
        self.seconds = time.perf_counter() - begun[0]
        self.cpu_seconds = time.process_time() - begun[1]

    def put_down(self, **what: Any) -> None:
        with open(os.environ[RECORD], "a", encoding="utf-8") as record:
            record.write(json.dumps({"seconds": self.seconds, "cpu_seconds": self.cpu_seconds, **what}) + "\n")


def _put_down(begun: tuple[float, float], **what: Any) -> None:
    _Timed(begun).put_down(**what)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or "no message").partition("\n")[0][:200]


def _compared(given: dict[str, Any], result: Any) -> dict[str, Any]:
    """Compare the file of a call with the model, on the example, on other inputs and at other sizes."""
    import onnx
    from lading.passes.verification.comparison import IN_ANOTHER_ORDER

    from lading.verifying import verify_file

    with tempfile.TemporaryDirectory() as folder:
        file = given.get("f")
        if file is None:
            file = Path(folder) / "model.onnx"
            result.save(file)
        elif hasattr(file, "getvalue"):
            (Path(folder) / "model.onnx").write_bytes(file.getvalue())
            file = Path(folder) / "model.onnx"
        model = onnx.load(file, load_external_data=False)
        free = {
            dim.dim_param for value in model.graph.input for dim in value.type.tensor_type.shape.dim if dim.dim_param
        }
        found = {
            "opset": next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")),
            "opset_asked": given.get("opset_version"),
            "nodes": len(model.graph.node),
            "free": len(free),
        }
        checked = verify_file(file, given["model"], given.get("args", ()), kwargs=given.get("kwargs"))
    failed = [check for check in checked.checks if check.status == "failed"]
    if failed and all(IN_ANOTHER_ORDER in (check.reason or "") for check in failed):
        # Eager itself orders such rows otherwise when it computes in double precision.
        return {**found, "status": "right", "reason": f"but {IN_ANOTHER_ORDER}", "checks": len(checked.checks)}
    if failed:
        reason = f"{failed[0].name}: {failed[0].reason}"
        status = "wrong on the example" if failed[0] is checked.checks[0] else "wrong elsewhere"
        return {**found, "status": status, "reason": reason[:200], "checks": len(checked.checks)}
    return {**found, "status": "right" if checked.passed else "not compared", "checks": len(checked.checks)}
