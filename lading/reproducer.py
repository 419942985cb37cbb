# SPDX-License-Identifier: Apache-2.0
"""What a failed export leaves to look at: the rest of the recipe, and the graph as the failing step found it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from .pipeline.errors import UsageError
from .pipeline.resolve import recipe_toml

if TYPE_CHECKING:
    import onnx_ir as ir

    from .pipeline.plan import Plan, PlanNode

# Weights above this size are left out of the kept graph: their shapes matter to a pass, their values seldom.
_KEPT_WEIGHT_BYTES = 4096


class ReproducerFolder:
    """Writes ``recipe.toml``, ``before.onnx`` and ``error.txt`` to a folder when a step fails.

    ``before.onnx`` is the graph before the failing step; weights above 4 KiB are inputs of it.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._kept: ir.Model | None = None

    def keep(self, model: ir.Model | None) -> None:
        """Take a copy of the graph; its weights stay where they are."""
        self._kept = None if model is None else model.clone()

    def write(self, plan: Plan, node: PlanNode, error: BaseException) -> Path | None:
        """Write the folder and return it.

        Raises:
            UsageError: the folder cannot be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            (self._folder / "recipe.toml").write_text(_rest_of(plan, node), encoding="utf-8")
            (self._folder / "error.txt").write_text(f"{type(error).__name__}: {error}\n", encoding="utf-8")
            if self._kept is not None:
                (self._folder / "before.onnx").write_bytes(_without_weights(self._kept))
        except OSError as problem:
            raise UsageError(f"the reproducer cannot be written: {problem}", where=str(self._folder)) from problem
        return self._folder


def _rest_of(plan: Plan, failing: PlanNode) -> str:
    data = plan.recipe.to_dict()
    for node in plan.nodes:
        if node.id == failing.id:
            break
        data["step"].pop(node.id, None)
        for step in node.steps:
            data["step"].pop(step.id, None)
    data["recipe"]["about"] = f"What was left of '{plan.recipe.name}' when step '{failing.id}' failed"
    return recipe_toml(data)


def _without_weights(model: ir.Model) -> bytes:
    import onnx_ir as ir

    graph = model.graph
    for name, value in list(graph.initializers.items()):
        if value.const_value is not None and value.const_value.nbytes > _KEPT_WEIGHT_BYTES:
            value.const_value = None
            del graph.initializers[name]
            graph.inputs.append(value)
    return ir.to_proto(model).SerializeToString(deterministic=True)
