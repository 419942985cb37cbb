# SPDX-License-Identifier: Apache-2.0
"""Flattening calls to model-local functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass, option
from ..pipeline.errors import CaptureError
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..pipeline.note import Note
    from ..pipeline.work import Work


@a_pass("inline", requires=(Fact.GRAPH,), provides=(Fact.FLAT,), closes=(Fact.GRAPH,))
class Inline:
    """Replace calls of model-local functions by their bodies.

    Why: later passes see one flat graph, and need not ask whether a weight or a shape lies behind a call.

    Functions named in `preserve` stay functions, and reach the file as such; what they call is inlined into them unless
    it is preserved too. A capture that makes no functions leaves nothing to do here.

    Declines when: a function is preserved. A name in `preserve` that no function has is a warning, since a capture may
    have had no call of that module.

    Before::

        <ir_version: 8, opset_import: ["" : 17, "modules" : 1]>
        main (float[N] x) => (float[N] y)
        {
            twice = modules.Double(x)
            y = modules.Double(twice)
        }
        <opset_import: ["" : 17], domain: "modules">
        Double (a) => (b)
        {
            b = Add(a, a)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N] x) => (float[N] y)
        {
            twice = Add(x, x)
            y = Add(twice, twice)
        }

    Before (preserve = ["Double"])::

        <ir_version: 8, opset_import: ["" : 17, "modules" : 1]>
        main (float[N] x) => (float[N] y)
        {
            y = modules.Double(x)
        }
        <opset_import: ["" : 17], domain: "modules">
        Double (a) => (b)
        {
            b = Add(a, a)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17, "modules" : 1]>
        main (float[N] x) => (float[N] y)
        {
            y = modules.Double(x)
        }
        <opset_import: ["" : 17], domain: "modules">
        Double (a) => (b)
        {
            b = Add(a, a)
        }
    """

    preserve: tuple[str, ...] = option((), help="Names of functions (module classes) that stay functions in the file.")

    def run(self, work: Work, note: Note) -> None:
        """Inline, innermost functions included."""
        model = work.model
        assert model is not None
        names = {function.name for function in model.functions.values()}
        for name in self.preserve:
            if name not in names:
                note.warned("no function of a preserved name was captured", name=name)
        if model.functions:
            self._inline(model, note)
        work.provide(Fact.FLAT, tuple(sorted(function.name for function in model.functions.values())))

    def _inline(self, model: ir.Model, note: Note) -> None:
        import onnx_ir as ir
        from onnx_ir.passes.common import InlinePass

        def wanted(function: ir.Function) -> bool:
            return function.name not in self.preserve

        for function in model.functions.values():
            if not wanted(function):
                note.declined(function.name, "preserved")
        try:
            result = InlinePass(criteria=wanted)(model)
        except (ir.passes.InvariantError, ir.passes.PassError, ValueError) as error:
            cause = error.__cause__ or error
            hint = "this is a limit of the inliner; name the function in inline.preserve"
            raise CaptureError(f"a captured function cannot be inlined: {cause}", hint=hint) from error
        for (_, name, _), count in sorted(getattr(result, "id_count", {}).items()):
            if name not in self.preserve:
                note.count(f"inlined {name}", count)
