# SPDX-License-Identifier: Apache-2.0
"""The errors that lading raises on purpose: what happened, where, and the nearest thing that would work."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class LadingError(Exception):
    """Any error that lading raises on purpose.

    `what` says what happened, `where` the file, line, key, step or node, and `hint` the nearest thing that would work.
    The runner fills `step` with the id of the step in which the error came up.  `exit_code` is what the command line
    leaves with, and `code` the word by which it and the documentation name the kind of error; neither ever changes.
    """

    exit_code: ClassVar[int] = 5
    code: ClassVar[str] = "lading"

    def __init__(self, what: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.hint = hint
        self.step: str | None = None

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  at: {self.where}")
        if self.hint:
            lines.append(f"  try: {self.hint}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call the class with `what` alone and then lose nothing but the keyword-only parts.
        return _rebuild, (type(self), self.what, self.where, self.hint), {**self.__dict__}


def _rebuild(kind: type[LadingError], what: str, where: str | None, hint: str | None) -> LadingError:
    error = kind.__new__(kind, what)
    Exception.__init__(error, what)
    error.what, error.where, error.hint, error.step = what, where, hint, None
    return error


class VerificationFailed(LadingError):
    """The file was written, and does not compute what the model computes."""

    exit_code = 1
    code = "verification"


class UsageError(LadingError):
    """The call, the command line or a file named in it does not make sense."""

    exit_code = 2
    code = "usage"


class RecipeError(UsageError):
    """A recipe or an override of one cannot be read or does not fit the passes it names."""

    code = "recipe"


class PlanError(UsageError):
    """The steps of a recipe cannot be put into an order."""

    code = "plan"


class CaptureError(LadingError):
    """The model could not be captured as asked."""

    exit_code = 3
    code = "capture"


class UnsupportedOperators(LadingError):
    """Operators remain that the target opset, or lading, cannot express."""

    exit_code = 4
    code = "unsupported"


class InternalError(LadingError):
    """Something that should not happen, in lading or in a pass."""

    exit_code = 5
    code = "internal"


def near_miss(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that `word` was most probably meant to be, or None when nothing is near.

    Dashes and underscores count as equal, and so does case.
    """
    by_key: dict[str, str] = {}
    for candidate in sorted(candidates):
        by_key.setdefault(_key(candidate), candidate)
    close = difflib.get_close_matches(_key(word), list(by_key), n=1, cutoff=0.6)
    return by_key[close[0]] if close else None


def did_you_mean(word: str, candidates: Iterable[str], *, otherwise: str | None = None) -> str | None:
    """A hint sentence for an unknown `word`: the nearest candidate, else `otherwise`, else the list of candidates."""
    known = sorted(candidates)
    near = near_miss(word, known)
    if near is not None:
        return f"did you mean '{near}'?"
    if otherwise is not None:
        return otherwise
    return f"one of: {', '.join(known)}" if known else None


def _key(word: str) -> str:
    return word.lower().replace("_", "-")
