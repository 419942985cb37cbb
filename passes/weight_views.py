# SPDX-License-Identifier: Apache-2.0
"""Nodes that only look at a weight from another side, as torch views of its storage."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir
import torch
from lading.passes.tidying.graph_edits import dims_of, int_of, ints_of, static_ints
from lading.passes.tidying.node_values import slice_window, split_sizes, target_shape

from .weights import Weight


def views_of(node: ir.Node, weight: Weight) -> list[Weight] | None:
    """Return what a node makes of `weight`, its first input, as views, one an output.

    None if the node does more than look, if what it looks at is not constant, or if torch has no such view.
    """
    maker = _MAKERS.get(node.op_type)
    if maker is None:
        return None
    try:
        return maker(node, weight)
    except (RuntimeError, ValueError, IndexError):  # torch has no view for it, or the sizes do not fit
        return None


def _ints_of(node: ir.Node) -> Callable[[int], list[int] | None]:
    return lambda index: static_ints(node.inputs[index]) if index < len(node.inputs) else None


def _transpose(node: ir.Node, weight: Weight) -> list[Weight]:
    rank = len(weight.shape)
    perm = ints_of(node, "perm")
    return [weight.transposed(tuple(reversed(range(rank))) if perm is None else perm)]


def _reshape(node: ir.Node, weight: Weight) -> list[Weight] | None:
    shape = target_shape(node, dims_of(weight), _ints_of(node))
    if shape is None:
        return None
    label = "as_" + "x".join(map(str, shape)) if shape else "as_scalar"
    return [weight.viewed(lambda tensor: tensor.view(shape), label)]


def _slice(node: ir.Node, weight: Weight) -> list[Weight] | None:
    window = slice_window(node, len(weight.shape), _ints_of(node))
    if window is None:
        return None
    parts = []
    for axis, part in enumerate(window):
        start, stop, step = part.indices(dims_of(weight)[axis])
        if step < 1:
            return None
        parts.append((start, max(start, stop), step))
    sizes = dims_of(weight)
    text = [
        "" if part == (0, size, 1) else f"{part[0]}_{part[1]}" + (f"_{part[2]}" if part[2] > 1 else "")
        for part, size in zip(parts, sizes, strict=True)
    ]
    index = tuple(slice(*part) for part in parts)
    return [weight.viewed(lambda tensor: tensor[index], "part_" + "x".join(text))]


def _split(node: ir.Node, weight: Weight) -> list[Weight] | None:
    axis = int_of(node, "axis", 0) % len(weight.shape)
    sizes = split_sizes(node, dims_of(weight)[axis], _ints_of(node))
    if sizes is None or len(sizes) != len(node.outputs):
        return None
    views, start = [], 0
    for size in sizes:
        views.append(_narrowed(weight, axis, start, size))
        start += size
    return views


def _narrowed(weight: Weight, axis: int, start: int, size: int) -> Weight:
    label = f"part_{'x' * axis}{start}_{start + size}"
    return weight.viewed(lambda tensor: torch.narrow(tensor, axis, start, size), label)


def _gather(node: ir.Node, weight: Weight) -> list[Weight] | None:
    """A single row or column; several are a copy in general."""
    shape = None if node.inputs[1] is None else node.inputs[1].shape
    picked = static_ints(node.inputs[1])
    if picked is None or shape is None or len(shape) > 0:
        return None
    axis = int_of(node, "axis", 0) % len(weight.shape)
    return [weight.viewed(lambda tensor: torch.select(tensor, axis, picked[0]), f"at_{'x' * axis}{picked[0]}")]


_MAKERS: dict[str, Callable[[ir.Node, Weight], list[Weight] | None]] = {
    "Transpose": _transpose,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Flatten": _reshape,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
}
