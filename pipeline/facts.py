# SPDX-License-Identifier: Apache-2.0
"""The facts that passes require and provide: a short, closed list from which the order of a plan follows."""

from __future__ import annotations

import enum


class Fact(enum.Enum):
    """Something that is true of the work in progress once the pass that provides it has run."""

    ARGUMENTS = "arguments"
    GRAPH = "graph"
    FLAT = "flat"
    LOWERED = "lowered"
    ONNX = "onnx"
    INITIALIZERS = "initializers"
    AXES = "axes"
    FILE = "file"
    VERIFIED = "verified"

    @property
    def meaning(self) -> str:
        """One sentence that says what holds."""
        return _MEANINGS[self]

    def __str__(self) -> str:
        return self.value


_MEANINGS = {
    Fact.ARGUMENTS: "The call is understood: flat tensor inputs with names and axes, baked values, output names, mode.",
    Fact.GRAPH: "The model is a flat ATen-dialect graph, and each node knows the module call that it ran in.",
    Fact.FLAT: "The modules that the recipe preserves are functions, and all other calls are flat.",
    Fact.LOWERED: "Every operator that lading can express at the target opset is written in ONNX operators.",
    Fact.ONNX: "No ATen-dialect node is left, except those that the operator export type keeps on purpose.",
    Fact.INITIALIZERS: "Weights are initializers or inputs, as asked, under their state_dict names, with sharing kept.",
    Fact.AXES: "Inputs and outputs carry the asked names and axes, and no requested axis was fixed unnoticed.",
    Fact.FILE: "The model is written, whole, where it was asked for, or held in memory if no file was asked for.",
    Fact.VERIFIED: "The written model was run and compared with the PyTorch model, and agreed.",
}
