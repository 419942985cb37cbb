# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest
from lading.passes import BUILTIN

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import canonical, pairs_of, run_on, work_on


def load(reference: str) -> type:
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def cases() -> list[Any]:
    found = []
    for name, reference in sorted(BUILTIN.items()):
        pass_class = load(reference)
        for index, pair in enumerate(pairs_of(pass_class)):
            found.append(pytest.param(pass_class, *pair, id=f"{name}-{index}"))
    return found


@pytest.mark.parametrize(("pass_class", "options", "before", "after"), cases())
def test_before_becomes_after(pass_class: type, options: dict[str, Any], before: str, after: str) -> None:
    work, _ = run_on(pass_class(**options), before)
    assert canonical(work_on(after).model) == canonical(work.model)


@pytest.mark.parametrize(("pass_class", "options", "before", "after"), cases())
def test_after_is_a_valid_model_and_stays(pass_class: type, options: dict[str, Any], before: str, after: str) -> None:
    work, _ = run_on(pass_class(**options), after)
    assert canonical(work_on(after).model) == canonical(work.model)
    onnx.checker.check_model(ir.to_proto(work.model), full_check=True)
