# SPDX-License-Identifier: Apache-2.0
"""What a step changed in the graph, in numbers: pairs of before and after."""

from __future__ import annotations

from typing import Any

from .fingerprint import Survey


def delta(before: Survey, after: Survey) -> dict[str, Any]:
    """The difference of two surveys as plain data.

    `operators` lists only those whose count changed, sorted by name, each as [before, after]; the totals are there
    always, so that an event can be read by itself.
    """
    names = sorted(before.operators.keys() | after.operators.keys())
    pairs = {name: [before.operators[name], after.operators[name]] for name in names}
    return {
        "nodes": [len(before.nodes), len(after.nodes)],
        "values": [before.values, after.values],
        "initializers": [before.initializers, after.initializers],
        "initializer_bytes": [before.initializer_bytes, after.initializer_bytes],
        "functions": [before.functions, after.functions],
        "operators": {name: pair for name, pair in pairs.items() if pair[0] != pair[1]},
    }
