# SPDX-License-Identifier: Apache-2.0
"""The command line as a contract: streams, exit codes, and what each command answers."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnx
import pytest


def test_export_writes_the_file_and_keeps_stdout_free(nets, lading):
    answer = lading("export", "nets.py:net", "-o", "net.onnx")
    assert (0, "") == (answer.code, answer.out)
    assert 18 == onnx.load("net.onnx").opset_import[0].version


def test_the_summary_on_stderr_names_file_axes_and_log(nets, lading):
    answer = lading("export", "nets.py:net", "-o", "net.onnx", "-i", "x:float32[batch=2,4]", "--log", "a.jsonl")
    assert "net.onnx" in answer.err
    assert "batch, 4" in answer.err
    assert "lading audit a.jsonl" in answer.err


def test_quiet_says_nothing(nets, lading):
    assert "" == lading("export", "nets.py:net", "-o", "net.onnx", "-q").err


def test_json_on_stdout_is_one_document(nets, lading):
    answer = lading("export", "nets.py:net", "-o", "net.onnx", "--format", "json", "-i", "x:float32[n=2,4]")
    said = json.loads(answer.out)
    assert ["n", 4] == said["inputs"][0]["shape"]
    assert 18 == said["opset"]


@pytest.mark.parametrize("arguments", [("nosuch",), ("export",), ("plan", "--bogus")])
def test_a_mistake_on_the_command_line_is_one_of_usage(arguments, lading):
    answer = lading(*arguments)
    assert (2, "") == (answer.code, answer.out)


def test_an_error_says_its_code(lading):
    assert lading("plan", "inferense").err.startswith("error[recipe]: no recipe is called 'inferense'")


def test_the_help_on_inputs_shows_the_sizes(lading):
    assert "float32[batch" in lading("export", "--help").out


def test_the_help_on_recipes_names_the_table_of_a_project(lading):
    assert "[tool.lading]" in lading("export", "--help").out


def test_a_setting_overrides_the_recipe(nets, lading):
    lading("export", "nets.py:net", "-o", "net.onnx", "--set", "target.opset=11")
    assert 11 == onnx.load("net.onnx").opset_import[0].version


def test_opset_is_a_shortcut(nets, lading):
    lading("export", "nets.py:net", "-o", "net.onnx", "--opset", "9")
    assert 9 == onnx.load("net.onnx").opset_import[0].version


def test_verify_runs_the_file_and_says_so(nets, lading):
    answer = lading("export", "nets.py:net", "-o", "net.onnx", "--verify", "-i", "x:float32[batch=2,4]")
    assert 0 == answer.code
    assert "passed" in answer.err


def test_verify_of_a_file_leaves_with_0_when_it_agrees(nets, lading):
    lading("export", "nets.py:net", "-o", "net.onnx")
    assert 0 == lading("verify", "net.onnx", "nets.py:net").code


def test_verify_of_a_file_leaves_with_1_when_it_differs(nets, lading):
    lading("export", "nets.py:net", "-o", "net.onnx")
    model = onnx.load("net.onnx")
    for node in model.graph.node:
        if node.op_type == "Relu":
            node.op_type = "Neg"
    onnx.save(model, "net.onnx")
    answer = lading("verify", "net.onnx", "nets.py:net", "--format", "json")
    assert 1 == answer.code
    assert "failed" == json.loads(answer.out)["status"]


def test_verify_takes_inputs_from_files_and_several_providers(nets, lading):
    lading("export", "nets.py:net", "-o", "net.onnx")
    name = onnx.load("net.onnx").graph.input[0]
    shape = [dim.dim_value for dim in name.type.tensor_type.shape.dim]
    np.savez("given.npz", **{name.name: np.ones(shape, np.float32)})
    options = ["--inputs", "given.npz", "--provider", "CPU", "--provider", "NoSuch", "--format", "json"]
    answer = lading("verify", "net.onnx", "nets.py:net", *options)
    assert 0 == answer.code
    checks = {(check["provider"], check["name"]): check["status"] for check in json.loads(answer.out)["checks"]}
    assert {"CPU": "passed", "NoSuch": "skipped"} == {key[0]: checks[key] for key in checks}
    assert "passed" == checks["CPU", "given.npz"]


def test_verify_says_the_worst_error_of_each_output(nets, lading):
    lading("export", "nets.py:net", "-o", "net.onnx")
    assert "worst relative" in lading("verify", "net.onnx", "nets.py:net").out


def test_audit_shows_each_pass_of_the_last_run(nets, lading):
    lading("export", "nets.py:net", "-o", "net.onnx", "--log", "a.jsonl")
    answer = lading("audit", "a.jsonl")
    assert "lower" in answer.out
    assert "Relu" in answer.out


def test_audit_as_json_is_the_events(nets, lading):
    lading("export", "nets.py:net", "-o", "net.onnx", "--log", "a.jsonl")
    assert "run.finished" == json.loads(lading("audit", "a.jsonl", "--format", "json").out)[-1]["event"]


@pytest.mark.parametrize(
    "arguments", [["plan", "inference"], ["recipes"], ["recipes", "debug"], ["passes"], ["passes", "lower"]]
)
def test_questions_are_answered_on_stdout(lading, arguments):
    answer = lading(*arguments)
    assert 0 == answer.code
    assert answer.out


def test_a_plan_as_mermaid_is_a_flowchart(lading):
    assert lading("plan", "inference", "--mermaid").out.startswith("flowchart")


def test_a_plan_as_json_names_every_edge_with_its_reason(lading):
    plan = json.loads(lading("plan", "inference", "--json").out)
    assert all(edge["why"] for edge in plan["edges"])


_LOADED = """
import sys
sys.argv = ["lading", *{arguments!r}]
from lading.cli import main
try:
    main()
except SystemExit:
    pass
print(sorted({{"torch", "onnx", "onnx_ir", "onnxruntime"}} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", [["recipes"], ["passes"], ["plan", "inference"], ["recipes", "inference"]])
def test_questions_load_no_torch_and_no_onnx(arguments):
    code = _LOADED.format(arguments=arguments)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == ran.stderr.strip().splitlines()[-1]


def test_importing_lading_loads_neither_torch_onnx_nor_networkx():
    code = "import sys, lading; print(sorted({'torch', 'onnx', 'onnx_ir', 'networkx'} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "[]" == ran.stdout.strip()
