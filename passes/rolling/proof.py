# SPDX-License-Identifier: Apache-2.0
"""Whether a recording is what the rules of a rolled model give for its length."""

from __future__ import annotations

from typing import Any

import sympy
from lading.passes.rolling.description import (
    All,
    Before,
    Description,
    Element,
    Here,
    Line,
    Made,
    Row,
)
from lading.passes.rolling.programs import FromCall, Program


def follows(rules: Description, program: Program, *, fewest: int = 0) -> bool:
    """Whether a recording has the calls, numbers and results that rules give for its length.

    Args:
        rules: the rules of the rolled model.
        program: the recording.
        fewest: how often each loop has to run: of what no iteration has made, no runtime can tell all the sizes.
    """
    return _Instance(rules, program, fewest).agrees()


class _Apart(Exception):
    """The recording has something else than the rules say."""


class _Instance:
    """Rules at one length, beside the recording of that length."""

    def __init__(self, rules: Description, program: Program, fewest: int) -> None:
        self.fewest = fewest
        self.rules = rules
        self.program = program
        self.places: dict[tuple[int, int, int], int] = {}
        self.counts: list[int] = []

    def agrees(self) -> bool:
        """Whether both are the same."""
        try:
            self._lay_out()
            for block, stretch in enumerate(self.rules.stretches):
                for iteration in range(self.counts[block]):
                    for place in range(len(stretch.steps)):
                        self._compare(block, iteration, place)
            for operand, leaf in zip(self.rules.results, self.program.results, strict=True):
                self._meet(self._expected(operand, 0, 0), leaf)
        except _Apart:
            return False
        return True

    def _lay_out(self) -> None:
        """Give each step of each iteration its place among the calls."""
        total = 0
        for block, stretch in enumerate(self.rules.stretches):
            count = 1 if stretch.count is None else self._whole(stretch.count, 0)
            if count < (0 if stretch.count is None else self.fewest):
                raise _Apart
            self.counts.append(count)
            for iteration in range(count):
                for place in range(len(stretch.steps)):
                    self.places[block, iteration, place] = total
                    total += 1
        if total != len(self.program.calls):
            raise _Apart

    def _compare(self, block: int, iteration: int, place: int) -> None:
        step = self.rules.stretches[block].steps[place]
        call = self.program.calls[self.places[block, iteration, place]]
        if call.form != step.form or len(call.leaves) != len(step.operands):
            raise _Apart
        for operand, leaf in zip(step.operands, call.leaves, strict=True):
            self._meet(self._expected(operand, block, iteration), leaf)

    def _meet(self, expected: Any, leaf: Any) -> None:
        if isinstance(expected, sympy.Basic) and isinstance(leaf, sympy.Basic):
            if sympy.expand(expected - leaf) != 0:
                raise _Apart
        elif expected != leaf:
            raise _Apart

    def _number(self, line: Line, iteration: int) -> sympy.Basic:
        return line.fixed + line.per_length * self.program.length + line.per_iteration * iteration

    def _whole(self, line: Line, iteration: int) -> int:
        number = sympy.expand(self._number(line, iteration))
        if not number.is_Integer:
            raise _Apart
        return int(number)

    def _expected(self, operand: Any, block: int, iteration: int) -> Any:
        if isinstance(operand, tuple):
            members: list[Any] = []
            for one in operand:
                members += self._every(one) if isinstance(one, All) else [self._expected(one, block, iteration)]
            return tuple(members)
        if isinstance(operand, Line):
            return self._number(operand, iteration)
        if isinstance(operand, Here):
            return self._call(block, iteration, operand.place, operand.output)
        if isinstance(operand, Before):
            if iteration == 0:
                return self._expected(operand.initial, block, 0)
            return self._call(block, iteration - 1, operand.place, operand.output)
        if isinstance(operand, Made):
            return self._call(operand.block, 0, operand.place, operand.output)
        if isinstance(operand, Element):
            return self._call(operand.block, self._whole(operand.index, iteration), operand.place, operand.output)
        if isinstance(operand, Row):
            return self._call(operand.block, 0, operand.place, self._whole(operand.index, iteration))
        return operand

    def _every(self, members: All) -> list[FromCall]:
        turns = range(self.counts[members.block])
        ordered = reversed(turns) if members.backwards else turns
        return [self._call(members.block, turn, *part) for turn in ordered for part in members.parts]

    def _call(self, block: int, iteration: int, place: int, output: int) -> FromCall:
        found = self.places.get((block, iteration, place))
        if found is None or output < 0:
            raise _Apart
        return FromCall(found, output)
