# SPDX-License-Identifier: Apache-2.0
"""On which terms exports are taken over: the recipe and what goes with it, and what was taken over so far."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

DEFAULT_RECIPE = "drop-in"


def _tuple(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(values)


def _dict(values: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return dict(values or {})


@attrs.frozen(kw_only=True)
class Terms:
    """What holds for each export that is taken over, beside what its caller says.

    Attributes:
        recipe: the name of a shipped recipe or the path of a recipe file.
        settings: recipe values as text, "step.option=value"; they go before what the caller of an export says.
        overrides: the same as values, by dotted key.
        passes: further passes.
        verify: whether each file is run and compared with eager; None leaves that to the recipe and the caller.
        log: a folder that gets the audit of each export in a file of its own, and what a failing one leaves.
        dry_run: whether exports are only planned; PyTorch's own exporter then does what the program asks for.
    """

    recipe: str | os.PathLike[str] = DEFAULT_RECIPE
    settings: Sequence[str] = attrs.field(default=(), converter=_tuple)
    overrides: Mapping[str, Any] = attrs.field(default=None, converter=_dict)
    passes: Sequence[Any] = attrs.field(default=(), converter=_tuple)
    verify: bool | None = None
    log: str | os.PathLike[str] | None = None
    dry_run: bool = False


@attrs.frozen(kw_only=True)
class TakenExport:
    """What became of one export that was taken over.

    Attributes:
        model: the class of the model.
        function: what the program called, "torch.onnx.export".
        file: where the file went; None where there is none.
        status: "done", "failed", "planned" (a dry run).
        opset_asked: the opset that the caller named, or None.
        opset: the opset of the file, or of the plan.
        capture: the strategy that captured the model.
        nodes: how many nodes the graph has.
        checks: what verification found, in a few words; None where nothing was checked.
        seconds: how long the export took, checks included.
        log: the file with the audit of this export.
        warnings: what the passes warned of.
        remarks: arguments of the caller's without effect, "name: why".
        error: what ended the export, where it failed.
    """

    model: str
    function: str
    file: str | None = None
    status: str = "done"
    opset_asked: int | str | None = None
    opset: int | str | None = None
    capture: str | None = None
    nodes: int | None = None
    checks: str | None = None
    seconds: float = 0.0
    log: str | None = None
    warnings: Sequence[str] = ()
    remarks: Sequence[str] = ()
    error: str | None = None


@attrs.define(kw_only=True)
class Takeover:
    """Exports being taken over: the terms, and each export so far, in order.

    Attributes:
        terms: what holds for each export.
        exports: what was exported so far.
        on_export: called with each export when it has ended, in the thread that called for it.
    """

    terms: Terms
    exports: list[TakenExport] = attrs.field(factory=list)
    on_export: Callable[[TakenExport], None] | None = None

    def add(self, export: TakenExport) -> None:
        """Put an export that has ended on the list."""
        self.exports.append(export)
        if self.on_export is not None:
            self.on_export(export)
