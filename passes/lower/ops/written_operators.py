# SPDX-License-Identifier: Apache-2.0
"""ONNX operators that a model names itself, by `torch.onnx.ops.symbolic` and `symbolic_multi_out`.

Attributes come as PyTorch packs them: names, kinds ("i", "f", "s" for one number or string, "is", "fs", "ss" for lists)
and the part of the list of integers, floats or strings that each one has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import onnx_ir as ir

from ..emitter import Emitter
from ..registry import lowers

_DEFAULT = ("", "ai.onnx")


@lowers("onnx_symbolic::_symbolic")
def symbolic(op: Emitter, inputs: Sequence[ir.Value | None], *, op_type: str, **said: Any) -> ir.Value:
    """Write one operator with one output."""
    (made,) = _written(op, inputs, op_type, said)
    return made


@lowers("onnx_symbolic::_symbolic_multi_out")
def symbolic_multi_out(
    op: Emitter, inputs: Sequence[ir.Value | None], *, op_type: str, **said: Any
) -> Sequence[ir.Value]:
    """Write one operator with several outputs."""
    return _written(op, inputs, op_type, said)


def _written(op: Emitter, inputs: Sequence[ir.Value | None], op_type: str, said: dict[str, Any]) -> Sequence[ir.Value]:
    attributes = _attributes(said)
    domain, version = said["domain"], said["version"]
    if domain in _DEFAULT:
        if version is not None and not op.means_the_same(op_type, version):
            raise op.cannot(f"the model writes {op_type} as it is at opset {version}")
        made = op.raw(op_type, *inputs, outputs=op.result_count, **attributes)
    else:
        op.needs(domain, 1 if version is None else version)
        made = op.custom(f"{domain}::{op_type}", *inputs, **attributes)
    results = made if isinstance(made, tuple) else (made,)
    properties = dict(zip(said["metadata_props_keys"], said["metadata_props_values"], strict=True))
    for node in {result.producer() for result in results} - {None}:
        node.metadata_props.update(properties)
    return results


def _attributes(said: dict[str, Any]) -> dict[str, Any]:
    packed = {"i": said["attr_ints"], "f": said["attr_floats"], "s": said["attr_strs"]}
    found = {}
    for name, kind, (start, end) in zip(said["attr_keys"], said["attr_types"], said["attr_pos"], strict=True):
        values = list(packed[kind[0]][start:end])
        found[name] = values if len(kind) == 2 else values[0]
    return found
