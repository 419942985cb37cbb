# SPDX-License-Identifier: Apache-2.0
"""Attention as one operator of ONNX Runtime's own domain: ``passes=[VendorAttention()]``."""

from __future__ import annotations

import onnx_ir as ir

import lading
from lading import Fact, Note, Work, came_from


@lading.a_pass("vendor-attention", requires=(Fact.ONNX,), after=("fold-constants",), before=("infer-shapes",))
class VendorAttention:
    """Replace MatMul, Softmax, MatMul over heads by com.microsoft::MultiHeadAttention.

    Why: the runtime has a kernel for the whole, which never writes the scores to memory.
    Declines when: something stands between the products and the softmax (a mask), the scores are used elsewhere, or
    the number of heads or their size is not known.
    """

    def run(self, work: Work, note: Note) -> None:
        model = work.need_model()
        for softmax in [node for node in model.graph if node.op_type == "Softmax"]:
            found = self._match(softmax)
            if isinstance(found, str):
                note.declined(softmax, found)
                continue
            scores, product = found
            self._replace(model.graph, scores, softmax, product)
            model.graph.opset_imports["com.microsoft"] = 1
            note.count("attentions replaced")

    def _match(self, softmax: ir.Node) -> tuple[ir.Node, ir.Node] | str:
        if softmax.attributes.get_int("axis", -1) not in (-1, 3):
            return "the softmax is not over the keys"
        scores = softmax.inputs[0].producer()
        users = softmax.outputs[0].consumers()
        if scores is None or scores.op_type != "MatMul":
            return "something stands between the scores and the softmax"
        if len(users) != 1 or users[0].op_type != "MatMul" or users[0].inputs[0] is not softmax.outputs[0]:
            return "the softmax is not multiplied by values"
        if len(scores.outputs[0].consumers()) != 1 or scores.outputs[0].is_graph_output():
            return "the scores are used elsewhere"
        for value in (*scores.inputs, users[0].inputs[1]):
            shape = None if value is None else value.shape
            if shape is None or len(shape) != 4 or not isinstance(shape[1], int):
                return "the number of heads is not known"
        if not (isinstance(scores.inputs[0].shape[3], int) and isinstance(users[0].inputs[1].shape[3], int)):
            return "the size of a head is not known"
        return scores, users[0]

    def _replace(self, graph: ir.Graph, scores: ir.Node, softmax: ir.Node, product: ir.Node) -> None:
        heads = int(scores.inputs[0].shape[1])
        nodes: list[ir.Node] = []

        def add(op_type: str, inputs: list[ir.Value], attributes: dict | None = None, domain: str = "") -> ir.Value:
            nodes.append(ir.node(op_type, inputs, attributes or {}, domain=domain))
            came_from(nodes[-1], scores, softmax, product)
            return nodes[-1].outputs[0]

        def ints(*numbers: int) -> ir.Value:
            return add("Constant", [], {"value": ir.tensor(numbers, dtype=ir.DataType.INT64)})

        def rows(value: ir.Value, perm: list[int]) -> ir.Value:
            # [batch, heads, length, size] in any order of axes, to [batch, length, heads * size]
            size, maker = int(value.shape[perm[3]]), value.producer()
            if maker is not None and maker.op_type == "Transpose":
                before = maker.attributes.get_ints("perm")
                if [before[axis] for axis in perm] == [0, 1, 2, 3]:
                    return add("Reshape", [maker.inputs[0], ints(0, 0, heads * size)])
            return add("Reshape", [add("Transpose", [value], {"perm": perm}), ints(0, 0, heads * size)])

        query, key = scores.inputs
        value = product.inputs[1]
        attention = add(
            "MultiHeadAttention",
            [rows(query, [0, 2, 1, 3]), rows(key, [0, 3, 1, 2]), rows(value, [0, 2, 1, 3])],
            # The graph has scaled its queries itself.
            {"num_heads": heads, "scale": 1.0},
            domain="com.microsoft",
        )
        split = add("Reshape", [attention, ints(0, 0, heads, int(value.shape[3]))])
        result = add("Transpose", [split], {"perm": [0, 2, 1, 3]})
        old = product.outputs[0]
        result.type, result.shape, result.name = old.type, old.shape, old.name
        old.name = None
        graph.insert_before(product, nodes)
        old.replace_all_uses_with(result, replace_graph_outputs=True)
        graph.remove([product, softmax, scores], safe=True)
