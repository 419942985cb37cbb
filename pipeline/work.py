# SPDX-License-Identifier: Apache-2.0
"""What passes work on: the target, the request, the graph in progress and the value of each fact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import attrs

from .errors import InternalError
from .facts import Fact

if TYPE_CHECKING:
    import onnx_ir as ir


@attrs.frozen
class Target:
    """The operator sets to deliver: the default domain's version, and the version of each domain of the user's."""

    opset: int
    custom_opsets: Mapping[str, int] = attrs.field(factory=dict)


@attrs.define(kw_only=True)
class Work:
    """One export in progress.

    `request` is whatever the caller wants exported, opaque to the engine.  `model` is the graph, None until a pass
    captures it.  `values` holds what passes hand to later passes, one value a fact.
    """

    target: Target
    request: Any = None
    model: ir.Model | None = None
    values: dict[Fact, Any] = attrs.field(factory=dict)

    def provide(self, fact: Fact, value: Any) -> None:
        """Hand `value` to the passes that require `fact`."""
        self.values[fact] = value

    def need(self, fact: Fact) -> Any:
        """The value of `fact`.

        Raises:
            InternalError: nothing provided it, which a plan rules out for a pass that declares what it requires.
        """
        try:
            return self.values[fact]
        except KeyError:
            raise InternalError(
                f"no value for the fact '{fact}'", hint=f"the pass must declare requires=(Fact.{fact.name},)"
            ) from None

    def need_model(self) -> ir.Model:
        """The graph in progress.

        Raises:
            InternalError: no pass has captured it yet.
        """
        if self.model is None:
            raise InternalError(
                "there is no graph yet", hint=f"the pass must declare requires=(Fact.{Fact.GRAPH.name},)"
            )
        return self.model
