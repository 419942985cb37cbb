# SPDX-License-Identifier: Apache-2.0
"""Products: linear layers, matrix products, attention, einsum."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from lading.passes import torch_private
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import broadcast, rule, same

_aten = torch.ops.aten
_VF = torch_private.variable_functions


@rule(F.linear)
def _linear(rec: Recorder, input: Any, weight: Any, bias: Any = None) -> Any:
    shape = input.shape
    if weight.dim() != 2 or len(shape) == 0 or not same(shape[-1], weight.shape[1]) or input.dtype != weight.dtype:
        return NOT_KEPT
    return rec.keep(_aten.linear.default, (input, weight, bias), ((*shape[:-1], weight.shape[0]), input.dtype))


@rule(torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__, torch.linalg.matmul)
def _matmul(rec: Recorder, input: Any, other: Any, *, out: Any = None) -> Any:
    if out is not None or not isinstance(other, torch.Tensor) or input.dtype != other.dtype:
        return NOT_KEPT
    left, right = list(input.shape), list(other.shape)
    if not left or not right:
        return NOT_KEPT
    if not same(left[-1], right[-2] if len(right) > 1 else right[0]):
        return NOT_KEPT
    rows = left[-2:-1] if len(left) > 1 else []
    columns = right[-1:] if len(right) > 1 else []
    batch = broadcast(left[:-2], right[:-2])
    if batch is None:
        return NOT_KEPT
    return rec.keep(_aten.matmul.default, (input, other), ((*batch, *rows, *columns), input.dtype))


@rule(torch_private.nn_functions.scaled_dot_product_attention)
def _attention(
    rec: Recorder,
    query: Any,
    key: Any,
    value: Any,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: Any = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    if min(query.dim(), key.dim(), value.dim()) < 2 or isinstance(is_causal, torch.Tensor):
        return NOT_KEPT
    batch: list[Any] | None
    if enable_gqa:
        batch = list(query.shape[:-2])
    else:
        batch = broadcast(query.shape[:-2], key.shape[:-2])
        if batch is not None:
            batch = broadcast(batch, value.shape[:-2])
    if batch is None or not same(query.shape[-1], key.shape[-1]):
        return NOT_KEPT
    return rec.keep(
        _aten.scaled_dot_product_attention.default,
        (query, key, value, attn_mask, dropout_p, bool(is_causal), scale, bool(enable_gqa)),
        ((*batch, query.shape[-2], value.shape[-1]), query.dtype),
    )


@rule(_VF.einsum)
def _einsum(rec: Recorder, equation: str, operands: Any, *more: Any, path: Any = None) -> Any:
    tensors = list(operands) if isinstance(operands, (list, tuple)) else [operands, *more]
    shape = _einsum_shape(equation, [tensor.shape for tensor in tensors])
    if shape is None or len({tensor.dtype for tensor in tensors}) > 1:
        return NOT_KEPT
    return rec.keep(_aten.einsum.default, (equation, tensors), (shape, tensors[0].dtype))


def _einsum_shape(equation: str, shapes: Sequence[Sequence[Any]]) -> list[Any] | None:
    left, arrow, right = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(shapes):
        return None
    sizes: dict[str, Any] = {}
    ellipsis: list[Any] = []
    for term, shape in zip(terms, shapes, strict=True):
        before, dots, after = term.partition("...")
        rest = len(shape) - len(before) - len(after)
        if rest < 0 or (rest and not dots):
            return None
        spread = broadcast(ellipsis, shape[len(before) : len(before) + rest])
        if spread is None:
            return None
        ellipsis = spread
        for label, size in zip(before + after, [*shape[: len(before)], *shape[len(before) + rest :]], strict=True):
            known = sizes.get(label)
            if known is None or (type(known) is int and known == 1):
                sizes[label] = size
            elif not (type(size) is int and size == 1) and not same(known, size):
                return None
    if not arrow:
        once = sorted(label for label in sizes if left.count(label) == 1)
        right = "..." * bool(ellipsis) + "".join(once)
    before, dots, after = right.partition("...")
    if not set(before + after) <= sizes.keys():
        return None
    return [*(sizes[label] for label in before), *(ellipsis if dots else []), *(sizes[label] for label in after)]


@rule(torch.kron, torch.Tensor.kron)
def _kron(rec: Recorder, input: Any, other: Any, *, out: Any = None) -> Any:
    if out is not None or input.dtype != other.dtype:
        return NOT_KEPT
    left, right = list(input.shape), list(other.shape)
    rank = max(len(left), len(right))
    left, right = [1] * (rank - len(left)) + left, [1] * (rank - len(right)) + right
    shape = [size * factor for size, factor in zip(left, right, strict=True)]
    return rec.keep(_aten.kron.default, (input, other), (shape, input.dtype))


@rule(torch.linalg.multi_dot, torch.chain_matmul)
def _multi_dot(rec: Recorder, *matrices: Any, out: Any = None) -> Any:
    """Keep a chain of products whole: which order is the cheapest depends on sizes that are read as plain numbers."""
    tensors = list(matrices[0]) if len(matrices) == 1 and isinstance(matrices[0], (list, tuple)) else list(matrices)
    if len(tensors) < 2:
        return NOT_KEPT
    first, *middle, last = tensors
    ranks_fit = first.dim() in (1, 2) and last.dim() in (1, 2)
    if out is not None or not ranks_fit or any(matrix.dim() != 2 for matrix in middle):
        return NOT_KEPT
    if len({tensor.dtype for tensor in tensors}) > 1:
        return NOT_KEPT
    if not all(same(left.shape[-1], right.shape[0]) for left, right in itertools.pairwise(tensors)):
        return NOT_KEPT
    return rec.keep(_aten.linalg_multi_dot.default, (tensors,), ((*first.shape[:-1], *last.shape[1:]), first.dtype))
