# SPDX-License-Identifier: Apache-2.0
"""Faults that are planted in a step are found in that step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest
import torch
from lading.passes.verification.report import Check, Verification

import lading
from lading import Fact, Note, Work
from lading.bisecting import Departure, StepCheck, find_departure
from lading.cli import main


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x)).sin()


def swap(name: str, old: str, new: str) -> Any:
    """A pass that makes one kind of node another, wherever it is placed."""

    @lading.a_pass(name, requires=(Fact.ONNX,))
    class Swap:
        """Exchange an operator."""

        def run(self, work: Work, note: Note) -> None:
            graph = work.need_model().graph
            for node in list(graph):
                if node.op_type == old:
                    made = ir.node(new, node.inputs)
                    made.outputs[0].shape, made.outputs[0].type = node.outputs[0].shape, node.outputs[0].type
                    ir.convenience.replace_nodes_and_values(graph, node, [node], [made], node.outputs, made.outputs)

    return Swap()


@pytest.fixture(autouse=True)
def _same_weights_and_inputs() -> None:
    """Of some random numbers nothing is left after the relu, and then nothing departs."""
    torch.manual_seed(0)


@pytest.fixture
def wrong_softplus() -> Iterator[None]:
    @lading.lowers("aten::softplus", since=18)
    def softplus(op: Any, x: ir.Value, *, beta: float = 1.0, threshold: float = 20.0) -> Any:
        return op.Log(op.Exp(x))

    yield
    lading.unregister_lowering("aten::softplus", 18)


def found(model: torch.nn.Module, x: torch.Tensor, **options: Any) -> Departure:
    options["overrides"] = {"verify.samples": 0, "verify.sizes": False, **options.get("overrides", {})}
    return find_departure(model.eval(), (x,), **options)


def test_a_run_that_is_right_departs_nowhere() -> None:
    departure = found(Net(), torch.randn(2, 4))
    assert (False, None, None, "passed") == (
        departure.departs,
        departure.step,
        departure.place,
        departure.verification.status,
    )


def test_a_wrong_pass_in_the_middle_is_found_with_its_node() -> None:
    departure = found(Net(), torch.randn(2, 4), passes=(swap("bend-relu", "Relu", "Neg"),))
    assert departure.place is not None
    assert ("bend-relu", "/Neg", ("aten::relu",)) == (
        departure.step,
        departure.place.node,
        departure.place.operators,
    )


def test_a_node_that_a_pass_puts_in_is_found() -> None:
    departure = found(Net(), torch.randn(2, 4), passes=(Ceil(),))
    assert departure.place is not None
    assert ("put-ceil", "Ceil") == (departure.step, departure.place.op_type)


def test_a_wrong_lowering_is_found_in_the_file_with_module_and_line(wrong_softplus: None, tmp_path: Path) -> None:
    class Soft(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.softplus(self.linear(x)).exp()

    file, model, x = tmp_path / "soft.onnx", Soft().eval(), torch.randn(2, 4)
    lading.export(model, x, file)
    departure = found(model, x, file=file)
    place = departure.place
    assert place is not None
    assert (("/Exp", "/Log"), "Soft", "lower") == (place.nodes, place.module_class, departure.step)
    assert "test_bisecting.py:" in place.source


def test_a_departure_at_another_size_is_looked_for_there() -> None:
    departure = find_departure(
        Net().eval(),
        (torch.randn(2, 4),),
        passes=(Pinned(),),
        overrides={"normalize-arguments.dynamic_axes": {"x": {0: "batch"}}, "verify.samples": 0},
    )
    assert departure.check is not None
    assert departure.place is not None
    assert ("batch = 3", "pin-rows", "Slice") == (departure.check.name, departure.step, departure.place.op_type)


def test_half_precision_that_drifts_has_no_single_node() -> None:
    class Deep(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleList(torch.nn.Linear(64, 64) for _ in range(24))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers:
                x = x + torch.tanh(layer(x)) * 1.3
            return x

    torch.manual_seed(0)
    model = Deep()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(4)
    departure = found(model.half(), torch.randn(4, 64).half())
    assert departure.place is not None
    assert departure.place.node is None, departure.text()
    assert departure.place.drifts
    assert departure.place.why.startswith("no single node departs")


class Choice(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cond(x.sum() > -1e9, torch.nn.functional.softplus, torch.cos, (x.exp(),)) * 2


class Repeated(torch.nn.Module):
    def forward(self, x: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
        def again(left: torch.Tensor, value: torch.Tensor) -> bool:
            return left > 0

        def once(left: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return left - 1, torch.nn.functional.softplus(value.sin()) + 1

        return torch.while_loop(again, once, (count, x))[1].cos()


class Block(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(self.linear(x)) + 1


class Stacked(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Block(), Block()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x.sin()).sin()).cos()


AS_FUNCTIONS = {"inline.preserve": ("Block",)}


@pytest.fixture(params=["in memory", "in a file"])
def looked_for(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Looks for where an export departs: that of this process, or a file that knows less of itself."""

    def look(model: torch.nn.Module, *args: torch.Tensor, **overrides: Any) -> Departure:
        overrides = {"verify.samples": 0, "verify.sizes": False, **overrides}
        file = None if request.param == "in memory" else tmp_path / "model.onnx"
        if file is not None:
            lading.export(model.eval(), args, file, overrides={**overrides, "serialize.provenance": "full"})
        return find_departure(model.eval(), args, file=file, overrides=overrides)

    return look


def test_in_a_branch_its_node_is_found(wrong_softplus: None, looked_for: Any) -> None:
    place = looked_for(Choice(), torch.randn(3, 4)).place
    assert ("Log", ("the then branch of /If",), None) == (place.op_type, place.inside, place.border)
    assert "aten::softplus" in place.operators


def test_in_a_loop_its_node_is_found_in_the_first_iteration(wrong_softplus: None, looked_for: Any) -> None:
    place = looked_for(Repeated(), torch.randn(3, 4), torch.tensor(3)).place
    assert ("Log", ("iteration 1 of 3 of /Loop",)) == (place.op_type, place.inside)


def test_in_a_file_that_says_little_of_itself_the_node_is_found(tmp_path: Path) -> None:
    file, model, x = tmp_path / "model.onnx", Choice().eval(), torch.randn(3, 4)
    lading.export(model, (x,), file, settings=["serialize.provenance=none"])
    proto = onnx.load(file)
    del proto.graph.value_info[:]
    for node in proto.graph.node:
        node.ClearField("name")
        for attribute in (attribute for attribute in node.attribute if attribute.HasField("g")):
            del attribute.g.value_info[:]
            for inner in attribute.g.node:
                inner.op_type = {"Softplus": "Tanh"}.get(inner.op_type, inner.op_type)
    onnx.save(proto, file)
    place = found(model, x, file=file).place
    assert place is not None
    assert ("Tanh", ("the then branch of /If_output_0",)) == (place.op_type, place.inside)


def test_in_a_function_its_node_is_found_with_the_call(wrong_softplus: None, looked_for: Any) -> None:
    place = looked_for(Stacked(), torch.randn(3, 4), **AS_FUNCTIONS).place
    assert ("Block:/Log", ("function Block, called as /first",)) == (place.node, place.inside)
    assert "test_bisecting.py:" in place.source


@pytest.fixture
def overflowing_softplus() -> Iterator[None]:
    """Right below 88."""

    @lading.lowers("aten::softplus", since=18)
    def softplus(op: Any, x: ir.Value, *, beta: float = 1.0, threshold: float = 20.0) -> Any:
        return op.Log(op.Add(op.Exp(x), op.Exp(op.Sub(x, x))))

    yield
    lading.unregister_lowering("aten::softplus", 18)


def test_in_a_function_that_is_right_at_first_the_later_call_is_found(
    overflowing_softplus: None, looked_for: Any
) -> None:
    class Grown(Stacked):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x.sin()) * 1000).sqrt()

    place = looked_for(Grown(), torch.randn(3, 4), **AS_FUNCTIONS).place
    assert ("Block:/Exp", ("function Block, called as /second",)) == (place.nodes[0], place.inside)


def test_in_a_branch_of_a_loop_the_iteration_is_found(overflowing_softplus: None) -> None:
    def bent(value: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.softplus(value) * 70

    class Nested(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            def once(count: torch.Tensor, value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
                return count + 1, torch.cond(count < 1, torch.cos, bent, (value,))

            return torch.while_loop(lambda count, value: count < 5, once, (torch.tensor(0), x))[1]

    place = found_on(Nested(), torch.randn(3, 4)).place
    assert place is not None
    assert ("iteration 3 of 5 of /Loop", "the else branch of /If") == place.inside
    assert "/Exp" == place.nodes[0]


def test_a_loop_that_runs_too_often_is_the_border(wrong_softplus: None) -> None:
    place = found_on(Repeated(), torch.randn(3, 4), torch.tensor(100)).place
    assert place is not None
    assert "it has bodies (Loop), which cannot be looked into: it runs 100 times" == place.border


def test_a_function_that_is_right_is_not_looked_into() -> None:
    """The fault is behind the function, whose constants are no values of PyTorch's."""
    departure = found_on(Stacked(), torch.randn(3, 4), passes=(swap("bend-cos", "Cos", "Sin"),), overrides=AS_FUNCTIONS)
    assert departure.place is not None
    assert ("/Sin_2", ()) == (departure.place.node, departure.place.inside)


@lading.a_pass("bend-captured", requires=(Fact.GRAPH,), after=("trace",))
class BendCaptured:
    """Make another operator of the captured sine."""

    def run(self, work: Work, note: Note) -> None:
        for node in work.need_model().graph:
            if node.op_type == "sin":
                node.op_type = "cos"


def test_a_step_before_lowering_is_told_from_lowering() -> None:
    departure = found(Net(), torch.randn(2, 4), passes=(BendCaptured(),))
    assert "bend-captured" == departure.step
    assert [("trace", "passed"), ("bend-captured", "failed"), ("lower", "failed")] == [
        (entry.step, entry.check.status) for entry in departure.checked[:3]
    ]


class Steps(torch.nn.Module):
    """Takes one way for the example, and the other for larger numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 4)
        self.choose = Chooses()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.choose(self.linear(x)).cos()


class Chooses(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sin() if x.abs().max() < 100 else x.exp()


def test_where_capture_departs_the_module_is_found(tmp_path: Path) -> None:
    import numpy as np

    np.savez(tmp_path / "large.npz", x=np.full((2, 4), 1e3, np.float32))
    departure = find_departure(
        Steps().eval(),
        (torch.randn(2, 4),),
        inputs=[tmp_path / "large.npz"],
        overrides={"trace.bake_branches": True, "verify.samples": 0},
    )
    assert departure.place is not None
    assert ("trace", "choose", "Chooses") == (departure.step, departure.place.module, departure.place.module_class)
    assert "first module that departs: choose (Chooses)" in departure.text()


def found_on(model: torch.nn.Module, *args: torch.Tensor, **options: Any) -> Departure:
    options["overrides"] = {"verify.samples": 0, "verify.sizes": False, **options.get("overrides", {})}
    return find_departure(model.eval(), args, **options)


def test_a_kept_autograd_function_is_found() -> None:
    class Kept(Net):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.linear(x) + Wrong.apply(x).exp().sum(-1, keepdim=True)

    departure = found(Kept(), torch.randn(2, 4))
    assert departure.place is not None
    assert ("Cos", "lower") == (departure.place.op_type, departure.step)


class Wrong(torch.autograd.Function):
    """An operator whose own lowering is not what it computes."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        return x.sin()

    @staticmethod
    def symbolic(g: Any, x: Any) -> Any:
        return g.op("Cos", x)


@lading.a_pass("put-ceil", requires=(Fact.ONNX,))
class Ceil:
    """Round what an Add gives."""

    def run(self, work: Work, note: Note) -> None:
        graph = work.need_model().graph
        for node in list(graph):
            if node.op_type in ("Relu",) and not any(reader.op_type == "Ceil" for reader, _ in node.outputs[0].uses()):
                made = ir.node("Ceil", [node.outputs[0]])
                made.outputs[0].shape, made.outputs[0].type = node.outputs[0].shape, node.outputs[0].type
                node.outputs[0].replace_all_uses_with(made.outputs[0])
                made.replace_input_with(0, node.outputs[0])
                graph.insert_after(node, made)


@lading.a_pass("pin-rows", requires=(Fact.ONNX,))
class Pinned:
    """Keep two rows: right for so many, and not for more."""

    def run(self, work: Work, note: Note) -> None:
        graph = work.need_model().graph
        relu = next(node for node in graph if node.op_type == "Relu")
        if any(node.op_type == "Slice" for node in graph):
            return
        value = relu.inputs[0]
        assert value is not None
        bounds = []
        for name, number in (("first", 0), ("end", 2)):
            bound = ir.Value(name=name, const_value=ir.tensor([number], name=name))
            bound.type, bound.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([1])
            graph.register_initializer(bound)
            bounds.append(bound)
        made = ir.node("Slice", [value, *bounds])
        # Of the shape that it has, which is not the one that it replaces: no tidying takes it for nothing.
        made.outputs[0].shape, made.outputs[0].type = ir.Shape([2, 3]), value.type
        graph.insert_before(relu, made)
        relu.replace_input_with(0, made.outputs[0])


def test_a_fault_that_a_later_step_mends_does_not_count() -> None:
    def entry(step: str, status: Any) -> StepCheck:
        return StepCheck(step=step, check=Check(name="example", status=status))

    statuses = [("a", "failed"), ("b", "passed"), ("c", "failed"), ("d", "skipped"), ("e", "failed")]
    whole = Verification(checks=(Check(name="example", status="failed"),))
    assert "c" == Departure(verification=whole, checked=tuple(entry(*pair) for pair in statuses)).step


def test_the_command_refuses_a_provider_with_bisect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plain_model.py").write_text(
        "import torch\n\n\ndef net():\n    return torch.nn.ReLU(), (torch.ones(2),)\n"
    )
    with pytest.raises(SystemExit) as leaving:
        main(["verify", "net.onnx", f"{tmp_path}/plain_model.py:net", "--bisect", "--provider", "CUDA"])
    assert (2, True) == (leaving.value.code, "--bisect runs on the CPU" in capsys.readouterr().err)
