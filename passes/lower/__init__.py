# SPDX-License-Identifier: Apache-2.0
"""The lower pass: ATen operators become ONNX operators of the target opset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...pipeline.declare import a_pass, option
from ...pipeline.facts import Fact

if TYPE_CHECKING:
    from ...pipeline.note import Note
    from ...pipeline.work import Work


@a_pass("lower", requires=(Fact.FLAT,), provides=(Fact.LOWERED,), closes=(Fact.FLAT,))
class Lower:
    """Write every ATen operator as operators of the target opset.

    Why: a runtime knows ONNX, and of ONNX only the opset that the file states.  Each operator is written by the newest
    of its lowerings that the opset admits, and each ONNX operator in the spelling of that opset; both tables can be
    extended from outside.

    Declines when: an operator has no lowering, its lowering does not know one of the arguments, or the opset cannot
    say what is needed.  The node then stays as it is, with the reason, for the fallback pass.
    """

    kernels: str = option(
        "onnxruntime-cpu",
        help="Bridge by casts what this runtime has no kernel for; 'any' writes whatever ONNX admits.",
        choices=("onnxruntime-cpu", "any"),
    )

    leave: tuple[str, ...] = option(
        (), help="Operators to leave to the fallback pass, as patterns: 'aten::triu', 'aten::special_*', '*'."
    )

    translations: Any = option(
        None,
        help="Functions that go before every lowering, as custom_translation_table of the modern exporter has them.",
        in_recipe=False,
    )

    def run(self, work: Work, note: Note) -> None:
        """Replace the graph by its lowered form."""
        from .graph import lower_model
        from .translations import Translations

        table = None if not self.translations else Translations(self.translations)
        work.model = lower_model(work.need_model(), work.target, note, self.kernels, self.leave, table)
