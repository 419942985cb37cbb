# SPDX-License-Identifier: Apache-2.0
"""The exporters that `coverage.py` compares, each for one operator call; processes of their own import this."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import tempfile
import unittest.mock
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def with_dynamo(call: Any, opset: int) -> bytes:
    import torch
    from operators.entries import Operator

    with _silence(), _registry_made_once():
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
def _registry_made_once() -> Iterator[None]:
    """Let the exporter use one table of its functions for all calls, which it makes anew for each and never changes.

    That is most of the time of a small export, and changes no result.
    """
    from torch.onnx._internal.exporter import _registration

    with unittest.mock.patch.object(
        _registration.ONNXRegistry, "from_torchlib", staticmethod(_keeping_from_torchlib())
    ):
        yield


@functools.cache
def _keeping_from_torchlib() -> Callable[..., Any]:
    from torch.onnx._internal.exporter import _registration

    return functools.cache(_registration.ONNXRegistry.from_torchlib)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    logging.disable(logging.WARNING)
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            yield
    finally:
        logging.disable(logging.NOTSET)


EXPORTERS = {"lading": with_lading, "dynamo": with_dynamo, "torchscript": with_torchscript}
