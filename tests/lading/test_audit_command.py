# SPDX-License-Identifier: Apache-2.0
"""``lading audit`` and ``lading explain`` on the log and the file of a real export."""

from __future__ import annotations

import json

import jsonschema
import onnx
import pytest
from lading.pipeline.audit_schema import log_schema


@pytest.fixture
def exported(nets, lading):
    """An export of ``nets.py:net`` with its log, in the working folder."""
    settings = ("--set", "serialize.provenance=full")
    assert 0 == lading("export", "nets.py:net", "-o", "net.onnx", "--log", "a.jsonl", "-q", *settings).code
    return nets


@pytest.mark.parametrize("level", ["nodes", "steps"])
def test_a_real_log_fits_the_published_schema(level, nets, lading):
    lading("export", "nets.py:net", "-o", "net.onnx", "--log", "a.jsonl", "-q", "--log-level", level)
    lading("export", "nets.py:unsupported", "-o", "net.onnx", "--log", "a.jsonl", "-q", "--log-level", level)
    validator = jsonschema.Draft202012Validator(log_schema())
    for line in (nets / "a.jsonl").read_text().splitlines():
        validator.validate(json.loads(line))


def test_the_schema_is_printed(lading):
    assert log_schema() == json.loads(lading("audit", "--schema").out)


def test_the_tree_goes_to_stdout_as_plain_text(exported, lading):
    out = lading("audit", "a.jsonl").out
    assert out.isascii()
    assert "lower" in out


def test_a_node_has_its_story(exported, lading):
    out = lading("audit", "a.jsonl", "--node", "Relu").out
    assert "aten::relu" in out
    assert "nets.py:" in out


def test_a_story_as_json(exported, lading):
    said = json.loads(lading("audit", "a.jsonl", "--node", "Relu", "--format", "json").out)
    assert ["trace", "lower"] == [chapter["visit"] for chapter in said["story"]][:2]


def test_an_operator_has_its_history(exported, lading):
    said = json.loads(lading("audit", "a.jsonl", "--op", "Relu", "--format", "json").out)
    assert [("lower", 1)] == [(step["visit"], step["made"]) for step in said["steps"]]


def test_what_passes_declined_is_listed(exported, lading):
    lading("export", "nets.py:net", "-o", "n.onnx", "--log", "b.jsonl", "-q", "--set", "fold-constants.size_limit=1")
    said = json.loads(lading("audit", "b.jsonl", "--declined", "--format", "json").out)
    assert all(entry["count"] >= 1 and entry["reason"] for entry in said)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.jsonl", "--node", "x", "--op", "y"), "--node and --op are two questions"),
        ((), "which log?"),
        (("a.jsonl", "--run", "3"), "the log holds 1 run, and not run 3"),
        (("a.jsonl", "--node", "Gone"), "no node of the file is called 'Gone'"),
        (("missing.jsonl",), "audit log cannot be read"),
    ],
)
def test_a_question_that_makes_no_sense_is_one_of_usage(arguments, message, exported, lading):
    answer = lading("audit", *arguments)
    assert 2 == answer.code
    assert message in answer.err


def test_a_log_cut_in_the_middle_names_the_running_pass(exported, lading):
    lines = (exported / "a.jsonl").read_bytes().split(b"\n")
    lower = next(number for number, line in enumerate(lines) if b'"pass.started"' in line and b'"lower"' in line)
    (exported / "cut.jsonl").write_bytes(b"\n".join(lines[: lower + 1]) + b'\n{"event": "pass.app')
    assert "while 'lower' was running" in lading("audit", "cut.jsonl").out


def test_explain_tells_module_class_line_and_passes(exported, lading):
    said = json.loads(lading("explain", "net.onnx", "Relu", "--format", "json").out)
    assert ("", "Net", ["trace", "lower"]) == (said["module"], said["module_class"], said["passes"])
    assert said["source"].endswith("nets.py:11")


def test_explain_finds_a_node_by_its_value(exported, lading):
    value = onnx.load("net.onnx").graph.node[0].output[0]
    assert "Gemm" == json.loads(lading("explain", "net.onnx", value, "--format", "json").out)["operator"]


@pytest.mark.parametrize(
    ("level", "held", "missing"),
    [
        ("none", "holds nothing of where nodes come from", "module, class, source line and passes"),
        ("light", "holds the module path and the passes", "the module's class and the source line"),
        ("full", "holds the module path, class, source line", "lading audit LOG --node NAME"),
    ],
)
def test_explain_says_what_the_level_gives_and_what_not(level, held, missing, nets, lading):
    lading("export", "nets.py:net", "-o", "net.onnx", "-q", "--set", f"serialize.provenance={level}")
    out = lading("explain", "net.onnx", "Gemm").out
    assert held in out
    assert missing in out


def test_explain_on_a_file_of_somebody_else(nets, lading):
    made = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Abs(x) }'
    )
    onnx.save(made, "other.onnx")
    out = lading("explain", "other.onnx", "y").out
    assert "Abs  (without a name)" in out
    assert "reads  x  an input of the model" in out


@pytest.mark.parametrize(
    ("file", "node", "message"),
    [
        ("missing.onnx", "x", "the file cannot be read"),
        ("nets.py", "x", "the file is not an ONNX model"),
        ("net.onnx", "Rellu", "no node of the file is called 'Rellu'"),
        ("net.onnx", "", "nodes have a name that ends with ''"),
    ],
)
def test_explain_says_what_is_wrong(file, node, message, exported, lading):
    answer = lading("explain", file, node)
    assert 2 == answer.code
    assert message in answer.err


BLOCKS = """
import torch


class Block(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(4, 4)

    def forward(self, x):
        return torch.tanh(torch.relu(self.fc(x)))


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = Block(), Block()

    def forward(self, x):
        return torch.relu(self.two(self.one(x))) * 2


def net():
    return Net(), (torch.ones(2, 4),)
"""


@pytest.fixture
def blocks(nets, lading):
    """An export in which a function and the main graph each have a Relu of the same name."""
    (nets / "blocks.py").write_text(BLOCKS)
    settings = ("--set", "inline.preserve=Block", "--set", "serialize.provenance=full")
    assert 0 == lading("export", "blocks.py:net", "-o", "b.onnx", "--log", "b.jsonl", "-q", *settings).code
    return nets


def test_a_node_in_a_function_has_its_story(blocks, lading):
    said = json.loads(lading("audit", "b.jsonl", "--node", "Block:/Relu", "--format", "json").out)
    assert "one" == said["places"][0]["module"]
    assert ["trace", "lower"] == [chapter["visit"] for chapter in said["story"]][:2]


def test_a_name_that_the_main_graph_has_too_means_that(blocks, lading):
    said = json.loads(lading("audit", "b.jsonl", "--node", "/Relu", "--format", "json").out)
    assert "" == said["places"][0]["module"]
    assert "" == json.loads(lading("explain", "b.onnx", "/Relu", "--format", "json").out)["module"]


def test_a_node_that_only_a_function_has_needs_no_more_than_its_name(blocks, lading):
    assert "aten::tanh" in lading("audit", "b.jsonl", "--node", "/Tanh").out
    assert "Tanh" == json.loads(lading("explain", "b.onnx", "/Tanh", "--format", "json").out)["operator"]


def test_explain_tells_of_a_node_in_a_function_what_the_function_knows(blocks, lading):
    said = json.loads(lading("explain", "b.onnx", "Block:/Relu", "--format", "json").out)
    assert ("function Block", "Block") == (said["within"], said["module_class"])
    (function,) = onnx.load("b.onnx").functions
    gemm, relu, tanh = function.node
    assert [f"{gemm.output[0]}  made by Gemm {gemm.name}"] == said["reads"]
    assert [f"{relu.output[0]}  read by Tanh {tanh.name}"] == said["makes"]


def test_explain_tells_inputs_and_outputs_of_a_function(blocks, lading):
    (function,) = onnx.load("b.onnx").functions
    said = json.loads(lading("explain", "b.onnx", f"Block:{function.node[0].name}", "--format", "json").out)
    assert [f"{name}  an input of the function" for name in function.node[0].input] == said["reads"]
    last = json.loads(lading("explain", "b.onnx", "/Tanh", "--format", "json").out)
    assert [f"{function.output[0]}  an output of the function"] == last["makes"]


@pytest.fixture
def two_runs(exported, lading):
    """A second run, at another opset and without a step, in ``b.jsonl``."""
    more = ("--opset", "13", "--set", "serialize.provenance=none", "--set", "name-values.enabled=false")
    assert 0 == lading("export", "nets.py:net", "-o", "b.onnx", "--log", "b.jsonl", "-q", *more).code
    return exported


def test_two_runs_are_compared(two_runs, lading):
    answer = lading("audit", "a.jsonl", "b.jsonl", "--format", "json")
    said = json.loads(answer.out)
    assert (0, [18, 13]) == (answer.code, said["recipe"]["target.opset"])


def test_a_limit_that_holds_leaves_with_0(two_runs, lading):
    assert 0 == lading("audit", "a.jsonl", "b.jsonl", "--fail-on", "node-count+5%", "--fail-on", "new-op").code


def test_a_limit_that_is_broken_leaves_with_1_and_says_so(two_runs, lading):
    answer = lading("audit", "b.jsonl", "a.jsonl", "--fail-on", "file-size+0")
    assert 1 == answer.code
    assert "over the limit: file-size+0:" in answer.err


def test_two_runs_of_one_log_are_compared(exported, lading):
    lading("export", "nets.py:net", "-o", "net.onnx", "--log", "a.jsonl", "-q")
    said = json.loads(lading("audit", "a.jsonl", "a.jsonl", "--run", "0", "--format", "json").out)
    assert {"serialize.provenance": ["full", "light"]} == said["recipe"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("a.jsonl", "b.jsonl", "--declined"), "--declined is a question to one log"),
        (("a.jsonl", "--fail-on", "graph"), "--fail-on compares two runs"),
        (("a.jsonl", "b.jsonl", "--fail-on", "nodes+5"), "nothing is called 'nodes'"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_one_of_usage(arguments, message, two_runs, lading):
    answer = lading("audit", *arguments)
    assert 2 == answer.code
    assert message in answer.err


def test_an_export_makes_spans_where_asked_to(nets, lading):
    assert 0 == lading("export", "nets.py:net", "-o", "net.onnx", "-q", "--otel").code


def test_an_export_is_told_to_the_logger_of_the_library(nets, lading, caplog):
    caplog.set_level("INFO", logger="lading")
    lading("export", "nets.py:net", "-o", "net.onnx", "-q")
    assert ["run.started", "run.finished"] == [
        record.lading_event["event"]
        for record in caplog.records
        if record.name == "lading" and record.levelname == "INFO"
    ]


def test_a_run_is_written_as_one_page(exported, lading):
    answer = lading("audit", "a.jsonl", "--html", "audit.html")
    assert (0, "") == (answer.code, answer.out)
    assert (exported / "audit.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert ["audit.html"] == [path.name for path in exported.iterdir() if "html" in path.name]


def test_a_page_that_cannot_be_written_is_one_of_usage(exported, lading):
    answer = lading("audit", "a.jsonl", "--html", "missing/audit.html")
    assert 2 == answer.code
    assert "the file cannot be written" in answer.err
