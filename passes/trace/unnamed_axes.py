# SPDX-License-Identifier: Apache-2.0
"""Axes that the caller calls dynamic without a name (`Dim.AUTO`, `Dim.DYNAMIC`), and that follow from other axes.

Who names two axes says that their sizes are independent, and what ties them together limits the file. Who names none
leaves to the model how they hang together. `torch.export` (2.13) makes one symbol of sizes that the model needs to be
equal, for both hints, and an expression such as `s0 + 1` of one that follows from another; the hints differ only in
what is an error, an axis that becomes a constant under `Dim.DYNAMIC`. Here the axis gets the name, or the expression,
that it should have had, and the model is captured again.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import sympy
from lading.passes.signature.arguments import Arguments, AxisRange, DerivedAxis
from lading.passes.trace.capture import Capture, Guard, states_equality
from lading.passes.trace.symbols import axis_symbol


@attrs.frozen
class TiedAxis:
    """An axis without a name of the user's whose size follows from that of another one.

    Attributes:
        axis: the name that it had.
        size: what its size is: the name of the other axis, or an expression over it.
        source: the user's line that needs it so.
    """

    axis: str
    size: str
    source: str


def tie_axes(arguments: Arguments, capture: Capture) -> tuple[Arguments, list[TiedAxis]]:
    """Give unnamed axes the sizes that the model needs them to have.

    Args:
        arguments: what was captured.
        capture: what it relies on.

    Returns:
        The arguments to capture next, and the axes that have changed; none where all is said.
    """
    ties = _Ties(arguments)
    for guard in capture.guards:
        ties.read(guard)
    return ties.arguments(), ties.tied()


class _Ties:
    """Sizes that follow from others, gathered from what a capture relies on."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._sizes = {
            axis_symbol(name): int(item.tensor.shape[axis])
            for item in arguments.inputs
            for axis, name in item.axes.items()
            if name not in arguments.derived
        }
        self._unnamed = [symbol for symbol in self._sizes if symbol.name in arguments.unnamed_axes]
        self._known: dict[sympy.Symbol, sympy.Expr] = {}
        self._sources: dict[sympy.Symbol, str] = {}

    def read(self, guard: Guard) -> None:
        """Take in a decision, if it says that two sizes are equal and one of them can be written over the other."""
        question: Any = guard.expression
        if question is None or guard.harmless or guard.declared or not states_equality(question, guard.outcome):
            return
        difference = sympy.expand((question.lhs - question.rhs).subs(self._known))
        symbols = difference.free_symbols
        if len(symbols) != 2 or not symbols <= self._sizes.keys():
            return
        # The later one follows from the earlier one, or from one that the user has named.
        for symbol in reversed(self._unnamed):
            if symbol in symbols and (size := self._solved(difference, symbol)) is not None:
                self._known = {known: sympy.expand(other.subs(symbol, size)) for known, other in self._known.items()}
                self._known[symbol] = size
                self._sources[symbol] = guard.source
                return

    def _solved(self, difference: sympy.Expr, symbol: sympy.Symbol) -> sympy.Expr | None:
        (root,) = difference.free_symbols - {symbol}
        if not difference.is_polynomial(symbol, root) or sympy.Poly(difference, symbol, root).total_degree() != 1:
            return None
        size = sympy.expand(symbol - difference / difference.coeff(symbol))
        factor, offset = size.coeff(root), size.subs(root, 0)
        if not (factor.is_Integer and offset.is_Integer and factor > 0):
            return None
        # Sizes that capture took for others than the example's (0 and 1) may be equal for no other reason.
        return size if size.subs(self._sizes) == self._sizes[symbol] else None

    # ---- what follows ------------------------------------------------------------------------------------------------

    def tied(self) -> list[TiedAxis]:
        """Return what was found, in the order of the inputs."""
        return [
            TiedAxis(symbol.name, str(self._known[symbol]), self._sources[symbol])
            for symbol in self._unnamed
            if symbol in self._known
        ]

    def arguments(self) -> Arguments:
        """Return the arguments with the names and expressions that were found."""
        arguments = self._arguments
        if not self._known:
            return arguments
        names = {symbol.name: str(size) for symbol, size in self._known.items()}
        derived, ranges = dict(arguments.derived), dict(arguments.ranges)
        relaxed = set(arguments.relaxed_axes)
        for symbol, size in self._known.items():
            (root,) = size.free_symbols
            axis = DerivedAxis(root.name, int(size.coeff(root)), int(size.subs(root, 0)))
            if size != root:
                derived[str(size)] = axis
            _narrow(ranges, symbol.name, axis)
            if symbol.name not in relaxed:
                relaxed.discard(root.name)
        return attrs.evolve(
            arguments,
            inputs=tuple(
                attrs.evolve(item, axes={axis: names.get(name, name) for axis, name in item.axes.items()})
                for item in arguments.inputs
            ),
            derived=derived,
            ranges=ranges,
            relaxed_axes=frozenset(relaxed - names.keys()),
            unnamed_axes=arguments.unnamed_axes - names.keys(),
        )


def _narrow(ranges: dict[str, AxisRange], name: str, axis: DerivedAxis) -> None:
    """Put what is promised of an axis on the one that it follows from."""
    limits = ranges.pop(name, None)
    if limits is None:
        return
    known = ranges.get(axis.root, AxisRange(None, None))
    low = None if limits.low is None else math.ceil((limits.low - axis.offset) / axis.factor)
    high = None if limits.high is None else (limits.high - axis.offset) // axis.factor
    lows = [end for end in (low, known.low) if end is not None]
    highs = [end for end in (high, known.high) if end is not None]
    ranges[axis.root] = AxisRange(max(lows, default=None), min(highs, default=None))
