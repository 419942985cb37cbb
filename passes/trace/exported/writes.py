# SPDX-License-Identifier: Apache-2.0
"""What an exported program has to be rewritten for: in-place operators that are not as good as pure ones.

`torch.export` leaves writes in the program as they are. A write into a tensor of which nothing else has a view, such as
`relu_` on the result of a convolution, is the pure operator with every later use reading its result. Where views are
involved, PyTorch's own functionalization is asked to rewrite the program.
"""

from __future__ import annotations

from typing import Any

import torch
from lading.passes.torch_private import HigherOrderOperator

_aten = torch.ops.aten
_VMAP = "torch._functorch.predispatch"

# Without an alias in the schema, and yet the result may be the argument (dropout of a model in evaluation mode).
_MAY_BE_ARGUMENT = frozenset(
    {
        "aten::dropout",
        "aten::alpha_dropout",
        "aten::feature_dropout",
        "aten::feature_alpha_dropout",
        "aten::type_as",
        "aten::pad",
    }
)


def functional_form(overload: Any) -> Any:
    """Return the pure operator of an in-place one, or None where there is none of the same arguments."""
    namespace, _, name = overload._schema.name.partition("::")
    if not name.endswith("_"):
        return None
    packet = getattr(getattr(torch.ops, namespace), name[:-1], None)
    if packet is None or overload._overloadname not in packet.overloads():
        return None
    pure = getattr(packet, overload._overloadname)
    given = [argument.name for argument in overload._schema.arguments]
    return pure if [argument.name for argument in pure._schema.arguments] == given else None


def updates_statistics(node: torch.fx.Node) -> bool:
    """Whether a node is a normalisation in training mode, which writes running statistics though no schema says so."""
    if node.target is _aten.batch_norm.default:
        return bool(_argument(node, 5)) and _argument(node, 3) is not None
    if node.target is _aten.instance_norm.default:
        return bool(_argument(node, 5)) and _argument(node, 3) is not None
    return False


def _argument(node: torch.fx.Node, index: int) -> Any:
    if index < len(node.args):
        return node.args[index]
    return node.kwargs.get(node.target._schema.arguments[index].name)  # type: ignore[union-attr]


def needs_functionalization(module: torch.fx.GraphModule, kept: frozenset[str], *, body: bool = False) -> bool:
    """Whether a graph, or a body in it, has what cannot be walked as it is.

    That is a write which is not as good as a pure operator, and the regions of autocast and vmap, whose operators do
    not do what they say.

    Args:
        module: the graph.
        kept: names of the placeholders that count as used at the end (buffers).
        body: the graph belongs to a control-flow operator, and what it writes into its arguments is seen outside.
    """
    for child in module.children():
        if isinstance(child, torch.fx.GraphModule):
            names = frozenset(node.name for node in child.graph.nodes if node.op == "placeholder")
            if needs_functionalization(child, names, body=True):
                return True
    storages = _Storages(module.graph)
    return any(
        updates_statistics(node)
        or _runs_otherwise(node)
        or (_is_write(node) and not _is_plain(node, storages, kept, body))
        for node in module.graph.nodes
    )


def _runs_otherwise(node: torch.fx.Node) -> bool:
    """Whether a node says how others run: inside of autocast, whose casts are not in the program, or of vmap."""
    target: Any = node.target
    if isinstance(target, HigherOrderOperator):
        return target.name() == "wrap_with_autocast" and node.args[2] is not False
    return getattr(target, "__module__", None) == _VMAP


def _is_write(node: torch.fx.Node) -> bool:
    target: Any = node.target
    return isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable and not _only_detaches(target)


def _is_plain(node: torch.fx.Node, storages: _Storages, kept: frozenset[str], body: bool) -> bool:
    """Whether a write is the pure operator with all later uses reading its result."""
    written = node.args[0] if node.args else None
    if functional_form(node.target) is None or _writes_more(node.target) or not isinstance(written, torch.fx.Node):
        return False
    tensor = storages.same_tensor(written)
    if body and tensor.op == "placeholder":
        return False
    for other in storages.sharing(written):
        if storages.same_tensor(other) is not tensor and (
            (other.op == "placeholder" and other.name in kept) or storages.used_after(other, node)
        ):
            return False
    return True


def _only_detaches(overload: Any) -> bool:
    return overload is _aten.detach_.default


def _writes_more(overload: Any) -> bool:
    """Whether an operator writes into anything but its first argument."""
    written = [
        argument.alias_info is not None and argument.alias_info.is_write for argument in overload._schema.arguments
    ]
    return written[0] is False or any(written[1:])


class _Storages:
    """Which nodes of a graph may share memory, and which of them are one and the same tensor."""

    def __init__(self, graph: torch.fx.Graph) -> None:
        self._position = {node: position for position, node in enumerate(graph.nodes)}
        self._root: dict[torch.fx.Node, torch.fx.Node] = {}
        self._tensor: dict[torch.fx.Node, torch.fx.Node] = {}
        self._members: dict[torch.fx.Node, list[torch.fx.Node]] = {}
        for node in graph.nodes:
            self._add(node)

    def _add(self, node: torch.fx.Node) -> None:
        roots = {self._root[source] for source in _sources(node)}
        root = min(roots, key=self._position.__getitem__) if roots else node
        for other in roots - {root}:
            for member in self._members.pop(other):
                self._root[member] = root
                self._members[root].append(member)
        self._root[node] = root
        self._members.setdefault(root, []).append(node)
        target: Any = node.target
        if isinstance(target, torch._ops.OpOverload) and target._schema.is_mutable and node.args:
            first = node.args[0]
            if isinstance(first, torch.fx.Node):
                self._tensor[node] = self.same_tensor(first)

    def used_after(self, node: torch.fx.Node, moment: torch.fx.Node) -> bool:
        """Whether a node is used by one behind `moment`."""
        return any(self._position[user] > self._position[moment] for user in node.users)

    def same_tensor(self, node: torch.fx.Node) -> torch.fx.Node:
        """Return the node that first stood for the tensor of a node."""
        return self._tensor.get(node, node)

    def sharing(self, node: torch.fx.Node) -> list[torch.fx.Node]:
        """Return the nodes that may share memory with a node, itself included."""
        return self._members[self._root[node]]


def _sources(node: torch.fx.Node) -> list[torch.fx.Node]:
    """Return the arguments of a node with which its result may share memory."""
    target: Any = node.target
    if node.op != "call_function":
        return []
    if not isinstance(target, torch._ops.OpOverload):
        # An element of a list, and whatever a control-flow operator hands on.
        return list(node.all_input_nodes)
    schema = target._schema
    if schema.name in _MAY_BE_ARGUMENT:
        return list(node.all_input_nodes)
    if not any(result.alias_info is not None for result in schema.returns):
        return []
    found = []
    for index, argument in enumerate(schema.arguments):
        if argument.alias_info is not None:
            value = node.args[index] if index < len(node.args) else node.kwargs.get(argument.name)
            if isinstance(value, torch.fx.Node):
                found.append(value)
            elif isinstance(value, (list, tuple)):
                found.extend(item for item in value if isinstance(item, torch.fx.Node))
    return found
