# SPDX-License-Identifier: Apache-2.0
"""Run a graph with its intermediate values as outputs, and, where wanted, with other tensors in their places."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from ...pipeline.note import Note
from .runtimes import Session, open_session

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

CUT = "lading.given."
"""What stands before the name of a value in that of the input that takes its place."""


@attrs.frozen
class Exposed:
    """What a run gave.

    Attributes:
        values: the tensors by the name of the value; outputs of the graph too.
        runtime: what ran it.
    """

    values: Mapping[str, torch.Tensor]
    runtime: str


@contextlib.contextmanager
def session_of(model: ir.Model, runtime: str = "auto") -> Iterator[Session]:
    """Load a model that stands in memory; its file is there for as long as the context is open.

    Raises:
        RuntimeLacks: nothing can run it.
        RuntimeRejects: the runtime refuses it.
    """
    from ..serialize import Serialize

    with tempfile.TemporaryDirectory(prefix="lading-model-") as folder:
        path = str(Path(folder) / "model.onnx")
        Serialize(sync="never", weights="copy").write(model, path, Note())
        yield open_session(path, runtime)[0]


def run_exposed(
    model: ir.Model, feeds: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor], runtime: str = "auto"
) -> Exposed:
    """Run a model whose values have names of their own, and return what every node of its main graph makes.

    Values in the bodies of If and Loop, and in functions, cannot be outputs of the graph, and are not returned.

    Args:
        model: the model, which is left as it is.
        feeds: a tensor for each input.
        given: tensors to read in the place of values, by the name of the value, which is computed all the same.
        runtime: as for `open_session`.

    Raises:
        RuntimeLacks: nothing can run it.
        RuntimeRejects: the runtime refuses it, or fails while it runs.
    """
    import onnx_ir as ir

    copy = model.clone()
    graph = copy.graph
    outputs = {value.name for value in graph.outputs}
    made = {value.name: value for value in made_values(graph)}
    for name, tensor in given.items():
        value = made[name]
        stand_in = ir.Value(name=CUT + name, type=value.type, shape=ir.Shape(tuple(tensor.shape)))
        for use in list(value.uses()):
            use.node.replace_input_with(use.idx, stand_in)
        graph.inputs.append(stand_in)
    exposed = [name for name in made if name not in outputs]
    graph.outputs.extend(made[name] for name in exposed)
    with session_of(copy, runtime) as session:
        stand_ins = {CUT + name: tensor for name, tensor in given.items()}
        wanted = {**feeds, **stand_ins}
        got = session.run({name: wanted[name] for name in session.inputs})
    return Exposed(dict(zip(session.outputs, got, strict=True)), session.runtime)


def made_values(graph: ir.Graph) -> Iterator[ir.Value]:
    """Yield the tensors that the nodes of a graph make, in order; sequences and optional values are left out."""
    import onnx_ir as ir

    for node in graph:
        for value in node.outputs:
            if value.name and isinstance(value.type, ir.TensorType):
                yield value
