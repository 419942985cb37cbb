# SPDX-License-Identifier: Apache-2.0
"""The exporters that `coverage.py` compares, each for one operator call; processes of their own import this."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def with_dynamo(call: Any, opset: int) -> bytes:
    import torch
    from operators.entries import Operator

    with _silence():
        program = torch.onnx.export(
            Operator(call), call.tensors, opset_version=opset, dynamo=True, external_data=False, verbose=False
        )
    if program is None:
        raise RuntimeError("the exporter returned nothing")
    return program.model_proto.SerializeToString()


def with_torchscript(call: Any, opset: int) -> bytes:
    import torch
    from operators.entries import Operator

    with _silence(), tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "operator.onnx"
        torch.onnx.export(Operator(call), call.tensors, str(file), opset_version=opset, dynamo=False)
        return file.read_bytes()


def with_lading(call: Any, opset: int) -> bytes:
    from operators import measuring

    return measuring.with_lading(call, opset)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    logging.disable(logging.WARNING)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        logging.disable(logging.NOTSET)


EXPORTERS = {"lading": with_lading, "dynamo": with_dynamo, "torchscript": with_torchscript}
