# SPDX-License-Identifier: Apache-2.0
"""Normalisations of an exported program whose writes into running statistics no schema shows.

`torch.export` takes `native_batch_norm` and `instance_norm` for operators without effects, and loses what they write in
training mode. Written with the form that says so (`_native_batch_norm_legit`, whose schema marks both statistics as
written), the program goes through PyTorch's functionalization as any other that moves its buffers.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch.export import ExportedProgram

_aten = torch.ops.aten
_STATING = _aten._native_batch_norm_legit.default
_ARGUMENTS = 8
"""input, weight, bias, running_mean, running_var, training, momentum, eps: the first of all these operators."""


def with_stated_writes(program: ExportedProgram) -> ExportedProgram:
    """Return a program that says which statistics it moves: the one that was given, if it says so already."""
    hidden = [node.name for node in program.graph.nodes if _hides(node)]
    if not hidden:
        return program
    module = torch.fx.GraphModule(program.graph_module, program.graph_module.graph)
    graph = torch.fx.Graph()
    copies: dict[torch.fx.Node, torch.fx.Node] = {}
    outputs = graph.graph_copy(module.graph, copies)
    (given,) = (node for node in module.graph.nodes if node.op == "output")
    graph.output(outputs).meta = dict(given.meta)
    for node in [copies[node] for node in module.graph.nodes if node.name in hidden]:
        with graph.inserting_before(node):
            _state(node)
    graph.lint()
    module.graph = graph
    return ExportedProgram(
        root=module,
        graph=graph,
        graph_signature=program.graph_signature,
        state_dict=program.state_dict,
        range_constraints=program.range_constraints,
        module_call_graph=program.module_call_graph,
        example_inputs=program.example_inputs,
        constants=program.constants,
        verifiers=program.verifiers,
    )


def _hides(node: torch.fx.Node) -> bool:
    if node.target not in (_aten.native_batch_norm.default, _aten.instance_norm.default):
        return False
    return bool(_argument(node, 5)) and _argument(node, 3) is not None


def _argument(node: torch.fx.Node, index: int) -> Any:
    if index < len(node.args):
        return node.args[index]
    return node.kwargs.get(node.target._schema.arguments[index].name)  # type: ignore[union-attr]


def _state(node: torch.fx.Node) -> None:
    arguments = [_argument(node, index) for index in range(_ARGUMENTS)]
    if node.target is _aten.native_batch_norm.default:
        node.target, node.args, node.kwargs = _STATING, tuple(arguments), {}
    else:
        result = _instances(node, *arguments)
        node.replace_all_uses_with(result)
        node.graph.erase_node(node)
        result.name = node.name  # by which the program's signature knows an output


def _instances(
    node: torch.fx.Node, x: Any, weight: Any, bias: Any, mean: Any, variance: Any, _: Any, momentum: Any, eps: Any
) -> torch.fx.Node:
    """Write an instance norm as a batch norm in which each channel of each instance is a channel of one batch.

    The running statistics take the mean over the instances of what each of these would make of them, as PyTorch's own
    composite has it.
    """

    def call(target: Any, *args: Any) -> torch.fx.Node:
        made = node.graph.call_function(target, args)
        made.meta = {"val": target(*torch.fx.node.map_arg(args, lambda argument: argument.meta["val"]))}
        made.meta |= {key: value for key, value in node.meta.items() if key in ("nn_module_stack", "stack_trace")}
        return made

    batch, channels = (call(_aten.sym_size.int, x, axis) for axis in (0, 1))
    rest = [call(_aten.sym_size.int, x, axis) for axis in range(2, node.meta["val"].dim())]
    repeated = [None if part is None else call(_aten.repeat.default, part, [batch]) for part in (weight, bias)]
    statistics = [call(_aten.repeat.default, part, [batch]) for part in (mean, variance)]
    flat = call(_aten.reshape.default, x, [1, call(operator.mul, batch, channels), *rest])
    both = call(_STATING, flat, *repeated, *statistics, True, momentum, eps)
    for running, moved in zip((mean, variance), statistics, strict=True):
        call(
            _aten.copy_.default,
            running,
            call(_aten.mean.dim, call(_aten.reshape.default, moved, [batch, channels]), [0]),
        )
    return call(_aten.reshape.default, call(operator.getitem, both, 0), [batch, channels, *rest])
