# SPDX-License-Identifier: Apache-2.0
"""A `ShapeEnv` that knows what it is asked, and answers from a table what has been asked before.

PyTorch answers a question on sizes from all that it knows of them, which takes it long. What it knows depends on
nothing but the symbols that were made and the questions that changed something, in order. So captures that have come
the same way share a table of answers; and who has noted the questions behind a result can put them again.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import attrs
import sympy
import torch
from lading.passes.torch_private.names import find
from lading.passes.torch_private.numbers import Number

ShapeEnv: Any = find("torch.fx.experimental.symbolic_shapes", "ShapeEnv")
_FloorDiv = find("torch.utils._sympy.functions", "FloorDiv")

_ASKS = (
    "_maybe_evaluate_static",
    "_simplify_floor_div",
    "bound_sympy",
    "evaluate_expr",
    "guard_or_defer_runtime_assert",
    "guarding_hint_or_throw",
    "has_guarding_hint",
    "optimization_hint",
    "simplify",
    "size_hint",
)
"""Methods of `ShapeEnv` that answer."""

_CHANGES = (
    "_add_divisible",
    "_constrain_range",
    "_constrain_range_for_size",
    "_constrain_unify",
    "_rename_unbacked_to",
    "_set_replacement",
    "_suppress_guards_enter",
    "_suppress_guards_exit",
    "_update_var_to_range",
    "constrain_symbol_range",
    "create_symbol",
    "create_unbacked_symbool",
    "create_unbacked_symfloat",
    "create_unbacked_symint",
)
"""Methods of `ShapeEnv` that change what it knows without being asked."""

_NOTHING = object()
_LIMIT = 50_000
"""Answers that are kept; when there are as many, new captures begin anew."""


@attrs.frozen(slots=True)
class Question:
    """One question to a `ShapeEnv`: the method, and its arguments."""

    method: str
    args: tuple[Any, ...]
    kwargs: tuple[tuple[str, Any], ...] = ()


class Asked:
    """What has been asked since this was begun, with the answers, in order.

    Attributes:
        repeatable: nothing happened that asking again would not do again.
    """

    def __init__(self) -> None:
        self.repeatable = True
        self.answers: dict[Question, Hashable] = {}

    def note(self, question: Question, answer: Any) -> None:
        """Keep a question with its answer; one that has been put is answered alike from then on."""
        try:
            known = self.answers.setdefault(question, answer)
        except TypeError:  # an argument that has no hash
            self.repeatable = False
            return
        if known != answer:
            self.repeatable = False


class _Knowledge:
    """What a `ShapeEnv` knows, as far as that differs from other states: by the way to it."""

    __slots__ = ("answers", "ways")

    def __init__(self) -> None:
        self.answers: dict[Question, Any] = {}
        self.ways: dict[Any, _Knowledge] = {}

    def after(self, event: Any) -> _Knowledge:
        try:
            return self.ways.setdefault(event, _Knowledge())
        except TypeError:
            return _Knowledge()


_FIRST: list[_Knowledge] = [_Knowledge()]
_COUNT = [0]


class AskedShapeEnv(ShapeEnv):  # type: ignore[misc]
    """A `ShapeEnv` that tells what it is asked.

    Attributes:
        asked: takes the questions, where somebody wants to know them.
        is_check: who asks now raises an error where the answer is no.
    """

    asked: Asked | None = None
    is_check = False
    _inside = True

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        if _COUNT[0] > _LIMIT:
            _COUNT[0], _FIRST[0] = 0, _Knowledge()
        self._knowledge = _FIRST[0].after(tuple(settings.items()))
        self._numbers: dict[sympy.Basic, torch.SymInt] = {}
        self.whole_numbers: dict[int, Number] = {}
        self._quotients = 0, False
        self._inside = False

    @contextlib.contextmanager
    def checking(self) -> Iterator[None]:
        """Take what is asked while the context is open for a check."""
        before, self.is_check = self.is_check, True
        try:
            yield
        finally:
            self.is_check = before

    def ask_again(self, question: Question) -> Any:
        """Return the answer to a question of before, by what is known now."""
        return getattr(self, question.method)(*question.args, **dict(question.kwargs))

    def number_for(self, expression: sympy.Basic) -> torch.SymInt:
        """Return an expression as a number, the same object for the same expression."""
        number = self._numbers.get(expression)
        if number is None:
            hint = expression.xreplace(self.backed_var_to_val)
            node = Number(expression, self, int, int(hint) if hint.is_number else None)
            number = self._numbers[expression] = torch.SymInt(node)
        return number

    def learned(self, event: Any) -> None:
        """Note a change that was made in another way than by a method, and whatever it was equals this event."""
        self._knowledge = self._knowledge.after(event)

    def changed(self) -> None:
        """Note a change that no other capture shares: hints of symbols, say."""
        self._knowledge = _Knowledge()
        self._numbers.clear()

    def _state(self) -> tuple[int, ...]:
        return (
            self._version_counter,
            self._replacements_version_counter,
            len(self.guards),
            len(self.axioms),
            len(self.var_to_range),
            len(self.divisible),
            self.num_deferred_runtime_asserts,
        )

    def _writes_axioms_anew(self) -> bool:
        """Whether the next answer is to simplify what is known of quotients: an answer from the table would not."""
        if not self._resimplify_floor_div_axioms:
            return False
        count = len(self.axioms)
        if self._quotients[0] != count:
            self._quotients = count, any(fact.has(_FloorDiv) for fact in self.axioms)
        return self._quotients[1]

    def create_symintnode(self, sym: Any, *, hint: Any, source: Any = None) -> Any:
        """Return an expression as a number of Python's."""
        made = super().create_symintnode(sym, hint=hint, source=source)
        return torch.SymInt(Number.like(made.node)) if isinstance(made, torch.SymInt) else made

    def create_unbacked_symint(self, *args: Any, **kwargs: Any) -> Any:
        """Return a new number that only the run knows."""
        return torch.SymInt(Number.like(super().create_unbacked_symint(*args, **kwargs).node))

    def _get_stack_summary(self, is_debug: bool = False, framework_loc: str | None = None) -> Any:
        # Guards are kept with the user's line elsewhere, and PyTorch's search for one takes longer than the guard.
        return find("torch._guards", "SLoc")("", None), ""


def _asking(name: str) -> Callable[..., Any]:
    plain = getattr(ShapeEnv, name)

    @functools.wraps(plain)
    def ask(self: AskedShapeEnv, *args: Any, **kwargs: Any) -> Any:
        if self._inside:  # what a method itself asks follows from the question that it was asked
            return plain(self, *args, **kwargs)
        question = Question(name, args, tuple(kwargs.items()))
        knowledge = self._knowledge
        answer = _NOTHING if self._writes_axioms_anew() else _known(knowledge, question)
        if answer is _NOTHING:
            asked = self.asked
            before = self._state()
            self._inside, self.asked = True, None
            try:
                answer = plain(self, *args, **kwargs)
            except BaseException:
                if asked is not None:
                    asked.repeatable = False
                if self._state() != before:
                    self._knowledge = _Knowledge()
                raise
            finally:
                self._inside, self.asked = False, asked
            if self._state() != before:
                self._knowledge = knowledge.after(question)
            else:
                _keep(knowledge, question, answer)
        if self.asked is not None and not kwargs.get("compute_hint"):  # that is the example's, and decides nothing
            self.asked.note(question, answer)
        return answer

    return ask


def _known(knowledge: _Knowledge, question: Question) -> Any:
    try:
        return knowledge.answers.get(question, _NOTHING)
    except TypeError:
        return _NOTHING


def _keep(knowledge: _Knowledge, question: Question, answer: Any) -> None:
    try:
        knowledge.answers[question] = answer
    except TypeError:
        return
    _COUNT[0] += 1


def _changing(name: str) -> Callable[..., Any]:
    plain = getattr(AskedShapeEnv, name)

    @functools.wraps(plain)
    def change(self: AskedShapeEnv, *args: Any, **kwargs: Any) -> Any:
        if self._inside:
            return plain(self, *args, **kwargs)
        if self.asked is not None:
            self.asked.repeatable = False
        knowledge = self._knowledge
        self._inside = True
        try:
            return plain(self, *args, **kwargs)
        finally:
            self._inside = False
            self._knowledge = knowledge.after((name, args, tuple(kwargs.items())))

    return change


for _name in _ASKS:
    setattr(AskedShapeEnv, _name, _asking(_name))
for _name in _CHANGES:
    setattr(AskedShapeEnv, _name, _changing(_name))
