# SPDX-License-Identifier: Apache-2.0
"""A pass of one's own: turn the logits of an output into probabilities.

It can be inserted in three ways:

- from Python: ``lading.export(..., passes=[SoftmaxHead()])``;
- by a recipe file: ``with_softmax.toml`` beside this file names it as a step;
- by its name, from any recipe, once this folder is installed: ``pyproject.toml`` declares the entry point.
"""

from __future__ import annotations

import onnx_ir as ir

import lading
from lading import Fact, Note, Work


@lading.a_pass("softmax-head", requires=(Fact.ONNX,), before=("name-values",))
class SoftmaxHead:
    """Append a softmax to an output.

    Why: who runs the file then gets probabilities, and need not know that the model ends in logits.
    Declines when: no output has the name, or the output is not floating point.
    """

    output: str = lading.option("", help="The output to turn into probabilities; the first one where empty.")
    axis: int = lading.option(-1, help="The axis of the classes.")

    def run(self, work: Work, note: Note) -> None:
        """Rewire the output through a Softmax node."""
        graph = work.need_model().graph
        names = [value.name for value in graph.outputs]
        position = names.index(self.output) if self.output in names else 0
        if self.output and self.output not in names:
            note.declined(self.output, "the graph has no such output")
            return
        logits = graph.outputs[position]
        if logits.dtype is None or not logits.dtype.is_floating_point():
            note.declined(logits.name or "an output", "its values are not floating point")
            return
        softmax = ir.node("Softmax", [logits], {"axis": self.axis})
        probabilities = softmax.outputs[0]
        probabilities.name, logits.name = logits.name, None
        probabilities.type, probabilities.shape = logits.type, logits.shape
        graph.append(softmax)
        graph.outputs[position] = probabilities
        note.count("heads added")
