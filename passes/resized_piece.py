# SPDX-License-Identifier: Apache-2.0
"""A piece of a graph of the ATen dialect, for inputs and weights of other sizes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx_ir as ir
import torch

from .verification.eager_values import constant_tensor, run_eagerly
from .verification.runtimes import to_numpy


def constants_of(graph: ir.Graph) -> dict[str, torch.Tensor]:
    """The tensors that a graph stores, by name; numbers and empty ones are left out."""
    found = {}
    for name, value in graph.initializers.items():
        tensor = constant_tensor(value)
        if tensor is not None and tensor.numel() > 1:
            found[name] = tensor
    return found


def resized(
    model: ir.Model, tensors: Mapping[str, torch.Tensor], inputs: Sequence[str]
) -> tuple[ir.Model, dict[str, torch.Tensor]] | None:
    """Return a copy of a graph with stored tensors and shapes for other sizes, and what PyTorch gives there.

    Dimensions that have names keep them. None where PyTorch refuses the sizes.

    Args:
        model: the graph, before lowering.
        tensors: its inputs, and tensors that it stores, by name.
        inputs: which of them are inputs.
    """
    copy = model.clone()
    graph = copy.graph
    for name, tensor in tensors.items():
        if name in inputs:
            continue
        value = graph.initializers[name]
        old = value.const_value
        assert old is not None
        if tuple(tensor.shape) != tuple(old.shape):
            value.const_value = ir.tensor(to_numpy(tensor), dtype=old.dtype, name=name)
            value.shape = ir.Shape(tuple(tensor.shape))
    found = run_eagerly(graph, {name: tensors[name] for name in inputs}, copy.functions.values())
    known = dict(found.values)
    known.update({value: tensors[value.name] for value in graph.inputs if value.name in inputs and value.name})
    if any(value not in known for value in graph.outputs):
        return None
    for value in _values(graph):
        got = known.get(value)
        if isinstance(got, torch.Tensor) and value.shape is not None and len(value.shape) == got.dim():
            pairs = zip(value.shape, got.shape, strict=True)
            value.shape = ir.Shape([size if isinstance(dim, int) else dim for dim, size in pairs])
    outputs = {value.name: torch.as_tensor(known[value]) for value in graph.outputs if value.name}
    return copy, outputs


def _values(graph: ir.Graph) -> Iterable[ir.Value]:
    yield from graph.inputs
    for node in graph.all_nodes():
        yield from node.outputs
