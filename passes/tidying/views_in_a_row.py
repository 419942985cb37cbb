# SPDX-License-Identifier: Apache-2.0
"""The rules of merge-chains for operators that only change the shape: Reshape, Flatten, Squeeze and Unsqueeze.

They keep the order of elements, so that only the first shape and the last one matter of a row of them. The question is
whether the last can be said without computing it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import onnx_ir as ir
from lading.passes.tidying.graph_edits import int_of, ints_of, remove_node, static_ints, take_place, unused
from lading.passes.tidying.rewriting import Dim, Rewriting, become, maker, same_dim, same_shape, used_once

if TYPE_CHECKING:
    from lading.pipeline.note import Note

VIEWS = ("Reshape", "Flatten", "Squeeze", "Unsqueeze")


def merge_views(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    """Let a view look at what the view before it looks at; drop both where the shape ends as it began."""
    first = maker(node.inputs[0], *VIEWS, within=node)
    source = None if first is None else first.inputs[0]
    if first is None or source is None:
        return False
    done = (
        _passes_through(node, source)
        or _by_axes(rewriting, first, node, source)
        or _same_target(node, source)
        or _new_target(rewriting, first, node, source)
    )
    if done and unused(first.outputs):
        remove_node(first)
    return done


def transpose_as_view(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    """Write a Transpose that keeps the order of all axes longer than one as a view, where a view is before it."""
    source, perm = node.inputs[0], ints_of(node, "perm")
    if source is None or source.shape is None or perm is None or maker(source, *VIEWS, within=node) is None:
        return False
    moved = [axis for axis in perm if source.shape[axis] != 1]
    if moved != sorted(moved) or not used_once(source):
        return False
    first = maker(source, *VIEWS, within=node)
    assert first is not None
    before = first.inputs[0]
    if before is None or before.shape is None:
        return False
    target = constant_target(before.shape, [source.shape[axis] for axis in perm], mixed=False)
    if target is None:
        return False
    become(node, "Reshape", [before, rewriting.ints(target, node)])
    if unused(first.outputs):
        remove_node(first)
    return True


def constant_target(
    source: Sequence[Dim] | ir.Shape, result: Sequence[Dim] | ir.Shape, *, mixed: bool
) -> list[int] | None:
    """Return a constant shape with which Reshape makes `result` of `source` at every size, or None if there is none.

    A size equal to the source's at the same place becomes 0, one other becomes -1. `mixed` allows both in one shape,
    with which a runtime refuses an empty tensor.
    """
    if any(dim == 0 for dim in result):
        return None
    target: list[int] = []
    for place, dim in enumerate(result):
        if isinstance(dim, int):
            target.append(dim)
        else:
            target.append(0 if place < len(source) and same_dim(source[place], dim) else -1)
    if target.count(-1) == 0 and target.count(0) == 1:
        # Both would do; -1 is right even where the names of sizes are not to be trusted.
        target[target.index(0)] = -1
    if target.count(-1) > 1 or (not mixed and -1 in target and 0 in target):
        return None
    return target


def axes_of(node: ir.Node) -> list[int] | None:
    """Return the axes of a Squeeze (of its input) or Unsqueeze (of its result), sorted, or None if unknown."""
    axes = ints_of(node, "axes")
    if axes is None and len(node.inputs) > 1:
        axes = static_ints(node.inputs[1])
    shape = node.inputs[0].shape if node.inputs[0] is not None else None
    if axes is None or shape is None:
        return None
    rank = len(shape) + (len(axes) if node.op_type == "Unsqueeze" else 0)
    return sorted(axis % rank for axis in axes)


def _passes_through(node: ir.Node, source: ir.Value) -> bool:
    if not same_shape(source.shape, node.outputs[0].shape) or not take_place(node.outputs[0], source):
        return False
    remove_node(node)
    return True


def _by_axes(rewriting: Rewriting, first: ir.Node, node: ir.Node, source: ir.Value) -> bool:
    """Merge Squeeze and Unsqueeze, for which sizes need not be known."""
    if first.op_type not in ("Squeeze", "Unsqueeze") or node.op_type not in ("Squeeze", "Unsqueeze"):
        return False
    before, after, shape = axes_of(first), axes_of(node), source.shape
    if before is None or after is None or shape is None:
        return False
    if first.op_type == node.op_type == "Unsqueeze":
        kept = [axis for axis in range(len(shape) + len(before) + len(after)) if axis not in after]
        rewriting.set_axes(node, "Unsqueeze", source, sorted([*after, *(kept[axis] for axis in before)]))
        return True
    if first.op_type == node.op_type == "Squeeze":
        kept = [axis for axis in range(len(shape)) if axis not in before]
        rewriting.set_axes(node, "Squeeze", source, sorted([*before, *(kept[axis] for axis in after)]))
        return True
    if first.op_type == "Squeeze":
        if before != after or not take_place(node.outputs[0], source):
            return False
        remove_node(node)
        return True
    added, dropped = set(before) - set(after), set(after) - set(before)
    if not added and not dropped:
        if not take_place(node.outputs[0], source):
            return False
        remove_node(node)
        return True
    if added and dropped:
        return False
    if added:
        kept = [axis for axis in range(len(shape) + len(before)) if axis not in after]
        rewriting.set_axes(node, "Unsqueeze", source, [kept.index(axis) for axis in sorted(added)])
    else:
        own = [axis for axis in range(len(shape) + len(before)) if axis not in before]
        rewriting.set_axes(node, "Squeeze", source, [own.index(axis) for axis in sorted(dropped)])
    return True


def _same_target(node: ir.Node, source: ir.Value) -> bool:
    """A Reshape to a constant shape that copies no size does not care what shape it starts from."""
    if node.op_type != "Reshape":
        return False
    target = static_ints(node.inputs[1])
    if target is None or 0 in target:
        return False
    node.replace_input_with(0, source)
    return True


def _new_target(rewriting: Rewriting, first: ir.Node, node: ir.Node, source: ir.Value) -> bool:
    """Write a view after a view as one Reshape, where a constant shape says the result."""
    result = node.outputs[0].shape
    if source.shape is None or result is None:
        return False
    if (node.op_type != "Reshape" or first.op_type == "Reshape") and not used_once(first.outputs[0]):
        return False  # the first stays, so that nothing would be won
    if int_of(node, "allowzero", 0) or int_of(first, "allowzero", 0):
        return False
    given = static_ints(node.inputs[1]) if node.op_type == "Reshape" else None
    mixed = given is not None and 0 in given and -1 in given
    target = constant_target(source.shape, _better_known(first, given, result), mixed=mixed)
    if target is None:
        return False
    become(node, "Reshape", [source, rewriting.ints(target, node)])
    return True


def _better_known(first: ir.Node, given: list[int] | None, result: ir.Shape) -> list[Dim]:
    """Return the result's sizes, those that a Reshape copies taken from what it copies them from."""
    dims = list(result)
    middle = first.outputs[0].shape
    for place, size in enumerate(given or ()):
        dim = dims[place]
        if size == 0 and middle is not None and isinstance(dim, ir.SymbolicDim) and dim.value is None:
            dims[place] = middle[place]
    return dims
