# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import sys
from pathlib import Path

import onnx
import pytest
from lading.passes.inline import Inline
from lading.pipeline.errors import CaptureError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.origin import Origin, origin_of, set_origin

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import run_on, work_on

NESTED = """<ir_version: 8, opset_import: ["" : 17, "m" : 1]>
main (float[N] x) => (float[N] y) { y = m.Outer(x) }
<domain: "m", opset_import: ["" : 17, "m" : 1]> Outer (a) => (b) { c = m.Inner(a) b = Neg(c) }
<domain: "m", opset_import: ["" : 17]> Inner (a) => (b) { b = Exp(a) }"""


def test_nested_calls_are_flattened() -> None:
    work, note = run_on(Inline(), NESTED)
    assert (["Exp", "Neg"], {}) == ([node.op_type for node in work.model.graph], dict(work.model.functions))
    assert ((), ["inlined Inner", "inlined Outer"]) == (work.need(Fact.FLAT), sorted(note.counts))


def test_preserved_functions_stay_and_what_they_call_goes_in() -> None:
    work, _ = run_on(Inline(preserve=("Outer",)), NESTED)
    (outer,) = work.model.functions.values()
    assert ["Exp", "Neg"] == [node.op_type for node in outer]
    assert ("Outer",) == work.need(Fact.FLAT)


def test_origins_go_along() -> None:
    work = work_on(NESTED)
    for function in work.model.functions.values():
        for node in function:
            set_origin(node, Origin(f"block.{node.op_type}"))
    Inline().run(work, Note())
    assert ["block.Exp", "block.Neg"] == [origin_of(node).module for node in work.model.graph]


def test_a_preserved_name_without_a_function_is_a_warning() -> None:
    _, note = run_on(Inline(preserve=("Missing",)), NESTED)
    assert ["Missing"] == [warning.details["name"] for warning in note.warnings]


def test_recursion_is_a_clear_error() -> None:
    inner = '<domain: "m", opset_import: ["" : 17, "m" : 1]> Inner (a) => (b) { b = m.Outer(a) }'
    text = NESTED[: NESTED.rindex("<domain")] + inner
    with pytest.raises(CaptureError, match="cannot be inlined"):
        run_on(Inline(), onnx.parser.parse_model(text))
