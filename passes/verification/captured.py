# SPDX-License-Identifier: Apache-2.0
"""The captured graph beside the model: whether it computes the same, and where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
import onnx_ir as ir
import torch

from ..signature.structure import leaves
from .comparison import Tolerance, compare
from .eager_values import EagerGraph, constant_tensor
from .locating import Place
from .report import Check

if TYPE_CHECKING:
    from lading.passes.signature.arguments import Arguments


@attrs.frozen
class ModuleCall:
    """What one call of a module gave: its path, its class, and the tensors in its result."""

    path: str
    class_name: str
    tensors: tuple[torch.Tensor, ...]


def check_captured(
    graph: ir.Graph,
    eager: EagerGraph,
    expected: Sequence[torch.Tensor],
    tolerance: Tolerance,
    coarsest: torch.dtype | None,
) -> Check:
    """Compare what PyTorch computes for a captured graph with what the model gives.

    Args:
        graph: the graph, before lowering.
        eager: what was computed.
        expected: what the model gives.
        tolerance: which differences are accepted.
        coarsest: the coarsest type that the model computes in.
    """
    unknown = next((node for node in eager.nodes if node.why_unknown), None)
    found = []
    for value, wanted in zip(graph.outputs, expected, strict=False):
        got = eager.values.get(value)
        got = constant_tensor(value) if got is None else torch.as_tensor(got)
        if got is None:
            why = "" if unknown is None else f": {unknown.operator}: {unknown.why_unknown}"
            return Check(name="captured", status="skipped", reason=f"PyTorch cannot run the captured graph{why}")
        found.append(compare(value.name or "", _real(wanted), _real(got), tolerance, coarsest))
    problems = [f"output '{output.name}' {output.problem}" for output in found if output.problem]
    return Check(
        name="captured",
        status="failed" if problems else "passed",
        reason="; ".join(problems) or None,
        outputs=tuple(found),
    )


def departing_module(
    arguments: Arguments, eager: EagerGraph, tolerance: Tolerance, coarsest: torch.dtype | None
) -> Place:
    """Find the first module, the innermost, whose result is not among the values of the captured graph.

    Args:
        arguments: the call to compare on.
        eager: what PyTorch computes for the captured graph.
        tolerance: which differences are accepted.
        coarsest: the coarsest type that the model computes in.
    """
    known = [value for value in eager.values.values() if isinstance(value, torch.Tensor)]

    def stands(tensor: torch.Tensor) -> bool:
        return any(
            other.shape == tensor.shape
            and other.dtype == tensor.dtype
            and compare("", _real(tensor), _real(other), tolerance, coarsest).problem is None
            for other in known
        )

    calls = module_calls(arguments)
    call = next((call for call in calls if not all(map(stands, call.tensors))), None)
    path = "" if call is None else call.path
    nodes = [node for node in eager.nodes if node.origin.module == path]
    return Place(
        module=path,
        module_class=type(arguments.model).__name__ if call is None else call.class_name,
        source=next((node.origin.source for node in reversed(nodes) if node.origin.source), ""),
        operators=tuple(dict.fromkeys(node.operator for node in nodes)),
        why="the captured graph is another one than the model: what this module gives is not among its values",
    )


def module_calls(arguments: Arguments) -> list[ModuleCall]:
    """Run the model, and return what each call of a module gave, inner ones before those that they stand in."""
    calls: list[ModuleCall] = []
    modules = getattr(arguments.model, "named_modules", None)
    handles = []

    def keeper(path: str) -> Any:
        def keep(module: torch.nn.Module, _: Any, result: Any) -> None:
            tensors = [leaf.detach().clone() for _, leaf in leaves(result, "") if isinstance(leaf, torch.Tensor)]
            calls.append(ModuleCall(path, type(module).__name__, tuple(tensors)))

        return keep

    try:
        for path, module in modules() if callable(modules) else ():
            if not isinstance(module, torch.jit.ScriptModule):
                handles.append(module.register_forward_hook(keeper(path)))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            arguments.eager([item.tensor for item in arguments.inputs])
    finally:
        for handle in handles:
            handle.remove()
    return calls


def _real(tensor: torch.Tensor) -> torch.Tensor:
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor
