# SPDX-License-Identifier: Apache-2.0
"""Control flow by functions, while a model is recorded: `torch.cond`, `while_loop`, `scan` and `map`.

The functions that such an operator takes are Python, and are recorded like the rest of the model, into a body of their
own. What they read of their surroundings (closures, weights, sizes) is read from the graph around the body. Joining the
sides of a choice, and finding what a loop carries, is what the script strategy does for TorchScript.

A loop is a `prim::Loop`: that of `while_loop` asks its condition before the first iteration and after each; those of
`scan` and `map` take one slice in each iteration and stack what it gives.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType, MethodType
from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.control_flow import forget
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.script import lists
from lading.passes.trace.script.branches import Changes, Join, assuming
from lading.passes.trace.script.interpreter import Frame, Interpreter
from lading.passes.trace.script.loops import DynamicLoop
from lading.passes.trace.script.numbers import number_from, value_of
from lading.passes.trace.script.snapshots import Snapshot
from lading.passes.trace.script.values import Items, List, Maybe, Number, Stack, Unusable
from lading.pipeline.errors import CaptureError

_select = torch.ops.aten.select.int


class Regions:
    """Records the calls of higher-order operators in one capture.

    Args:
        recorder: the recorder that is active.
        held: gives the tensors of the model that its code may write.
    """

    def __init__(self, recorder: Recorder, held: Callable[[], Sequence[torch.Tensor]]) -> None:
        self.recorder = recorder
        self._held = held

    @functools.cached_property
    def interpreter(self) -> Interpreter:
        """What gives meaning to numbers of the run and finds what loops carry."""
        return Interpreter(self.recorder, lambda path, tensor: tensor, "preserve", around=self.recorder.places)

    def recorded(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which the operators are recorded."""
        handlers: dict[str, Callable[..., Any]] = {
            "cond": self._cond,
            "while_loop": self._while_loop,
            "scan": self._scan,
            "map_impl": self._map,
        }
        return torch_private.higher_order_calls_by(handlers)

    @contextlib.contextmanager
    def reaching(self, *reachable: Any) -> Iterator[None]:
        """Say what the bodies of one operator can write: what is handed to them, closed over, or held by the model."""
        interpreter = self.interpreter
        roots, interpreter.roots = interpreter.roots, [*interpreter.roots, *self._held(), *_tensors_behind(reachable)]
        interpreter.frames.append(Frame({}, self.recorder.places.module, ""))
        try:
            yield
        finally:
            interpreter.frames.pop()
            interpreter.roots = roots

    # ---- choice ------------------------------------------------------------------------------------------------------

    def _cond(self, pred: Any, true_fn: Callable[..., Any], false_fn: Callable[..., Any], operands: Any = ()) -> Any:
        interpreter = self.interpreter
        with self.reaching(true_fn, false_fn, operands):
            condition = self._condition(pred)
            settled = interpreter.decide(condition)
            if settled is not None:
                return (true_fn if settled else false_fn)(*operands)
            results, bodies, changes = [], [], []
            for function, holds in ((true_fn, True), (false_fn, False)):
                body = self.recorder.open_body()
                snapshot = Snapshot(interpreter)
                with self.recorder.inside(body), assuming(interpreter, condition, holds):
                    results.append(torch_private.pytree_flat(function(*operands)))
                    changes.append({id(change[0]): change for change in snapshot.written_tensors()})
                snapshot.put_back()
                bodies.append(body)
            (left, structure), (right, other) = results
            if structure != other:
                raise self._cannot("the two functions of a torch.cond return different structures")
            join = Join(interpreter, *bodies)
            joined = [self._leaf(join.of(a, b)) for a, b in zip(left, right, strict=True)]
            written = Changes()
            for key in {**changes[0], **changes[1]}:
                tensor, before, _ = changes[0].get(key) or changes[1][key]
                after = [change[key][2] if key in change else before for change in changes]
                written.tensors.append((tensor, torch_private.unwrap_functional(join.fakes(*after))))
            join.write(value_of(interpreter, condition))
            written.apply(interpreter)
            return torch_private.pytree_whole(joined, structure)

    def _condition(self, pred: Any) -> Any:
        return number_from(self.interpreter, pred, bool) if isinstance(pred, torch.Tensor) else pred

    def _leaf(self, value: Any) -> Any:
        """Return a result as the user's code is to see it."""
        if isinstance(value, Unusable):
            raise self._cannot(value.why)
        if isinstance(value, Maybe):
            raise self._cannot("a result of a torch.cond is None on one side and a tensor on the other")
        return value.tensor if isinstance(value, Number) else value

    def _cannot(self, what: str) -> CaptureError:
        return CaptureError(what, where=self.recorder.places.line() or None)

    # ---- loops -------------------------------------------------------------------------------------------------------

    def _while_loop(
        self,
        cond_fn: Callable[..., Any],
        body_fn: Callable[..., Any],
        carried: Sequence[Any],
        extra: Sequence[Any] = (),
        **_: Any,
    ) -> Any:
        structure: Any = None

        def iterate(index: Any, values: Sequence[Any]) -> list[Any]:
            nonlocal structure
            flat, structure = torch_private.pytree_flat(body_fn(*map(self._leaf, values), *extra))
            return [self._condition(cond_fn(*flat, *extra)), *flat]

        with self.reaching(cond_fn, body_fn, carried, extra):
            goes_on = self._condition(cond_fn(*carried, *extra))
            if self.interpreter.decide(goes_on) is False:
                return tuple(carried)
            results = self._loop(iterate, None, goes_on, carried)
        return torch_private.pytree_whole(results, structure)

    def _scan(
        self, combine_fn: Callable[..., Any], init: Sequence[Any], xs: Sequence[torch.Tensor], additional_inputs: Any
    ) -> Any:
        carried, stacked = self._over_slices(combine_fn, init, xs, tuple(additional_inputs), carries=True)
        return carried, stacked

    def _map(self, function: Callable[..., Any], xs: Sequence[torch.Tensor], extra: Sequence[Any]) -> Any:
        _, stacked = self._over_slices(function, (), xs, tuple(extra), carries=False)
        return stacked

    def _over_slices(
        self,
        function: Callable[..., Any],
        init: Sequence[Any],
        xs: Sequence[torch.Tensor],
        extra: Any,
        *,
        carries: bool,
    ) -> tuple[Any, Any]:
        """Write a loop over the slices of tensors; return what it carries and what it stacks, as the function does."""
        structures: list[Any] = []
        gathered: list[List] = []

        def iterate(index: Any, values: Sequence[Any]) -> list[Any]:
            slices = [self.recorder.keep(_select, [x, 0, index], (x.shape[1:], x.dtype)) for x in xs]
            result = function(*map(self._leaf, values), *slices, *extra)
            state, given = result if carries else ((), result)
            flat_state, state_structure = torch_private.pytree_flat(state)
            flat, structure = torch_private.pytree_flat(given)
            structures[:] = [state_structure, structure]
            while len(gathered) < len(flat):
                gathered.append(List())
            for kept, one in zip(gathered, flat, strict=True):
                lists.append(self.interpreter, kept, one)
            return [True, *flat_state]

        with self.reaching(function, init, xs, extra):
            self._tried(iterate, init)
            for kept in gathered:
                kept.state = Items(())
            self.interpreter.roots.extend(gathered)
            results = self._loop(iterate, xs[0].shape[0], True, init)
            whole = [kept.state.tensor for kept in gathered if isinstance(kept.state, Stack)]
        if len(whole) != len(gathered):
            raise self._cannot("the iterations of a scan or map give tensors of different shapes")
        carried, stacked = (
            torch_private.pytree_whole(flat, structure)
            for flat, structure in zip((results, whole), structures, strict=True)
        )
        return carried, stacked

    def _tried(self, iterate: Callable[..., list[Any]], values: Sequence[Any]) -> None:
        """Run an iteration for what can be told of it, and keep nothing of what it writes."""
        snapshot = Snapshot(self.interpreter)
        body = self.recorder.open_body()
        with self.recorder.inside(body):
            iterate(0, list(values))
        snapshot.put_back()
        forget(body.nodes)

    def _loop(self, iterate: Callable[..., list[Any]], trip_count: Any, condition: Any, carried: Sequence[Any]) -> Any:
        endless = 2**63 - 1
        loop = DynamicLoop(
            self.interpreter, iterate, endless if trip_count is None else trip_count, condition, 0, list(carried)
        )
        if not loop.capture():
            raise self._cannot(f"in a loop that only the run can count, {loop.why_apart}")
        return [self._leaf(value) for value in loop.results]


def _tensors_behind(value: Any, seen: set[int] | None = None) -> list[torch.Tensor]:
    """Return the tensors that functions and their operands hold: in containers, closures and partial calls."""
    seen = set() if seen is None else seen
    if id(value) in seen:
        return []
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        return [value]
    parts: list[Any] = []
    if isinstance(value, (list, tuple)):
        parts = list(value)
    elif isinstance(value, dict):
        parts = list(value.values())
    elif isinstance(value, functools.partial):
        parts = [value.func, value.args, value.keywords]
    elif isinstance(value, FunctionType):
        parts = [cell.cell_contents for cell in value.__closure__ or () if _is_full(cell)]
    elif isinstance(value, MethodType):
        parts = [value.__func__]
    return [tensor for part in parts for tensor in _tensors_behind(part, seen)]


def _is_full(cell: Any) -> bool:
    try:
        _ = cell.cell_contents
    except ValueError:  # the name is not bound yet
        return False
    return True
