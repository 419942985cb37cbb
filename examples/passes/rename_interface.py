# SPDX-License-Identifier: Apache-2.0
"""Other names and another order for inputs and outputs: ``passes=[RenameInterface(names={"x": "pixels"})]``."""

from __future__ import annotations

from collections.abc import Mapping

import lading
from lading import Fact, Note, UsageError, Work


@lading.a_pass("rename-interface", requires=(Fact.ONNX, Fact.AXES, Fact.INITIALIZERS))
class RenameInterface:
    """Rename inputs and outputs, and put the inputs into another order.

    Why: the program around the file has its own names and its own order, and the model's code should not have to know.
    """

    names: Mapping[str, str] = lading.option({}, help="New names of inputs and outputs, by the old ones.")
    order: tuple[str, ...] = lading.option((), help="The inputs that come first, in this order, by their new names.")

    def run(self, work: Work, note: Note) -> None:
        graph = work.need_model().graph
        interface = {value.name: value for value in (*graph.inputs, *graph.outputs)}
        taken = {value.name for node in graph for value in node.outputs} | set(graph.initializers) | set(interface)
        for old, new in self.names.items():
            if old not in interface:
                raise UsageError(f"nothing is called '{old}'", hint=f"one of: {', '.join(map(str, interface))}")
            if new in taken - set(self.names):
                raise UsageError(f"'{new}' is the name of another value", hint="take a name that is free")
        for old, new in self.names.items():
            interface[old].name = new
            note.count("renamed")
        by_name = {value.name: value for value in graph.inputs}
        if missing := [name for name in self.order if name not in by_name]:
            raise UsageError(f"there is no input '{missing[0]}'", hint=f"one of: {', '.join(map(str, by_name))}")
        first = [by_name[name] for name in self.order]
        graph.inputs[:] = [*first, *(value for value in graph.inputs if value not in first)]
