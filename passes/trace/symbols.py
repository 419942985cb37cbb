# SPDX-License-Identifier: Apache-2.0
"""Symbolic sizes: the axes that the user wants free, and every decision that was taken on them.

Each axis name becomes one symbol of PyTorch's `ShapeEnv`, used twice where the user names two axes alike. A symbol
keeps the size of the example as its hint, so that sums and differences of sizes agree with the example, and is at the
same time held to be at least 2, so that an example of size one, or an empty cache, decides nothing. Nor does a size
that is computed from such axes, and is 0 or 1 in the example.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import sympy
import torch
from lading.passes.torch_private import (
    DimDynamic,
    GuardOnDataDependentSymNode,
    ValueRanges,
    bound_sympy,
    int_oo,
    sympy_functions,
)
from lading.passes.torch_private.asking import AskedShapeEnv, Question
from lading.passes.torch_private.dynamo import NamedSource
from lading.passes.trace.capture import Guard, Specialisation, states_equality
from lading.passes.trace.multiples import Multiples, found_in
from lading.passes.trace.printer import Printer
from lading.passes.trace.sides.paddings import NOTHING_SETTLED, Choice, OtherAmount
from lading.passes.trace.sources import asked_by_user

_NOTHING = object()

_SYMBOL_NAME = re.compile(r"\bs\d+\b")

_REMAINDERS = tuple(getattr(sympy_functions, name) for name in ("Mod", "PythonMod", "ModularIndexing"))
"""What is 0 or 1 as often as not, so that the answer means something."""
_SMALL_QUESTIONS = {
    **{(sympy.Eq, number): False for number in (sympy.S.Zero, sympy.S.One)},
    **{(sympy.Ne, number): True for number in (sympy.S.Zero, sympy.S.One)},
    (sympy.StrictLessThan, sympy.Integer(2)): False,
    (sympy.LessThan, sympy.S.One): False,
    (sympy.StrictGreaterThan, sympy.S.One): True,
    (sympy.GreaterThan, sympy.Integer(2)): True,
}
"""Ways to ask whether a size is 0 or 1, by relation and right side, with the answer for a size that is neither."""
_SEARCHED = 64
"""How far from the example's a size is looked for that meets a condition."""


def axis_symbol(name: str) -> sympy.Symbol:
    """Return the symbol of an axis that stands in the expressions of guards: the same in every capture."""
    return sympy.Symbol(name, integer=True, positive=True)


_RANK_CHANGING = frozenset(getattr(torch.ops.aten.squeeze, name) for name in ("default", "dim", "dims"))
"""Operators whose result has another rank where a size is 1, so that what they assume of sizes matters."""

_ASKS_FOR_RESULTS = _RANK_CHANGING | {torch.ops.aten.slice.Tensor}
"""Operators whose result depends on what they ask. Others ask about memory, emptiness and broadcasting."""


def _is_question(expression: sympy.Basic) -> bool:
    """Whether an expression is asked for a yes or a no, not for a number."""
    return bool(expression.is_Relational or expression.is_Boolean)


def text_of(expression: sympy.Basic) -> str:
    """Write an expression over axis names, as the conditions of guards are written."""
    text: str = Printer({}).doprint(expression)
    return text


class Axes(AskedShapeEnv):
    """The symbols of one capture, and the guards on them.

    Attributes:
        sizes: the example's size of each axis, by the user's name.
        constant: names of axes that are constants in this capture, with the user's line that needs that.
        unrolled: names of axes of which Python may read the size as a number without fixing it; what is asked about
            them is answered for the example.
        general: sizes of 0 and 1 in the example decide nothing.
        contradicted: an operator was told that a size is neither 0 nor 1, and in the example it is.
        line: tells the user's line that runs now.
        operator: the ATen operator that is computing shapes now, or None.
        presume: answers what is asked of a size that only the run knows, or gives None; None for it lets it fail.
        chosen_paddings: the decisions that are settled in the amounts of paddings.
        divided: is told of a symbol that is the size of another one divided by a number; None lets there be none.
    """

    def __init__(
        self, *, constant: Mapping[str, str] | None = None, unrolled: Collection[str] = (), general: bool = True
    ) -> None:
        super().__init__(duck_shape=False, allow_scalar_outputs=True, allow_dynamic_output_shape_ops=True)
        self.sizes: dict[str, int] = {}
        self.constant = dict(constant or {})
        self.unrolled = frozenset(unrolled)
        self.general = general
        self.contradicted = False
        self.line: Callable[[], str] = lambda: ""
        self.operator: Any = None
        self.presume: Callable[[sympy.Basic], sympy.Basic | None] | None = None
        self.divided: Callable[[sympy.Symbol, sympy.Symbol, int], None] | None = None
        self._multiples = Multiples()
        self.chosen_paddings = NOTHING_SETTLED
        self._choices: dict[sympy.Symbol, Choice] = {}
        self._symbol_of: dict[str, sympy.Symbol] = {}
        self._name_of: dict[sympy.Symbol, str] = {}
        self._printer = Printer(self._name_of)
        self._printed: dict[sympy.Basic, str] = {}
        self._answers: dict[Any, Any] = {}
        self._asked: list[tuple[sympy.Basic, Any, str, bool, bool, bool, tuple[sympy.Basic, ...]]] = []
        self._fixed: dict[str, tuple[int, sympy.Basic, str]] = {}
        self._supposed: list[sympy.Basic] = []
        self._example: frozenset[Any] | None = None
        self.axioms: dict[Any, Any]
        self.divisible: set[Any]

    def axis(self, name: str, size: int) -> torch.SymInt | int:
        """Return the symbolic size of the axis `name`, whose size in the example is `size`; that itself if constant."""
        if name in self.constant:
            equal = sympy.Eq(sympy.Symbol(name), size, evaluate=False)
            self._fixed.setdefault(name, (size, equal, self.constant[name]))
            return size
        symbol = self._symbol_of.get(name)
        if symbol is None:
            symbol = self.create_symbol(
                max(size, 2), NamedSource(f"axis_{len(self.sizes)}"), dynamic_dim=DimDynamic.DYNAMIC
            )
            self.backed_var_to_val[symbol] = sympy.Integer(size)
            self._symbol_of[name] = symbol
            self._name_of[symbol] = name
            self.sizes[name] = size
            self._example = None
            self.learned((symbol, size))
        return self.create_symintnode(symbol, hint=size)

    def chosen(self, call: int, place: int, amount: Any) -> Any:
        """Return what is chosen in the place of an amount of a call that pads, itself where nothing is.

        Raises:
            OtherAmount: the amount is another one than what would be chosen at the sizes of this recording.
        """
        choice = self.chosen_paddings.choices.get((call, place))
        if choice is None:
            return amount
        if not all(symbol.name in self._symbol_of for symbol in choice.needs):
            raise OtherAmount(choice, self.line() or None)  # an earlier call does not pad here
        symbol = self._symbol_of.get(choice.name) or self._chosen(choice)
        taken = self._own(choice.condition).xreplace(self.backed_var_to_val)
        if self.over_names(amount) != (choice.number if taken == sympy.true else choice.other):
            raise OtherAmount(choice, self.line() or None)
        return self.create_symintnode(symbol, hint=int(self.backed_var_to_val[symbol]))

    def _chosen(self, choice: Choice) -> sympy.Symbol:
        """Make the symbol of a choice, with the range of both its numbers."""
        piecewise = self._own(choice.expression)
        value = piecewise.xreplace(self.backed_var_to_val)
        symbol = self.create_symbol(
            int(value),
            NamedSource(choice.name),
            dynamic_dim=DimDynamic.DYNAMIC,
            positive=None,
            do_not_specialize_zero_one=True,
        )
        ends = [self.bound_sympy(self._own(number)) for number in (choice.number, choice.other)]
        self.var_to_range[symbol] = ValueRanges(min(one.lower for one in ends), max(one.upper for one in ends))
        self.backed_var_to_val[symbol] = value
        self._symbol_of[choice.name], self._name_of[symbol] = symbol, choice.name
        self._choices[symbol] = choice
        self._example = None
        self.learned((symbol, choice))
        return symbol

    def choice_of(self, amount: torch.SymInt) -> sympy.Basic | None:
        """Return how a number is chosen, over the symbols of this recording; None where it is no choice."""
        choice = self._choices.get(amount.node.expr)
        return None if choice is None else self._own(choice.expression)

    def _own(self, expression: sympy.Basic) -> sympy.Basic:
        """Return an expression over names as one over the symbols of this recording."""
        names = {symbol: self._symbol_of[symbol.name] for symbol in expression.free_symbols}
        return expression.xreplace(names)

    def over_names(self, amount: Any) -> Any:
        """Return a number over the names of axes and of choices, None where only the run knows it."""
        return amount if type(amount) is int else self._over_names(amount.node.expr)

    def example(self) -> frozenset[tuple[sympy.Symbol, sympy.Integer]]:
        """Return the sizes that axes have now, by their symbols: those of the example, or what is supposed of it."""
        if self._example is None:
            self._example = frozenset(self.backed_var_to_val.items())
        return self._example

    def symbol(self, name: str) -> sympy.Symbol:
        """Return the symbol of an axis that `axis` has made."""
        return self._symbol_of[name]

    def named(self, text: str) -> str:
        """Put the user's names of axes in the place of PyTorch's symbols in a text, such as an error."""
        names = {symbol.name: self.text(symbol) for symbol in self.backed_var_to_val if self._is_of_axes({symbol})}
        return _SYMBOL_NAME.sub(lambda found: names.get(found[0], found[0]), text)

    def by_the_example(self, failure: str, line: str) -> Axes | None:
        """Return axes for another try after a failure in which sizes of 0 and 1 in the example may have had a part.

        Where PyTorch broadcasts a size of 1, for instance, no free axis can take its place.

        Args:
            failure: PyTorch's words; the axes of 0 or 1 in it become constants, all such axes where it names none.
            line: the user's line that failed.

        Returns:
            None where the example has no such size.
        """
        small = [name for name, size in self.sizes.items() if size < 2]
        if not self.general or not (small or self.contradicted):
            return None
        met = [name for name in small if self._symbol_of[name].name in _SYMBOL_NAME.findall(failure)]
        return Axes(constant=dict.fromkeys(met or small, line), general=False)

    def text(self, expression: sympy.Basic) -> str:
        """Write an expression with the user's axis names in the place of the symbols."""
        text = self._printed.get(expression)
        if text is None:
            text = self._printed[expression] = self._printer.doprint(self._multiples.over_wholes(expression))
        return text

    def _is_of_axes(self, symbols: Collection[sympy.Symbol]) -> bool:
        """Whether symbols are sizes of axes, or parts of such, and not numbers that only the run knows."""
        return all(symbol in self._name_of or symbol in self._multiples for symbol in symbols)

    def evaluate_expr(
        self,
        orig_expr: sympy.Basic,
        hint: Any = None,
        fx_node: Any = None,
        size_oblivious: bool = False,
        fallback_value: bool | None = None,
        *,
        forcing_spec: bool = False,
        is_check: bool = False,
    ) -> sympy.Basic:
        """Decide a question on sizes as `ShapeEnv` does, once, and keep question, answer and the user's line."""
        by_user = asked_by_user(sys._getframe(1))
        if is_check and not self.is_check:
            with self.checking():
                return self._kept(orig_expr, hint, fx_node, size_oblivious, fallback_value, forcing_spec, by_user)
        return self._kept(orig_expr, hint, fx_node, size_oblivious, fallback_value, forcing_spec, by_user)

    def asked_for_the_model(self, question: sympy.Basic) -> bool:
        """Decide a question on sizes that the user's Python puts without saying so, as one of its own."""
        if question in (sympy.true, sympy.false):
            return bool(question)
        return bool(self._kept(question, None, None, False, None, False, True))

    def _kept(
        self,
        orig_expr: sympy.Basic,
        hint: Any,
        fx_node: Any,
        size_oblivious: bool,
        fallback_value: bool | None,
        forcing_spec: bool,
        by_user: bool,
    ) -> sympy.Basic:
        """Decide a question, and keep it with its answer for who wants to ask again."""
        asked = self.asked
        if asked is None:
            return self._decided(orig_expr, hint, fx_node, size_oblivious, fallback_value, forcing_spec, by_user)
        self.asked = None
        try:
            answer = self._decided(orig_expr, hint, fx_node, size_oblivious, fallback_value, forcing_spec, by_user)
        except BaseException:
            asked.repeatable = False
            raise
        finally:
            self.asked = asked
        asked.repeatable = asked.repeatable and not by_user
        kwargs = (
            ("size_oblivious", size_oblivious),
            ("fallback_value", fallback_value),
            ("forcing_spec", forcing_spec),
            ("is_check", self.is_check),
        )
        asked.note(Question("evaluate_expr", (orig_expr,), kwargs), answer)
        return answer

    def _decided(
        self,
        orig_expr: sympy.Basic,
        hint: Any,
        fx_node: Any,
        size_oblivious: bool,
        fallback_value: bool | None,
        forcing_spec: bool,
        by_user: bool,
    ) -> sympy.Basic:
        # PyTorch takes free sizes to be 2 or more; the model's own questions are answered for those of the example.
        key = (orig_expr, size_oblivious, fallback_value, forcing_spec, by_user)
        # An answer that holds goes before one that stands in where it is open: the rule of `view` checks that a size is
        # 1, and squeezes until it is.
        answer = self._answers.get((orig_expr, False, None, forcing_spec, by_user), _NOTHING)
        if answer is _NOTHING:
            answer = self._answers.get(key, _NOTHING)
        if answer is _NOTHING and not by_user:
            # A question that the model has put and handed on, as in `is_causal=length > 1 and ...`, is still its own.
            answer = self._answers.get((*key[:-1], True), _NOTHING)
        if answer is not _NOTHING:
            return answer
        if self.unrolled and (number := self._unrolled_answer(orig_expr)) is not None:
            self._answers[key] = number
            if _is_question(orig_expr) and (by_user or not states_equality(orig_expr, number)):
                self._ask(orig_expr, number, by_user, self._is_harmless(orig_expr, number, by_user))
            return number
        if by_user and (hinted := self._hinted(orig_expr)) is not None:
            self._answers[key] = hinted
            self._ask(orig_expr, hinted, True)
            if self._over_names(orig_expr) not in self.chosen_paddings.questions:
                self._divide(orig_expr, hinted)
            return hinted
        if not by_user and self.general and (answer := self._small_answer(orig_expr)) is not None:
            self._answers[key] = answer
            self.contradicted = self.contradicted or orig_expr.xreplace(self.backed_var_to_val) != answer
            return answer
        replaced, guards = len(self.replacements), len(self.guards)
        if self._supposed:
            hint = None  # it is the example's, which need not meet what is supposed
        try:
            answer = super().evaluate_expr(
                orig_expr, hint, fx_node, size_oblivious, fallback_value, forcing_spec=forcing_spec
            )
        except GuardOnDataDependentSymNode:
            if self.presume is None:
                raise
            answer = self.presume(orig_expr)
            if answer is None:
                raise
            # What only the run knows limits no size.
            self._answers[key] = answer
            return answer
        self._answers[key] = answer
        if not orig_expr.free_symbols:
            return answer
        # What follows from sizes being 2 or more changes no result of an operator, but for ranks; a model's `if` may.
        if by_user or len(self.guards) != guards or self.operator in _RANK_CHANGING:
            self._ask(orig_expr, answer, by_user, self._is_harmless(orig_expr, answer, by_user))
        if len(self.replacements) != replaced and not self._supposed:
            self._note_fixed(orig_expr, self.line())
        self._divide(orig_expr, answer)
        return answer

    def _divide(self, question: sympy.Basic, answer: Any) -> None:
        """Let the sizes that are multiples of a number by an answer be products from now on."""
        if self.divided is None or self._supposed or not _is_question(question):
            return
        for symbol, divisor in found_in(question, _plain(answer)):
            whole = self._multiples.whole(symbol)
            size = self.backed_var_to_val.get(symbol, sympy.S.Zero)
            unrolled = self._name_of.get(whole) in self.unrolled
            if symbol in self.replacements or unrolled or size < divisor or size % divisor or divisor < 2:
                continue
            part = self.create_symbol(
                max(int(size) // divisor, 2),
                NamedSource(f"part_{len(self.backed_var_to_val)}"),
                dynamic_dim=DimDynamic.DYNAMIC,
            )
            self.backed_var_to_val[part] = size // divisor
            self.var_to_range[part] = ValueRanges(1, int_oo)
            self._example = None
            self.learned((part, symbol, divisor, size))
            self._multiples.add(part, symbol, divisor)
            self.divided(part, symbol, divisor)
            self._set_replacement(symbol, divisor * part, "multiple")

    def _hinted(self, question: sympy.Basic) -> sympy.Basic | None:
        """Return the answer to a yes-or-no question for the sizes of the example, None for any other question."""
        if not _is_question(question) or not question.free_symbols:
            return None
        if not self._is_of_axes(question.free_symbols):
            return None
        sizes = {symbol: self.backed_var_to_val[symbol] for symbol in question.free_symbols}
        answer = question.xreplace(sizes)
        return answer if answer in (sympy.true, sympy.false) else None

    def _unrolled_answer(self, question: sympy.Basic) -> sympy.Basic | None:
        """Return the answer for the example to what is asked about unrolled axes, None for any other question."""
        names = [self._name_of.get(self._multiples.whole(symbol)) for symbol in question.free_symbols]
        if None in names or not self.unrolled.intersection(names):
            return None
        answer = question.xreplace({symbol: self.backed_var_to_val[symbol] for symbol in question.free_symbols})
        return answer if answer.is_number or answer in (sympy.true, sympy.false) else None

    def _is_harmless(self, question: sympy.Basic, answer: Any, by_user: bool) -> bool:
        if by_user or self.operator in _ASKS_FOR_RESULTS:
            return False
        if not _is_question(question) and not self.replace(question).is_number:
            return False  # the graph has so many of something, for instance pieces, and no axis is fixed by that
        # Sizes that have to agree for the model to run at all are worth stating.
        return not states_equality(question, answer)

    def _small_answer(self, question: sympy.Basic) -> sympy.Basic | None:
        """Return what an operator is told that asks if a size of free axes is 0 or 1, None for another question.

        Most ask it to save work (nothing to do, contiguous anyway, no broadcast) and are right without the answer.
        """
        if question.is_Relational and question.lhs.is_number:
            question = question.reversed  # `1 < size`
        answer = _SMALL_QUESTIONS.get((type(question), getattr(question, "rhs", None)))
        if answer is None or self.operator in _RANK_CHANGING or question.lhs.has(*_REMAINDERS):
            return None
        size = self.replace(question.lhs)
        if not size.free_symbols or not self._is_of_axes(size.free_symbols):
            return None
        ends = self.bound_sympy(size)
        return sympy.sympify(answer) if ends.lower >= 0 and ends.upper > 1 else None

    @contextlib.contextmanager
    def supposing(self, fact: sympy.Basic) -> Iterator[None]:
        """Decide questions as for sizes that meet a condition, while the context is open.

        The side of a choice on sizes is captured in it: the example need not be one that takes that side. What is
        decided meanwhile is stated for such sizes only.
        """
        before = set(self.var_to_range)
        replacements, ranges = dict(self.replacements), dict(self.var_to_range)
        hints, axioms = dict(self.backed_var_to_val), dict(self.axioms)
        divisible, guards, answers = set(self.divisible), len(self.guards), self._answers
        self._answers = {}
        self._forget_cached()
        self._supposed.append(fact)
        met = self._take_hints_for(fact)
        self.axioms.update(self.get_implications(self.simplify(fact)))
        if met and len(fact.free_symbols) == 1:
            super()._refine_ranges(fact)
        self._forget_cached()
        supposed, narrowed = dict(self.axioms), dict(self.var_to_range)
        try:
            yield
        finally:
            fixed = {
                name: value for name, symbol in self._symbol_of.items() if (value := self.replace(symbol)).is_number
            }
            del self.guards[guards:]
            for symbol in before.intersection(self.replacements):
                del self.replacements[symbol]
            self.replacements.update(replacements)
            self.axioms = supposed
            self.var_to_range.update(narrowed)
            self.divisible = divisible
            self._forget_cached()
            self._fix_beyond(fixed)
            self.var_to_range.update(ranges)
            self.backed_var_to_val.update(hints)
            self.axioms = axioms
            self._answers = answers
            self._supposed.pop()
            self._forget_cached()

    def _forget_cached(self) -> None:
        """Let PyTorch forget the answers and the forms of expressions that it has kept."""
        self.changed()
        self._example = None
        self._version_counter += 1
        self._replacements_version_counter += 1

    def _take_hints_for(self, fact: sympy.Basic) -> bool:
        """Give the axes in a condition sizes that meet it, near to the example's, and return whether all have such."""
        symbols = sorted(fact.free_symbols, key=str)
        hints = [self.backed_var_to_val.get(symbol) for symbol in symbols]
        if None in hints:
            return True
        steps = sorted(range(-_SEARCHED, _SEARCHED + 1), key=abs)
        if len(symbols) == 1:
            # A border that the condition itself names may be far away: `size > 512`, `4 * size >= 512`.
            numbers = sorted({abs(int(number)) for number in fact.atoms(sympy.Integer)} - {0})
            borders = {number // factor + near for number in numbers for factor in numbers for near in range(-2, 3)}
            borders |= {number + near for number in numbers for near in range(-2, 3)}
            steps += sorted((border - hints[0] for border in borders), key=lambda step: (abs(step), step))
        for size in range(min(2, len(symbols)) + 1):
            for places in itertools.combinations(range(len(symbols)), size):
                for moves in itertools.product(steps if size < 2 else steps[:17], repeat=size):
                    sizes = list(hints)
                    for place, move in zip(places, moves, strict=True):
                        sizes[place] += move
                    met = min(sizes, default=2) >= 2 or size == 0
                    if met and fact.xreplace(dict(zip(symbols, sizes, strict=True))) == sympy.true:
                        self.backed_var_to_val.update(zip(symbols, sizes, strict=True))
                        return True
        return False

    def _fix_beyond(self, fixed: dict[str, sympy.Basic]) -> None:
        """Note the axes that became constants on one side of a choice, but for those that the choice is about."""
        for name, value in fixed.items():
            symbol = self._symbol_of[name]
            if name not in self._fixed and not self.replace(symbol).is_number:
                question = sympy.Eq(symbol, value)
                if self._maybe_evaluate_static(question) != sympy.true:
                    self._fixed[name] = (int(value), question, self.line())

    def number_of(self, symbol: sympy.Symbol) -> torch.SymInt:
        """Return a symbol that this has made as a number."""
        return self.create_symintnode(symbol, hint=None)

    def guess(self, symbol: sympy.Symbol, otherwise: int) -> int:
        """Return the size of an axis in the example, and `otherwise` for a size that only the run knows."""
        if symbol in self._multiples:
            return int(self.backed_var_to_val[symbol])
        return self.sizes.get(self._name_of.get(symbol, ""), otherwise)

    def settled(self, question: sympy.Basic) -> bool | None:
        """Return what a question on sizes answers for all sizes, None where that depends on them.

        An answer that holds only because a free axis is taken to be 2 or more is kept as a decision of the user's code.
        """
        if not question.free_symbols:
            return bool(question)
        answer = self._maybe_evaluate_static(question)
        if answer is None:
            return None
        free = {symbol: ValueRanges(0, int_oo) for symbol in question.free_symbols if self._is_of_axes({symbol})}
        others = {s: self.var_to_range.get(s, ValueRanges.unknown()) for s in question.free_symbols if s not in free}
        if free and not bound_sympy(question, {**free, **others}).is_singleton():
            self._ask(question, answer, True)
        return bool(answer)

    def _ask(self, question: sympy.Basic, answer: Any, by_user: bool, harmless: bool = False) -> None:
        required = self.is_check and _plain(answer) is True
        decision = (question, answer, self.line(), by_user, harmless, required, tuple(self._supposed))
        if decision not in self._asked:
            self._asked.append(decision)

    def _refine_ranges(self, expr: Any) -> None:
        # A hint below 2 lies outside of its symbol's range on purpose, which PyTorch checks when it narrows a range.
        if not any(self.sizes.get(self._name_of.get(symbol, ""), 2) < 2 for symbol in expr.free_symbols):
            super()._refine_ranges(expr)

    def _note_fixed(self, expression: sympy.Basic, line: str) -> None:
        for name, symbol in self._symbol_of.items():
            if name not in self._fixed:
                value = self.replace(symbol)
                if value.is_number:
                    self._fixed[name] = (int(value), expression, line)

    def specialisations(self) -> tuple[Specialisation, ...]:
        """Return the axes that are constants by now, with the line that made them so."""
        self._note_fixed(sympy.true, "")
        return tuple(
            Specialisation(name, size, self.text(expression), line, read=not _is_question(expression))
            for name, (size, expression, line) in self._fixed.items()
        )

    def decisions(self) -> tuple[Guard, ...]:
        """Return every decision on a symbolic size, in the order in which they were taken."""
        return tuple(self._guard(*decision) for decision in self._asked)

    def _guard(
        self,
        question: sympy.Basic,
        answer: Any,
        line: str,
        by_user: bool,
        harmless: bool,
        required: bool,
        supposed: tuple[sympy.Basic, ...],
    ) -> Guard:
        outcome = _plain(answer)
        if supposed:
            # It limits the sizes of one side of a choice: any other size is none of its business.
            held = (
                question if outcome is True else sympy.Not(question) if outcome is False else sympy.Eq(question, answer)
            )
            question, outcome = sympy.Or(*(sympy.Not(fact) for fact in supposed), held), True
        expression = self._over_names(question)
        return Guard(
            self.text(question), outcome, line, by_user, harmless=harmless, required=required, expression=expression
        )

    def _over_names(self, expression: sympy.Basic) -> sympy.Basic | None:
        """Return an expression over symbols that are called as the axes, None where it has others in it."""
        if not self._is_of_axes(expression.free_symbols):
            return None
        return self._multiples.over_wholes(expression).xreplace(
            {symbol: self._public(symbol, name) for symbol, name in self._name_of.items()}
        )

    def _public(self, symbol: sympy.Symbol, name: str) -> sympy.Symbol:
        choice = self._choices.get(symbol)
        return axis_symbol(name) if choice is None else choice.symbol


def _plain(answer: Any) -> bool | int | float:
    if answer is True or answer is sympy.true:
        return True
    if answer is False or answer is sympy.false:
        return False
    return int(answer) if getattr(answer, "is_integer", False) else float(answer)
