# SPDX-License-Identifier: Apache-2.0
"""The pass that understands the example call."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lading.pipeline.declare import a_pass, option
from lading.pipeline.facts import Fact

if TYPE_CHECKING:
    from lading.pipeline.note import Note
    from lading.pipeline.work import Work


@a_pass("normalize-arguments", provides=(Fact.ARGUMENTS,))
class NormalizeArguments:
    """Bind the example arguments to the model's signature.

    Takes every form of `args` that the classic exporter took: a tensor; a tuple; a tuple whose last element is a dict
    of keyword arguments; a trailing `{}` to say that the dict before it is positional; tuples, lists, dicts and
    dataclasses inside. Tensors become named inputs in the order of the signature, everything else is baked in and
    recorded. Axes are given by input name: `{"x": {0: "batch"}}`, or `{"x": [0]}` for the name `x_dynamic_axes_1`.
    One name on several axes says that they are equal. Or by `dynamic_shapes` of the modern exporter, whose ranges are
    recorded as limits of the file; or by several examples, whose sizes that differ are dynamic.

    An argument that does not fit the signature is an error, and so is a name or an axis that does not exist. With
    `surplus = "warn"`, names beyond the inputs, weights or outputs and axes of what does not exist are left out with a
    warning, and one axis name for two sizes becomes two names.
    """

    training: str = option(
        "eval",
        help="Mode of the model while it is captured: eval, train, or preserve for each module as it is.",
        choices=("eval", "preserve", "train"),
    )
    input_names: Sequence[str] = option(
        (), help="Names for the inputs, in the order of the signature; further ones name parameters."
    )
    output_names: Sequence[str] = option((), help="Names for the outputs, in order.")
    dynamic_axes: Mapping[str, Any] = option(
        {}, help="Dynamic axes by input or output name: {axis = name}, or a list of axes that get automatic names."
    )
    dynamic_shapes: Any = option(
        None,
        help="Dynamic axes as torch.export takes them: nested like the arguments, with names or Dims.",
        in_recipe=False,
    )
    examples: Sequence[Any] = option(
        (), help="Further example calls; the sizes in which they differ are dynamic.", in_recipe=False
    )
    surplus: str = option(
        "error",
        help="What to do with names and axes that belong to nothing: error, or warn and leave them out.",
        choices=("error", "warn"),
    )
    example_outputs: Any = option(None, help="Outputs of the model for the example, if known.", in_recipe=False)

    def run(self, work: Work, note: Note) -> None:
        """Provide `Fact.ARGUMENTS`."""
        from lading.passes.signature.binding import bind_arguments
        from lading.passes.signature.requested_axes import bind_with_axes

        request, program = work.request, None
        if _is_program(request.model):
            from lading.passes.trace.exported.given import bound_to_program, callable_request, check_mode

            program = request.model
            check_mode(program, self.training)
            request = callable_request(request)
        bind = functools.partial(
            bind_arguments,
            input_names=tuple(self.input_names),
            output_names=tuple(self.output_names),
            dynamic_axes=self.dynamic_axes,
            mode=self.training,
            example_outputs=self.example_outputs,
            tolerant=self.surplus == "warn",
        )
        arguments = bind_with_axes(request, bind, dynamic_shapes=self.dynamic_shapes, examples=tuple(self.examples))
        if program is not None:
            arguments = bound_to_program(program, arguments)
        work.provide(Fact.ARGUMENTS, arguments)
        note.count("inputs", len(arguments.inputs))
        axes = {name for item in arguments.inputs for name in item.axes.values()}
        if axes:
            note.count("dynamic axes", len(axes))
        for remark in request.remarks:
            note.decided("argument without effect", remark.why, argument=remark.argument, value=_shown(remark.value))
        for path, value in arguments.baked.items():
            if value is not None:
                note.decided("argument baked in", "it is not a tensor", argument=path, value=_shown(value))
        for what in arguments.left_out:
            note.warned("a name or an axis that belongs to nothing is left out", what=what)
        if program is None and self.training == "eval" and arguments.has_training_modules:
            note.warned("the model is in training mode and is exported for inference", training=self.training)


def _is_program(model: Any) -> bool:
    """Whether a model is an exported program; asks without loading torch.export, which no other model needs."""
    return type(model).__module__ == "torch.export.exported_program" and type(model).__name__ == "ExportedProgram"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
