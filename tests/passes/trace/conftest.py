# SPDX-License-Identifier: Apache-2.0
"""Capturing a model in one call, and running a captured graph in PyTorch operator by operator."""

from __future__ import annotations

from collections import Counter
from typing import Any

import attrs
import onnx_ir as ir
import pytest
import torch
from lading.passes import control_flow, dialect
from lading.passes.normalize_arguments import NormalizeArguments
from lading.passes.request import Request
from lading.passes.signature import structure
from lading.passes.signature.arguments import Arguments
from lading.passes.trace import Trace
from lading.passes.trace.capture import Capture
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.work import Target, Work

import lading


@attrs.frozen
class Captured:
    """A captured model with everything that capture said about it."""

    model: ir.Model
    capture: Capture
    arguments: Arguments
    note: Note

    @property
    def graph(self) -> ir.Graph:
        return self.model.graph

    def ops(self) -> Counter[str]:
        """Return how often each operator occurs."""
        return Counter(f"{node.domain}::{node.op_type}" for node in self.graph)

    def run(self, *tensors: torch.Tensor) -> list[torch.Tensor]:
        """Run the graph in PyTorch."""
        return interpret(self.graph, tensors)

    def same_as_eager(self, *tensors: torch.Tensor) -> bool:
        """Whether graph and model agree on the given inputs (the example, if none are given)."""
        inputs = list(tensors) or [item.tensor for item in self.arguments.inputs]
        expected = self.arguments.eager(inputs)
        got = self.run(*inputs)
        torch.testing.assert_close(got, expected, equal_nan=True, check_stride=False)
        return True


def interpret(graph: ir.Graph, tensors: Any) -> list[torch.Tensor]:
    """Run an ATen-dialect graph with PyTorch's own operators."""
    values: dict[Any, Any] = dict(zip(graph.inputs, tensors, strict=True))
    for value in graph.initializers.values():
        values[value] = torch.from_numpy(value.const_value.numpy().copy())
    _interpret_nodes(graph, values)
    results = []
    for output in graph.outputs:
        value = values[output]
        results.append(value if isinstance(value, torch.Tensor) else torch.tensor(value))
    return results


def _interpret_nodes(graph: ir.Graph, values: dict[Any, Any]) -> None:
    for node in graph:
        if dialect.is_dialect_list(node):
            continue
        if node.op_type == control_flow.IF and control_flow.is_control_flow(node):
            taken = control_flow.THEN_BRANCH if values[node.inputs[0]] else control_flow.ELSE_BRANCH
            branch = node.attributes[taken].as_graph()
            _interpret_nodes(branch, values)
            values.update(zip(node.outputs, [values[output] for output in branch.outputs], strict=True))
            continue
        bound = dialect.bind(node)
        # A graph says nothing of strides: what could be viewed in capture may have to be copied here.
        name = {"view": "reshape", "_unsafe_view": "reshape"}.get(node.op_type, node.op_type)
        overload = dialect.find_overload(node.domain, name, node.overload)
        positional = iter(bound.positional)
        args, keywords = [], {}
        for parameter, argument in zip(bound.schema.parameters, overload._schema.arguments, strict=True):
            if parameter.is_tensor:
                item: Any = next(positional)
            elif parameter.ambient:
                continue
            else:
                item = bound.keywords[parameter.name]
            item = _materialised(item, values)
            if parameter.kind == "ScalarType" and item is None and not argument.has_default_value():
                continue
            if argument.kwarg_only:
                keywords[parameter.name] = item
            else:
                args.append(item)
        with torch.no_grad():
            result = overload(*args, **keywords)
        flat: list[Any] = []
        for item in result if isinstance(result, (tuple, list)) else (result,):
            flat.extend(item if isinstance(item, (tuple, list)) else (item,))
        for output, item in zip(node.outputs, flat, strict=False):
            values[output] = item
            if isinstance(item, torch.Tensor):
                assert output.dtype == dialect.onnx_dtype(item.dtype), f"{node}: {item.dtype}"
                assert len(output.shape) == item.dim(), f"{node}: {item.shape}"
                for known, size in zip(output.shape, item.shape, strict=True):
                    assert not isinstance(known, int) or known == size, f"{node}: {item.shape}"


def _materialised(item: Any, values: dict[Any, Any]) -> Any:
    if isinstance(item, ir.Value):
        return values[item]
    if isinstance(item, list):
        return [_materialised(member, values) for member in item]
    return item


@pytest.fixture
def captured():
    def capture(
        model: Any, args: Any = (), kwargs: Any = None, *, strategy: str = "record", **options: Any
    ) -> Captured:
        work = Work(target=Target(opset=18), request=Request(model=model, args=args, kwargs=kwargs))
        note = Note()
        NormalizeArguments(**options).run(work, note)
        Trace(strategy=strategy).run(work, note)
        assert work.model is not None
        return Captured(work.model, work.need(Fact.GRAPH), work.need(Fact.ARGUMENTS), note)

    return capture


def _run_both(exported: Any, arguments: Arguments, call: Any) -> None:
    tensors = [leaf for _, leaf in structure.leaves(call) if isinstance(leaf, torch.Tensor)]
    expected = arguments.eager(tensors)
    results = exported(*tensors)
    assert len(expected) == len(results)
    for left, right in zip(expected, results, strict=True):
        torch.testing.assert_close(torch.from_numpy(right), left, equal_nan=True, rtol=1e-4, atol=1e-5)


@pytest.fixture(params=[13, 18])
def agrees(request):
    """Export by the record strategy and compare with eager on the example and on further calls, in onnxruntime."""

    def export_and_compare(model: Any, *calls: Any, axes: Any = None, **options: Any) -> Any:
        overrides = {"trace.strategy": "record", **options.pop("overrides", {})}
        first = (*calls[0], {}) if calls[0] and isinstance(calls[0][-1], dict) else calls[0]
        exported = lading.export(
            model, first, dynamic_axes=axes, opset_version=request.param, overrides=overrides, verify=False, **options
        )
        for call in calls:
            _run_both(exported, exported.work.need(Fact.ARGUMENTS), call)
        return exported

    return export_and_compare
