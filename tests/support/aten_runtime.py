# SPDX-License-Identifier: Apache-2.0
"""A runtime with the operator `org.pytorch.aten::ATen`, which onnxruntime has only in builds of its own."""

from __future__ import annotations

from typing import Any

import torch
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from support.files import graph

ATEN = "org.pytorch.aten"


class ATen(OpRun):
    """Runs `org.pytorch.aten::ATen` with PyTorch: what a runtime with that operator does."""

    op_domain = ATEN

    def _run(self, *given: Any, operator: str, overload_name: str) -> Any:
        namespace, _, name = operator.rpartition("::")
        packet = getattr(getattr(torch.ops, namespace or "aten"), name)
        overload = getattr(packet, overload_name or "default")
        values = [_argument(value, one) for value, one in zip(given, overload._schema.arguments, strict=False)]
        positional = [
            value for value, one in zip(values, overload._schema.arguments, strict=False) if not one.kwarg_only
        ]
        keywords = {
            one.name: value for value, one in zip(values, overload._schema.arguments, strict=False) if one.kwarg_only
        }
        result = overload(*positional, **keywords)
        return tuple(item.numpy() for item in (result if isinstance(result, tuple) else (result,)))


def _argument(value: Any, argument: Any) -> Any:
    """Read a node's input as the argument of the schema at its place."""
    kind = str(argument.real_type)
    if value is None:
        return None
    if isinstance(value, list):
        return [torch.from_numpy(item) for item in value]
    if "Tensor" in kind:
        return torch.from_numpy(value.copy())
    plain = value.tolist()
    if "ScalarType" in kind:
        from lading.passes.trace.script.scalar_types import dtype_of

        return dtype_of(plain)
    return plain.decode() if isinstance(plain, bytes) else plain


def run_by_reference(result: Any, *tensors: torch.Tensor) -> Any:
    """Run a file with such nodes on tensors for its first inputs, and return its first output."""
    names = [value.name for value in graph(result).input][: len(tensors)]
    feeds = dict(zip(names, (tensor.numpy() for tensor in tensors), strict=True))
    return ReferenceEvaluator(result.model_proto, new_ops=[ATen]).run(None, feeds)[0]
