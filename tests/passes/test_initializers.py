# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from lading.passes.initializers import Initializers
from lading.passes.weights import ComputedWeight, Weight
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.work import Target, Work


def work_with(opset: int = 17, **weights: ir.TensorProtocol) -> Work:
    header = f'<ir_version: 3, opset_import: ["" : {opset}]>'
    graph = ir.from_onnx_text(header + " main (float[3] x) => (float[3] y) { y = Abs(x) }").graph
    last = graph.inputs[0]
    for name, tensor in weights.items():
        value = ir.val(name, const_value=tensor)
        graph.register_initializer(value)
        node = ir.node("Add", [last, value])
        node.outputs[0].dtype, node.outputs[0].shape = ir.DataType.FLOAT, ir.Shape([3])
        graph.insert_before(graph[-1], node)
        last = node.outputs[0]
    graph[-1].replace_input_with(0, last)
    model = ir.Model(graph, ir_version=3)
    return Work(target=Target(opset), model=model)


def run(work: Work, **options: bool | int | None) -> Note:
    note = Note()
    Initializers(**options).run(work, note)
    onnx.checker.check_model(ir.to_proto(work.model))
    return note


def names(work: Work) -> tuple[list[str], list[str]]:
    return [value.name for value in work.model.graph.inputs], list(work.model.graph.initializers)


SHARED = torch.zeros(3)


def test_tied_weights_are_stored_once_under_the_first_name() -> None:
    work = work_with(embed=Weight(SHARED, "embed"), head=Weight(torch.nn.Parameter(SHARED), "head"))
    run(work)
    assert (["x"], ["embed"]) == names(work)
    assert {"head": "embed"} == work.need(Fact.INITIALIZERS).tied


def test_tied_weights_stay_apart_where_asked() -> None:
    work = work_with(embed=Weight(SHARED, "embed"), head=Weight(SHARED, "head"))
    run(work, deduplicate=False)
    assert ["embed", "head"] == names(work)[1]


def three(size: int = 3) -> dict[str, Weight]:
    """Two equal weights, and one that differs from them in its last element."""
    last = torch.zeros(size)
    last[-1] = 1
    return {"a": Weight(torch.zeros(size), "a"), "b": Weight(torch.zeros(size), "b"), "c": Weight(last, "c")}


@pytest.mark.parametrize(("share", "kept"), [(False, ["a", "b", "c"]), (None, ["a", "c"]), (True, ["a", "c"])])
def test_equal_weights_are_stored_once_unless_asked(share: bool | None, kept: list[str]) -> None:
    work = work_with(**three())
    run(work, share_equal_weights=share)
    assert kept == names(work)[1]


def test_equal_weights_are_on_record() -> None:
    note = run(work_with(**three()))
    assert {"equal": 1} == note.counts
    (decision,) = note.decisions
    assert ("equal weights stored once", {"weight": "b", "kept": "a"}) == (decision.what, decision.details)


@pytest.mark.parametrize(
    "options", [{"keep_as_inputs": True}, {"export_params": False}], ids=["overridable", "left to the caller"]
)
def test_equal_weights_that_the_caller_gives_stay_apart(options: dict[str, bool]) -> None:
    work = work_with(**three())
    run(work, **options)
    assert ["x", "a", "b", "c"] == names(work)[0]


def test_weights_that_part_after_many_bytes_stay_apart() -> None:
    work = large(3000)
    run(work)
    assert ["a", "c"] == names(work)[1]


def large(size: int) -> Work:
    work = work_with()
    for name, weight in three(size).items():
        work.model.graph.register_initializer(ir.val(name, const_value=weight))
    return work


def test_weights_above_the_limit_are_not_compared() -> None:
    work = large(3000)
    note = run(work, compare_limit=11_999)
    assert ["a", "b", "c"] == names(work)[1]
    assert ["b", "c"] == [decision.details["weight"] for decision in note.decisions]


def test_a_weight_in_two_layouts_is_stored_once() -> None:
    values = torch.arange(6.0)
    work = work_with()
    turned = Weight(values.reshape(3, 2), "turned").transposed((1, 0))
    for weight in (turned, Weight(values.reshape(3, 2).T.contiguous(), "as stored")):
        work.model.graph.register_initializer(ir.val(weight.parameter, const_value=weight))
    run(work)
    assert ["turned"] == names(work)[1]


def test_weights_without_values_are_not_compared() -> None:
    work = work_with()
    for name in ("a", "b"):
        weight = Weight(torch.empty(3, device="meta"), name)
        work.model.graph.register_initializer(ir.val(name, const_value=weight))
    Initializers().run(work, Note())
    assert ["a", "b"] == names(work)[1]


def test_without_values_weights_become_inputs_after_the_users() -> None:
    weight = Weight(torch.ones(3), "layer.bias")
    work = work_with(**{"layer.bias": weight, "one": ir.tensor([1.0, 1.0, 1.0])})
    run(work, export_params=False)
    assert (["x", "layer.bias"], ["one"]) == names(work)
    assert {"layer.bias": weight} == work.need(Fact.INITIALIZERS).weight_inputs
    session = onnxruntime.InferenceSession(ir.to_proto(work.model).SerializeToString())
    feeds = {"x": torch.zeros(3).numpy(), "layer.bias": weight.numpy()}
    assert [2.0, 2.0, 2.0] == session.run(None, feeds)[0].tolist()


def test_changed_weights_left_to_the_caller_are_warned_about() -> None:
    computed = ComputedWeight(lambda *_: torch.ones(3), ir.DataType.FLOAT, (3,), what="folded", sources=())
    work = work_with(square=Weight(torch.ones(3, 1), "square").viewed(lambda t: t[:, 0], "column"), folded=computed)
    note = run(work, export_params=False)
    assert ["column", "folded"] == [warning.details["change"] for warning in note.warnings]


def read(opset: int, keep: bool | None) -> tuple[int, list[str], list[str]]:
    """Return IR version, inputs and initializers of a file that onnxruntime has run."""
    work = work_with(opset, bias=Weight(torch.ones(3), "bias"), one=ir.tensor([1.0, 1.0, 1.0]))
    run(work, keep_as_inputs=keep)
    session = onnxruntime.InferenceSession(ir.to_proto(work.model).SerializeToString())
    assert [2.0, 2.0, 2.0] == session.run(None, {"x": torch.zeros(3).numpy()})[0].tolist()
    return (work.model.ir_version, *names(work))


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize(("opset", "version"), [(7, 4), (9, 4), (17, 8)])
def test_keep_as_inputs_means_the_same_at_every_opset(keep: bool, opset: int, version: int) -> None:
    expected = (version, ["x", "bias"], ["bias"]) if keep else (version, ["x"], ["bias", "one"])
    assert expected == read(opset, keep)


@pytest.mark.parametrize(
    ("opset", "expected"),
    [
        (7, (3, ["x", "bias"], ["bias"])),
        (8, (3, ["x", "bias"], ["bias"])),
        (9, (4, ["x"], ["bias", "one"])),
    ],
)
def test_unset_keep_as_inputs_follows_the_ir_version(opset: int, expected: tuple[int, list[str], list[str]]) -> None:
    assert expected == read(opset, None)


def test_below_ir_version_4_no_initializer_stays_beside_the_weights_that_the_caller_feeds() -> None:
    work = work_with(8, bias=Weight(torch.ones(3), "bias"), one=ir.tensor([1.0, 1.0, 1.0]))
    run(work, export_params=False)
    assert (3, (["x", "bias"], [])) == (work.model.ir_version, names(work))


def normalising(opset: int, **weights: torch.Tensor) -> Work:
    """A BatchNormalization in training mode, whose parameters are `scale`, `shift`, `mean` and `var`."""
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
        main (float[2, 3] x) => (float[2, 3] y) {{
            y, m, v = BatchNormalization<training_mode = 1>(x, scale, shift, mean, var)
        }}"""
    inner = ir.from_onnx_text(text)
    for index, (name, tensor) in enumerate(weights.items(), start=1):
        value = ir.val(name, const_value=Weight(tensor, name))
        inner.graph[0].replace_input_with(index, value)
        inner.graph.register_initializer(value)
    return Work(target=Target(opset), model=inner)


def test_statistics_that_a_run_moves_are_merged_with_nothing() -> None:
    zero, one = torch.zeros(3), torch.ones(3)
    work = normalising(17, scale=one, shift=zero, mean=zero, var=one)
    run(work, share_equal_weights=True)
    assert ["scale", "shift", "mean", "var"] == names(work)[1]


@pytest.mark.parametrize(("opset", "version"), [(7, 3), (8, 3), (9, 4), (11, 6), (13, 7), (18, 8), (20, 9), (23, 11)])
def test_the_ir_version_is_the_lowest_for_the_opset(opset: int, version: int) -> None:
    work = work_with(opset)
    run(work)
    assert version == work.model.ir_version


def test_element_types_raise_the_ir_version() -> None:
    work = work_with(17)
    value = ir.val("w", const_value=Weight(torch.zeros(2, dtype=torch.float8_e4m3fn), "w"))
    value.dtype = ir.DataType.FLOAT8E4M3FN
    work.model.graph.register_initializer(value)
    run(work)
    assert 9 == work.model.ir_version
