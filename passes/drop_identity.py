# SPDX-License-Identifier: Apache-2.0
"""Removal of nodes that pass their input through."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass, option
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    import onnx_ir as ir

    from ..pipeline.note import Note
    from ..pipeline.work import Work


@a_pass("drop-identity", requires=(Fact.ONNX,))
class DropIdentity:
    """Remove nodes that pass their input through unchanged.

    Why: each costs a kernel launch and often a copy, and hides the producer of a value from the pass that looks for it.

    Gone are Identity; Cast to the type that the input has; Dropout in inference form; Reshape, Expand, Flatten and
    Slice whose result has the shape of the input, named dimensions included; Transpose that moves nothing; Pad by
    nothing; Tile once; Concat, Sum, Max, Min and Mean of one; Clip without bounds; and arithmetic with a neutral
    constant, where the result is the same to the last bit. One exception: adding a float zero turns -0.0 into 0.0,
    which nobody asks for; `signed_zeros` keeps that.

    Declines when: the node stands between a graph input, a constant or another output and a graph output, because the
    output's name is the user's and needs a node that makes it.

    Before::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4] x) => (float[N, 4] y, float[N, 4] z)
        <float one = {1}>
        {
            same = Identity(x)
            cast = Cast<to = 1>(same)
            summed = Add(cast, x)
            scaled = Mul(summed, one)
            y = Transpose<perm = [0, 1]>(scaled)
            z = Identity(x)
        }

    After::

        <ir_version: 8, opset_import: ["" : 17]>
        main (float[N, 4] x) => (float[N, 4] y, float[N, 4] z)
        <float one = {1}>
        {
            y = Add(x, x)
            z = Identity(x)
        }
    """

    signed_zeros: bool = option(False, help="Keep an addition of zero to floats, which turns -0.0 into 0.0.")

    def run(self, work: Work, note: Note) -> None:
        """Walk every graph once, in order: a chain of such nodes goes link by link."""
        from lading.passes.tidying.graph_edits import all_graphs, has_references, remove_node, take_place

        model = work.model
        assert model is not None
        for graph in all_graphs(model):
            for node in graph:
                test = _TESTS.get(node.op_type)
                if test is None or node.domain not in ("", "ai.onnx") or has_references(node):
                    continue
                index = test(node)
                source = None if index is None else node.inputs[index]
                if source is None:
                    continue
                if self.signed_zeros and node.op_type == "Add" and _is_float(source):
                    note.declined(node, "signed zeros are kept")
                    continue
                if take_place(node.outputs[0], source):
                    remove_node(node)
                    note.count(f"removed {node.op_type}")
                else:
                    note.declined(node, "the output keeps its name")


def _is_float(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_floating_point()


Test = Callable[["ir.Node"], "int | None"]
"""Says which input a node passes through, or None if it does more."""


def _identity(node: ir.Node) -> int | None:
    return 0


def _alone(node: ir.Node) -> int | None:
    return 0 if len(node.inputs) == 1 else None


def _cast(node: ir.Node) -> int | None:
    from lading.passes.tidying.graph_edits import int_of

    source = node.inputs[0]
    to = int_of(node, "to", 0)
    return 0 if source is not None and source.dtype is not None and source.dtype.value == to else None


def _cast_like(node: ir.Node) -> int | None:
    source, like = node.inputs[:2]
    known = source is not None and like is not None and source.dtype is not None
    return 0 if known and source.dtype == like.dtype else None  # type: ignore[union-attr]


def _dropout(node: ir.Node) -> int | None:
    from lading.passes.tidying.graph_edits import is_inference_dropout, unused

    return 0 if is_inference_dropout(node) and unused(node.outputs[1:]) else None


def _same_shape(node: ir.Node) -> int | None:
    """Whether the result has the input's shape for certain: equal sizes, and equal names where sizes are dynamic."""
    source, result = node.inputs[0], node.outputs[0]
    if source is None or source.shape is None or result.shape is None or source.shape.has_unknown_dim():
        return None
    return 0 if source.shape == result.shape else None


def _slice(node: ir.Node) -> int | None:
    from lading.passes.tidying.graph_edits import static_ints

    if len(node.inputs) > 4 and node.inputs[4] is not None:
        steps = static_ints(node.inputs[4])
        if steps is None or any(step != 1 for step in steps):
            return None
    return _same_shape(node)


def _transpose(node: ir.Node) -> int | None:
    from lading.passes.tidying.graph_edits import ints_of

    perm = ints_of(node, "perm")
    if perm is None:
        source = node.inputs[0]
        return 0 if source is not None and source.shape is not None and len(source.shape) < 2 else None
    return 0 if list(perm) == list(range(len(perm))) else None


def _pad(node: ir.Node) -> int | None:
    from lading.passes.tidying.graph_edits import ints_of, static_ints

    pads = ints_of(node, "pads")
    if pads is None and len(node.inputs) > 1:
        pads = static_ints(node.inputs[1])
    return 0 if pads is not None and not any(pads) else None


def _tile(node: ir.Node) -> int | None:
    from lading.passes.tidying.graph_edits import static_ints

    repeats = static_ints(node.inputs[1]) if len(node.inputs) == 2 else None
    return 0 if repeats is not None and all(repeat == 1 for repeat in repeats) else None


def _clip(node: ir.Node) -> int | None:
    bounds = {"min", "max"} & set(node.attributes) or [value for value in node.inputs[1:] if value is not None]
    return None if bounds else 0


def _neutral(number: int, *, left: bool, floats: bool) -> Test:
    """Make the test for arithmetic with a constant that changes nothing, on the right side or on either."""

    def test(node: ir.Node) -> int | None:
        from lading.passes.tidying.graph_edits import constant_tensor

        for constant, other in ((1, 0), (0, 1)) if left else ((1, 0),):
            source, result = node.inputs[other], node.outputs[0]
            tensor = constant_tensor(node.inputs[constant])
            if source is None or tensor is None or tensor.size != 1 or source.dtype != tensor.dtype:
                continue
            if not (tensor.dtype.is_integer() or (floats and tensor.dtype.is_floating_point())):
                continue
            if source.shape is None or result.shape is None or len(tensor.shape) > len(source.shape):
                continue
            if source.shape == result.shape and float(tensor.numpy().reshape(-1)[0]) == number:
                return other
        return None

    return test


_TESTS: dict[str, Test] = {
    "Identity": _identity,
    "Cast": _cast,
    "CastLike": _cast_like,
    "Dropout": _dropout,
    "Reshape": _same_shape,
    "Expand": _same_shape,
    "Flatten": _same_shape,
    "Slice": _slice,
    "Transpose": _transpose,
    "Pad": _pad,
    "Tile": _tile,
    "Concat": _alone,
    "Sum": _alone,
    "Max": _alone,
    "Min": _alone,
    "Mean": _alone,
    "Clip": _clip,
    "Add": _neutral(0, left=True, floats=True),
    "Sub": _neutral(0, left=False, floats=True),
    "Mul": _neutral(1, left=True, floats=True),
    "Div": _neutral(1, left=False, floats=True),
    "Pow": _neutral(1, left=False, floats=True),
}
