# SPDX-License-Identifier: Apache-2.0
"""The rule of merge-chains for views and transpositions in turn, by the factors that sizes are made of.

A row of Reshape and Transpose takes axes apart, puts the parts in another order, and joins them. Followed through the
row, the parts say it all: one Reshape that takes apart, one Transpose, one Reshape that joins do the same, and where
two of these have nothing to do, one is left. Attention over `[words, batch * heads, width]`, which splits heads off,
turns them and takes the batch apart again, becomes two nodes of five.

Sizes are products of numbers and names ("4*batch"), so that what is found holds at every size.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import attrs
import onnx_ir as ir
from lading.passes.tidying.graph_edits import ints_of, remove_node, static_ints, take_place, unused
from lading.passes.tidying.rewriting import Dim, Rewriting, become, maker, used_once
from lading.passes.tidying.views_in_a_row import VIEWS

if TYPE_CHECKING:
    from lading.pipeline.note import Note

_LONGEST = 6
"""Nodes in a row that are looked at together: merging goes on from its own results, so that few are enough."""

_PRODUCT = re.compile(r"[A-Za-z0-9_.]+(\*[A-Za-z0-9_.]+)*")


@attrs.frozen
class Size:
    """A number times names; a name may stand for a whole expression that is no product."""

    number: int
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, dim: Dim) -> Size | None:
        """Read a dimension; None if it is not known, or empty."""
        if isinstance(dim, int):
            return cls(dim) if dim > 0 else None
        if dim.value is None:
            return None
        text = dim.value.replace(" ", "")
        if not _PRODUCT.fullmatch(text):
            return cls(1, (text,))
        pieces = text.split("*")
        number = math.prod(int(piece) for piece in pieces if piece.isdigit())
        return cls(number, tuple(sorted(piece for piece in pieces if not piece.isdigit()))) if number else None

    def times(self, other: Size) -> Size:
        """Multiply."""
        return Size(self.number * other.number, tuple(sorted((*self.names, *other.names))))

    def over(self, other: Size) -> Size | None:
        """Divide, if it leaves nothing over whatever the names stand for."""
        left = Counter(self.names)
        left.subtract(other.names)
        if self.number % other.number or any(count < 0 for count in left.values()):
            return None
        return Size(self.number // other.number, tuple(sorted(left.elements())))

    def dim(self) -> Dim:
        """Return the size as a dimension."""
        if not self.names:
            return self.number
        return ir.SymbolicDim("*".join((*([str(self.number)] if self.number > 1 else []), *self.names)))


_ONE = Size(1)


def _product(sizes: Iterable[Size]) -> Size:
    total = _ONE
    for size in sizes:
        total = total.times(size)
    return total


def sizes_of(shape: Sequence[Dim] | ir.Shape | None, total: Size | None = None) -> list[Size] | None:
    """Return the sizes of a shape; one that is not known follows from the number of elements."""
    if shape is None:
        return None
    sizes = [Size.of(dim) for dim in shape]
    unknown = [place for place, size in enumerate(sizes) if size is None]
    if len(unknown) == 1 and total is not None and not isinstance(shape[unknown[0]], int):
        sizes[unknown[0]] = total.over(_product(size for size in sizes if size is not None))
    return None if None in sizes else [size for size in sizes if size is not None]


class _Parts:
    """The parts that the axes of a source are taken into, in the source's order and in the present one."""

    def __init__(self, sizes: Sequence[Size]) -> None:
        self.sizes: dict[int, Size] = {}
        self.order: list[int] = []
        self.groups: list[list[int]] = []
        self.home: dict[int, int] = {}
        for axis, size in enumerate(sizes):
            group = []
            if size != _ONE:
                part = self._new(size, axis)
                self.order.append(part)
                group.append(part)
            self.groups.append(group)

    def _new(self, size: Size, home: int) -> int:
        part = len(self.sizes)
        self.sizes[part], self.home[part] = size, home
        return part

    def view(self, wanted: Sequence[Size]) -> bool:
        """Group the parts anew, and split those that lie across a border; False if a border cannot be told."""
        left = [part for group in self.groups for part in group]
        groups: list[list[int]] = []
        for size in wanted:
            group: list[int] = []
            while size != _ONE:
                if not left:
                    return False
                part = left.pop(0)
                rest = size.over(self.sizes[part])
                if rest is None:
                    remainder = self.sizes[part].over(size)
                    if remainder is None:
                        return False
                    part, other = self._split(part, size, remainder)
                    left.insert(0, other)
                    rest = _ONE
                group.append(part)
                size = rest
            groups.append(group)
        self.groups = groups
        return not left

    def _split(self, part: int, first: Size, second: Size) -> tuple[int, int]:
        pair = self._new(first, self.home[part]), self._new(second, self.home[part])
        place = self.order.index(part)
        self.order[place : place + 1] = pair
        return pair

    def turn(self, perm: Sequence[int]) -> None:
        """Put the groups in another order."""
        self.groups = [self.groups[axis] for axis in perm]


@attrs.frozen
class _Plan:
    """Up to three steps: take apart, turn, join; None where there is nothing to do."""

    apart: list[int] | None
    middle: list[Size]
    perm: list[int] | None
    joined: list[int] | None

    @property
    def nodes(self) -> int:
        return sum(step is not None for step in (self.apart, self.perm, self.joined))


def merge_moves(rewriting: Rewriting, node: ir.Node, note: Note) -> bool:
    """Write a row of views and transpositions that ends in `node` with fewer nodes, if it can be."""
    row = [node]
    while len(row) < _LONGEST:
        before = maker(row[-1].inputs[0], *VIEWS, "Transpose", within=node)
        if before is None or not used_once(before.outputs[0]):
            break
        row.append(before)
    if not any(each.op_type == "Transpose" for each in row):
        return False  # views alone have rules of their own
    mixed = any(_is_mixed(each) for each in row)
    while len(row) > 1:
        plan = _plan(row[::-1], mixed)
        if plan is not None and plan.nodes < len(row) and _carry_out(rewriting, row, plan):
            return True
        row.pop()
    return False


def _is_mixed(node: ir.Node) -> bool:
    target = static_ints(node.inputs[1]) if node.op_type == "Reshape" else None
    return target is not None and 0 in target and -1 in target


def _plan(row: Sequence[ir.Node], mixed: bool) -> _Plan | None:
    source = row[0].inputs[0]
    before = None if source is None else sizes_of(source.shape)
    if before is None:
        return None
    total = _product(before)
    parts = _Parts(before)
    after = before
    for node in row:
        if node.op_type == "Transpose":
            perm = ints_of(node, "perm") or list(reversed(range(len(after))))
            parts.turn(perm)
            after = [after[axis] for axis in perm]
            continue
        found = sizes_of(node.outputs[0].shape, total)
        if found is None or not parts.view(found):
            return None
        after = found
    plans = [_steps(parts, before, after, mixed, by_source, by_result) for by_source, by_result in _CUTS]
    return min((plan for plan in plans if plan is not None), key=lambda plan: plan.nodes, default=None)


_CUTS = ((True, True), (False, True), (True, False), (False, False))
"""Whether parts that stay together are kept apart where the source's axes, or the result's, meet."""


def _steps(
    parts: _Parts, before: Sequence[Size], after: Sequence[Size], mixed: bool, by_source: bool, by_result: bool
) -> _Plan | None:
    place = {part: index for index, part in enumerate(parts.order)}
    blocks: list[list[int]] = []
    for group in parts.groups:
        for index, part in enumerate(group):
            last = blocks[-1][-1] if blocks else None
            goes_on = (
                last is not None
                and place[part] == place[last] + 1
                and not (by_source and parts.home[part] != parts.home[last])
                and not (by_result and index == 0)
            )
            if goes_on:
                blocks[-1].append(part)
            else:
                blocks.append([part])
    in_order = sorted(blocks, key=lambda block: place[block[0]])
    middle = [_product(parts.sizes[part] for part in block) for block in in_order]
    perm = [in_order.index(block) for block in blocks]
    turned = [middle[axis] for axis in perm]
    # Axes of size one may ride along where source and result have as many.
    if middle != list(before) and before.count(_ONE) == list(after).count(_ONE) and before.count(_ONE):
        with_ones = _with_ones(middle, perm, before, after)
        if with_ones is not None:
            middle, perm = with_ones
            turned = [middle[axis] for axis in perm]
    apart = None if middle == list(before) else _target(before, middle, mixed)
    joined = None if turned == list(after) else _target(turned, after, mixed)
    if (apart is None and middle != list(before)) or (joined is None and turned != list(after)):
        return None
    if perm == sorted(perm):
        direct = None if list(before) == list(after) else _target(before, after, mixed)
        if direct is None and list(before) != list(after):
            return None
        return _Plan(None, list(before), None, direct)
    return _Plan(apart, middle, perm, joined)


def _with_ones(
    middle: Sequence[Size], perm: Sequence[int], before: Sequence[Size], after: Sequence[Size]
) -> tuple[list[Size], list[int]] | None:
    """Put axes of size one where source and result have them, if the other axes are theirs already."""
    own = [axis for axis, size in enumerate(before) if size != _ONE]
    if [before[axis] for axis in own] != list(middle):
        return None
    if [middle[axis] for axis in perm] != [size for size in after if size != _ONE]:
        return None
    ones = iter(axis for axis, size in enumerate(before) if size == _ONE)
    others = iter(perm)
    return list(before), [next(ones) if size == _ONE else own[next(others)] for size in after]


def _target(source: Sequence[Size], result: Sequence[Size], mixed: bool) -> list[int] | None:
    """Return a constant shape for Reshape, as views_in_a_row.constant_target does."""
    target = []
    for place, size in enumerate(result):
        if not size.names:
            target.append(size.number)
        else:
            target.append(0 if place < len(source) and source[place] == size else -1)
    if target.count(-1) == 0 and target.count(0) == 1:
        target[target.index(0)] = -1
    if target.count(-1) > 1 or (not mixed and -1 in target and 0 in target):
        return None
    return target


def _carry_out(rewriting: Rewriting, row: Sequence[ir.Node], plan: _Plan) -> bool:
    node, source = row[0], row[-1].inputs[0]
    assert source is not None
    if plan.nodes == 0:
        if not take_place(node.outputs[0], source):
            return False
        remove_node(node)
        _forget(row[1:])
        return True
    dtype = node.outputs[0].type
    steps: list[tuple[str, list[int], list[Size]]] = []
    if plan.apart is not None:
        steps.append(("Reshape", plan.apart, plan.middle))
    if plan.perm is not None:
        steps.append(("Transpose", plan.perm, [plan.middle[axis] for axis in plan.perm]))
    if plan.joined is not None:
        steps.append(("Reshape", plan.joined, []))
    value = source
    for index, (op_type, numbers, sizes) in enumerate(steps):
        inputs = [value, rewriting.ints(numbers, node)] if op_type == "Reshape" else [value]
        attributes = {"perm": numbers} if op_type == "Transpose" else {}
        if index == len(steps) - 1:
            become(node, op_type, inputs, attributes)
        else:
            shape = [size.dim() for size in sizes]
            value = rewriting.node(op_type, inputs, node, attributes, dtype, shape).outputs[0]
    _forget(row[1:])
    return True


def _forget(nodes: Iterable[ir.Node]) -> None:
    for node in nodes:
        if not unused(node.outputs):
            return
        remove_node(node)
