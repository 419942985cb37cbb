# SPDX-License-Identifier: Apache-2.0
"""Recipe files: read, check the keys, follow `extends`, and remember where every value came from."""

from __future__ import annotations

import functools
import importlib.resources
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import attrs

from .errors import RecipeError, did_you_mean
from .structure import Misfit, fit

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LATEST = "latest"
LOWEST_OPSET = 7
RECIPES_PACKAGE = __package__.rpartition(".")[0] + ".recipes"

Source = Literal["recipe", "parent", "override", "default"]


@attrs.frozen
class Setting:
    """One value and where it came from: its kind of source, and the file and line, the override or the pass."""

    value: Any
    source: Source
    where: str


@attrs.frozen
class FromText:
    """The text of an override from a command line, read once the type that it must fit is known."""

    text: str


@attrs.frozen(kw_only=True)
class RecipeHead:
    """The `[recipe]` table."""

    name: str
    about: str
    extends: str | None = None


@attrs.frozen(kw_only=True)
class TargetTable:
    """The `[target]` table: `opset`, a number or "latest", and the version of each domain of the user's."""

    opset: int | Literal["latest"] = 18
    custom_opsets: Mapping[str, int] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class StepTable:
    """What a `[step.<id>]` table says to the engine; any other key of it is an option of the pass."""

    pass_: str | None = None
    enabled: bool = True
    after: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    until_stable: tuple[str, ...] | None = None
    rounds: int = 4


@attrs.frozen(kw_only=True)
class Recipe:
    """A recipe file and all that it extends, merged; nothing in it is bound to a pass yet.

    `file` is how messages name it, `folder` where the relative paths in it start, `lineage` its name and those of
    what it extends, nearest first.  `target` and each of `steps` hold settings by key; `places` says where each step
    is written, the nearest file first.
    """

    name: str
    about: str
    file: str
    folder: Path
    lineage: tuple[str, ...]
    target: Mapping[str, Setting]
    steps: Mapping[str, Mapping[str, Setting]]
    places: Mapping[str, str]


TARGET_KEYS = ("opset", "custom_opsets")
STEP_KEYS = tuple(field.name.rstrip("_") for field in attrs.fields(StepTable))
RESERVED_IDS = ("recipe", "target")
_HEAD_KEYS = tuple(field.name for field in attrs.fields(RecipeHead))
_ID = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")


def shipped_recipes() -> tuple[str, ...]:
    """The names of the recipes that come with lading, sorted."""
    folder = importlib.resources.files(RECIPES_PACKAGE)
    return tuple(sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml")))


def recipes_of(folders: Sequence[Path]) -> tuple[str, ...]:
    """The names of the recipes in folders of a project, sorted: the files without their ending."""
    return tuple(sorted({path.stem for folder in folders for path in folder.glob("*.toml")}))


def load_recipe(name_or_path: str | Path, *, folders: Sequence[Path] = ()) -> Recipe:
    """Read a recipe: a shipped one or one in `folders` by its name, any other by its path.

    A path ends in .toml or has a folder in it.

    Raises:
        RecipeError: there is no such recipe, it is not TOML, a key is unknown or does not fit, what it extends is
            missing or extends it in turn.  The message has file and line where they can be known.
    """
    path = _locate(str(name_or_path), folder=None, where=None, folders=folders)
    return _load(path, trail=(), folders=folders)


def key_of(written: str) -> str:
    """The one spelling of a key: dashes and underscores are the same."""
    return written.replace("-", "_")


def _locate(name: str, *, folder: Path | None, where: str | None, folders: Sequence[Path]) -> Path:
    if name.endswith(".toml") or "/" in name or "\\" in name:
        path = Path(name) if folder is None else folder / name
        if path.is_file():
            return path
        siblings = [entry.name for entry in path.parent.glob("*.toml")] if path.parent.is_dir() else []
        hint = did_you_mean(
            path.name, siblings, otherwise=f"shipped recipes go by name: {', '.join(shipped_recipes())}"
        )
        raise RecipeError(f"no recipe file '{name}'", where=where, hint=hint)
    shipped = Path(str(importlib.resources.files(RECIPES_PACKAGE).joinpath(f"{name}.toml")))
    found = [path for path in (shipped, *(folder / f"{name}.toml" for folder in folders)) if path.is_file()]
    if len(found) > 1:
        places = " and ".join(_display(path) for path in found)
        raise RecipeError(f"two recipes are called '{name}': {places}", where=where, hint="give yours another name")
    if found:
        return found[0]
    hint = did_you_mean(name, (*shipped_recipes(), *recipes_of(folders)))
    if Path(f"{name}.toml").is_file():
        hint = f"a recipe of your own goes by its path: {name}.toml"
    raise RecipeError(f"no recipe is called '{name}'", where=where, hint=hint)


def _display(path: Path) -> str:
    shipped = Path(str(importlib.resources.files(RECIPES_PACKAGE)))
    if path.parent == shipped:
        return f"recipes/{path.name}"
    try:
        return path.resolve().relative_to(Path.cwd()).as_posix()
    except ValueError:
        return str(path)


def _load(path: Path, trail: tuple[Path, ...], folders: Sequence[Path]) -> Recipe:
    file = _display(path)
    if path.resolve() in trail:
        walk = [*trail[trail.index(path.resolve()) :], path.resolve()]
        raise RecipeError(
            f"recipes extend each other in a circle: {' -> '.join(_display(step) for step in walk)}",
            where=file,
            hint="take `extends` out of one of them",
        )
    document, lines = read_toml(path, file)
    head = _head(document, file, lines)
    target = _target(document, file, lines)
    steps = _steps(document, file, lines)
    places = {step: lines.place(file, ("step", step), "") for step in steps}
    lineage: tuple[str, ...] = (head.name,)
    if head.extends is not None:
        where = lines.place(file, ("recipe",), "extends")
        located = _locate(head.extends, folder=path.parent, where=where, folders=folders)
        parent = _load(located, (*trail, path.resolve()), folders)
        target = {**_inherited(parent.target), **target}
        merged = {step: _inherited(settings) for step, settings in parent.steps.items()}
        for step, settings in steps.items():
            merged[step] = {**merged.get(step, {}), **settings}
        steps = merged
        places = {**parent.places, **places}
        lineage += parent.lineage
    return Recipe(
        name=head.name,
        about=head.about,
        file=file,
        folder=path.parent,
        lineage=lineage,
        target=target,
        steps=steps,
        places=places,
    )


def _inherited(settings: Mapping[str, Setting]) -> dict[str, Setting]:
    return {key: attrs.evolve(setting, source="parent") for key, setting in settings.items()}


def read_toml(path: Path, file: str, what: str = "recipe") -> tuple[dict[str, Any], Lines]:
    """The document of a TOML file and where its keys stand; `what` and `file` are for messages.

    Raises:
        RecipeError: it cannot be read, or is not TOML.
    """
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        raise RecipeError(f"{what} cannot be read: {error.strerror}", where=file) from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"{what} is not UTF-8 text", where=file) from error
    try:
        return _parsed(text)
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        where = f"{file}:{line.group(1)}" if line else file
        raise RecipeError(f"{what} is not TOML: {error}", where=where) from error


@functools.lru_cache(maxsize=32)
def _parsed(text: str) -> tuple[dict[str, Any], Lines]:
    # Nobody writes into a document; the same recipe is read for every export of a process.
    return tomllib.loads(text), Lines.of(text)


def _head(document: Mapping[str, Any], file: str, lines: Lines) -> RecipeHead:
    for key in document:
        if key not in ("recipe", "target", "step"):
            hint = did_you_mean(key, ("recipe", "target", "step"))
            if re.fullmatch(r"step[-_.]?\w*|steps", key):
                hint = "a step is written [step.<id>]"
            raise RecipeError(f"unknown table '{key}'", where=lines.place(file, (key,), ""), hint=hint)
    table = _table(document, "recipe", file, lines)
    for key in table:
        if key not in _HEAD_KEYS:
            where = lines.place(file, ("recipe",), key)
            raise RecipeError(f"unknown key '{key}' in [recipe]", where=where, hint=did_you_mean(key, _HEAD_KEYS))
    for key in ("name", "about"):
        if not table.get(key):
            where = lines.place(file, ("recipe",), key)
            raise RecipeError(f"[recipe] has no '{key}'", where=where, hint=f'{key} = "..." is required')
    values = {key: fit_setting(table[key], str, f"recipe.{key}", lines.place(file, ("recipe",), key)) for key in table}
    return RecipeHead(**values)


def _target(document: Mapping[str, Any], file: str, lines: Lines) -> dict[str, Setting]:
    settings = {}
    for written, value in _table(document, "target", file, lines).items():
        where = lines.place(file, ("target",), written)
        key = key_of(written)
        if key not in TARGET_KEYS:
            raise RecipeError(
                f"unknown key '{written}' in [target]", where=where, hint=did_you_mean(written, TARGET_KEYS)
            )
        settings[key] = Setting(value, "recipe", where)
    return settings


def _steps(document: Mapping[str, Any], file: str, lines: Lines) -> dict[str, dict[str, Setting]]:
    steps: dict[str, dict[str, Setting]] = {}
    for step, table in _table(document, "step", file, lines).items():
        where = lines.place(file, ("step", step), "")
        if not isinstance(table, dict):
            raise RecipeError(f"step.{step} is not a table", where=where, hint=f"[step.{step}] on a line of its own")
        if not _ID.fullmatch(step) or step in RESERVED_IDS:
            hint = "letters, digits and dashes, and neither 'recipe' nor 'target'"
            raise RecipeError(f"'{step}' cannot be the id of a step", where=where, hint=hint)
        settings: dict[str, Setting] = {}
        for written, value in table.items():
            place = lines.place(file, ("step", step), written)
            if key_of(written) in settings:
                raise RecipeError(f"'{written}' is given twice in [step.{step}]", where=place, hint="keep one spelling")
            settings[key_of(written)] = Setting(value, "recipe", place)
        steps[step] = settings
    return steps


def _table(document: Mapping[str, Any], name: str, file: str, lines: Lines) -> dict[str, Any]:
    table = document.get(name, {})
    if not isinstance(table, dict):
        where = lines.place(file, (), name)
        raise RecipeError(f"'{name}' is not a table", where=where, hint=f"[{name}] on a line of its own")
    return table


def fit_setting(value: Any, annotation: Any, key: str, where: str) -> Any:
    """`value` fitted to a type.

    Raises:
        RecipeError: it does not fit; the message has the key and the place.
    """
    try:
        return fit(value, annotation)
    except Misfit as error:
        raise RecipeError(f"{key} {error}", where=where) from error


@attrs.frozen
class Lines:
    """On which line each table and key of a TOML text stands, as far as a look at line beginnings can tell."""

    by_key: Mapping[tuple[tuple[str, ...], str], int]

    @classmethod
    def of(cls, text: str) -> Lines:
        """Look through `text`; a line inside a multi-line string may be taken for a key, and does no harm."""
        found: dict[tuple[tuple[str, ...], str], int] = {}
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), start=1):
            if header := _HEADER.match(line):
                table = tuple(_parts(header.group(1)))
                found.setdefault((table, ""), number)
                # [a.b] is where a table of its name first stands in [a], whether or not [a] has a line.
                for depth, part in enumerate(table):
                    found.setdefault((table[:depth], part), number)
            elif key := _KEY.match(line):
                parts = _parts(key.group(1))
                found.setdefault(((*table, *parts[:-1]), parts[-1]), number)
                found.setdefault((table, parts[0]), number)
        return cls(found)

    def place(self, file: str, table: tuple[str, ...], key: str) -> str:
        """The file with the line of the key, or else of the nearest table around it, or else alone."""
        number = self.by_key.get((table, key))
        while number is None and table:
            # A table may also stand inline, on the line of a key of the table around it.
            number = self.by_key.get((table, "")) or self.by_key.get((table[:-1], table[-1]))
            table = table[:-1]
        return file if number is None else f"{file}:{number}"


_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""")
_HEADER = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]\s*(?:#.*)?$")
_KEY = re.compile(r"""\s*((?:[\w-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[\w-]+|"[^"]*"|'[^']*'))*)\s*=""")


def _parts(dotted: str) -> list[str]:
    """The parts of a dotted key; a quoted one is one part, dots and all."""
    return [part.strip("\"'") for part in _PART.findall(dotted)]
