# SPDX-License-Identifier: Apache-2.0
"""A piece of a graph with a call: what to feed it, and what PyTorch gives for that."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from .pipeline.errors import UsageError

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from .passes.verification.comparison import Tolerance

CALL = "call.pt"


@attrs.frozen
class Call:
    """What a piece is run with.

    Attributes:
        inputs: a tensor for each of its inputs, by name.
        outputs: what PyTorch gives for each of its outputs, by name.
    """

    inputs: Mapping[str, torch.Tensor]
    outputs: Mapping[str, torch.Tensor]

    def write(self, folder: Path) -> None:
        """Write it beside the piece."""
        import torch

        def whole(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
            # Without the rest of a storage that a tensor is a view of.
            return {name: tensor.detach().clone() for name, tensor in tensors.items()}

        torch.save({"inputs": whole(self.inputs), "outputs": whole(self.outputs)}, folder / CALL)


def read_call(folder: str | os.PathLike[str]) -> Call | None:
    """Read the call of a piece; None where it has none.

    Raises:
        UsageError: there is one that cannot be read.
    """
    import torch

    file = Path(folder) / CALL
    if not file.is_file():
        return None
    try:
        said = torch.load(file, weights_only=True)
        return Call(dict(said["inputs"]), dict(said["outputs"]))
    except Exception as error:
        raise UsageError(f"the call of the piece cannot be read: {error}", where=str(file)) from error


def what_differs(model: ir.Model, call: Call, tolerance: Tolerance, runtime: str = "auto") -> str | None:
    """Run a finished graph on a call, and say how it differs from PyTorch; None if it agrees.

    Raises:
        RuntimeLacks: nothing can run it.
    """
    from .passes.verification.comparison import compare
    from .passes.verification.exposing import session_of
    from .passes.verification.runtimes import RuntimeRejects

    try:
        with session_of(model, runtime) as session:
            feeds = {name: call.inputs[name] for name in session.inputs}
            got = dict(zip(session.outputs, session.run(feeds), strict=True))
    except RuntimeRejects as rejects:
        return str(rejects)
    for name, expected in call.outputs.items():
        if name not in got:
            return f"there is no output '{name}'"
        found = got[name]
        if found.numel() == expected.numel() == 1:
            # A size is a number in PyTorch, and may be a list of one in a file.
            found = found.reshape(expected.shape)
        problem = compare(name, expected, found, tolerance).problem
        if problem:
            return f"output '{name}' {problem}"
    return None
