# SPDX-License-Identifier: Apache-2.0
"""Exports of one call to many opsets: it is captured once, for no step before lowering knows the opset."""

from __future__ import annotations

import collections

import onnx_ir as ir
from lading.passes.files.model_bytes import model_bytes
from lading.passes.request import Request
from lading.pipeline.work import Target, Work
from operators.entries import Call, Operator
from support.one_capture import copied, halves
from support.steps import run_steps


class Captured:
    """A call that has been captured, or the error that came of it."""

    def __init__(self, call: Call, opset: int) -> None:
        self._work = Work(target=Target(opset), request=Request(model=Operator(call), args=call.tensors))
        self._error: Exception | None = None
        try:
            run_steps(halves(opset)[0], self._work)
        except Exception as error:
            self._error = error

    @property
    def operators(self) -> set[str]:
        """The names of the ATen operators that were captured, without overloads; none where capture failed."""
        if self._error is not None or self._work.model is None:
            return set()
        return {f"{node.domain}::{node.op_type}" for node in _nodes(self._work.model)}

    def lowered(self, opset: int) -> bytes:
        """Return the file at an opset.

        Raises:
            LadingError: as an export would.
        """
        if self._error is not None:
            raise self._error
        work = copied(self._work, opset)
        run_steps(halves(opset)[1], work)
        return b"".join(model_bytes(work.need_model()).blocks())


def _nodes(model: ir.Model) -> list[ir.Node]:
    return [*model.graph.all_nodes(), *(node for function in model.functions.values() for node in function)]


class Captures:
    """An exporter for measuring that keeps the last captures."""

    KEPT = 8

    def __init__(self) -> None:
        self._kept: collections.OrderedDict[int, tuple[Call, Captured]] = collections.OrderedDict()

    def of(self, call: Call, opset: int) -> Captured:
        """Return the capture of a call, which is made for an opset where there is none yet."""
        known = self._kept.get(id(call))
        if known is None:
            # The call is kept with it: a freed one's id is used again.
            known = self._kept[id(call)] = (call, Captured(call, opset))
            while len(self._kept) > self.KEPT:
                self._kept.popitem(last=False)
        return known[1]

    def __call__(self, call: Call, opset: int) -> bytes:
        return self.of(call, opset).lowered(opset)

    def operators(self, call: Call) -> set[str]:
        """Return the ATen operators of a call that was exported."""
        known = self._kept.get(id(call))
        return set() if known is None else known[1].operators


EXPORTERS = {"lading": Captures()}
