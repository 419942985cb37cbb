# SPDX-License-Identifier: Apache-2.0
"""Probabilities or the number of the class in place of scores: ``passes=[AddHead(kind="argmax")]``."""

from __future__ import annotations

import onnx_ir as ir

import lading
from lading import Fact, Note, UsageError, Work


# Before 13, Softmax flattens its input: another operator.
@lading.a_pass("add-head", requires=(Fact.ONNX,), before=("name-values",), needs_opset=13)
class AddHead:
    """Append a softmax or an argmax to an output, which keeps its name.

    Why: who runs the file need not know that the model ends in scores.
    Declines when: the output is not floating point.
    """

    output: str = lading.option("", help="The output; the first one where empty.")
    kind: str = lading.option("softmax", choices=("softmax", "argmax"), help="What is appended.")
    axis: int = lading.option(-1, help="The axis of the classes.")

    def run(self, work: Work, note: Note) -> None:
        graph = work.need_model().graph
        names = [value.name for value in graph.outputs]
        if self.output and self.output not in names:
            raise UsageError(f"there is no output '{self.output}'", hint=f"one of: {', '.join(map(str, names))}")
        place = names.index(self.output) if self.output else 0
        scores = graph.outputs[place]
        if scores.dtype is None or not scores.dtype.is_floating_point():
            note.declined(str(scores.name), "its values are not floating point")
            return
        head = self._head(scores)
        result = head.outputs[0]
        result.name, scores.name = scores.name, None
        graph.append(head)
        graph.outputs[place] = result
        note.count("heads added")

    def _head(self, scores: ir.Value) -> ir.Node:
        if self.kind == "softmax":
            head = ir.node("Softmax", [scores], {"axis": self.axis})
            head.outputs[0].type, head.outputs[0].shape = scores.type, scores.shape
            return head
        head = ir.node("ArgMax", [scores], {"axis": self.axis, "keepdims": 0})
        head.outputs[0].dtype = ir.DataType.INT64
        if scores.shape is not None:
            dims = list(scores.shape)
            del dims[self.axis]
            head.outputs[0].shape = ir.Shape(dims)
        return head
