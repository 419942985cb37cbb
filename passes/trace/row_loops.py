# SPDX-License-Identifier: Apache-2.0
"""`for row in tensor`, where only the run knows how many rows there are: one loop of the graph.

The body is the user's Python. It runs once for each try of what the loop carries, on a row that stands for every row,
and is recorded like the functions of a `torch.scan`. What it hands from one iteration to the next are the tensors that
it writes in place. A variable that is bound anew cannot be handed on, and a list that grows cannot be either: both are
errors that name the line.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING, Any

import onnx_ir as ir
import torch
from lading.passes.trace.script.loops import DynamicLoop
from lading.pipeline.errors import CaptureError

if TYPE_CHECKING:
    from lading.passes.trace.regions import Regions

_select = torch.ops.aten.select.int
_HINT = "write to a tensor that was made before the loop, by index_add_ or an index; or use torch.scan over the rows"


class RowLoops:
    """Records the loops over rows of one capture.

    Args:
        regions: what records the bodies of control flow.
    """

    def __init__(self, regions: Regions) -> None:
        self.recorder = regions.recorder
        self._regions = regions
        self._open: list[str] = []

    def rows(self, tensor: torch.Tensor, frame: FrameType) -> Iterator[torch.Tensor]:
        """Yield a row for each run of the body that it takes to write the loop; the last one is written.

        Args:
            tensor: what is iterated over.
            frame: the code that has the loop; what its variables reach can be written by the body.
        """
        line = self.recorder.places.line()
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._regions.reaching(*frame.f_locals.values()))
            loop = DynamicLoop(self._regions.interpreter, _never, tensor.shape[0], True, 0, [])
            before = _lengths(frame)
            self._open.append(line)
            steps = stack.enter_context(contextlib.closing(loop.steps()))
            index, _ = next(steps)
            while True:
                nodes = self.recorder.nodes
                yield self.recorder.keep(_select, [tensor, 0, index], (tensor.shape[1:], tensor.dtype))
                if _lengths(frame) != before:
                    what = "a list or a dict grows in a loop of which only the run knows the length"
                    raise CaptureError(what, where=line, hint=_HINT)
                try:
                    index, _ = steps.send([True])
                except StopIteration as end:
                    if not end.value:
                        raise CaptureError(loop.why_apart, where=line, hint=_HINT) from None
                    break
                finally:
                    self._forget(nodes, line)
            self._open.pop()

    def finish(self) -> None:
        """Say so where the model has left a loop before its end.

        Raises:
            CaptureError: it has.
        """
        if self._open:
            raise CaptureError(
                "a loop of which only the run knows the length is left by break or return",
                where=self._open[-1],
                hint=_HINT,
            )

    def _forget(self, nodes: list[ir.Node], line: str) -> None:
        """Let nobody read what an iteration has made: what the loop hands on has got values of its own."""
        what = "a variable that a loop sets is read in its next iteration or after it"
        made = {value for node in nodes for value in node.outputs}
        self.recorder.out_of_reach(made, CaptureError(what, where=line, hint=_HINT))


def _never(*_: Any) -> list[Any]:
    raise AssertionError("the body of a loop over rows is Python's")


def _lengths(frame: FrameType) -> dict[str, int]:
    return {name: len(value) for name, value in frame.f_locals.items() if isinstance(value, (list, dict, set))}
