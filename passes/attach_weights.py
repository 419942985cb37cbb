# SPDX-License-Identifier: Apache-2.0
"""The pass that says where the values of a model's weights are, if they are not in the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..pipeline.declare import a_pass, option
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    from ..pipeline.note import Note
    from ..pipeline.work import Work


@a_pass("attach-weights", requires=(Fact.ARGUMENTS,), before=("trace",))
class AttachWeights:
    """Take the values of weights from a checkpoint, without loading it.

    Why: a model on the meta device, or made under fake tensors, has the shapes of its weights and no values, and may be
    larger than the memory. Its `.safetensors` files (one, or shards with their index, or a folder of them) have the
    values; `lading.export(..., weights=PATH)` and `lading export --weights PATH` name them. What the graph uses as it
    stands there is referred to in place, or copied in a stream; what passes transpose or fold is read tensor by tensor
    while the file is written.

    Names in the checkpoint are those of `state_dict`. A tied weight may be there under any of its names; where it is
    under several, their values must agree. Shapes must agree, and so must types, unless `dtype` says "cast". A
    parameter of the model that the checkpoint lacks is an error; so is a buffer that the graph uses and that has no
    value in the model either. A real tensor of the model is not looked at where the checkpoint has one for it.

    Declines when: no checkpoint was named; weights are then those of the model.
    """

    checkpoint: Any = option(None, help="A .safetensors file, an index over shards, or a folder.", in_recipe=False)
    rename: Mapping[str, str] = option(
        {}, help='How names in the checkpoint begin, and how in the model instead: {"model." = ""}.'
    )
    dtype: str = option(
        "exact",
        help="What to do where types differ: exact refuses, cast converts to the type of the model while writing.",
        choices=("exact", "cast"),
    )
    unexpected: str = option(
        "warn", help="What to do about tensors that the model does not have.", choices=("warn", "error")
    )
    follow_links: bool = option(
        False, help="Follow links in the folder that lead out of it, as the cache of huggingface_hub has them."
    )

    def run(self, work: Work, note: Note) -> None:
        """Match names, and tell the passes that follow."""
        if self.checkpoint is None:
            return
        import attrs
        from lading.passes.checkpoints.attached import attach
        from lading.passes.checkpoints.checkpoint import open_checkpoint

        arguments = work.need(Fact.ARGUMENTS)
        opened = open_checkpoint(self.checkpoint, follow_links=self.follow_links)
        attached = attach(
            arguments.model,
            opened,
            note,
            rename=self.rename,
            cast=self.dtype == "cast",
            unexpected_is_error=self.unexpected == "error",
        )
        work.provide(Fact.ARGUMENTS, attrs.evolve(arguments, attached=attached))
        note.count("files of the checkpoint", len(opened.files))
        note.count("tensors matched", len(attached.stored))
