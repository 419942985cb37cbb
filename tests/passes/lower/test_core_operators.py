# SPDX-License-Identifier: Apache-2.0
"""What decomposing an exported program can leave: the core ATen operators and PyTorch's primitives."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch._prims  # registers the operators
from lading.passes import torch_private
from lading.passes.lower.complex_pairs import PREFIX
from lading.passes.lower.registry import has_lowering

# Reading them makes a number of the export, which capture computes from the expression of the size.
NUMBERS = {"aten::sym_is_contiguous", "aten::sym_storage_offset", "aten::sym_stride.int"}
# Writes into the memory of its argument; capture writes what the result reads from it instead.
WRITES = {"aten::resize_", "prims::resize"}
# Numbers of a dtype, which Python computes at once, and the order of effects, of which a file has none.
NOT_TENSORS = {"prims::maximum_value", "prims::minimum_value", "prims::_make_token", "prims::_sink_tokens"}
# ONNX has neither the operator nor parts to make it of: factorisations need loops until something converges,
# the exclusive or of many integers needs their bits.
NOT_IN_ONNX = {"prims::svd", "prims::xor_sum"}


def _operators(namespace: str) -> Iterator[tuple[str, torch._ops.OpOverload]]:
    for schema in torch._C._jit_get_all_schemas():
        domain, _, name = schema.name.partition("::")
        if domain == namespace and not schema.overload_name.endswith("out"):
            packet = getattr(getattr(torch.ops, namespace), name, None)
            overload = getattr(packet, schema.overload_name or "default", None)
            if overload is not None:
                yield f"{schema.name}.{schema.overload_name}".rstrip("."), overload


def _has_lowering(name: str) -> bool:
    qualified, _, overload = name.partition(".")
    return has_lowering(qualified, overload) or has_lowering(PREFIX + qualified, overload)


def test_every_core_operator_has_a_lowering_or_a_definition() -> None:
    missing = {
        name
        for name, overload in _operators("aten")
        if torch.Tag.core in overload.tags
        and not _has_lowering(name)
        and torch_private.decomposition_of(overload) is None
    }
    assert WRITES - {"prims::resize"} == missing - NUMBERS


def test_every_primitive_has_a_lowering() -> None:
    # Other modules of PyTorch may register more; these are the ones of torch._prims.
    names = {name for name, _ in _operators("prims") if name.partition("::")[2] in torch._prims.__all__}
    missing = {name for name in names if not _has_lowering(name)}
    assert (NOT_TENSORS | NOT_IN_ONNX | {"prims::resize"}) & names == missing
