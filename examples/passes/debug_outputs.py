# SPDX-License-Identifier: Apache-2.0
"""What modules compute, as further outputs: ``passes=[DebugOutputs(modules=("layer1.*", "fc"))]``."""

from __future__ import annotations

from fnmatch import fnmatchcase

import onnx_ir as ir

import lading
from lading import Fact, Note, Work, origin_of


@lading.a_pass("debug-outputs", requires=(Fact.ONNX,), after=("name-values",), before=("serialize",))
class DebugOutputs:
    """Give what modules hand on as outputs after the model's own, named by the module.

    Why: where a device computes something else, the first module that differs says where to look.
    Declines when: nothing that the module computes is left in the graph, because it was folded or merged.
    """

    modules: tuple[str, ...] = lading.option(("*",), help="Dotted paths of modules, as patterns.")

    def run(self, work: Work, note: Note) -> None:
        graph = work.need_model().graph
        found: dict[str, list[ir.Value]] = {}
        for node in graph:
            origin = origin_of(node)
            for module in _with_outer_modules(origin.module if origin else ""):
                if any(fnmatchcase(module, pattern) for pattern in self.modules):
                    found.setdefault(module, []).extend(node.outputs)
        for pattern in self.modules:
            if not any(fnmatchcase(module, pattern) for module in found):
                note.declined(pattern, "no node comes from a module of this name")
        given = set(graph.outputs)
        for module, values in found.items():
            makers = {value.producer() for value in values}
            leaving = [value for value in values if _leaves(value, makers)]
            for number, value in enumerate(leaving):
                if value in given or value.dtype is None:
                    continue
                same = ir.node("Identity", [value])
                same.name = f"{module}/debug_{number}"
                same.outputs[0].name = module if len(leaving) == 1 else f"{module}.{number}"
                same.outputs[0].type, same.outputs[0].shape = value.type, value.shape
                graph.append(same)
                graph.outputs.append(same.outputs[0])
                note.count("outputs added")


def _with_outer_modules(module: str) -> list[str]:
    parts = module.split(".") if module else []
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _leaves(value: ir.Value, makers: set[ir.Node | None]) -> bool:
    return value.is_graph_output() or any(user not in makers for user in value.consumers())
