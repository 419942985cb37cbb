# SPDX-License-Identifier: Apache-2.0
"""Constant folding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass, option
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    from ..pipeline.note import Note
    from ..pipeline.work import Work


@a_pass("fold-constants", requires=(Fact.ONNX,))
class FoldConstants:
    """Compute what does not depend on the inputs, and store the result.

    Why: models compute masks, positions and sizes from constants, and every run would compute them again.

    Folded are nodes whose inputs are all constant, in subgraphs too; Shape and Size of static dimensions, and vectors
    put together from shapes as soon as every element is known; and If with a constant condition, whose branch takes
    its place. A Reshape to a computed shape gets a constant one where that says the same. Constant nodes become
    initializers, which need no kernel.

    Transposing, reshaping, slicing and splitting a weight makes a view of the user's memory under the weight's name
    (`layer.weight.T`), with no copy; other operators on large weights are computed while the file is written. With
    `weights = false` weights are left as they are, which recipes choose where somebody feeds them at run time. So it is
    in every export for training, where a folded weight would no longer be the one that is trained.

    What the body of a function does to its weights alone is done before its calls, where the weights are known, unless
    the weight is used in its own form too.

    Declines when: the result, or what would be stored anew of a weight that is used elsewhere as well, is larger than
    the inputs it replaces by more than `size_limit` bytes; the operator draws random numbers; it quantizes (the
    pattern is what runtimes look for), or computes with a weight of a type of 8 bits or fewer, which would be stored
    unpacked and wider; there is no evaluator for it.

    Before::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 3, 4] x) => (float[N, 12] y, float[N, 12] z)
        <int64[1] zero = {0}, int64[1] rest = {12}, float[12, 1] weight = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}>
        {
            shape = Shape(x)
            batch = Gather(shape, zero)
            target = Concat<axis = 0>(batch, rest)
            y = Reshape(x, target)
            turned = Transpose<perm = [1, 0]>(weight)
            z = Add(y, turned)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 3, 4] x) => (float[N, 12] y, float[N, 12] z)
        <int64[1] zero = {0}, int64[1] rest = {12}, float[12, 1] weight = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12},
         int64[2] static = {-1, 12}, float[1, 12] weight_T = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}>
        {
            shape = Shape(x)
            batch = Gather(shape, zero)
            target = Concat<axis = 0>(batch, rest)
            y = Reshape(x, static)
            z = Add(y, weight_T)
        }
    """

    size_limit: int = option(
        1 << 20,
        help="Bytes by which one folded result may be larger than the constants it replaces.",
        at_least=0,
    )
    weights: bool = option(True, help="Fold operators on the user's weights too, not on other constants alone.")

    def run(self, work: Work, note: Note) -> None:
        """Walk every graph once, in order of computation."""
        from lading.passes.tidying.folding import Folding

        model = work.model
        assert model is not None
        weights = self.weights and not getattr(work.values.get(Fact.ARGUMENTS), "trains", False)
        Folding(model, work.target.opset, note, size_limit=self.size_limit, weights=weights).run()
