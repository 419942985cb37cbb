# SPDX-License-Identifier: Apache-2.0
"""Where a node came from: the module and source line of the user's, and the steps that made it what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import onnx_ir as ir

META_KEY = "lading.origin"


@attrs.frozen(eq=False)
class ModuleCall:
    """One call of a module in one run of the model: the module, and the call that it happened in (None for the first).

    `module`, `module_class` and `source`, the line of the caller, are as in `Origin`. A module that runs twice has two
    calls, which are told apart by identity.
    """

    module: str
    module_class: str
    source: str = ""
    outer: ModuleCall | None = None


@attrs.frozen
class Origin:
    """The history of one node.

    `module` is the dotted path of the module that called the operator ("" for the root), `module_class` its class,
    `source` "relative/path.py:123", and `passes` the ids of the steps that made the node, oldest first.  `call` is the
    module call that the operator ran in.  `numbers` is the number that the run gave to the node; on a new node, those
    of the nodes that it was made from.  Neither takes part in comparisons.
    """

    module: str = ""
    module_class: str = ""
    source: str = ""
    passes: tuple[str, ...] = ()
    numbers: tuple[int, ...] = attrs.field(default=(), eq=False)
    call: ModuleCall | None = attrs.field(default=None, eq=False, repr=False)

    def numbered(self, number: int, step: str | None = None) -> Origin:
        """The same origin as that of the node `number`, with `step` as the latest of `passes`."""
        passes = self.passes
        if step is not None and passes[-1:] != (step,):
            passes = (*passes, step)
        return Origin(self.module, self.module_class, self.source, passes, (number,), self.call)

    def __str__(self) -> str:
        place = self.module or "the root module"
        return f"{place} ({self.source})" if self.source else place


NOWHERE = Origin()


def origin_of(node: ir.Node) -> Origin | None:
    """The origin kept on `node`, or None."""
    origin: Origin | None = node.meta.get(META_KEY)
    return origin


def came_from(made: ir.Node, *sources: ir.Node) -> None:
    """Say that a new node was made from `sources`: one that merges, fuses or replaces them.

    Module, class and source line are those of the first source that has any; every source is on record.
    """
    origins = [origin for origin in map(origin_of, sources) if origin is not None]
    if origins:
        numbers = dict.fromkeys(number for origin in origins for number in origin.numbers)
        first = next((origin for origin in origins if origin != NOWHERE), origins[0])
        set_origin(made, attrs.evolve(first, numbers=tuple(numbers)))


def set_origin(node: ir.Node, origin: Origin) -> None:
    """Keep `origin` on `node`, in memory; what of it goes into the file is the business of serialize."""
    node.meta[META_KEY] = origin
