# SPDX-License-Identifier: Apache-2.0
"""Tensors from before the export that the model has made itself: in an earlier call, from the inputs of that call.

Such a tensor (a mask made for the first length that came, a table that grows) is a constant of the graph, and the graph
owes its shape or its values to a call that nobody sees any more. That a tensor is one of those shows where the model's
code makes another one in its place: in a recording of one side of a decision on sizes, or once it has been taken away.
A tensor that the model does not make again, if it misses it, is a constant of the model like a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING

import attrs
from lading.passes.trace.capture import Capture, Held, Remade
from lading.pipeline.errors import CaptureError, LadingError

if TYPE_CHECKING:
    import onnx_ir as ir
    from lading.passes.signature.arguments import Arguments

Record = Callable[["Arguments"], tuple["ir.Model", Capture]]

_TRIES = 4
"""How many recordings may show which tensors the model makes again."""
_LIKE = ("full_like", "zeros_like", "ones_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty")
_READS_SIZES = frozenset({"sym_size", "size", "sym_numel", "numel", *_LIKE})
"""Operators that take nothing of their tensor but its sizes."""


@attrs.frozen
class Earlier:
    """A tensor of the graph that the model has made in an earlier call.

    Attributes:
        held: the tensor.
        remade: what the model makes in its place in this call.
    """

    held: Held
    remade: Remade

    @property
    def why(self) -> str:
        """What of it depends on which part of an earlier input, in words; "" where nothing does."""
        shape = ", ".join(map(str, self.remade.shape))
        if self.remade.values:
            return f"the model makes it from the values of its inputs (here {_tuple(shape)})"
        if self.remade.sizes or self.remade.shape != self.held.shape:
            before = _tuple(", ".join(map(str, self.held.shape)))
            return f"the model makes it for the sizes of its inputs: {before} in an earlier call, {_tuple(shape)} here"
        return ""


def _tuple(sizes: str) -> str:
    return f"shape ({sizes})"


def reads(value: ir.Value, inputs: Collection[ir.Value]) -> tuple[bool, bool]:
    """Return whether a value depends on the sizes of inputs, and whether on their values."""
    known = set(inputs)
    if value in known:
        return False, True
    sizes = values = False
    waiting = [value.producer()]
    seen = set(waiting)
    while waiting:
        node = waiting.pop()
        if node is None:
            continue
        for one in (*node.inputs, *_read_by_bodies(node)):
            if one in known:
                sizes = sizes or node.op_type in _READS_SIZES
                values = values or node.op_type not in _READS_SIZES
            elif one is not None and one.producer() not in seen:
                seen.add(one.producer())
                waiting.append(one.producer())
    return sizes, values


def _read_by_bodies(node: ir.Node) -> Iterable[ir.Value | None]:
    for attribute in node.attributes.values():
        for body in attribute.as_graphs() if attribute.type.name == "GRAPHS" else _graph_of(attribute):
            for inner in body.all_nodes():
                yield from inner.inputs
            yield from body.outputs


def _graph_of(attribute: ir.Attr) -> Iterable[ir.Graph]:
    return (attribute.as_graph(),) if attribute.type.name == "GRAPH" else ()


class EarlierState:
    """Finds the tensors of a recorded graph that the model makes itself; it records the model once to tell.

    Args:
        record: records the model anew, without some of these tensors.
    """

    def __init__(self, record: Record) -> None:
        self._record = record
        self._made: dict[tuple[frozenset[str], frozenset[str]], dict[str, Remade]] = {}

    def of(self, arguments: Arguments, capture: Capture) -> list[Earlier]:
        """Return these tensors in the order of the graph.

        Args:
            arguments: what was recorded.
            capture: what is known of the graph.
        """
        held = {one.path: one for one in capture.held.values()}
        remade = {path: capture.remade[path] for path in held if path in capture.remade}
        for paths in _groups(path for path in held if path not in remade)[:_TRIES]:
            key = arguments.forgotten, paths
            if key not in self._made:
                self._made[key] = _made_again(arguments, paths, self._record)
            remade.update(self._made[key])
        return [Earlier(one, remade[path]) for path, one in held.items() if path in remade]


def _groups(paths: Iterable[str]) -> list[frozenset[str]]:
    """Return paths in groups to be taken away together: all of them, and where that is more, those of equal names."""
    by_name: dict[str, set[str]] = {}
    for path in paths:
        by_name.setdefault(path.rpartition(".")[2], set()).add(path)
    groups = [frozenset(group) for group in by_name.values()]
    return groups if len(groups) < 2 else [frozenset().union(*groups), *groups]


def _made_again(arguments: Arguments, paths: frozenset[str], record: Record) -> dict[str, Remade]:
    """Return what the model puts in the places of tensors that are taken away; nothing where it fails without them."""
    try:
        _, capture = record(attrs.evolve(arguments, forgotten=arguments.forgotten | paths))
    except LadingError:
        return {}
    return {path: made for path, made in capture.remade.items() if path in paths}


def refused(found: Collection[Earlier]) -> CaptureError:
    """Return the error for a recipe in which no tensor of the graph may come from an earlier call."""
    lines = [f"{one.held.words}: {one.why}" for one in found]
    return CaptureError(
        f"the model holds {len(found)} tensor{'s' if len(found) > 1 else ''} that an earlier call has made\n  "
        + "\n  ".join(lines),
        where=found[0].held.path if isinstance(found, list) else None,
        hint="export the model before its first call, or set trace.earlier_state to 'renew' to record it as though it "
        "had not been called, or to 'warn' to keep what the earlier call has made",
    )
