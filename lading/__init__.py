# SPDX-License-Identifier: Apache-2.0
"""lading: export PyTorch models to ONNX as a declared pipeline of passes.

Names are imported when they are first used, so that ``import lading`` loads neither torch nor onnx.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "export": "lading.exporting",
    "reduce": "lading.reducing",
    "run_batch": "lading.batch",
    "replay": "lading.replaying",
    "resolve": "lading.resolving",
    "find_departure": "lading.bisecting",
    "find_project": "lading.pipeline.project",
    "Exported": "lading.exported",
    "taking_over": "lading.takeover.active",
    "install": "lading.takeover.active",
    "uninstall": "lading.takeover.active",
    "a_pass": "lading.pipeline.declare",
    "option": "lading.pipeline.declare",
    "Fact": "lading.pipeline.facts",
    "Note": "lading.pipeline.note",
    "came_from": "lading.pipeline.origin",
    "origin_of": "lading.pipeline.origin",
    "Spans": "lading.pipeline.telemetry",
    "Work": "lading.pipeline.work",
    "lowers": "lading.passes.lower.registry",
    "spells": "lading.passes.lower.registry",
    "unregister_lowering": "lading.passes.lower.registry",
    "LadingError": "lading.pipeline.errors",
    "VerificationFailed": "lading.pipeline.errors",
    "UsageError": "lading.pipeline.errors",
    "RecipeError": "lading.pipeline.errors",
    "PlanError": "lading.pipeline.errors",
    "CaptureError": "lading.pipeline.errors",
    "UnsupportedOperators": "lading.pipeline.errors",
    "InternalError": "lading.pipeline.errors",
}

__all__ = [
    "CaptureError",
    "Exported",
    "Fact",
    "InternalError",
    "LadingError",
    "Note",
    "PlanError",
    "RecipeError",
    "Spans",
    "UnsupportedOperators",
    "UsageError",
    "VerificationFailed",
    "Work",
    "__version__",
    "a_pass",
    "came_from",
    "export",
    "find_departure",
    "find_project",
    "install",
    "lowers",
    "option",
    "origin_of",
    "reduce",
    "replay",
    "resolve",
    "run_batch",
    "spells",
    "taking_over",
    "uninstall",
    "unregister_lowering",
]

if TYPE_CHECKING:
    from .batch import run_batch
    from .bisecting import find_departure
    from .exported import Exported
    from .exporting import export
    from .passes.lower.registry import lowers, spells, unregister_lowering
    from .pipeline.declare import a_pass, option
    from .pipeline.errors import (
        CaptureError,
        InternalError,
        LadingError,
        PlanError,
        RecipeError,
        UnsupportedOperators,
        UsageError,
        VerificationFailed,
    )
    from .pipeline.facts import Fact
    from .pipeline.note import Note
    from .pipeline.origin import came_from, origin_of
    from .pipeline.project import find_project
    from .pipeline.telemetry import Spans
    from .pipeline.work import Work
    from .reducing import reduce
    from .replaying import replay
    from .resolving import resolve
    from .takeover.active import install, taking_over, uninstall


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'lading' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
