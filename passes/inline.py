# SPDX-License-Identifier: Apache-2.0
"""Which modules are functions in the file: those that the recipe names; all other calls are flat."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass, option
from ..pipeline.errors import CaptureError, near_miss
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..pipeline.note import Note
    from ..pipeline.work import Work


FIRST_OPSET = 15
"""The opset that came with IR version 8, the first that has functions in a model (the ONNX specification, IR.md)."""

EVERY = "*"
"""In place of the name of a module class: that of every module in the model; the model itself stays a graph."""


@a_pass("inline", requires=(Fact.GRAPH,), provides=(Fact.FLAT,), closes=(Fact.GRAPH,))
class Inline:
    """Flatten all calls but those of modules that are to be functions.

    Why: later passes see one flat graph, and need not ask whether a weight or a shape lies behind a call. But a reader
    of the file, and a runtime with a kernel of its own for a layer, want that layer as one node.

    Each call of a module whose class is named in `preserve` becomes the call of a function of that name, in the domain
    `modules`. What the module reads is an input of the function, its weights too, so that layers of one class share one
    function as long as they compute the same; where they do not, the second is called `Name_1`, and so on. Literals up
    to 4 KiB are part of the body, and sizes are read from the inputs that have them. A preserved module in another one
    is a function that a function calls. Weights keep their names in the `state_dict`.

    `*` in place of a name stands for the class of every module in the model, not that of the model itself.

    Functions that a capture has made are inlined, unless they have such a name; what they call goes in with them.

    Functions in a model need IR version 8 and so opset 15: with a name in `preserve`, an older target is an error of
    the plan, before anything is captured.

    Declines when: a function is preserved. A name in `preserve` that no module has that was called, or that called no
    operator, is a warning.

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

    preserve: tuple[str, ...] = option(
        (),
        help=f"Module classes that are functions in the file, from opset {FIRST_OPSET} on.",
        needs_opset=FIRST_OPSET,
    )

    def run(self, work: Work, note: Note) -> None:
        """Inline, innermost functions included, then make functions of modules."""
        model = work.model
        assert model is not None
        if model.functions:
            self._inline(model, note)
        called: set[str] = set()
        left: set[str] = set()
        if self.preserve:
            from lading.passes.outlining.outline import Outline

            constants = getattr(work.values.get(Fact.GRAPH), "constants", {})
            literals = {name for name, path in constants.items() if not path}
            outline = Outline(model, self.preserve, literals, work.target.opset, note)
            outline.run()
            called, left = outline.called, outline.left
        kept = {function.name for function in model.functions.values()}
        for name in self.preserve:
            if name != EVERY and name not in kept and name not in left:
                near = None if name in called else near_miss(name, called)
                details = {"name": name} if near is None else {"name": name, "nearest": near}
                note.warned("no function of a preserved name was captured", **details)
        work.provide(Fact.FLAT, tuple(sorted(kept)))

    def _stays(self, name: str) -> bool:
        return EVERY in self.preserve or name in self.preserve

    def _inline(self, model: ir.Model, note: Note) -> None:
        import onnx_ir as ir
        from onnx_ir.passes.common import InlinePass

        def wanted(function: ir.Function) -> bool:
            return not self._stays(function.name)

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
            if not self._stays(name):
                note.count(f"inlined {name}", count)
