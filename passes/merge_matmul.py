# SPDX-License-Identifier: Apache-2.0
"""Products of flattened tensors made products of the tensors themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    from ..pipeline.note import Note
    from ..pipeline.work import Work


@a_pass(
    "merge-matmul",
    requires=(Fact.ONNX,),
    after=("fold-constants", "drop-identity", "fold-batch-norm", "merge-chains"),
)
class MergeMatmul:
    """Make a MatMul of a Gemm or MatMul between two reshapes that flatten the leading axes and bring them back.

    Why: `addmm` takes matrices, so modules flatten batch and sequence around it (GPT-2 does in every layer), and the
    way back has to read the sizes. MatMul takes any number of leading axes.

    A bias becomes an Add. A weight that Gemm would transpose is stored as MatMul wants it, as a view of the user's
    memory that is written once.

    Declines when: the product between the reshapes has other uses; the leading sizes do not come back as they were;
    Gemm scales, transposes its first operand, or adds something other than one number for each column; a weight to be
    transposed is not a constant, is used elsewhere, so that it would be stored twice, or is to be trained.

    Before::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4, 3] x) => (float[N, 4, 2] y)
        <int64[2] flat = {-1, 3}, int64[3] back = {-1, 4, 2}, float[2, 3] weight = {1, 2, 3, 4, 5, 6},
         float[2] weight_bias = {1, 2}>
        {
            rows = Reshape(x, flat)
            product = Gemm<transB = 1>(rows, weight, weight_bias)
            y = Reshape(product, back)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4, 3] x) => (float[N, 4, 2] y)
        <int64[2] flat = {-1, 3}, int64[3] back = {-1, 4, 2}, float[2] weight_bias = {1, 2},
         float[3, 2] weight_T = {1, 4, 2, 5, 3, 6}>
        {
            product = MatMul(x, weight_T)
            y = Add(product, weight_bias)
        }
    """

    def run(self, work: Work, note: Note) -> None:
        """Visit each product once, in order."""
        from lading.passes.tidying.flattened_products import merge
        from lading.passes.tidying.rewriting import Rewriting

        model = work.model
        assert model is not None
        trains = getattr(work.values.get(Fact.ARGUMENTS), "trains", False)
        rewriting = Rewriting(model, work.target.opset)
        for node in rewriting.nodes():
            if node.op_type in ("Gemm", "MatMul"):
                reason = merge(rewriting, node, note, may_turn=not trains)
                if reason is not None:
                    note.declined(node, reason)
