# SPDX-License-Identifier: Apache-2.0
"""The first node of a file at which it departs from eager.

Every value of the file is compared with every value of the captured graph as PyTorch computes it. Where two agree, that
place of the file is right. Then the file is run again with PyTorch's values in those places, so that what was wrong
only for what came before is right now, and so on until no more places come out right. What is then still wrong, between
places that are right and an output that is not, is what departs. If the outputs come out right, no single node does:
the difference has grown over many of them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from ...pipeline.origin import NOWHERE, Origin
from ..control_flow import values_read
from .comparison import OutputError, Tolerance, compare
from .exposing import made_values, run_exposed
from .runtimes import RuntimeLacks, RuntimeRejects
from .unfolding import CannotUnfold, Inside, border, can_be_unfolded, count_iterations, file_node, unfold

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch

    from .eager_values import EagerGraph, EagerNode

ROUNDS = 64
"""How often the file is run with further values of PyTorch's in it; deep networks of half precision need some."""

_SAMPLED = 64
"""How many elements of two tensors are looked at before all of them are."""

_SHOWN = 5
"""How many nodes are named where a difference grows over many."""


@attrs.frozen(kw_only=True)
class Lineage:
    """What is known of a node of the file beside the file.

    Attributes:
        ancestors: the numbers of the captured operators that it descends from; None where nobody knows.
        origin: the module and line that it is from.
        touched: whether the step at fault has made or changed it.
    """

    ancestors: frozenset[int] | None = None
    origin: Origin = NOWHERE
    touched: bool = False


@attrs.frozen(kw_only=True)
class Drift:
    """By how much one node alone differs from PyTorch, which is within the tolerance.

    Attributes:
        node: its name.
        relative: the difference on PyTorch's own inputs, as a share of the scale of the value.
        allowed: the share that is accepted.
    """

    node: str
    relative: float
    allowed: float


@attrs.frozen(kw_only=True)
class Place:
    """Where a file departs from eager.

    Attributes:
        node: the name of the first node that departs; None where no single one does. In a function, that of the
            function stands before it: "Block:/fc/MatMul".
        op_type: its operator.
        inside: what had to be looked into to find it, from the outermost on: "the then branch of /If".
        nodes: the nodes from the last right values up to it, in order: the piece that was looked at as one.
        operators: the captured operators that these nodes stand for, as "aten::gelu".
        module: the path of the module that called the operator.
        module_class: its class.
        source: the user's line.
        absolute: the largest difference there, None where the values cannot be compared.
        relative: the same as a share of the value's scale.
        allowed: the share that is accepted.
        problem: what is wrong there.
        border: why the search ends at this node: "it has bodies (Scan), which cannot be looked into".
        drifts: where no single node departs, those that add most to the difference.
        why: one sentence on what was found.
    """

    node: str | None = None
    op_type: str | None = None
    inside: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    operators: tuple[str, ...] = ()
    module: str = ""
    module_class: str = ""
    source: str = ""
    absolute: float | None = None
    relative: float | None = None
    allowed: float | None = None
    problem: str | None = None
    border: str | None = None
    drifts: tuple[Drift, ...] = ()
    why: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return attrs.asdict(self)


@attrs.define(kw_only=True)
class Locator:
    """Looks for the first node of one file, beside one captured graph.

    Attributes:
        model: the file's graph.
        eager: what PyTorch computes for the captured graph.
        feeds: a tensor for each input of the file.
        expected: what eager gives for each output of the file, in order; None for one that is none of the model's.
        lineage: what is known of a node of the file.
        tolerance: which differences are accepted.
        coarsest: the coarsest type that the model computes in.
        runtime: what runs the file.
    """

    model: ir.Model
    eager: EagerGraph
    feeds: Mapping[str, torch.Tensor]
    expected: Sequence[torch.Tensor | None]
    lineage: Callable[[ir.Node], Lineage]
    tolerance: Tolerance = attrs.field(factory=Tolerance)
    coarsest: torch.dtype | None = None
    runtime: str = "auto"
    _right: dict[str, tuple[int, torch.Tensor]] = attrs.field(factory=dict)
    _got: Mapping[str, torch.Tensor] = attrs.field(factory=dict)
    _called: dict[tuple[str, str, str], dict[str, list[int]]] = attrs.field(factory=dict)

    def locate(self) -> Place:
        """Find the place, in functions and in the bodies of If and Loop too.

        A node that has an inside and departs is written out for the inputs at hand, and looked through.

        Raises:
            RuntimeLacks: nothing can run the file with its values exposed.
            RuntimeRejects: the runtime refuses it so.
        """
        place, node = self._search()
        here = self
        while node is not None and (hidden := border(here.model, node)) is not None:
            try:
                here = here._inside(node)
                found, node = here._search()
            except (CannotUnfold, RuntimeLacks, RuntimeRejects) as error:
                return attrs.evolve(place, border=f"{hidden}, which cannot be looked into: {error}")
            if node is None:
                return attrs.evolve(place, border=f"{hidden}, in which no single node departs")
            place = found
        return place

    def _inside(self, node: ir.Node) -> Locator:
        """The same for a graph in which a node is written out.

        Raises:
            CannotUnfold: it cannot be.
        """
        if not can_be_unfolded(self.model, node):
            raise CannotUnfold("lading has no way to write it out")
        iterations = 0
        if node.op_type == "Loop" and node.domain == "":
            counting, name = count_iterations(self.model, node)
            given = {name: tensor for name, (_, tensor) in self._right.items()}
            iterations = len(run_exposed(counting, self.feeds, given, self.runtime).values[name])
        if node.op_identifier() in self.model.functions and node.op_identifier() not in self._called:
            calls = [other for other in self.model.graph if other.op_identifier() == node.op_identifier()]
            self._called[node.op_identifier()] = {
                file_node(call).shown: sorted(self._ancestors(call) or ()) for call in calls
            }
        model = unfold(self.model, node, self._got, iterations)
        names = {value.name for value in made_values(model.graph)}
        right = {name: match for name, match in self._right.items() if name in names}
        return attrs.evolve(self, model=model, right=right, got={})

    def _search(self) -> tuple[Place, ir.Node | None]:
        index = _Index(self.eager, self)
        values = {value.name: value for value in made_values(self.model.graph) if value.name}
        got: Mapping[str, torch.Tensor] = {}
        for _ in range(ROUNDS):
            given = {name: tensor for name, (_, tensor) in self._right.items()}
            self._got = got = run_exposed(self.model, self.feeds, given, self.runtime).values
            if not given and not self._wrong(got):
                why = (
                    "with its values exposed the file agrees with eager: the runtime's own rewriting of the graph "
                    "makes the difference, not a node of the file"
                )
                return Place(why=why), None
            found = {
                name: match
                for name, tensor in got.items()
                if name not in self._right and name in values
                if (match := index.match(tensor, values[name])) is not None
            }
            if not found:
                break
            self._right.update(found)
        wrong = self._wrong(got)
        return self._node(got, wrong) if wrong else (self._drift(got), None)

    def agrees(self, expected: torch.Tensor, got: torch.Tensor) -> OutputError:
        """Compare two tensors within the tolerance."""
        return compare("", expected, got, self.tolerance, self.coarsest)

    def _wrong(self, got: Mapping[str, torch.Tensor]) -> list[ir.Value]:
        outputs = self.model.graph.outputs
        return [
            value
            for value, expected in zip(outputs, self.expected, strict=False)
            if expected is not None
            and value.name
            and value.name in got
            and self.agrees(expected, got[value.name]).problem
        ]

    def _drift(self, got: Mapping[str, torch.Tensor]) -> Place:
        """No node is wrong on PyTorch's own inputs: name those that add most."""
        producers = {value.name: value.producer() for value in made_values(self.model.graph)}
        drifts = []
        for name, (_, exact) in self._right.items():
            error, node = self.agrees(exact, got[name]), producers[name]
            if node is not None and error.relative > 0:
                drifts.append(Drift(node=node.name or name, relative=error.relative, allowed=error.allowed))
        drifts.sort(key=lambda drift: -drift.relative)
        return Place(
            drifts=tuple(drifts[:_SHOWN]),
            why="no single node departs: on PyTorch's own inputs each agrees, and the difference grows over many",
        )

    def _node(self, got: Mapping[str, torch.Tensor], wrong: Sequence[ir.Value]) -> tuple[Place, ir.Node | None]:
        order = {node: index for index, node in enumerate(self.model.graph)}
        closure = self._behind(wrong)
        if not closure:
            # What makes a wrong output agrees with another value of PyTorch's: the output is not the one asked for.
            value = wrong[0]
            node = value.producer()
            lineage = self.lineage(node) if node is not None else Lineage()
            segment = [node] if node is not None else []
            return self._place(segment, lineage, got, why="a wrong value is the output"), None
        explained = self._explained()
        first = [node for node in sorted(closure, key=order.__getitem__) if not self._reads_wrong(node, closure)]
        chosen = next((node for node in first if self._is_closed(node, explained)), first[0])
        segment = self._segment(chosen, closure, explained, order)
        touched = [node for node in segment if self.lineage(node).touched]
        node = touched[0] if touched else segment[-1]
        return self._place(segment, self.lineage(node), got, node=node), node

    def _behind(self, wrong: Sequence[ir.Value]) -> set[ir.Node]:
        """The nodes between places that are right and outputs that are wrong."""
        found: set[ir.Node] = set()
        todo = [value for value in wrong if value.name not in self._right]
        while todo:
            node = todo.pop().producer()
            # In functions and bodies constants are nodes, and no values of PyTorch's.
            if node is None or node in found or node.op_type == "Constant":
                continue
            found.add(node)
            todo.extend(value for value in values_read(node) if value.name not in self._right)
        # What is computed from weights alone waits for nothing, and stands with whoever reads it.
        return found

    def _reads_wrong(self, node: ir.Node, closure: Collection[ir.Node]) -> bool:
        return any(value.name not in self._right and value.producer() in closure for value in values_read(node))

    def _explained(self) -> set[int]:
        """The captured operators all of whose results stand in the file."""
        matched = {place for place, _ in self._right.values()}
        explained = set()
        for place, node in enumerate(self.eager.nodes):
            known = [tensor for tensor in node.results if tensor is not None]
            if known and ((place in matched and len(known) == 1) or all(map(self._stands, known))):
                explained.add(place)
        return explained

    def _stands(self, tensor: torch.Tensor) -> bool:
        """Whether a tensor is an input of the file, or one of its values that are right."""
        tensor = _real(tensor)
        known = (*(other for _, other in self._right.values()), *self.feeds.values())
        return any(
            other.shape == tensor.shape and other.dtype == tensor.dtype and bool((other == tensor).all())
            for other in known
        )

    def _is_closed(self, node: ir.Node, explained: Collection[int]) -> bool:
        """Whether all that the operators of a node read is right: what is wrong here is then not wrong before."""
        ancestors = self._ancestors(node)
        if ancestors is None or not self.standing(node)[1]:
            return True
        return all(
            source in explained
            or source in ancestors
            or self.eager.nodes[source].is_number
            or self.eager.nodes[source].is_constant
            for place in ancestors - set(explained)
            for source in self.eager.nodes[place].sources
        )

    def _ancestors(self, node: ir.Node) -> set[int] | None:
        return self.standing(node)[0]

    def standing(self, node: ir.Node) -> tuple[set[int] | None, bool]:
        """Return the captured operators that a node descends from, by their places, and whether it is only they.

        In a function that is called again, and in a loop, a node descends from an operator of each call and iteration.
        Those of its own are told by their order, where there are as many operators as calls and iterations.
        """
        numbers = self.lineage(node).ancestors
        if numbers is None:
            return None, True
        places = {place for place, eager in enumerate(self.eager.nodes) if numbers & set(eager.numbers)}
        known, is_exact = file_node(node), True
        for inside in known.inside:
            if inside.function is not None:
                own = self._of_call(places, inside)
            elif inside.iterations > 1:
                own = self._of_iteration(places, inside)
            else:
                continue
            is_exact = is_exact and own is not None
            places = places if own is None else own
        return places, is_exact

    def _of_iteration(self, places: Collection[int], inside: Inside) -> set[int] | None:
        by_number: dict[tuple[int, ...], list[int]] = {}
        for place in sorted(places):
            by_number.setdefault(self.eager.nodes[place].numbers, []).append(place)
        if any(len(runs) != inside.iterations for runs in by_number.values()):
            return None
        return {runs[inside.iteration or 0] for runs in by_number.values()}

    def _of_call(self, places: Collection[int], inside: Inside) -> set[int] | None:
        calls = self._called.get(inside.function or ("", "", ""), {})
        own = calls.get(inside.call, [])
        for other in calls.values():
            if len(other) == len(own) and set(places) <= set(other):
                return {own[other.index(place)] for place in places}
        return None

    def _segment(
        self, first: ir.Node, closure: Collection[ir.Node], explained: Collection[int], order: Mapping[ir.Node, int]
    ) -> list[ir.Node]:
        """The nodes of the closure that stand for the same operators as the first one, up to the last of them."""
        ancestors = self._ancestors(first)
        lineage = self.lineage(first)
        # A node whose operators are all right stands before the one that is not: it was put in.
        if ancestors is not None and not ancestors - set(explained):
            return [first]
        same = []
        inside = file_node(first).inside
        for node in sorted((node for node in closure if file_node(node).inside == inside), key=order.__getitem__):
            if ancestors is not None:
                if (self._ancestors(node) or set()) & ancestors:
                    same.append(node)
            elif node is first or (lineage.origin.source and self.lineage(node).origin == lineage.origin):
                same.append(node)
        return same

    def _place(
        self,
        segment: Sequence[ir.Node],
        lineage: Lineage,
        got: Mapping[str, torch.Tensor],
        node: ir.Node | None = None,
        why: str = "the first node whose value differs while all that it reads agrees",
    ) -> Place:
        node = node or (segment[-1] if segment else None)
        places = sorted(set().union(*(self._ancestors(other) or set() for other in segment)))
        operators = [self.eager.nodes[place] for place in places]
        origin = lineage.origin
        if operators and not origin.source:
            origin = operators[-1].origin
        error = None if node is None else self._error(node, operators, got)
        known = error is not None and error.absolute != float("inf")
        return Place(
            node=None if node is None else file_node(node).shown,
            op_type=None if node is None else node.op_type,
            inside=() if node is None else tuple(inside.text for inside in file_node(node).inside),
            nodes=tuple(file_node(other).shown for other in segment),
            operators=tuple(dict.fromkeys(operator.operator for operator in operators)),
            module=origin.module,
            module_class=origin.module_class,
            source=origin.source,
            absolute=error.absolute if error is not None and known else None,
            relative=error.relative if error is not None and known else None,
            allowed=error.allowed if error is not None else None,
            problem=None if error is None else error.problem,
            why=why,
        )

    def _error(
        self, node: ir.Node, operators: Sequence[EagerNode], got: Mapping[str, torch.Tensor]
    ) -> OutputError | None:
        """The difference at a node, to the nearest result of its operators."""
        values = [got[value.name] for value in node.outputs if value.name and value.name in got]
        results = [tensor for operator in operators for tensor in operator.results if tensor is not None]
        results += [
            expected
            for value, expected in zip(self.model.graph.outputs, self.expected, strict=False)
            if expected is not None and value.producer() is node
        ]
        errors = [self.agrees(result, value) for result in results for value in values]
        return min((error for error in errors if error.problem), key=lambda error: error.absolute, default=None)


class _Index:
    """The values that PyTorch computes, to find the one that a value of the file agrees with."""

    def __init__(self, eager: EagerGraph, locator: Locator) -> None:
        self._locator = locator
        self._eager = eager
        self._by_kind: dict[tuple[Any, ...], list[tuple[int, int, torch.Tensor]]] = {}
        for place, node in enumerate(eager.nodes):
            for index, tensor in enumerate(node.results):
                if tensor is not None and tensor.numel():
                    self._by_kind.setdefault(_kind(tensor), []).append((place, index, _real(tensor)))

    def match(self, got: torch.Tensor, value: ir.Value) -> tuple[int, torch.Tensor] | None:
        """The operator, by its place, and the tensor that a value agrees with; None where there is none."""
        producer = value.producer()
        lineage = self._locator.lineage(producer) if producer is not None else Lineage()
        candidates = self._by_kind.get(_kind(got), [])
        places, is_exact = self._locator.standing(producer) if producer is not None else (None, True)
        if places:
            own = {entry[0] for entry in candidates if entry[0] in places}
            if own:
                # A wrong value may be another one that came before it: two halves exchanged twice, say. Of a node that
                # runs again and again, what came before one time may be what another time gives.
                before = self._before(own) if is_exact else set()
                candidates = sorted(
                    (entry for entry in candidates if entry[0] not in before), key=lambda e: e[0] not in own
                )
        for place, index, tensor in candidates:
            if producer is not None and self._is_another_output(producer, value, lineage, place, index):
                continue
            tensor = tensor.reshape(got.shape)
            if self._near(tensor, got) and self._locator.agrees(tensor, got).problem is None:
                return place, tensor
        return None

    def _before(self, places: Collection[int]) -> set[int]:
        """The operators that others depend on, without these themselves."""
        found: set[int] = set()
        todo = list(places)
        while todo:
            for source in self._eager.nodes[todo.pop()].sources:
                if source not in found:
                    found.add(source)
                    todo.append(source)
        return found - set(places)

    def _is_another_output(self, producer: ir.Node, value: ir.Value, lineage: Lineage, place: int, index: int) -> bool:
        """Whether a node of several outputs would be matched crosswise: its first with the operator's second."""
        eager = self._eager.nodes[place]
        if len(producer.outputs) == 1 or len(producer.outputs) != len(eager.results):
            return False
        related = lineage.ancestors is None or bool(lineage.ancestors & set(eager.numbers))
        return related and producer.outputs[index] is not value

    def _near(self, expected: torch.Tensor, got: torch.Tensor) -> bool:
        """Whether a few elements of two tensors are near, which is quick to see."""
        step = max(1, expected.numel() // _SAMPLED)
        a, b = expected.reshape(-1)[::step], got.reshape(-1)[::step]
        if not expected.dtype.is_floating_point:
            return bool((a == b).all())
        a, b = a.double(), b.double()
        scale = float(expected.abs().nan_to_num(0, 0, 0).max())
        loose = 10 * self._locator.tolerance.relative(expected.dtype) * scale + self._locator.tolerance.atol
        return bool(((a - b).abs().nan_to_num(0, 0, 0) <= max(loose, 1e-12)).all())


def _kind(tensor: torch.Tensor) -> tuple[Any, ...]:
    real = _real(tensor)
    # A size is a number in PyTorch, and a list of one in a file.
    shape = () if tuple(real.shape) == (1,) and not real.dtype.is_floating_point else tuple(real.shape)
    return (real.dtype, shape)


def _real(tensor: torch.Tensor) -> torch.Tensor:
    import torch

    return torch.view_as_real(tensor.resolve_conj()) if tensor.dtype.is_complex else tensor
