# SPDX-License-Identifier: Apache-2.0
"""The module calls of two recordings of one program told to be the same ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable

import attrs
import onnx_ir as ir
from lading.pipeline.origin import NOWHERE, ModuleCall, Origin, origin_of, set_origin


def share_calls(left: ir.Model, right: ir.Model) -> None:
    """Let the nodes of `right` tell the calls of `left`.

    The first call of a module within one call of another is the same in both recordings, and so is the second.
    """
    known = {key: call for call, key in _Keys().of_all(left).items()}
    keys = _Keys()
    shared: dict[ModuleCall, ModuleCall] = {}
    for call, key in keys.of_all(right).items():  # a call comes after the one that it happened in
        outer = None if call.outer is None else shared[call.outer]
        shared[call] = known.get(key) or attrs.evolve(call, outer=outer)
    for node in ir.traversal.RecursiveGraphIterator(right.graph):
        origin = origin_of(node)
        if origin is not None and origin.call is not None:
            set_origin(node, attrs.evolve(origin, call=shared[origin.call]))


class _Keys:
    """Keys of calls that two recordings have in common."""

    def __init__(self) -> None:
        self._keys: dict[ModuleCall, Hashable] = {}
        self._counts: Counter[Hashable] = Counter()

    def of_all(self, model: ir.Model) -> dict[ModuleCall, Hashable]:
        """Return the key of every call in a model, in the order in which the calls come up."""
        for node in ir.traversal.RecursiveGraphIterator(model.graph):
            origin = origin_of(node)
            if origin is not None and origin.call is not None:
                self._of(origin.call)
        return self._keys

    def _of(self, call: ModuleCall) -> Hashable:
        known = self._keys.get(call)
        if known is None:
            place = (None if call.outer is None else self._of(call.outer), call.module, call.module_class)
            known = self._keys[call] = (place, self._counts[place])
            self._counts[place] += 1
        return known


def common_origin(nodes: Iterable[ir.Node]) -> Origin:
    """Return the origin of a node that stands for several: the line of the first, and the call that has all of them."""
    origins = [origin_of(node) or NOWHERE for node in nodes]
    if not origins:
        return NOWHERE
    chains = [_chain(origin.call) for origin in origins]
    common: ModuleCall | None = None
    for calls in zip(*chains, strict=False):
        if any(call is not calls[0] for call in calls):
            break
        common = calls[0]
    first = origins[0]
    if common is first.call:
        return first
    module, kind = ("", "") if common is None else (common.module, common.module_class)
    return attrs.evolve(first, module=module, module_class=kind, call=common)


def _chain(call: ModuleCall | None) -> list[ModuleCall]:
    """Return a call and those that it happened in, outermost first."""
    chain: list[ModuleCall] = []
    while call is not None:
        chain.append(call)
        call = call.outer
    return chain[::-1]
