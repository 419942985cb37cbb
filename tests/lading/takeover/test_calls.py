# SPDX-License-Identifier: Apache-2.0
"""The ways in which programs call `torch.onnx.export`, and what is put on record of what has no meaning here."""

from __future__ import annotations

import io
import re
import types
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from lading.pipeline.audit import read_log

import lading

X = torch.arange(6.0).reshape(2, 3)


class Scaled(torch.nn.Module):
    """Takes a tensor, a number and perhaps another tensor."""

    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.ones(3))

    def forward(self, x, factor=2, other=None):
        y = x * factor + self.bias
        return y if other is None else y + other


class Summed(torch.nn.Module):
    def forward(self, *inputs):
        return inputs[0] + inputs[1]


@pytest.fixture(autouse=True)
def takeover():
    with lading.taking_over() as taken:
        yield taken


def export(*args: Any, **kwargs: Any) -> Any:
    return torch.onnx.export(*args, **kwargs)


def model() -> torch.nn.Module:
    return Scaled().eval()


# ---- forms of the call -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs", "expected"),
    [
        ((X,), {}, ["x"]),
        (X, {}, ["x"]),
        ((X, 3), {}, ["x"]),
        ((X, 3, None), {}, ["x"]),
        ((X, 3, X), {}, ["x", "other"]),
        ((X, {"other": X}), {}, ["x", "other"]),
        ((X,), {"other": X}, ["x", "other"]),
        ((), {"x": X, "factor": 3}, ["x"]),
    ],
    ids=["tuple", "tensor", "an integer", "None", "behind an integer", "a dict at the end", "kwargs", "kwargs alone"],
)
@pytest.mark.parametrize("dynamo", [None, True, False])
def test_forms_of_the_example_call(args, kwargs, expected, dynamo):
    further = {} if dynamo is None else {"dynamo": dynamo}
    program = export(model=model(), args=args, f=None, kwargs=kwargs or None, **further)
    positional = args if isinstance(args, tuple) else (args,)
    if positional and isinstance(positional[-1], dict):
        *positional, kwargs = positional
    feeds = [value for value in (*positional, *kwargs.values()) if isinstance(value, torch.Tensor)]
    assert expected == program.input_names
    torch.testing.assert_close(program(*feeds)[0], model()(*positional, **kwargs))


def test_positional_arguments_of_torch_1_8(tmp_path):
    path = tmp_path / "m.onnx"
    export(model(), X, str(path), True, False, torch.onnx.TrainingMode.EVAL, ["a"], ["b"])
    graph = onnx.load(path).graph
    assert (["a"], ["b"]) == ([value.name for value in graph.input], [value.name for value in graph.output])


def test_a_forward_with_any_number_of_inputs():
    program = export(Summed(), (X, X), input_names=["a", "b"], dynamic_axes={"a": {0: "n"}, "b": {0: "n"}})
    assert {"a": {0: "n"}, "b": {0: "n"}, "output": {0: "n"}} == program.axes


@pytest.mark.parametrize("bound", [True, False])
def test_a_forward_that_was_replaced_on_the_instance(bound):
    changed = model()
    original = changed.forward
    if bound:
        changed.forward = types.MethodType(lambda self, x: Scaled.forward(self, x, 5), changed)
    else:
        changed.forward = lambda x: original(x, 5)
    torch.testing.assert_close(export(changed, X)(X)[0], X * 5 + 1)


def test_mixed_training_flags_are_as_they_were():
    mixed = torch.nn.Sequential(torch.nn.Dropout(0.9), torch.nn.BatchNorm1d(3), model())
    mixed.eval()[0].train()
    torch.testing.assert_close(export(mixed, X)(X)[0], mixed.eval()(X), rtol=1e-4, atol=1e-4)
    mixed[0].train()
    export(mixed, X)
    assert [False, True, False, False] == [module.training for module in mixed.modules()]


def test_a_file_object():
    file = io.BytesIO()
    export(model(), X, file, external_data=True)
    assert 1 == len(onnx.load_from_string(file.getvalue()).graph.input)


def test_one_file_without_a_side_file(tmp_path):
    export(torch.nn.Linear(200, 200).eval(), torch.ones(1, 200), tmp_path / "m.onnx", dynamo=True)
    assert ["m.onnx"] == [path.name for path in tmp_path.iterdir()]


def test_a_side_file_where_the_caller_asks_for_one(tmp_path):
    export(torch.nn.Linear(200, 200).eval(), torch.ones(1, 200), tmp_path / "m.onnx", external_data=True)
    assert ["m.onnx", "m.onnx.data"] == sorted(path.name for path in tmp_path.iterdir())


def test_an_exported_program_in_the_mode_that_it_has():
    norm = torch.nn.BatchNorm1d(3)
    program = torch.export.export(norm.train(), (X,))
    operators = export(program).to_dict()["operators"]
    assert {"BatchNormalization": 1} == {name: count for name, count in operators.items() if "Norm" in name}


def test_inference_mode_and_autocast_around_the_call():
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        program = export(model(), torch.ones(2, 3))
    torch.testing.assert_close(program(X)[0], model()(X))


# ---- dynamic axes ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "shapes",
    [
        {"x": {0: torch.export.Dim("n")}},
        {"image": {0: torch.export.Dim("n")}},
        {"image": {0: "n"}},
        ({0: "n"},),
    ],
    ids=["parameter", "input name", "string", "tuple"],
)
def test_dynamic_shapes_by_parameter_or_by_the_name_of_the_input(shapes):
    program = export(model(), (X,), input_names=["image"], dynamic_shapes=shapes, dynamo=True)
    assert {0: "n"} == program.axes["image"]


def test_dynamic_shapes_go_before_dynamic_axes(takeover):
    program = export(model(), (X,), input_names=["x"], dynamic_shapes={"x": {0: "n"}}, dynamic_axes={"x": {0: "m"}})
    assert {0: "n"} == program.axes["x"]
    assert ("dynamic_axes: dynamic_shapes says which axes are dynamic",) == takeover.exports[0].remarks


class Fixed(torch.nn.Module):
    def forward(self, x):
        return x.reshape(2, 3) * 2


def test_an_axis_that_the_model_fixes_is_a_warning(takeover):
    program = export(Fixed(), X, input_names=["x"], dynamic_axes={"x": {0: "n"}})
    assert ["a requested dynamic axis is fixed"] == [w for w in program.warnings if "axis" in w]
    assert 2 == program.model_proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value


@pytest.mark.parametrize(
    ("arguments", "left_out"),
    [
        ({"dynamic_axes": {"mask": {0: "n"}}}, "'mask'"),
        ({"dynamic_axes": {"y": {0: "n"}}, "output_names": ["z"]}, "'y'"),
        ({"dynamic_axes": {"x": {3: "n"}}}, "no axis 3"),
        ({"dynamic_axes": {"output": {3: "n"}}}, "no axis 3"),
        ({"dynamic_axes": {"x": {0: "n", 1: "n"}}}, r"x\[1\] it is 'n_1'"),
        ({"output_names": ["y", "z"]}, "the names z"),
        ({"input_names": ["x", "weight", "surplus"]}, "the names surplus"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_names_and_axes_that_belong_to_nothing_are_left_out(tmp_path, arguments, left_out):
    with lading.taking_over(log=tmp_path):
        export(model(), X, **arguments)
    (log,) = tmp_path.glob("*.jsonl")
    warned = [warning for event in read_log(log)[0] for warning in event.get("warnings") or ()]
    told = [warning["details"]["what"] for warning in warned if "belongs to nothing" in warning["message"]]
    assert 1 == len([what for what in told if re.search(left_out, what)])


def test_they_are_errors_in_another_recipe():
    with lading.taking_over("inference"), pytest.raises(lading.UsageError, match="neither an input nor an output"):
        export(model(), X, dynamic_axes={"mask": {0: "n"}})


@pytest.mark.parametrize("wanted", [{torch.nn.LayerNorm}, True], ids=str)
def test_modules_become_functions(wanted, takeover, tmp_path):
    net = torch.nn.Sequential(torch.nn.LayerNorm(3), torch.nn.LayerNorm(3)).eval()
    file = tmp_path / "net.onnx"
    export(net, (X,), file, opset_version=17, export_modules_as_functions=wanted)
    written = onnx.load(file)
    assert ["LayerNorm", "LayerNorm"] == [node.op_type for node in written.graph.node]
    assert ["LayerNorm"] == [function.name for function in written.functions]
    session = onnxruntime.InferenceSession(file)
    (found,) = session.run(None, {session.get_inputs()[0].name: X.numpy()})
    torch.testing.assert_close(torch.from_numpy(found), net(X).detach())


@pytest.mark.parametrize("wanted", [{torch.nn.LayerNorm}, True], ids=str)
def test_modules_as_functions_below_the_opset_that_has_them_are_refused(wanted, takeover, tmp_path):
    net = torch.nn.Sequential(torch.nn.LayerNorm(3)).eval()
    with pytest.raises(torch.onnx.OnnxExporterError, match="needs opset 15, and the target is 14") as raised:
        export(net, (X,), tmp_path / "net.onnx", opset_version=14, export_modules_as_functions=wanted)
    assert "lading.export(export_modules_as_functions=...)" == raised.value.where
    assert (["failed"], []) == ([taken.status for taken in takeover.exports], list(tmp_path.iterdir()))


# ---- arguments without effect ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "argument",
    [
        {"dynamo": True},
        {"dynamo": False},
        {"report": True},
        {"profile": True},
        {"dump_exported_program": True},
        {"artifacts_dir": "reports"},
        {"autograd_inlining": False},
        {"fallback": True},
        {"_retain_param_name": False},
    ],
    ids=str,
)
def test_what_does_no_harm_is_on_record(takeover, argument):
    program = export(model(), X, **argument)
    ((name, value),) = argument.items()
    decisions = [decision for event in program.events for decision in event.get("decisions") or ()]
    decided = [decision for decision in decisions if decision["what"] == "argument without effect"]
    assert [(name, repr(value))] == [(d["details"]["argument"], d["details"]["value"]) for d in decided]
    assert [name] == [remark.partition(":")[0] for remark in takeover.exports[0].remarks]


@pytest.mark.parametrize(
    "argument",
    [{"report": False}, {"artifacts_dir": "."}, {"custom_translation_table": {}}, {"profile": None}],
    ids=str,
)
def test_what_asks_for_nothing_is_not(takeover, argument):
    export(model(), X, **argument)
    assert () == takeover.exports[0].remarks


def test_what_would_do_harm_is_refused():
    with pytest.raises(lading.UsageError, match="cannot take effect"):
        export(model(), X, export_raw_ir=True)


@pytest.mark.parametrize("argument", [{"optimise": True}, {"recipe": "inference"}])
def test_an_argument_that_no_version_has(argument):
    with pytest.raises(TypeError, match=r"export\(\) got an unexpected keyword argument"):
        export(model(), X, **argument)


def test_an_argument_given_twice_and_one_that_is_missing():
    with pytest.raises(TypeError, match=r"export\(\) got multiple values for argument 'f'"):
        export(model(), X, None, f=None)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'model'"):
        export()


def test_errors_are_those_that_callers_of_pytorch_wait_for():
    with pytest.raises(torch.onnx.OnnxExporterError) as caught:
        export(model(), ())
    assert isinstance(caught.value, lading.UsageError)


# ---- the record ------------------------------------------------------------------------------------------------------


def test_what_is_listed_of_an_export(takeover, tmp_path):
    path = str(tmp_path / "m.onnx")
    with lading.taking_over(verify=True) as inner:
        export(model(), X, path, opset_version=13)
    (listed,) = inner.exports
    assert [] == takeover.exports
    assert ("Scaled", "torch.onnx.export", path, "done", 13, 13, "record", 2) == (
        *(listed.model, listed.function, listed.file, listed.status, listed.opset_asked, listed.opset),
        *(listed.capture, listed.nodes),
    )
    assert listed.checks is not None
    assert listed.checks.startswith("passed")


def test_what_is_listed_of_an_export_that_fails(takeover):
    with pytest.raises(lading.UsageError):
        export(model(), (X, 1, 2, 3))
    (listed,) = takeover.exports
    assert ("failed", "4 positional arguments were given, and the model takes 3") == (listed.status, listed.error)


def test_each_export_has_a_log_of_its_own(tmp_path):
    with lading.taking_over(log=tmp_path / "logs") as taken:
        export(model(), X, tmp_path / "net.onnx")
        export(model(), X, tmp_path / "net.onnx")
        export(model(), X)
    logs = [Path(listed.log).name for listed in taken.exports]
    assert ["net.jsonl", "net-2.jsonl", "Scaled.jsonl"] == logs
    assert ["done"] * 3 == [read_log(tmp_path / "logs" / log)[0][-1]["status"] for log in logs]


def test_a_listener_is_told():
    told = []
    with lading.taking_over(on_export=told.append) as taken:
        export(model(), X)
    assert taken.exports == told


def test_verification_that_the_caller_asks_for():
    assert export(model(), X, verify=True).verification.passed


def test_the_recipes_verification_is_not_switched_off_by_the_callers_default():
    with lading.taking_over(verify=True):
        assert export(model(), X, verify=False).verification.passed


def test_a_dry_run_leaves_the_export_to_pytorch(tmp_path):
    path = tmp_path / "m.onnx"
    with lading.taking_over(dry_run=True) as taken:
        answer = export(model(), (X,), path, dynamo=False, opset_version=13)
    assert answer is None
    assert "pytorch" == onnx.load(path).producer_name
    assert [("planned", 13)] == [(listed.status, listed.opset) for listed in taken.exports]
