# SPDX-License-Identifier: Apache-2.0
"""Order and names of the weights of a captured graph, and the names that a caller gives them beyond the inputs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from lading.passes.signature.structure import unused_name
from lading.passes.weights import Weight
from lading.pipeline.errors import UsageError

if TYPE_CHECKING:
    import onnx_ir as ir
    from lading.passes.trace.capture import Capture


def in_order(weights: Iterable[ir.Value], order: Mapping[str, int], others: Iterable[ir.Value]) -> list[ir.Value]:
    """Return weights in the order of `state_dict`, under names that nothing else has.

    Args:
        weights: the initializers of a graph.
        order: the position of each name of the `state_dict`; what has none comes last.
        others: the inputs and outputs of the graph, which keep their names.
    """
    ordered = sorted(weights, key=lambda value: order.get(value.name or "", len(order)))
    taken = {value.name or "" for value in others}
    names = {value.name or "" for value in ordered}
    for value in ordered:
        if value.name in taken:
            value.name = unused_name(f"{value.name}_1", taken | names)
            names.add(value.name)
    return ordered


def name_weights(model: ir.Model, capture: Capture, given: Sequence[str], *, tolerant: bool = False) -> list[str]:
    """Give the first weights of a captured graph these names, in the order of `state_dict`.

    Weights that the graph does not use, and tensors that are neither parameter nor buffer, are passed over.
    Source: "Example: AlexNet" in the documentation of `torch.onnx` in PyTorch 1.8.

    Returns:
        The names that were left out: those beyond the weights, where that is tolerated.

    Raises:
        UsageError: there are more names than weights, or a name is one that something else has.
    """
    if not given:
        return []
    graph = model.graph
    weights = [
        value
        for name, value in graph.initializers.items()
        if isinstance(value.const_value, Weight)
        and name not in capture.constants
        and (value.uses() or value.is_graph_output())
    ]
    left_out = list(given[len(weights) :]) if tolerant else []
    given = given[: len(weights)] if tolerant else given
    if len(given) > len(weights):
        known = len(graph.inputs) + len(weights)
        raise UsageError(
            f"{len(graph.inputs) + len(given)} input names were given, and the graph has {len(graph.inputs)} inputs "
            f"and {len(weights)} weights",
            where="input_names: " + ", ".join(given),
            hint=f"give at most {known} names",
        )
    named = weights[: len(given)]
    others = [*graph.outputs, *(value for value in graph.initializers.values() if value not in named)]
    taken = {value.name for value in others} & set(given)
    if taken:
        name = sorted(name for name in taken if name)[0]
        raise UsageError(
            f"the input name '{name}' is the name of an output or of another weight",
            where="input_names",
            hint="choose another name",
        )
    initializers = list(graph.initializers.values())
    graph.initializers.clear()
    for value, name in zip(named, given, strict=True):
        value.name = name
        tensor = value.const_value
        assert isinstance(tensor, Weight)
        # What other passes make of the weight is named after it.
        tensor.name = tensor.parameter = name
    for value in initializers:
        graph.register_initializer(value)
    return left_out
