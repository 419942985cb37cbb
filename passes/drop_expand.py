# SPDX-License-Identifier: Apache-2.0
"""Broadcasting that the operators after it do by themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    from ..pipeline.note import Note
    from ..pipeline.work import Work


@a_pass("drop-expand", requires=(Fact.ONNX,), after=("fold-constants", "drop-identity", "merge-chains"))
class DropExpand:
    """Remove what only repeats elements, before operators that broadcast.

    Why: an expanded tensor is written to memory and read again, where a broadcasting operator reads the small one.

    Gone are, before elementwise operators and MatMul: Expand; Unsqueeze of leading axes; And with what is true
    everywhere, Or with what is false everywhere, and Where whose condition is one of the two. Gone everywhere are
    Gather and GatherND whose indices count through whole axes, as masks made by `vmap` index: the data is unsqueezed
    in their place. True everywhere are constants, and comparisons of positions (a Range from zero) with zero.

    It is right at every size: an operator does without the expansion only if its result has each size from another
    operand, by number or by name.

    Declines when: a result's size would be lost; an operand's or result's shape is not known.

    Before::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4] x, bool[N, 4] mask) => (float[N, 4] y)
        <int64[2] size = {1, 4}, int64 zero = {0}, int64 one = {1}, int64[1] at = {1}, int64 first = {0},
         int64[1] last = {2}, int64 four = {4}, float[1] low = {-9}>
        {
            lows = Expand(low, size)
            shape = Shape(x)
            batch = Gather(shape, zero)
            rows = Range(zero, batch, one)
            columns = Range(zero, four, one)
            row = Unsqueeze(rows, at)
            whole = Expand(row, shape)
            across = Expand(columns, shape)
            left = Unsqueeze(whole, last)
            right = Unsqueeze(across, last)
            index = Concat<axis = 2>(left, right)
            picked = GatherND(mask, index)
            y = Where(picked, x, lows)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4] x, bool[N, 4] mask) => (float[N, 4] y)
        <int64[2] size = {1, 4}, int64 zero = {0}, int64 one = {1}, int64[1] at = {1}, int64 first = {0},
         int64[1] last = {2}, int64 four = {4}, float[1] low = {-9}>
        {
            y = Where(mask, x, low)
        }
    """

    def run(self, work: Work, note: Note) -> None:
        """Visit each node once, in order; what it leaves without a use goes at the end."""
        from lading.passes.tidying.broadcasts import Broadcasts

        model = work.model
        assert model is not None
        Broadcasts(model, work.target.opset, note).run()
