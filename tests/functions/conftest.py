# SPDX-License-Identifier: Apache-2.0
"""Exports with modules kept as functions, verified against eager on other sizes too."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
import torch

import lading


@attrs.frozen
class Kept:
    """An export that agrees with eager, and what its functions and calls are."""

    exported: lading.Exported

    @property
    def functions(self) -> dict[str, Any]:
        return {function.name: function for function in self.exported.model.functions.values()}

    @property
    def calls(self) -> list[str]:
        """What the nodes of the main graph call, in order; operators are left out."""
        return [node.op_type for node in self.exported.model.graph if node.domain == "modules"]

    def operators(self, name: str) -> list[str]:
        """The operators in the body of a function, but for constants."""
        return [node.op_type for node in self.functions[name] if node.op_type != "Constant"]

    def counts(self, step: str) -> dict[str, int]:
        """What a step has counted."""
        found: dict[str, int] = {}
        for event in self.exported.events:
            if event.get("step") == step:
                found.update(event.get("counts") or {})
        return found

    @property
    def warnings(self) -> list[dict[str, Any]]:
        return [warning for event in self.exported.events for warning in event.get("warnings") or ()]


def export_kept(
    model: Any, args: Any, preserve: str, *, strategy: str = "record", opset: Any = 18, **options: Any
) -> Kept:
    """Export with the classes of `preserve` as functions; the file is checked, run and compared."""
    if strategy == "script" and not isinstance(model, torch.jit.ScriptModule):
        model = torch.jit.script(model)
    settings = [
        f"trace.strategy={strategy}",
        f"inline.preserve={preserve}",
        "serialize.check=true",
        *options.pop("settings", ()),
    ]
    given = args if isinstance(args, tuple) else (args,)
    exported = lading.export(model, given, opset_version=opset, settings=settings, verify=True, **options)
    assert "passed" == exported.verification.status
    return Kept(exported)


@pytest.fixture
def kept() -> Callable[..., Kept]:
    return export_kept
