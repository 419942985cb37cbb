# SPDX-License-Identifier: Apache-2.0
"""Which input of a file is which tensor of the call, and which output which of the model's.

A pass may rename inputs and outputs, put them into another order, and add some. A value of the graph keeps what it
stands for through all of that, so names and places in the file need not be those of the call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    import onnx_ir as ir

METADATA_KEY = "lading.interface"
"""The entry in a file's metadata that holds its interface, where that is not the one of the call."""

_INPUT = "lading.input"
_OUTPUT = "lading.output"
_SETTLED = "lading.interface"


@attrs.frozen
class Interface:
    """The interface of a file beside the call of its model.

    Attributes:
        called: the names of the tensors of the call, in order.
        inputs: for inputs of the file that stand for tensors of the call: which one, counted from 0.
        outputs: for each output of the file, which of the model's outputs it is, counted from 0; None for one that a
            pass has added.
    """

    called: tuple[str, ...]
    inputs: Mapping[str, int]
    outputs: tuple[int | None, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names that the tensors of the call have in the file; one that the file lacks keeps its own."""
        by_place = {place: name for name, place in self.inputs.items()}
        return tuple(by_place.get(place, name) for place, name in enumerate(self.called))

    def to_text(self) -> str:
        """Return it as a line of JSON."""
        return json.dumps(attrs.asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Interface:
        """Read what `to_text` wrote.

        Raises:
            ValueError: the text is not one.
        """
        try:
            said = json.loads(text)
            inputs = {str(name): int(place) for name, place in said["inputs"].items()}
            found = cls(tuple(said["called"]), inputs, tuple(said["outputs"]))
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"{METADATA_KEY} is not an interface: {text}") from error
        if not set(inputs.values()) <= set(range(len(found.called))):
            raise ValueError(f"{METADATA_KEY} has more inputs than the call: {text}")
        return found


def settle_interface(graph: ir.Graph, called: Sequence[str]) -> None:
    """Note on the inputs and outputs of a graph what they stand for, while names and places still say so.

    Args:
        graph: the graph.
        called: the names of the tensors of the call, in order.
    """
    places = {name: place for place, name in enumerate(called)}
    for value in graph.inputs:
        if value.name in places:
            value.meta[_INPUT] = places[value.name]
    for place, value in enumerate(graph.outputs):
        value.meta[_OUTPUT] = place
    graph.meta[_SETTLED] = (tuple(called), tuple(value.name for value in graph.outputs))


def interface_of(graph: ir.Graph) -> Interface | None:
    """Return the interface that a graph has by now, or None where it was never settled.

    An output that is another value than it was, as behind a Cast that a pass has added, is known by its name, or else
    by its place where as many outputs are left over as the model has.
    """
    if _SETTLED not in graph.meta:
        return None
    called, names = graph.meta[_SETTLED]
    inputs = {value.name: value.meta[_INPUT] for value in graph.inputs if value.name and _INPUT in value.meta}
    outputs: list[int | None] = []
    for value in graph.outputs:
        place = value.meta.get(_OUTPUT)
        outputs.append(None if place in outputs else place)
    for index, value in enumerate(graph.outputs):
        if outputs[index] is None and value.name in names and names.index(value.name) not in outputs:
            outputs[index] = names.index(value.name)
    unknown = [index for index, place in enumerate(outputs) if place is None]
    left = [place for place in range(len(names)) if place not in outputs]
    if len(unknown) == len(left):
        for index, place in zip(unknown, left, strict=True):
            outputs[index] = place
    return Interface(called, inputs, tuple(outputs))


def changed_interface(graph: ir.Graph) -> Interface | None:
    """Return the interface of a graph where names and places no longer say it; None where they do."""
    found = interface_of(graph)
    if found is None:
        return None
    places = list(found.inputs.values())
    in_order = places == sorted(places) and found.outputs == tuple(range(len(found.outputs)))
    return None if in_order and found.names == found.called else found
