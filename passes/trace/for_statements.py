# SPDX-License-Identifier: Apache-2.0
"""Whether Python is about to run `for row in tensor:`, or iterates over a tensor for another reason.

Only the statement can be recorded as a loop: `list(tensor)`, `enumerate(tensor)`, an unpacking or a comprehension ask
for the rows themselves.
"""

from __future__ import annotations

import dis
import sys
from types import CodeType, FrameType

import torch

_DEPTH = 12
_ITERATION = torch.Tensor.__iter__.__code__
_COLLECTS = frozenset({"LIST_APPEND", "SET_ADD", "MAP_ADD", "YIELD_VALUE"})


def looping_frame() -> FrameType | None:
    """Return the frame whose `for` statement has just asked for the iterator of a tensor, None if there is none."""
    frame: FrameType | None = sys._getframe(1)
    for _ in range(_DEPTH):
        if frame is None:
            return None
        if frame.f_code is _ITERATION:
            around = frame.f_back
            return around if around is not None and _is_statement(around.f_code, around.f_lasti) else None
        frame = frame.f_back
    return None


def _is_statement(code: CodeType, at: int) -> bool:
    instructions = list(dis.get_instructions(code))
    places = {one.offset: place for place, one in enumerate(instructions)}
    place = places.get(at)
    if place is None or instructions[place].opname != "GET_ITER":
        return False
    start = next((one for one in range(place + 1, len(instructions)) if _goes_on(instructions[one])), None)
    if start is None or instructions[start].opname != "FOR_ITER":
        return False  # the iterator is handed to a comprehension
    end = instructions[start].argval
    inner_end = 0
    for one in instructions[start + 1 :]:
        if one.offset >= end:
            return True
        if one.opname == "FOR_ITER":
            inner_end = max(inner_end, one.argval)
        elif one.opname in _COLLECTS and one.offset >= inner_end:
            return False
    return True


def _goes_on(instruction: dis.Instruction) -> bool:
    return instruction.opname not in ("CACHE", "EXTENDED_ARG", "NOP")
