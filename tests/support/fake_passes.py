# SPDX-License-Identifier: Apache-2.0
"""Passes and graphs for tests of the engine: small, and without torch."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lading.pipeline.declare import a_pass, option
from lading.pipeline.facts import Fact
from lading.pipeline.note import Note
from lading.pipeline.plan import Plan, make_plan
from lading.pipeline.recipe import Recipe, load_recipe
from lading.pipeline.registry import Registry
from lading.pipeline.resolve import ResolvedRecipe, resolve
from lading.pipeline.work import Work


def fake(name: str, run: Callable[[Any, Work, Note], None] | None = None, options: Any = None, **declared: Any) -> Any:
    """A pass class called `name`, which does what `run` does, or nothing."""

    def do_nothing(self: Any, work: Work, note: Note) -> None:
        del self, work, note

    body = {"__doc__": f"Fake {name}.", "__module__": __name__, "run": run or do_nothing}
    options = options or {}
    body["__annotations__"] = {key: kind for key, (kind, _) in options.items()}
    body.update({key: value for key, (_, value) in options.items()})
    return a_pass(name, **declared)(types.new_class(name.replace("-", "_"), exec_body=lambda space: space.update(body)))


def registry_of(*classes: Any) -> Registry:
    registry = Registry(entry_points=False)
    for pass_class in classes:
        registry.add(pass_class)
    return registry


def recipe_file(folder: Path, text: str, name: str = "test") -> Path:
    """A recipe file with these tables; a head is put before them if they have none."""
    head = "" if "[recipe]" in text else f'[recipe]\nname = "{name}"\nabout = "For a test"\n'
    path = folder / f"{name}.toml"
    path.write_text(head + text, encoding="utf-8")
    return path


def recipe_of(folder: Path, *steps: str, opset: int = 18) -> Recipe:
    """A recipe with a step for each name."""
    tables = "".join(f"[step.{step}]\n" for step in steps)
    return load_recipe(recipe_file(folder, f"[target]\nopset = {opset}\n{tables}"))


def resolved_of(folder: Path, text: str, registry: Registry, **more: Any) -> ResolvedRecipe:
    return resolve(load_recipe(recipe_file(folder, text)), registry, **more)


def plan_of(folder: Path, text: str, registry: Registry, **more: Any) -> Plan:
    return make_plan(resolved_of(folder, text, registry, **more), registry)


def order_of(plan: Plan) -> list[str]:
    return [node.id for node in plan.nodes]


def chain_model(nodes: int = 4, operators: Sequence[str] = ("Relu", "Neg"), weights: int = 0, size: int = 4) -> Any:
    """A graph x -> operator -> operator -> … with `weights` initializers that an Add each reads at the end."""
    import numpy as np
    import onnx_ir as ir

    def described(value: ir.Value, name: str) -> ir.Value:
        value.name = name
        value.type = ir.TensorType(ir.DataType.FLOAT)
        value.shape = ir.Shape(["batch", size])
        return value

    x = described(ir.Value(), "x")
    made, initializers, current = [], [], x
    for index in range(nodes):
        node = ir.node(operators[index % len(operators)], [current], name=f"n{index}")
        current = described(node.outputs[0], f"v{index}")
        made.append(node)
    for index in range(weights):
        weight = ir.Value(
            name=f"w{index}",
            type=ir.TensorType(ir.DataType.FLOAT),
            shape=ir.Shape([size]),
            const_value=ir.tensor(np.full([size], index, np.float32)),
        )
        initializers.append(weight)
        node = ir.node("Add", [current, weight], name=f"a{index}")
        current = described(node.outputs[0], f"s{index}")
        made.append(node)
    graph = ir.Graph([x], [current], nodes=made, initializers=initializers, opset_imports={"": 18}, name="chain")
    return ir.Model(graph, ir_version=10)


@a_pass("capture", provides=(Fact.ONNX,))
class Capture:
    """Make a chain of four nodes."""

    nodes: int = option(4, help="How many nodes the chain has.", at_least=1, at_most=1000)

    def run(self, work: Work, note: Note) -> None:
        work.model = chain_model(self.nodes)
        note.count("captured", self.nodes)


@a_pass("drop-pair", requires=(Fact.ONNX,))
class DropPair:
    """Drop one pair of Neg nodes after each other."""

    def run(self, work: Work, note: Note) -> None:
        assert work.model is not None
        graph = work.model.graph
        for node in graph:
            before = node.inputs[0].producer() if node.inputs[0] is not None else None
            if node.op_type == "Neg" and before is not None and before.op_type == "Neg":
                node.outputs[0].replace_all_uses_with(before.inputs[0], replace_graph_outputs=True)
                graph.remove([node, before], safe=True)
                note.count("dropped", 2)
                return
        note.declined("graph", "no pair of Neg")


@a_pass("negate-twice", requires=(Fact.ONNX,), before=("drop-pair",))
class NegateTwice:
    """Put two Neg nodes at the end, as often as `times` says."""

    times: int = option(1, help="How many pairs.")

    def run(self, work: Work, note: Note) -> None:
        import onnx_ir as ir

        assert work.model is not None
        graph = work.model.graph
        for _ in range(2 * self.times):
            node = ir.node("Neg", [graph.outputs[0]])
            node.outputs[0].type, node.outputs[0].shape = graph.outputs[0].type, graph.outputs[0].shape
            graph.append(node)
            graph.outputs[0] = node.outputs[0]
        note.count("negated", 2 * self.times)


@a_pass("look-around", requires=(Fact.ONNX,), after=("drop-pair",))
class LookAround:
    """Change nothing, and take notes."""

    def run(self, work: Work, note: Note) -> None:
        del work
        note.decided("branch taken", "the size is 4", size=4)
        note.warned("nothing to see", nodes=("a", "b"))


@a_pass("write", requires=(Fact.ONNX,), provides=(Fact.FILE,), closes=(Fact.ONNX,))
class Write:
    """Say that there is a file."""

    name: str | None = option(None, help="What the file is called.")

    def run(self, work: Work, note: Note) -> None:
        del note
        work.provide(Fact.FILE, self.name)


STANDARD = (Capture, DropPair, NegateTwice, LookAround, Write)
