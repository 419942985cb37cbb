# SPDX-License-Identifier: Apache-2.0
"""Where a node came from: the module and source line of the user's, and the steps that made it what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import onnx_ir as ir

META_KEY = "lading.origin"


@attrs.frozen
class Origin:
    """The history of one node.

    `module` is the dotted path of the module that called the operator ("" for the root), `module_class` its class,
    `source` "relative/path.py:123", and `passes` the ids of the steps that made the node, oldest first.
    """

    module: str = ""
    module_class: str = ""
    source: str = ""
    passes: tuple[str, ...] = ()

    def through(self, step: str) -> Origin:
        """The same origin, with `step` as the latest of `passes`."""
        if self.passes and self.passes[-1] == step:
            return self
        return Origin(self.module, self.module_class, self.source, (*self.passes, step))

    def __str__(self) -> str:
        place = self.module or "the root module"
        return f"{place} ({self.source})" if self.source else place


NOWHERE = Origin()


def origin_of(node: ir.Node) -> Origin | None:
    """The origin kept on `node`, or None."""
    origin: Origin | None = node.meta.get(META_KEY)
    return origin


def set_origin(node: ir.Node, origin: Origin) -> None:
    """Keep `origin` on `node`, in memory; what of it goes into the file is the business of serialize."""
    node.meta[META_KEY] = origin
