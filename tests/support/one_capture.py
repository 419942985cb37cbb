# SPDX-License-Identifier: Apache-2.0
"""Exports to several opsets from one capture: no step before lowering knows the opset."""

from __future__ import annotations

import functools
from typing import Any

from lading.pipeline.plan import PlanNode
from lading.pipeline.recipe import load_recipe
from lading.pipeline.work import Target, Work
from support.steps import run_steps

import lading
from lading import Exported, Fact, Note
from lading.exporting import planned


@functools.cache
def halves(opset: int) -> tuple[tuple[PlanNode, ...], tuple[PlanNode, ...]]:
    """Return the default recipe's steps up to a flat graph of ATen operators, and from there to the file."""
    nodes = planned(load_recipe("inference"), {"target.opset": opset}).nodes
    place = next(index for index, node in enumerate(nodes) if Fact.LOWERED in node.provides)
    return nodes[:place], nodes[place:]


def copied(work: Work, opset: int) -> Work:
    """Return work for another opset that starts from the same graph."""
    return Work(target=Target(opset), request=work.request, model=work.need_model().clone(), values=dict(work.values))


class FirstExport:
    """An export by the default recipe that is kept as it was before lowering, and lowered to other opsets too.

    The options are those of `lading.export`; they may say nothing about steps after lowering.

    Raises:
        LadingError: as the export raised it.
    """

    def __init__(self, model: Any, args: tuple[Any, ...], opset: int, **options: Any) -> None:
        kept: list[Work] = []

        @lading.a_pass("keep-capture", requires=(Fact.FLAT,), before=("lower",))
        class KeepCapture:
            """Keep a copy of the graph of ATen operators."""

            def run(self, work: Work, note: Note) -> None:
                kept.append(copied(work, opset))

        self.exported = lading.export(model, args, opset_version=opset, passes=(KeepCapture,), **options)
        (self._kept,) = kept

    def at(self, opset: int) -> Exported:
        """Return the export at an opset.

        Raises:
            LadingError: as an export would.
        """
        if opset == self.exported.opset:
            return self.exported
        work = copied(self._kept, opset)
        run_steps(halves(opset)[1], work)
        return Exported(work=work, plan=self.exported.plan, events=[])
