# SPDX-License-Identifier: Apache-2.0
"""BatchNormalization folded into the linear operator before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    from ..pipeline.note import Note
    from ..pipeline.work import Work


@a_pass("fold-batch-norm", requires=(Fact.ONNX,), after=("fold-constants", "drop-identity"))
class FoldBatchNorm:
    """Fold BatchNormalization into the Conv, ConvTranspose, Gemm or MatMul before it.

    Why: at inference it is a scale and a shift for each channel, and a linear operator can do both for nothing. The
    folded weight keeps the name of the weight. It is computed in double precision, by rows, while the file is written:
    the model never holds a second copy of its weights.

    Declines when: the export is for training, where each weight is to stay what is trained (a frozen normalisation
    too); the normalisation is in training form; its input is used elsewhere or is a graph output; a weight,
    bias or statistic is not a constant; the weight is used elsewhere; a MatMul or Gemm bias has no channel axis.

    Before::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 1, 4] x) => (float[N, 2, 4] y)
        <float[2, 1, 1] weight = {1, 2}, float[2] weight_scale = {4, 8}, float[2] weight_shift = {1, 2},
         float[2] weight_mean = {3, 3}, float[2] weight_var = {3, 3}>
        {
            c = Conv(x, weight)
            y = BatchNormalization<epsilon = 1.0>(c, weight_scale, weight_shift, weight_mean, weight_var)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 1, 4] x) => (float[N, 2, 4] y)
        <float[2, 1, 1] weight = {2, 8}, float[2] weight_scale = {4, 8}, float[2] weight_shift = {-5, -10},
         float[2] weight_mean = {3, 3}, float[2] weight_var = {3, 3}>
        {
            y = Conv(x, weight, weight_shift)
        }
    """

    def run(self, work: Work, note: Note) -> None:
        """Visit each normalisation once, in order."""
        from lading.passes.tidying.batch_norms import fold
        from lading.passes.tidying.graph_edits import all_graphs

        model = work.model
        assert model is not None
        trains = getattr(work.values.get(Fact.ARGUMENTS), "trains", False)
        for graph in all_graphs(model):
            for node in graph:
                if node.op_type == "BatchNormalization" and node.domain in ("", "ai.onnx"):
                    reason = "the export is for training" if trains else fold(model, node, note)
                    if reason is not None:
                        note.declined(node, reason)
