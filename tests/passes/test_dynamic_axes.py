# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import onnx_ir as ir
import pytest
from lading.passes.dynamic_axes import DynamicAxes, FixedAxis
from lading.passes.trace.capture import Specialisation
from lading.pipeline.errors import CaptureError, UsageError
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.work import Target, Work

MODEL = """
<ir_version: 8, opset_import: ["" : 17]>
main (float[%s, 8] x) => (float[%s, "s1 + 1"] y)
{
    y = Identity(x)
}
"""


def run(
    *,
    dim: str = "batch",
    asked: dict[int, str] | None = None,
    outputs: dict[str, dict[int, str]] | None = None,
    recorded: list[Specialisation] | None = None,
    **options: Any,
) -> tuple[Work, Note]:
    model = ir.from_onnx_text(MODEL.replace('"s1 + 1"', "s1") % (dim, dim))
    arguments = SimpleNamespace(
        inputs=(SimpleNamespace(name="x", axes={0: "batch"} if asked is None else asked),),
        axes_of_outputs=outputs or {},
    )
    values = {Fact.ARGUMENTS: arguments, Fact.GRAPH: SimpleNamespace(specialisations=recorded or [])}
    work, note = Work(target=Target(17), model=model, values=values), Note()
    DynamicAxes(**options).run(work, note)
    return work, note


def test_axes_are_resolved_by_name() -> None:
    axes = run(outputs={"y": {1: "length"}})[0].need(Fact.AXES)
    assert ({"x": {0: "batch"}}, {"y": {0: "batch", 1: "length"}}) == (axes.inputs, axes.outputs)


def test_a_symbol_of_captures_gets_the_users_name() -> None:
    work, _ = run(dim="s0")
    assert "batch" == work.model.graph.inputs[0].shape[0].value


SQUEEZED = Specialisation("batch", 4, "batch == 4", "net.py:17")
FIXED = FixedAxis("x", 0, "batch", 4, "net.py:17", "its run relies on batch == 4")


def test_a_fixed_axis_is_an_error_with_axis_and_line() -> None:
    with pytest.raises(CaptureError, match=r"axis 0 of 'x' \('batch'\) is fixed to 4 at net\.py:17") as error:
        run(dim="4", recorded=[SQUEEZED])
    assert "net.py:17" == error.value.where


def test_a_fixed_axis_nobody_recorded_is_an_error_too() -> None:
    with pytest.raises(CaptureError, match="fixed to 4"):
        run(dim="4")


def test_a_fixed_axis_can_be_a_warning() -> None:
    work, note = run(dim="batch", recorded=[SQUEEZED], on_fixed_axis="warn")
    assert [4, "net.py:17"] == [note.warnings[0].details["size"], note.warnings[0].details["source"]]
    assert (4, (FIXED,)) == (work.model.graph.inputs[0].shape[0], work.need(Fact.AXES).fixed)


def test_names_for_constant_output_axes_are_warned_about() -> None:
    _, note = run(dim="4", asked={}, outputs={"y": {0: "batch"}})
    assert ["an axis asked to be dynamic is a constant"] == [warning.message for warning in note.warnings]


@pytest.mark.parametrize("outputs", [{"z": {0: "a"}}, {"y": {2: "a"}}])
def test_unknown_outputs_and_axes_are_errors(outputs: dict[str, dict[int, str]]) -> None:
    with pytest.raises(UsageError):
        run(outputs=outputs)


def test_without_requests_the_table_is_provided_all_the_same() -> None:
    work = Work(target=Target(17), model=ir.from_onnx_text(MODEL.replace('"s1 + 1"', "s1") % ("n", "n")))
    DynamicAxes().run(work, Note())
    assert {"x": {0: "n"}} == work.need(Fact.AXES).inputs
