# SPDX-License-Identifier: Apache-2.0
"""How a pass is declared: a frozen attrs class, its options as fields, its place as facts and soft edges."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast, runtime_checkable

import attrs

from .errors import PlanError
from .facts import Fact

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform

    from .note import Note
    from .work import Work
else:

    def dataclass_transform(**_: Any) -> Callable[[Any], Any]:
        """Stand in for `typing.dataclass_transform`, which Python 3.10 lacks and only type checkers read."""
        return lambda decorated: decorated


T = TypeVar("T")
C = TypeVar("C", bound=type)

OPTION_METADATA = "lading.option"
RESERVED_OPTIONS = ("pass", "enabled", "after", "before", "until_stable", "rounds")
"""What a recipe says about a step itself; no option can have such a name."""
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@attrs.frozen
class PassDeclaration:
    """What a pass says about itself, apart from its options.

    `closes` names facts that end with this pass: no pass that requires one of them may run after it, unless that
    pass also requires, directly, something that this one provides.  `after` and `before` are names of other passes
    (or ids of steps) and only order: they ask for nothing to be in the plan.
    """

    name: str
    requires: tuple[Fact, ...] = ()
    provides: tuple[Fact, ...] = ()
    closes: tuple[Fact, ...] = ()
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    needs_opset: int | None = None
    about: str = ""
    doc: str = ""


@attrs.frozen
class OptionDeclaration:
    """What an option says about itself: its help, its limits, and whether a recipe file may hold it."""

    help: str
    choices: tuple[Any, ...] | None = None
    at_least: float | None = None
    at_most: float | None = None
    in_recipe: bool = True
    needs_opset: int | None = None


@runtime_checkable
class Pass(Protocol):
    """A frozen value that changes the work in progress and reports on a note pad.  Made with `a_pass`."""

    declaration: PassDeclaration

    def run(self, work: Work, note: Note) -> None:
        """Do the work, in place."""


# No field specifier is named: `option` then reads as an ordinary default of the field's type, which is what it is.
@dataclass_transform(kw_only_default=True, frozen_default=True)
def a_pass(
    name: str,
    *,
    requires: Sequence[Fact] = (),
    provides: Sequence[Fact] = (),
    closes: Sequence[Fact] = (),
    after: Sequence[str] = (),
    before: Sequence[str] = (),
    needs_opset: int | None = None,
) -> Callable[[C], C]:
    """Declare a class as the pass `name` (kebab-case, a verb with its object).

    The class becomes a frozen, keyword-only attrs class: its annotated fields, given with `option`, are the options.
    It needs a docstring, whose first line is what `lading passes` prints, and a method `run(self, work, note)`.

    Raises:
        PlanError: the name is not kebab-case, there is no docstring or no `run`, or an option has the name of a key of
            every step.
    """

    def declared(cls: C) -> C:
        where = f"{cls.__module__}:{cls.__qualname__}"
        if not _NAME.fullmatch(name):
            raise PlanError(f"'{name}' is not a pass name", where=where, hint="use kebab-case, like 'fuse-gelu'")
        doc = inspect.cleandoc(cls.__doc__ or "")
        if not doc:
            raise PlanError(
                f"pass '{name}' has no docstring", where=where, hint="say what it does, why, when it declines"
            )
        if not callable(getattr(cls, "run", None)):
            raise PlanError(
                f"pass '{name}' has no run", where=where, hint="def run(self, work: Work, note: Note) -> None"
            )
        for label, names in (("after", after), ("before", before)):
            if isinstance(names, str):
                raise PlanError(f"{label} of pass '{name}' is a string", where=where, hint=f"{label}=({names!r},)")
        made: Any = attrs.frozen(kw_only=True)(cls)
        for field in attrs.fields(made):
            if field.name in RESERVED_OPTIONS:
                raise PlanError(
                    f"option '{field.name}' of pass '{name}' has the name of a key of every step",
                    where=where,
                    hint="give the option another name; each step can be left out with enabled = false already",
                )
        made.declaration = PassDeclaration(
            name=name,
            requires=tuple(requires),
            provides=tuple(provides),
            closes=tuple(closes),
            after=tuple(after),
            before=tuple(before),
            needs_opset=needs_opset,
            about=doc.splitlines()[0].strip(),
            doc=doc,
        )
        return cast("C", made)

    return declared


def option(
    default: T,
    *,
    help: str,
    choices: Sequence[Any] | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
    in_recipe: bool = True,
    needs_opset: int | None = None,
) -> T:
    """A field of a pass: an option with its default and a sentence of help.

    `choices` lists the values allowed (for each member, if the option is a tuple), `at_least` and `at_most` bound a
    number; None, where the default or the type allows it, passes both.  An option with `in_recipe=False` is set from
    Python only (a tensor, say): it takes no part in the text and the hash of a recipe.  With `needs_opset`,
    a value that is not empty is an error of the plan for older targets.

    Raises, from the class when an option is out of its limits:
        ValueError: with the limits in the message.
    """
    declared = OptionDeclaration(
        help, None if choices is None else tuple(choices), at_least, at_most, in_recipe, needs_opset
    )
    common: dict[str, Any] = {"validator": _validate, "metadata": {OPTION_METADATA: declared}}
    if isinstance(default, (list, dict, set)):
        return cast("T", attrs.field(factory=lambda: type(default)(default), **common))
    return cast("T", attrs.field(default=default, **common))


def _validate(_: Any, field: attrs.Attribute[Any], value: Any) -> None:
    declared: OptionDeclaration = field.metadata[OPTION_METADATA]
    if value is None:
        return
    if declared.choices is not None:
        unknown = [item for item in (value if isinstance(value, tuple) else (value,)) if item not in declared.choices]
        if unknown:
            raise ValueError(f"{field.name} must be one of {', '.join(map(str, declared.choices))}, not {unknown[0]!r}")
    if declared.at_least is not None and value < declared.at_least:
        raise ValueError(f"{field.name} must be at least {declared.at_least}, not {value!r}")
    if declared.at_most is not None and value > declared.at_most:
        raise ValueError(f"{field.name} must be at most {declared.at_most}, not {value!r}")


def declaration_of(pass_or_class: Any) -> PassDeclaration | None:
    """The declaration of a pass or pass class, or None for anything else."""
    declaration = getattr(pass_or_class, "declaration", None)
    return declaration if isinstance(declaration, PassDeclaration) else None
