# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import builtins
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from lading.passes.dynamic_axes import Axes
from lading.passes.initializers import Placement
from lading.passes.serialize import Written
from lading.passes.signature.arguments import Arguments, TensorInput
from lading.passes.trace.capture import Capture, Guard
from lading.passes.verification import runtimes
from lading.passes.verification.comparison import OutputError
from lading.passes.verification.given import read_inputs
from lading.passes.verification.report import Check, Verification
from lading.passes.verify import Verify
from lading.pipeline.errors import UsageError, VerificationFailed
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.work import Target, Work
from rich.console import Console
from torch import Tensor, nn

DOUBLE = "double (float[batch, 3] x) => (float[batch, 3] y) { y = Add(x, x) }"


class Model(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *tensors: Tensor) -> Any:
        return self.function(*tensors)


def arguments(model: nn.Module, tensors: Sequence[Tensor], names: Sequence[str] = ("x", "mask", "z")) -> Arguments:
    inputs = tuple(TensorInput(name, tensor, {}, name) for name, tensor in zip(names, tensors, strict=False))
    return Arguments(model=model, inputs=inputs, rebuild=lambda given: (tuple(given), {}))


def verified(
    tmp_path: Path,
    graph: str,
    model: Callable[..., Any],
    *tensors: Tensor,
    opset: int = 18,
    values: Mapping[Fact, Any] | None = None,
    header: str = "",
    **options: Any,
) -> tuple[Verification, Note]:
    """Write a graph given as text, verify it beside a function, and return what came out, failed or not."""
    text = f'<ir_version: 8, opset_import: ["" : {opset}{header}]> {graph}'
    file = tmp_path / "model.onnx"
    file.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    work = Work(target=Target(opset))
    module = model if isinstance(model, nn.Module) else Model(model)
    work.provide(Fact.ARGUMENTS, arguments(module, tensors))
    work.provide(Fact.FILE, Written(str(file), None, file.stat().st_size))
    for fact, value in (values or {}).items():
        work.provide(fact, value)
    note = Note()
    try:
        Verify(**options).run(work, note)
    except VerificationFailed:
        assert "failed" == work.need(Fact.VERIFIED).status
    return work.need(Fact.VERIFIED), note


def statuses(verification: Verification) -> dict[str, str]:
    return {check.name: check.status for check in verification.checks}


# What is checked ------------------------------------------------------------------------------------------------------


def test_example_random_inputs_and_other_sizes_are_run(tmp_path: Path) -> None:
    verification, _ = verified(tmp_path, DOUBLE, lambda x: x + x, torch.randn(2, 3))
    assert {
        "example": "passed",
        "random inputs 1": "passed",
        "random inputs 2": "passed",
        "batch = 1": "passed",
        "batch = 3": "passed",
        "batch = 7": "passed",
    } == statuses(verification)


def test_all_tensors_that_share_an_axis_name_change_together(tmp_path: Path) -> None:
    graph = """add (float[n, 3] x, float[n] mask) => (float[n, 3] y) {
        axes = Constant<value_ints=[1]>()
        column = Unsqueeze(mask, axes)
        y = Add(x, column)
    }"""
    verification, _ = verified(tmp_path, graph, lambda x, z: x + z[:, None], torch.randn(2, 3), torch.randn(2))
    assert "passed" == statuses(verification)["n = 7"]


def test_two_axes_are_also_changed_at_once(tmp_path: Path) -> None:
    graph = "double (float[batch, width] x) => (float[batch, width] y) { y = Add(x, x) }"
    verification, _ = verified(tmp_path, graph, lambda x: x + x, torch.randn(2, 3))
    assert "passed" == statuses(verification)["all axes: batch = 7, width = 4"]


def test_axes_of_one_size_are_changed_together_when_none_can_change_alone(tmp_path: Path) -> None:
    graph = "add (float[a] x, float[b] mask) => (float[a] y) { y = Add(x, mask) }"

    def add(x: Tensor, z: Tensor) -> Tensor:
        if x.shape != z.shape:
            raise ValueError("sizes differ")
        return x + z

    verification, _ = verified(tmp_path, graph, add, torch.randn(4), torch.randn(4))
    assert "passed" == statuses(verification)["a = 5, b = 5"]


def test_sizes_can_be_left_out(tmp_path: Path) -> None:
    verification, _ = verified(tmp_path, DOUBLE, lambda x: x + x, torch.randn(2, 3), sizes=False, samples=0)
    assert {"example": "passed"} == statuses(verification)


# What fails -----------------------------------------------------------------------------------------------------------


def test_a_wrong_value_fails(tmp_path: Path) -> None:
    verification, _ = verified(tmp_path, DOUBLE, lambda x: x + x * 1.001, torch.randn(2, 3))
    assert "failed" == verification.status


def test_a_wrong_value_raises_with_exit_code_one_after_all_checks(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.write_bytes(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 18]> {DOUBLE}').SerializeToString())
    work = Work(target=Target(18))
    work.provide(Fact.ARGUMENTS, arguments(Model(torch.square), [torch.randn(2, 3)]))
    work.provide(Fact.FILE, Written(str(file), None, 1))
    with pytest.raises(VerificationFailed, match="6 of 6 checks failed") as caught:
        Verify().run(work, Note())
    assert 1 == caught.value.exit_code


def test_a_file_right_on_the_example_alone_fails(tmp_path: Path) -> None:
    graph = "baked (float[batch, 3] x) => (float[batch, 3] y) { s = Constant<value_floats=[2.0]>()\n y = Add(x, s) }"
    verification, _ = verified(tmp_path, graph, lambda x: x + x.shape[0], torch.randn(2, 3))
    assert {"example": "passed", "batch = 7": "failed"}.items() <= statuses(verification).items()


def test_an_axis_baked_into_the_file_fails(tmp_path: Path) -> None:
    graph = "baked (float[batch, 3] x) => (float[batch, 3] y) { s = Constant<value_ints=[2, 3]>()\n y = Reshape(x, s) }"
    verification, _ = verified(tmp_path, graph, lambda x: x + 0, torch.randn(2, 3))
    assert ["batch = 1", "batch = 3", "batch = 7"] == [check.name for check in verification.of_status("failed")]


def test_a_wrong_type_fails(tmp_path: Path) -> None:
    verification, _ = verified(tmp_path, DOUBLE, lambda x: (x + x).double(), torch.randn(2, 3))
    assert "output 'y' has type float32 and not float64" == verification.checks[0].reason


def test_a_wrong_shape_fails(tmp_path: Path) -> None:
    verification, _ = verified(tmp_path, DOUBLE, lambda x: (x + x)[None], torch.randn(2, 3))
    assert "output 'y' has shape [2, 3] and not [1, 2, 3]" == verification.checks[0].reason


def test_a_missing_output_fails(tmp_path: Path) -> None:
    verification, _ = verified(tmp_path, DOUBLE, lambda x: (x + x, x), torch.randn(2, 3))
    assert "the file has 1 outputs, the model 2" == verification.checks[0].reason


def test_an_input_that_the_call_does_not_give_fails(tmp_path: Path) -> None:
    graph = "add (float[n] x, float[n] other) => (float[n] y) { y = Add(x, other) }"
    verification, _ = verified(tmp_path, graph, lambda x: x, torch.randn(4))
    assert "the file has inputs that the call does not give: other" == verification.checks[0].reason


def test_a_file_that_the_runtime_rejects_fails(tmp_path: Path) -> None:
    graph = "wrong (float[n] x) => (float[n] y) { y = NoSuchOperator(x) }"
    verification, _ = verified(tmp_path, graph, lambda x: x, torch.randn(4))
    assert "failed" == verification.status


def test_integers_must_be_equal(tmp_path: Path) -> None:
    graph = "same (int64[n] x) => (int64[n] y) { y = Identity(x) }"
    verification, _ = verified(tmp_path, graph, lambda x: x + (x == 3), torch.arange(10_000))
    assert "output 'y' 1 of 10000 values differ, and integers must not" == verification.checks[0].reason


# What is skipped ------------------------------------------------------------------------------------------------------


def test_a_size_that_eager_refuses_is_skipped_with_its_reason(tmp_path: Path) -> None:
    graph = """half (float[n] x) => (float[m] y) {
        rows = Constant<value_ints=[2, -1]>()
        halves = Reshape(x, rows)
        axes = Constant<value_ints=[0]>()
        y = ReduceSum<keepdims=0>(halves, axes)
    }"""
    verification, _ = verified(tmp_path, graph, lambda x: x.view(2, -1).sum(0), torch.randn(4))
    assert {"n = 7": "skipped", "n = 8": "passed"}.items() <= statuses(verification).items()


def test_the_reason_names_what_eager_said(tmp_path: Path) -> None:
    def refuse(x: Tensor) -> Tensor:
        if len(x) == 7:
            raise ValueError("seven is\nunlucky")
        return x + x

    verification, _ = verified(tmp_path, DOUBLE, refuse, torch.randn(2, 3))
    skipped = verification.of_status("skipped")
    assert "PyTorch refuses these inputs: ValueError: seven is" == skipped[0].reason


def test_a_random_model_is_skipped(tmp_path: Path) -> None:
    verification, _ = verified(tmp_path, DOUBLE, lambda x: x + torch.rand_like(x), torch.randn(2, 3), sizes=False)
    assert "skipped" == verification.status


def test_a_difference_outside_of_a_stated_limit_is_skipped(tmp_path: Path) -> None:
    graph = "baked (float[batch, 3] x) => (float[batch, 3] y) { y = Add(x, x) }"
    capture = Capture(strategy="record", guards=(Guard("batch < 5", True, "model.py:3", True),))
    verification, _ = verified(
        tmp_path, graph, lambda x: x + x if len(x) < 5 else x, torch.randn(2, 3), values={Fact.GRAPH: capture}
    )
    assert {"batch = 3": "passed", "batch = 7": "skipped"}.items() <= statuses(verification).items()


def test_only_nan_is_nothing_to_compare(tmp_path: Path) -> None:
    graph = "root (float[n] x) => (float[n] y) { y = Sqrt(x) }"
    verification, _ = verified(tmp_path, graph, torch.sqrt, -torch.ones(4) - torch.rand(4), sizes=False, samples=0)
    assert "skipped" == verification.status


def test_weights_without_values_are_skipped(tmp_path: Path) -> None:
    model = nn.Linear(3, 3, device="meta")
    verification, _ = verified(tmp_path, DOUBLE, model, torch.randn(2, 3))
    assert "skipped" == verification.status


def test_skipping_everything_is_warned_of(tmp_path: Path) -> None:
    model = nn.Linear(3, 3, device="meta")
    _, note = verified(tmp_path, DOUBLE, model, torch.randn(2, 3))
    assert ["nothing was verified"] == [warning.message for warning in note.warnings]


def test_an_axis_that_passed_at_no_other_size_is_warned_of(tmp_path: Path) -> None:
    def only_two(x: Tensor) -> Tensor:
        assert len(x) == 2, "two rows, please"
        return x + x

    verification, note = verified(tmp_path, DOUBLE, only_two, torch.randn(2, 3))
    assert ("passed", [{"axis": "batch"}]) == (verification.status, [warning.details for warning in note.warnings])


# What runs the file ---------------------------------------------------------------------------------------------------


def test_a_missing_kernel_is_left_to_the_reference(tmp_path: Path) -> None:
    graph = "least (bfloat16[n] x) => (bfloat16[n] y) { z = Neg(x)\n y = Max(x, z) }"
    verification, note = verified(tmp_path, graph, torch.abs, torch.randn(4).bfloat16())
    assert ("passed", True) == (verification.status, str(verification.runtime).startswith("onnx.reference"))
    assert ["the file was not run by onnxruntime"] == [warning.message for warning in note.warnings]


def test_a_missing_onnxruntime_is_left_to_the_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_onnxruntime(name: str, *rest: Any, **others: Any) -> Any:
        if name.partition(".")[0] == "onnxruntime":
            raise ImportError("No module named 'onnxruntime'")
        return real(name, *rest, **others)

    monkeypatch.setattr(builtins, "__import__", without_onnxruntime)
    verification, _ = verified(tmp_path, DOUBLE, lambda x: x + x, torch.randn(2, 3))
    assert ("passed", "onnxruntime cannot be imported (No module named 'onnxruntime')") == (
        verification.status,
        verification.instead,
    )


def test_an_operator_of_the_users_own_is_skipped(tmp_path: Path) -> None:
    graph = "own (float[n] x) => (float[n] y) { y = my.domain.Twice(x) }"
    verification, _ = verified(tmp_path, graph, lambda x: x + x, torch.randn(4), header=', "my.domain" : 1')
    assert "skipped" == verification.status


def test_onnxruntime_alone_is_skipped_where_it_cannot(tmp_path: Path) -> None:
    graph = "own (float[n] x) => (float[n] y) { y = my.domain.Twice(x) }"
    verification, _ = verified(
        tmp_path, graph, lambda x: x + x, torch.randn(4), header=', "my.domain" : 1', runtime="onnxruntime"
    )
    assert "Twice" in str(verification.checks[0].reason)


def test_the_reference_can_be_asked_for(tmp_path: Path) -> None:
    verification, _ = verified(tmp_path, DOUBLE, lambda x: x + x, torch.randn(2, 3), runtime="reference")
    assert ("passed", True) == (verification.status, str(verification.runtime).startswith("onnx.reference"))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, torch.int8, torch.uint64, torch.bool])
@pytest.mark.parametrize("session", [runtimes.OnnxRuntimeSession, runtimes.ReferenceSession])
def test_element_types_go_through_a_runtime_unchanged(tmp_path: Path, dtype: torch.dtype, session: Any) -> None:
    kind = {torch.float64: "double"}.get(dtype, str(dtype).removeprefix("torch."))
    text = f'<ir_version: 8, opset_import: ["" : 18]> same ({kind}[n, 2] x) => ({kind}[n, 2] y) {{ y = Identity(x) }}'
    file = tmp_path / "model.onnx"
    file.write_bytes(onnx.parser.parse_model(text).SerializeToString())
    tensor = torch.tensor([[0, 1], [1, 100]]).to(dtype)
    (answer,) = session(str(file)).run({"x": tensor})
    assert (dtype, True) == (answer.dtype, torch.equal(answer, tensor))


# Where the file is ----------------------------------------------------------------------------------------------------


def in_memory(text: str) -> Work:
    work = Work(target=Target(18), model=ir.from_proto(onnx.parser.parse_model(text)))
    work.provide(Fact.FILE, Written(None, None, 0))
    work.provide(Fact.AXES, Axes())
    return work


def test_a_model_in_memory_is_verified() -> None:
    work = in_memory(f'<ir_version: 8, opset_import: ["" : 18]> {DOUBLE}')
    work.provide(Fact.ARGUMENTS, arguments(Model(lambda x: x + x), [torch.randn(2, 3)]))
    Verify().run(work, Note())
    assert work.need(Fact.VERIFIED).passed


def test_weights_that_are_inputs_are_fed() -> None:
    text = "add (float[n, 3] x, float[3] bias) => (float[n, 3] y) { y = Add(x, bias) }"
    work = in_memory(f'<ir_version: 8, opset_import: ["" : 18]> {text}')
    bias = torch.randn(3)
    work.provide(Fact.ARGUMENTS, arguments(Model(lambda x: x + bias), [torch.randn(2, 3)]))
    work.provide(Fact.INITIALIZERS, Placement(8, {"bias": ir.tensor(bias.numpy(), name="bias")}))
    Verify().run(work, Note())
    assert work.need(Fact.VERIFIED).passed


def test_weights_that_are_inputs_are_known_by_their_names_in_the_model(tmp_path: Path) -> None:
    graph = """linear (float[n, 3] x, float[2, 3] weight, float[2] bias) => (float[n, 2] y) {
        y = Gemm<transB=1>(x, weight, bias)
    }"""
    verification, _ = verified(tmp_path, graph, nn.Linear(3, 2), torch.randn(4, 3))
    assert "passed" == verification.status


# What is reported -----------------------------------------------------------------------------------------------------


def test_every_check_is_on_the_record(tmp_path: Path) -> None:
    _, note = verified(tmp_path, DOUBLE, lambda x: x + x, torch.randn(2, 3))
    assert ["check passed"] * 6 == [decision.what for decision in note.decisions]


def test_the_dictionary_is_json_without_infinities(tmp_path: Path) -> None:
    verification, _ = verified(tmp_path, DOUBLE, lambda x: (x + x).double(), torch.randn(2, 3))
    assert json.loads(json.dumps(verification.to_dict(), allow_nan=False))["checks"][0]["absolute"] is None


def test_the_table_has_a_line_for_each_check() -> None:
    checks = (Check(name="example", status="passed"), Check(name="batch = 1", status="skipped", reason="[too] small"))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(Verification(checks=checks, runtime="onnxruntime").table())
    assert "[too] small" in console.export_text()


def test_a_run_where_all_is_skipped_is_not_passed() -> None:
    assert not Verification(checks=(Check(name="example", status="skipped", reason="no runtime"),)).passed


def test_given_inputs_are_run_at_their_own_sizes(tmp_path: Path) -> None:
    np.savez(tmp_path / "given.npz", x=np.ones((9, 3), np.float32))
    file = str(tmp_path / "given.npz")
    verification, _ = verified(tmp_path, DOUBLE, lambda x: x + x, torch.randn(2, 3), inputs=(file,))
    check = next(check for check in verification.checks if check.name == file)
    assert ("passed", {"batch": 9}) == (check.status, check.sizes)


def test_given_inputs_find_what_the_example_does_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "given.npz", x=np.full((2, 3), -5, np.float32))
    file = str(tmp_path / "given.npz")
    example = torch.ones(2, 3)
    relu = "relu (float[2, 3] x) => (float[2, 3] y) { y = Relu(x) }"
    verification, _ = verified(tmp_path, relu, lambda x: x, example, inputs=(file,), samples=0)
    assert [("example", "passed"), (file, "failed")] == [(check.name, check.status) for check in verification.checks]


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X1": np.ones((2, 3), np.float32)}, "no input 'X1'"),
        ({}, "no array for x"),
        ({"x": np.ones((2, 3))}, "float64"),
        ({"x": np.ones(3, np.float32)}, "1 axes"),
    ],
)
def test_given_inputs_that_do_not_fit_the_call_are_refused(tmp_path: Path, arrays: Any, words: str) -> None:
    np.savez(tmp_path / "given.npz", **arrays)
    with pytest.raises(UsageError, match=words):
        verified(tmp_path, DOUBLE, lambda x: x + x, torch.randn(2, 3), inputs=(str(tmp_path / "given.npz"),))


def test_given_bfloat16_is_read_as_such(tmp_path: Path) -> None:
    np.savez(tmp_path / "given.npz", x=np.array([1.5, -2.0], ml_dtypes.bfloat16))
    inputs = arguments(Model(torch.neg), [torch.zeros(2, dtype=torch.bfloat16)]).inputs
    expected = torch.tensor([1.5, -2.0], dtype=torch.bfloat16)
    assert torch.equal(expected, read_inputs(tmp_path / "given.npz", inputs)["x"])


def test_a_provider_that_is_missing_is_skipped_beside_one_that_passes(tmp_path: Path) -> None:
    verification, _ = verified(
        tmp_path, DOUBLE, lambda x: x + x, torch.randn(2, 3), providers=("NoSuch", "CPUExecutionProvider")
    )
    missing, *others = verification.checks
    assert ("NoSuch", "skipped") == (missing.provider, missing.status)
    assert "has no provider NoSuch" in str(missing.reason)
    assert {("CPU", "passed")} == {(check.provider, check.status) for check in others}


def test_a_missing_provider_alone_is_not_replaced(tmp_path: Path) -> None:
    verification, _ = verified(tmp_path, DOUBLE, lambda x: x + x, torch.randn(2, 3), providers=("NoSuch",))
    assert ("skipped", None) == (verification.status, verification.runtime)


def test_a_provider_that_does_not_start_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import onnxruntime

    available = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    create = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda *args, providers: create(*args, providers=providers[-1:])
    )
    verification, _ = verified(tmp_path, DOUBLE, lambda x: x + x, torch.randn(2, 3), providers=("CUDA",))
    assert "skipped" == verification.status
    assert "could not start the provider CUDA" in str(verification.checks[0].reason)


def test_the_worst_errors_of_each_output_name_their_checks() -> None:
    def output(name: str, absolute: float, relative: float) -> OutputError:
        return OutputError(name=name, dtype="float32", shape=(1,), absolute=absolute, relative=relative)

    verification = Verification(
        checks=(
            Check(name="first", status="passed", outputs=(output("y", 3.0, 0.1), output("z", 0.5, 0.5))),
            Check(name="second", status="passed", outputs=(output("y", 2.0, 0.2), output("z", 0.0, 0.0))),
            Check(name="random", status="skipped", outputs=(output("y", 9.0, 9.0),)),
        )
    )
    expected = [("y", 3.0, "first", 0.2, "second"), ("z", 0.5, "first", 0.5, "first")]
    found = [(e.name, e.absolute, e.absolute_in, e.relative, e.relative_in) for e in verification.worst()]
    assert expected == found
    assert ["y", "z"] == [entry["name"] for entry in verification.to_dict()["outputs"]]
