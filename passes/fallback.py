# SPDX-License-Identifier: Apache-2.0
"""The fallback pass: what to do with the operators that have no lowering."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass, option
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    from ..pipeline.note import Note
    from ..pipeline.work import Work


@a_pass("fallback", requires=(Fact.LOWERED,), provides=(Fact.ONNX,), closes=(Fact.LOWERED,))
class Fallback:
    """Expand or keep the operators that lowering left, or report them all.

    Why: an operator that ONNX lacks can still be exported, as its parts or as a custom operator, but only in the open.
    Each operator that is left is first expanded by its PyTorch decomposition, whose parts are lowered.  What remains
    follows the operator export type, as documented for ``torch.onnx.OperatorExportTypes``: ``onnx`` fails and lists
    every operator with its places; ``fallthrough`` keeps them as custom operators of their own domain; ``aten`` and
    ``aten-fallback`` write them as ``org.pytorch.aten::ATen`` with ``operator`` and ``overload_name``.

    Declines when: nothing was left.
    """

    operator_export_type: str = option(
        "onnx",
        help="What becomes of operators that cannot be expressed. With 'aten', lower must leave everything ('*').",
        choices=("onnx", "fallthrough", "aten", "aten-fallback"),
    )
    decompose: bool = option(True, help="Expand an operator by its PyTorch decomposition before giving it up.")

    def run(self, work: Work, note: Note) -> None:
        """Leave no ATen-dialect node behind, except those that the export type keeps."""
        from lading.passes.lower.leftovers import settle

        # Decomposing in 'aten' would undo what the type asks for: every operator as ATen.
        decompose = self.decompose and self.operator_export_type != "aten"
        settle(work.need_model(), work.target, note, self.operator_export_type, decompose=decompose)
