# SPDX-License-Identifier: Apache-2.0
"""The example's own values beside the fake tensors, for a capture that may bake in what the model's Python asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import sympy
import torch
from lading.passes import torch_private
from lading.passes.trace.capture import Baked

if TYPE_CHECKING:
    from lading.passes.trace.recorder import Recorder
    from lading.passes.trace.sources import Places
    from lading.passes.trace.symbols import Axes

_SYMBOLIC = (torch.SymInt, torch.SymFloat, torch.SymBool)
_SHOWN = 8
_aten = torch.ops.aten

# The stand-ins of kept composites are contiguous; the real results need not be.
_IN_PLACE_OF = {_aten.view.default: _aten.reshape.default, _aten._unsafe_view.default: _aten.reshape.default}


class Shadow:
    """Runs every recorded operator on the example as well, and answers from that what only a run knows.

    It holds every intermediate result of the example until the capture ends. An operator that cannot be run on the
    example leaves its results unknown: a question that depends on them is then an error, as without a shadow.
    """

    def __init__(self, axes: Axes, places: Places) -> None:
        self._axes = axes
        self._places = places
        self._real: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._numbers: dict[sympy.Basic, sympy.Basic] = {}

    def hold(self, fake: torch.Tensor, real: torch.Tensor) -> None:
        """Let `real` be the value that `fake` has in the example."""
        self._real[id(fake)] = (fake, real)

    def follow(self, recorder: Recorder, overload: Any, args: Any, kwargs: Any, results: Any) -> None:
        """Run one recorded call on the example."""
        try:
            real_args = self._of(recorder, args)
            real_kwargs = {name: self._of(recorder, value) for name, value in kwargs.items()}
        except KeyError:
            return
        try:
            with torch_private.beneath_modes(), torch.no_grad():
                real = _IN_PLACE_OF.get(overload, overload)(*real_args, **real_kwargs)
        except Exception:
            return  # its results stay unknown, and whoever asks for them is told so
        for made, value in zip(_flat(results), _flat(real), strict=False):
            self._learn(made, value)

    def _learn(self, made: Any, value: Any) -> None:
        if isinstance(made, torch.Tensor):
            self.hold(made, value)
            for size, known in zip(made.shape, value.shape, strict=True):
                self._learn(size, known)
        elif isinstance(made, _SYMBOLIC):
            expression = made.node.expr
            if expression.is_Symbol:
                self._numbers.setdefault(expression, sympy.sympify(value))
            elif isinstance(expression, sympy.Eq) and expression.args[0].is_Symbol:  # how a bool is written: u0 == 1
                self._numbers.setdefault(expression.args[0], sympy.Integer(int(value)))

    def _of(self, recorder: Recorder, item: Any) -> Any:
        if isinstance(item, torch.Tensor):
            held = self._real.get(id(item))
            if held is not None:
                return held[1]
            known = recorder.known(item)
            if known is None:
                raise KeyError
            return known
        if isinstance(item, (list, tuple)):
            return [self._of(recorder, member) for member in item]
        if isinstance(item, _SYMBOLIC):
            answer = self._answered(item.node.expr)
            if answer is None:
                raise KeyError
            if isinstance(item, torch.SymBool):
                return bool(answer)
            return int(answer) if isinstance(item, torch.SymInt) else float(answer)
        return item

    def read(self, recorder: Recorder, tensor: torch.Tensor) -> torch.Tensor | None:
        """Return the value of a tensor in the example and keep it as baked in, None where it is not known."""
        if torch_private.is_functional(tensor):
            tensor = torch_private.unwrap_functional(tensor)
        try:
            found: torch.Tensor = self._of(recorder, tensor)
        except KeyError:
            return None
        self._bake(recorder, found.tolist() if found.numel() <= _SHOWN else f"a tensor of shape {tuple(found.shape)}")
        return found

    def run(self, recorder: Recorder, overload: Any, args: Any, kwargs: Any) -> Any:
        """Return the plain value that an operator gives in the example and keep it as baked in.

        Raises:
            KeyError: an argument is not known.
        """
        real_args = self._of(recorder, args)
        real_kwargs = {name: self._of(recorder, value) for name, value in kwargs.items()}
        with torch_private.beneath_modes(), torch.no_grad():
            value = overload(*real_args, **real_kwargs)
        self._bake(recorder, value)
        return value

    def _bake(self, recorder: Recorder, value: Any) -> None:
        recorder.baked.append(Baked(value, self._places.line(), self._places.text(), branch=True))

    def _answered(self, question: sympy.Basic) -> Any:
        answer = question.xreplace({**self._axes.backed_var_to_val, **self._numbers})
        return answer if answer.is_number or answer in (sympy.true, sympy.false) else None

    def answer(self, recorder: Recorder, question: sympy.Basic) -> sympy.Basic | None:
        """Return what a question on numbers of the run comes to in the example, and keep it as baked in."""
        answer = self._answered(question)
        if answer is not None:
            plain = bool(answer) if answer in (sympy.true, sympy.false) else _number(answer)
            self._bake(recorder, plain)
        return answer


def _number(answer: Any) -> int | float:
    return int(answer) if answer.is_integer else float(answer)


def _flat(results: Any) -> Iterator[Any]:
    if isinstance(results, (list, tuple)):
        for item in results:
            yield from _flat(item)
    else:
        yield results
