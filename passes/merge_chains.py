# SPDX-License-Identifier: Apache-2.0
"""Consecutive operators of one kind made one, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    from ..pipeline.note import Note
    from ..pipeline.work import Work


_ROUNDS = 4


@a_pass("merge-chains", requires=(Fact.ONNX,), after=("fold-constants", "drop-identity"))
class MergeChains:
    """Merge consecutive operators that move, view or convert data, and cancel those that undo each other.

    Why: modules hand tensors to each other in the layout they like, and every hand-over leaves a pair behind.

    Merged or cancelled are: Transpose after Transpose, also where elementwise operators stand between them; Reshape,
    Flatten, Squeeze and Unsqueeze after one another; a Transpose that only moves axes of size one; Cast after a Cast
    that loses nothing; Slice after Slice; Pad after Pad of the same constant; Pad by zeros before Conv; Concat in
    Concat along the same axis; Not, Neg and Reciprocal's product: `x * (1 / y)` is `x / y`, `x + (-y)` is `x - y`.

    A shape is written with 0 (copy the input's size) and one -1 where sizes are free; the two are not mixed unless the
    model does so, because a runtime infers nothing from an empty tensor.

    Declines when: the first of two has other uses, and merging would do its work twice; sizes that have to be known
    are not; the output's name is the user's and needs a node that makes it.

    Before::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4, 6] x) => (float[N, 4, 6] y, float[N, 1, 1, 24] z)
        <int64[2] flat = {-1, 24}, int64[1] one = {1}, int64[1] two = {2}>
        {
            turned = Transpose<perm = [0, 2, 1]>(x)
            positive = Relu(turned)
            y = Transpose<perm = [0, 2, 1]>(positive)
            rows = Reshape(x, flat)
            deep = Unsqueeze(rows, one)
            deeper = Unsqueeze(deep, two)
            z = Exp(deeper)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4, 6] x) => (float[N, 4, 6] y, float[N, 1, 1, 24] z)
        <int64[2] flat = {-1, 24}, int64[1] one = {1}, int64[1] two = {2}, int64[4] shape = {-1, 1, 1, 24}>
        {
            y = Relu(x)
            rest = Reshape(x, shape)
            z = Exp(rest)
        }
    """

    def run(self, work: Work, note: Note) -> None:
        """Visit each node in order, again as long as merging makes new neighbours that merge."""
        from lading.passes.tidying.chains import MERGERS
        from lading.passes.tidying.rewriting import Rewriting

        model = work.model
        assert model is not None
        rewriting = Rewriting(model, work.target.opset)
        for _ in range(_ROUNDS):
            merged = 0
            for node in rewriting.nodes():
                op_type = node.op_type
                if any(merge(rewriting, node, note) for merge in MERGERS.get(op_type, ())):
                    note.count(f"merged {op_type}")
                    merged += 1
            if not merged:
                return
