# SPDX-License-Identifier: Apache-2.0
"""The lower pass: ATen operators become ONNX operators of the target opset."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...pipeline.declare import a_pass, option
from ...pipeline.errors import UsageError
from ...pipeline.facts import Fact
from .registry import OLDEST_OPSET

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
    by_parts: tuple[str, ...] = option(
        (),
        help="ONNX operators to write with what older opsets have, for runtimes that lag, as patterns: "
        "'LayerNormalization', '*Normalization', 'Gelu', 'Attention'.",
    )

    translations: Any = option(
        None,
        help="Functions that go before every lowering, as custom_translation_table of the modern exporter has them.",
        in_recipe=False,
    )

    def run(self, work: Work, note: Note) -> None:
        """Replace the graph by its lowered form."""
        from .graph import lower_model
        from .session import Manner
        from .translations import Translations

        self._check_parts()
        manner = Manner(None if self.kernels == "any" else self.kernels, self.leave, self.by_parts)
        table = None if not self.translations else Translations(self.translations)
        work.model = lower_model(work.need_model(), work.target, note, manner, table)

    def _check_parts(self) -> None:
        """Refuse a name in `by_parts` that no operator newer than the oldest opset has."""
        import difflib

        from .schemas import newer_than
        from .session import matches_any

        newer = newer_than(OLDEST_OPSET)
        for pattern in self.by_parts:
            if not any(matches_any(name, [pattern]) for name in newer):
                close = difflib.get_close_matches(pattern, newer, 1)
                raise UsageError(
                    f"lower.by_parts has '{pattern}', which is no operator that came after opset {OLDEST_OPSET}",
                    hint=f"did you mean '{close[0]}'?" if close else "name operators of ONNX, like 'Gelu'",
                )
