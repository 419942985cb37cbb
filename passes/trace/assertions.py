# SPDX-License-Identifier: Apache-2.0
"""Whether Python asks for a value only to raise an exception: `assert x`, `if not x: raise`, in any spelling.

Such a question has one answer with which the model goes on, and a file may take it, since PyTorch itself gives no
result for inputs with the other one. What is looked at is the bytecode: from the test on, one way leads to a `raise`
that nothing catches, whatever comes in between.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Iterator
from types import CodeType, FrameType

from lading.passes.trace.sources import path_of

_DEPTH = 64
_LEAVES = frozenset({"RETURN_VALUE", "RETURN_CONST", "YIELD_VALUE"})
_RAISES = frozenset({"RAISE_VARARGS", "RERAISE"})
_TESTS = ("POP_JUMP_IF_", "POP_JUMP_FORWARD_IF_", "POP_JUMP_BACKWARD_IF_")
_PASSED_OVER = frozenset({"CACHE", "EXTENDED_ARG", "NOP", "TO_BOOL", "NOT_TAKEN"})
_GOES_TO = frozenset({"JUMP_FORWARD", "JUMP_BACKWARD", "JUMP_BACKWARD_NO_INTERRUPT", "JUMP_ABSOLUTE"})


def asserted(boundary: CodeType) -> bool | None:
    """Return the truth of what a frame below `boundary` is testing right now with which its code goes on.

    Args:
        boundary: the code object whose frame calls the user's model.

    Returns:
        None where no frame is testing anything, where both ways go on, and where a caller would catch the exception.
    """
    frame: FrameType | None = sys._getframe(1)
    answer: bool | None = None
    for _ in range(_DEPTH):
        if frame is None:
            return None
        code, at = frame.f_code, frame.f_lasti
        if code is boundary:
            return answer
        if answer is None:
            # A function of the user's that asks is tested for what it returns, which may be anything.
            if _flow(code).tests(at):
                answer = _flow(code).goes_on(at)
                if answer is None:
                    return None
            elif path_of(code):
                return None
        elif _flow(code).catches(at):
            return None
        frame = frame.f_back
    return None


class _Flow:
    """The ways through one code object."""

    def __init__(self, code: CodeType) -> None:
        self._instructions = list(dis.get_instructions(code))
        self._place = {one.offset: place for place, one in enumerate(self._instructions)}
        self._handled = list(_handled(code, self._instructions))
        # Other context managers than this one let exceptions pass.
        self._suppresses = "suppress" in code.co_names

    def tests(self, at: int) -> bool:
        """Whether the instruction at an offset asks for the truth of a value."""
        place = self._place.get(at)
        if place is None:
            return False
        name = self._instructions[place].opname
        return name in ("UNARY_NOT", "TO_BOOL") or name.startswith(_TESTS)

    def goes_on(self, at: int) -> bool | None:
        """Return the truth with which the code goes on after the test at an offset, None where it does with both."""
        ways = {truth: self._after(self._place[at], truth) for truth in (True, False)}
        ends = {truth: way is not None and self._always_raises(way) for truth, way in ways.items()}
        if None in ways.values() or ends[True] == ends[False]:
            return None
        return not ends[True]

    def catches(self, at: int) -> bool:
        """Whether the code goes on where the call at an offset raises."""
        handler = self._handler(at)
        return handler is not None and not self._always_raises(self._place[handler])

    def _handler(self, at: int) -> int | None:
        found = [(start, handler) for start, end, handler in self._handled if start <= at < end]
        return max(found)[1] if found else None

    def _after(self, place: int, truth: bool) -> int | None:
        """Return where a test leads to, None where its outcome is kept as a value."""
        while place < len(self._instructions):
            one = self._instructions[place]
            if one.opname == "UNARY_NOT":
                truth = not truth
            elif one.opname.startswith(_TESTS) and one.opname.endswith(("IF_TRUE", "IF_FALSE")):
                jumps = one.opname.endswith("IF_TRUE") == truth
                return self._place[one.argval] if jumps else place + 1
            elif one.opname not in _PASSED_OVER:
                return None
            place += 1
        return None

    def _not_taken(self, place: int) -> int:
        """Return the place behind the next test."""
        while not self._instructions[place].opname.startswith(_TESTS):
            place += 1
        return place + 1

    def _always_raises(self, place: int) -> bool:
        """Whether every way from a place ends in a `raise` that this code does not catch."""
        seen: set[int] = set()
        left = [place]
        raised = False
        while left:
            here = left.pop()
            if here in seen or here >= len(self._instructions):
                continue
            seen.add(here)
            one = self._instructions[here]
            if one.opname in _LEAVES:
                return False
            if one.opname in _RAISES:
                handler = self._handler(one.offset)
                raised = raised or handler is None
                left.extend([] if handler is None else [self._place[handler]])
                continue
            if one.opname == "WITH_EXCEPT_START" and not self._suppresses:
                left.append(self._not_taken(here + 1))
                continue
            if one.opcode in dis.hasjrel or one.opcode in dis.hasjabs:
                left.append(self._place[one.argval])
            if one.opname not in _GOES_TO:
                left.append(here + 1)
        return raised


@functools.lru_cache(maxsize=256)
def _flow(code: CodeType) -> _Flow:
    return _Flow(code)


def _handled(code: CodeType, instructions: list[dis.Instruction]) -> Iterator[tuple[int, int, int]]:
    """Give start, end and handler of each part of the code whose exceptions are looked at."""
    if sys.version_info >= (3, 11):
        for entry in dis.Bytecode(code).exception_entries:  # type: ignore[attr-defined]
            yield entry.start, entry.end, entry.target
        return
    for one in instructions:
        if one.opname in ("SETUP_FINALLY", "SETUP_WITH", "SETUP_ASYNC_WITH"):
            # The part ends where its handler begins, at the latest.
            yield one.offset, one.argval, one.argval
