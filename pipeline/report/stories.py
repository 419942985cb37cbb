# SPDX-License-Identifier: Apache-2.0
"""The story of a node: from the user's line through each step that made, edited, passed over or removed it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from ..errors import UsageError, did_you_mean
from .runs import Event, Run, visit_of

SIBLINGS_SHOWN = 6


@attrs.frozen
class Place:
    """The user's code that a node comes from: module path ("" is the root), module class, source line."""

    module: str = ""
    module_class: str = ""
    source: str = ""

    def __str__(self) -> str:
        module = self.module or "the root module"
        named = f"{module} ({self.module_class})" if self.module_class else module
        return f"{named}, {self.source}" if self.source else named


@attrs.frozen
class Chapter:
    """One thing that happened: `when` is the number of the visit, `kind` a word for it, and `text` says it."""

    when: int
    visit: str
    node: int
    kind: str
    text: str


@attrs.define(eq=False)
class Life:
    """One node: what it is, where it came from, and what happened to it."""

    number: int
    operator: str
    born: int
    parents: tuple[int, ...]
    place: Place | None = None
    reads: tuple[int, ...] = ()
    name: str = ""
    outputs: list[str] = attrs.field(factory=list)
    first_operator: str = ""
    removed: int | None = None
    chapters: list[Chapter] = attrs.field(factory=list)

    def __str__(self) -> str:
        return f"{self.operator} #{self.number}"


@attrs.define(eq=False)
class Stories:
    """All nodes of one run, by number."""

    lives: dict[int, Life] = attrs.field(factory=dict)
    visits: list[str] = attrs.field(factory=list)
    left_out: int = 0
    complete: bool = False
    _born: dict[int, dict[int, list[Life]]] = attrs.field(factory=dict)

    @classmethod
    def of(cls, run: Run) -> Stories:
        """Read the nodes of a run.

        Raises:
            UsageError: the log does not follow nodes, or contradicts itself.
        """
        if not run.follows_nodes:
            raise UsageError(
                "the log does not follow nodes", hint="export with --log-level nodes, which is what is done by default"
            )
        stories = cls()
        decisions: list[Mapping[str, Any]] = []
        for event in run.events:
            if event["event"] in ("pass.applied", "pass.unchanged", "pass.failed"):
                stories.visits.append(visit_of(event))
                decisions = event["decisions"]
            elif event["event"] == "pass.nodes":
                stories._read(event, decisions)
            elif event["event"] == "run.nodes":
                stories._read_names(event)
        return stories

    def final(self) -> list[Life]:
        """The nodes that are there in the end, in order of their numbers."""
        return [life for life in self.lives.values() if life.removed is None]

    def find(self, wanted: str) -> Life:
        """The node that is meant by its name in the file, by a value or output that it makes, or by `#number`.

        The end of a name will do where only one node's name ends so.  Names in a function stand behind its own and a
        colon, and the main graph's come first where both have one.

        Raises:
            UsageError: no node is meant, or several are.
        """
        number = re.fullmatch(r"#(\d+)", wanted)
        if number:
            try:
                return self.lives[int(number[1])]
            except KeyError:
                raise UsageError(f"no node of this run has number {wanted}") from None
        named: dict[str, Life] = {}
        for life in self.final():
            for name in (life.name, *life.outputs):
                if name:
                    named[name] = life
        bare = re.sub(r"_output_\d+$", "", wanted)
        for name in (wanted, bare):
            if name in named:
                return named[name]
        ending = [name for name in named if name.endswith(wanted)]
        if len(ending) == 1:
            return named[ending[0]]
        if ending:
            shown = ", ".join(sorted(ending)[:5]) + (", ..." if len(ending) > 5 else "")
            raise UsageError(f"{len(ending)} nodes have a name that ends with '{wanted}'", hint=shown)
        if not named:
            hint = "the log ends before the run did, and has no names; '#12' asks for a node by its number"
            raise UsageError(f"no node is called '{wanted}'", hint=hint)
        raise UsageError(
            f"no node of the file is called '{wanted}'",
            hint=did_you_mean(wanted, named, otherwise="lading audit LOG --op OPERATOR lists names"),
        )

    def ancestors(self, life: Life) -> list[Life]:
        """The node and all that it was made from, oldest first."""
        found: dict[int, Life] = {}
        waiting = [life]
        while waiting:
            current = waiting.pop()
            if current.number not in found:
                found[current.number] = current
                waiting += [self.lives[number] for number in current.parents if number in self.lives]
        return [found[number] for number in sorted(found)]

    def places(self, life: Life) -> list[Place]:
        """The places in the user's code that a node goes back to, without repetition."""
        found = [ancestor.place for ancestor in self.ancestors(life) if ancestor.place is not None]
        return list(dict.fromkeys(found))

    def story(self, life: Life) -> list[Chapter]:
        """What happened to a node and to those that it was made from, in order."""
        chapters: list[Chapter] = []
        for one in self.ancestors(life):
            chapters.append(Chapter(one.born, self.visits[one.born], one.number, "made", self.birth(one)))
            # What became of an ancestor by being replaced is told by the birth of its successor.
            chapters += (
                one.chapters if one is life else [chapter for chapter in one.chapters if chapter.when < life.born]
            )
        chapters.sort(key=lambda chapter: (chapter.when, chapter.node))
        return chapters

    def birth(self, life: Life) -> str:
        """How a node came to be, in words."""
        text = life.first_operator
        if life.parents:
            text += f" from {self._list(life.parents)}"
            others = [
                other
                for parent in life.parents
                for other in self._born.get(life.born, {}).get(parent, ())
                if other is not life
            ]
            others = list(dict.fromkeys(others))
            if others:
                shown = ", ".join(f"{other.first_operator} #{other.number}" for other in others[:SIBLINGS_SHOWN])
                more = f" and {len(others) - SIBLINGS_SHOWN} more" if len(others) > SIBLINGS_SHOWN else ""
                text += f", with {shown}{more}"
        elif life.place is not None:
            text += f" in {life.place}"
        elif life.reads:
            text += f", put in behind {self._list(life.reads)}"
        return text

    def _list(self, numbers: Iterable[int]) -> str:
        return ", ".join(self._operator(number) for number in numbers)

    def _operator(self, number: int) -> str:
        life = self.lives.get(number)
        return f"{life.operator} #{number}" if life is not None else f"#{number}"

    def _read(self, event: Event, decisions: list[Mapping[str, Any]]) -> None:
        when = len(self.visits) - 1
        if when < 0:
            raise UsageError("the log tells of nodes before any step has run")
        self.left_out += event["left_out"]
        self._read_made(event, when)
        for number, operator in event["changed"]:
            life = self.lives.get(number)
            if life is None:
                continue
            if operator is None:
                self._tell(when, number, "edited", "other attributes or inputs")
            else:
                self._tell(when, number, "edited", f"{life.operator} became {operator}")
                life.operator = operator
        stepped_in: dict[tuple[int, int], int] = {}
        for reader, lost, found in event["rewired"]:
            was = self._operator(lost)
            if found:
                stepped_in[found, lost] = stepped_in.get((found, lost), 0) + 1
            if reader:
                now = f"reads {self._operator(found)}" if found else "reads a constant or an input"
                self._tell(when, reader, "rewired", f"{now} in place of {was}")
        for (found, lost), count in stepped_in.items():
            places = "one place" if count == 1 else f"{count} places"
            self._tell(when, found, "stands in", f"is read in {places} in place of {self._operator(lost)}")
        for number in event["renamed"]:
            self._tell(when, number, "renamed", "has another name")
        for reason, numbers in event["declined_at"].items():
            for number in dict.fromkeys(numbers):
                self._tell(when, number, "declined", reason)
        for index, *numbers in event["decided_at"]:
            if index < len(decisions):
                for number in numbers:
                    self._tell(when, number, "decided", f"{decisions[index]['what']}: {decisions[index]['why']}")
        for number in event["removed"]:
            life = self.lives.get(number)
            if life is not None:
                life.removed = when
                heirs = self._born.get(when, {}).get(number, ())
                by = f", {', '.join(map(str, heirs[:SIBLINGS_SHOWN]))} in its place" if heirs else ""
                self._tell(when, number, "removed", f"is gone{by}")

    def _read_made(self, event: Event, when: int) -> None:
        places = [Place(*row) for row in event["places"]]
        born: dict[int, list[Life]] = self._born.setdefault(when, {})
        for number, (operator, parents, *rest) in enumerate(event["made"], start=event["first"]):
            place = rest[0] if rest else None
            life = Life(
                number=number,
                operator=operator,
                first_operator=operator,
                born=when,
                parents=_numbers(parents),
                # A log may say anything; a place that it does not hold is none.
                place=places[place] if place is not None and place < len(places) else None,
                reads=_numbers(rest[1]) if len(rest) > 1 else (),
            )
            if any(parent >= number for parent in life.parents):
                raise UsageError(f"the log contradicts itself: node {number} is made from a node that comes after it")
            self.lives[number] = life
            for parent in life.parents:
                born.setdefault(parent, []).append(life)

    def _read_names(self, event: Event) -> None:
        self.complete = True
        self.left_out += event["left_out"]
        for number, name in event["names"]:
            if number in self.lives:
                self.lives[number].name = name
        for name, number in event["outputs"]:
            if name and number in self.lives:
                self.lives[number].outputs.append(name)

    def _tell(self, when: int, number: int, kind: str, text: str) -> None:
        life = self.lives.get(number)
        if life is not None:
            life.chapters.append(Chapter(when, self.visits[when], number, kind, text))


def _numbers(short: int | list[int] | None) -> tuple[int, ...]:
    """The numbers that a log writes short: one as itself, none as null."""
    if short is None:
        return ()
    return (short,) if isinstance(short, int) else tuple(short)
