# SPDX-License-Identifier: Apache-2.0
"""What is known of integer vectors that a graph computes from shapes, element by element.

In `[batch, 3, 224, 224]` three of four elements are known although the vector as a whole is not a constant. Following
the elements through Gather, Slice, Concat and their like finds what is constant after all, and lets a Reshape to such
a vector say `[0, 3, 224, 224]`, which needs no computing at run time.
"""

from __future__ import annotations

from collections.abc import Callable

import attrs
import numpy as np
import onnx_ir as ir
from lading.passes.tidying.graph_edits import constant_tensor, int_of, static_ints

_LONGEST = 64
"""Vectors are shapes or parts of shapes; a longer one is data."""

Element = int | ir.SymbolicDim


@attrs.frozen
class Sizes:
    """The elements of an integer scalar (`scalar`) or vector, each known or a symbol (nameless: not known at all)."""

    elements: tuple[Element, ...]
    scalar: bool = False

    def array(self) -> np.ndarray | None:
        """Return the values if every element is known."""
        if not all(isinstance(element, int) for element in self.elements):
            return None
        array = np.array(self.elements, dtype=np.int64)
        return array.reshape(()) if self.scalar else array


_UNKNOWN = ir.SymbolicDim(None)


class KnownSizes:
    """Follows sizes through one model, node by node in order of computation."""

    def __init__(self) -> None:
        self._sizes: dict[ir.Value, Sizes] = {}

    def of(self, value: ir.Value | None) -> Sizes | None:
        """Return what is known of a value's elements, or None if it is not a vector of sizes."""
        if value is None:
            return None
        known = self._sizes.get(value)
        if known is not None:
            return known
        tensor = constant_tensor(value)
        if tensor is None or tensor.dtype not in (ir.DataType.INT64, ir.DataType.INT32) or tensor.size > _LONGEST:
            return None
        if len(tensor.shape) > 1:
            return None
        return Sizes(tuple(int(item) for item in tensor.numpy().reshape(-1)), scalar=not tensor.shape)

    def follow(self, node: ir.Node) -> Sizes | None:
        """Work out and remember the sizes that a node computes, if it is one of the operators followed."""
        rule = _RULES.get(node.op_type)
        if rule is None:
            return None
        sizes = rule(self, node)
        if sizes is not None and len(sizes.elements) <= _LONGEST:
            self._sizes[node.outputs[0]] = sizes
            return sizes
        return None


def reshape_target(sizes: Sizes, source: ir.Shape | None) -> list[int] | None:
    """Return a constant with which Reshape does the same as with `sizes`, or None if there is none.

    A single unknown size becomes -1, unless a known one is 0 (nothing could be inferred then). Several become 0, which
    copies the input's size, if each has the name of the input's dimension at its place. The two are not mixed: a
    runtime cannot infer -1 from an input that is empty because a copied size is 0.
    """
    unknown = [index for index, element in enumerate(sizes.elements) if not isinstance(element, int)]
    known = [element for element in sizes.elements if isinstance(element, int)]
    if any(element <= 0 for element in known):
        return None
    if len(unknown) == 1:
        return [element if isinstance(element, int) else -1 for element in sizes.elements]
    if source is None or (unknown and unknown[-1] >= len(source)):
        return None
    for index in unknown:
        name = sizes.elements[index].value  # type: ignore[union-attr]
        dim = source[index]
        if name is None or isinstance(dim, int) or dim.value != name:
            return None
    return [element if isinstance(element, int) else 0 for element in sizes.elements]


def _shape(known: KnownSizes, node: ir.Node) -> Sizes | None:
    source = node.inputs[0]
    if source is None or source.shape is None:
        return None
    dims = tuple(source.shape)
    return Sizes(dims[int_of(node, "start", 0) : int_of(node, "end", len(dims))])


def _gather(known: KnownSizes, node: ir.Node) -> Sizes | None:
    data, picked = known.of(node.inputs[0]), known.of(node.inputs[1])
    if data is None or picked is None or data.scalar or int_of(node, "axis", 0) not in (0, -1):
        return None
    indices = picked.array()
    if indices is None or any(not -len(data.elements) <= index < len(data.elements) for index in indices.reshape(-1)):
        return None
    return Sizes(tuple(data.elements[index] for index in indices.reshape(-1)), scalar=picked.scalar)


def _slice(known: KnownSizes, node: ir.Node) -> Sizes | None:
    from lading.passes.tidying.node_values import slice_window

    data = known.of(node.inputs[0])
    if data is None or data.scalar:
        return None
    window = slice_window(node, 1, lambda index: static_ints(node.inputs[index]) if index < len(node.inputs) else None)
    return None if window is None else Sizes(data.elements[window[0]])


def _concat(known: KnownSizes, node: ir.Node) -> Sizes | None:
    parts: list[Element] = []
    for value in node.inputs:
        part = known.of(value)
        if part is None:
            # An integer vector of a known length still has its place among the others.
            length = value.shape[0] if value is not None and value.shape is not None and len(value.shape) == 1 else None
            if not isinstance(length, int) or length > _LONGEST or value is None or value.dtype != ir.DataType.INT64:
                return None
            parts.extend([_UNKNOWN] * length)
        else:
            parts.extend(part.elements)
    return Sizes(tuple(parts))


def _unsqueeze(known: KnownSizes, node: ir.Node) -> Sizes | None:
    data = known.of(node.inputs[0])
    return Sizes(data.elements) if data is not None and data.scalar and _one_axis(node) else None


def _squeeze(known: KnownSizes, node: ir.Node) -> Sizes | None:
    data = known.of(node.inputs[0])
    return Sizes(data.elements, scalar=True) if data is not None and len(data.elements) == 1 else None


def _one_axis(node: ir.Node) -> bool:
    shape = node.outputs[0].shape
    return shape is not None and len(shape) == 1


def _reshape(known: KnownSizes, node: ir.Node) -> Sizes | None:
    data, shape = known.of(node.inputs[0]), node.outputs[0].shape
    if data is None or shape is None or len(shape) > 1:
        return None
    return Sizes(data.elements, scalar=len(shape) == 0)


def _cast(known: KnownSizes, node: ir.Node) -> Sizes | None:
    whole = int_of(node, "to", 0) in (ir.DataType.INT64.value, ir.DataType.INT32.value)
    return known.of(node.inputs[0]) if whole else None


def _identity(known: KnownSizes, node: ir.Node) -> Sizes | None:
    return known.of(node.inputs[0])


_RULES: dict[str, Callable[[KnownSizes, ir.Node], Sizes | None]] = {
    "Shape": _shape,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Cast": _cast,
    "Identity": _identity,
}
