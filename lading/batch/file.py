# SPDX-License-Identifier: Apache-2.0
"""Files of exports: models, recipes and opsets, read strictly, and the jobs that they come to."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import attrs

from ..input_specs import parse_input
from ..pipeline.errors import RecipeError, UsageError, did_you_mean
from ..pipeline.recipe import LATEST, LOWEST_OPSET, Lines, fit_setting, key_of, load_recipe, read_toml

Opset = int | Literal["latest"]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@attrs.frozen(kw_only=True)
class Defaults:
    """The `[batch]` table: the folder that files go to, and what holds for models that say nothing else."""

    output: str = "exported"
    recipes: tuple[str, ...] = ("inference",)
    opsets: tuple[Opset, ...] = ()
    verify: bool = True
    set: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class ModelTable:
    """A `[model.<name>]` table; None where the defaults hold."""

    model: str
    inputs: tuple[str, ...] = ()
    weights: str | None = None
    recipes: tuple[str, ...] | None = None
    opsets: tuple[Opset, ...] | None = None
    verify: bool | None = None
    depends: tuple[str, ...] | None = None
    set: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Job:
    """One export.

    Attributes:
        name: what it is called: "resnet/inference/18", or "resnet/inference" at the recipe's own opset.
        model: MODEL as the command line takes it, with an absolute path where it is a file.
        recipe: a name, or an absolute path.
        opset: overrides that of the recipe; None for the recipe's.
        file: where the file goes, absolute; its record, log and reproducer stand beside it.
        inputs: specifications of example inputs.
        weights: a checkpoint, or None.
        verify: whether the file is compared with PyTorch.
        depends: patterns of the files, absolute, on which the model depends beside its code, and on nothing else; None
            where nobody says so.
        settings: overrides as text.
        threads: how many threads PyTorch may use; 0 for as many as it likes.
        again: whether it is exported although nothing has changed.
    """

    name: str
    model: str
    recipe: str
    opset: Opset | None
    file: str
    inputs: tuple[str, ...] = ()
    weights: str | None = None
    verify: bool = True
    depends: tuple[str, ...] | None = None
    settings: tuple[str, ...] = ()
    threads: int = 0
    again: bool = False

    def beside(self, ending: str) -> Path:
        """A file beside the exported one."""
        return Path(self.file).with_suffix(ending)


@attrs.frozen(kw_only=True)
class Batch:
    """A file of exports.

    Attributes:
        file: as messages name it.
        output: the folder that the files go to.
        jobs: the exports, in the order of the file.
    """

    file: str
    output: Path
    jobs: tuple[Job, ...]


def load_batch(path: Path) -> Batch:
    """Read a file of exports.

    Raises:
        RecipeError: it is not TOML, a key is unknown or does not fit, a recipe is missing, or two exports would write
            the same file. The message has file, line and key.
    """
    file = str(path)
    document, lines = read_toml(path, file, what="the file of exports")
    for key in document:
        if key not in ("batch", "model"):
            hint = did_you_mean(key, ("batch", "model"))
            raise RecipeError(f"unknown table '{key}'", where=lines.place(file, (key,), ""), hint=hint)
    defaults: Defaults = _table(Defaults, document.get("batch", {}), ("batch",), file, lines)
    models = document.get("model", {})
    if not isinstance(models, dict) or not models:
        raise RecipeError("there is no model", where=file, hint='[model.NAME] with model = "path/file.py:factory"')
    folder = path.resolve().parent
    output = folder / defaults.output
    jobs: list[Job] = []
    for name, table in models.items():
        if not _NAME.fullmatch(name):
            where = lines.place(file, ("model", name), "")
            raise RecipeError(
                f"'{name}' cannot be the name of a model", where=where, hint="letters, digits, dots, dashes"
            )
        said: ModelTable = _table(ModelTable, table, ("model", name), file, lines)
        jobs.extend(_jobs(name, said, defaults, folder, output, _Places(file, lines, name)))
    files: dict[str, str] = {}
    for job in jobs:
        other = files.setdefault(job.file, job.recipe)
        if other != job.recipe:
            raise RecipeError(
                f"recipes '{other}' and '{job.recipe}' would write the same file, {job.file}",
                where=file,
                hint="give a recipe another name",
            )
    return Batch(file=file, output=output, jobs=tuple(jobs))


@attrs.frozen
class _Places:
    """Where the keys of one model stand, or else those of the defaults."""

    file: str
    lines: Lines
    name: str

    def of(self, key: str, *, own: bool) -> str:
        return self.lines.place(self.file, ("model", self.name) if own else ("batch",), key)


def _jobs(
    name: str, said: ModelTable, defaults: Defaults, folder: Path, output: Path, places: _Places
) -> Iterator[Job]:
    recipes = defaults.recipes if said.recipes is None else said.recipes
    opsets = defaults.opsets if said.opsets is None else said.opsets
    for spec in said.inputs:
        _checked(lambda spec=spec: parse_input(spec), places.of("inputs", own=True))
    for given in opsets:
        if given != LATEST and int(given) < LOWEST_OPSET:
            where = places.of("opsets", own=said.opsets is not None)
            hint = f'{LOWEST_OPSET} or more, or "{LATEST}"'
            raise RecipeError(f"there is no opset {given}", where=where, hint=hint)
    for recipe in dict.fromkeys(recipes):
        is_path = recipe.endswith(".toml") or "/" in recipe
        found = str(folder / recipe) if is_path else recipe
        _checked(lambda found=found: load_recipe(found), places.of("recipes", own=said.recipes is not None))
        label = Path(recipe).stem if is_path else recipe
        chosen: tuple[Opset | None, ...] = tuple(dict.fromkeys(opsets)) or (None,)
        for opset in chosen:
            ending = "" if opset is None else f"-opset{opset}" if opset != LATEST else f"-{LATEST}"
            yield Job(
                name=f"{name}/{label}" + ("" if opset is None else f"/{opset}"),
                model=_placed(said.model, folder),
                recipe=found,
                opset=opset,
                file=str(output / name / f"{label}{ending}.onnx"),
                inputs=said.inputs,
                weights=None if said.weights is None else str(folder / said.weights),
                verify=defaults.verify if said.verify is None else said.verify,
                depends=None if said.depends is None else tuple(str(folder / pattern) for pattern in said.depends),
                settings=(*defaults.set, *said.set),
            )


def _checked(read: Any, where: str) -> None:
    try:
        read()
    except UsageError as error:
        raise RecipeError(error.what, where=where, hint=error.hint) from error


def _placed(model: str, folder: Path) -> str:
    place, colon, name = model.rpartition(":")
    if place.endswith(".py") or "/" in place:
        return f"{folder / place}{colon}{name}"
    return str(folder / model) if model.endswith(".pt2") else model


def _table(kind: Any, table: Any, path: tuple[str, ...], file: str, lines: Lines) -> Any:
    title = ".".join(path)
    if not isinstance(table, dict):
        where = lines.place(file, path[:-1], path[-1])
        raise RecipeError(f"'{title}' is not a table", where=where, hint=f"[{title}] on a line of its own")
    fields = {field.name: field for field in attrs.fields(attrs.resolve_types(kind))}
    values = {}
    for written, value in table.items():
        where = lines.place(file, path, written)
        if key_of(written) not in fields:
            raise RecipeError(
                f"unknown key '{written}' in [{title}]", where=where, hint=did_you_mean(written, list(fields))
            )
        values[key_of(written)] = fit_setting(value, fields[key_of(written)].type, f"{title}.{written}", where)
    missing = [name for name, field in fields.items() if field.default is attrs.NOTHING and name not in values]
    if missing:
        where = lines.place(file, path, "")
        raise RecipeError(f"[{title}] has no '{missing[0]}'", where=where, hint=f'{missing[0]} = "..." is required')
    return kind(**values)


def batch_schema() -> dict[str, Any]:
    """The JSON Schema of a file of exports, for editors; draft 7, as of recipes."""
    texts = {"type": "array", "items": {"type": "string"}}
    opset = {"anyOf": [{"type": "integer", "minimum": LOWEST_OPSET}, {"const": LATEST}]}
    shared: Mapping[str, Any] = {
        "recipes": {**texts, "description": "Recipes by name, or files relative to this one; an export for each."},
        "opsets": {
            "type": "array",
            "items": opset,
            "description": "An export for each; empty for that of the recipe.",
        },
        "verify": {"type": "boolean", "description": "Compare each file with PyTorch."},
        "set": {**texts, "description": "Override values of the recipes: 'verify.rtol=1e-3'."},
    }
    model = {
        "model": {"type": "string", "description": "path/file.py:factory, package.module:factory or program.pt2"},
        "inputs": {**texts, "description": "Example inputs, as --input of lading export takes them."},
        "weights": {"type": "string", "description": "A .safetensors file, an index or a folder with the weights."},
        "depends": {
            **texts,
            "description": "Files, also as patterns, on which the model depends beside its code, and on nothing else; "
            "it is then not made to learn that nothing has changed.",
        },
        **shared,
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A file of exports of lading",
        "type": "object",
        "required": ["model"],
        "additionalProperties": False,
        "properties": {
            "batch": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    "output": {
                        "type": "string",
                        "default": "exported",
                        "description": "The folder for the files, relative to this one.",
                    },
                    **shared,
                },
            },
            "model": {
                "type": "object",
                "minProperties": 1,
                "propertyNames": {"pattern": f"^{_NAME.pattern}$"},
                "additionalProperties": {
                    "type": "object",
                    "required": ["model"],
                    "additionalProperties": False,
                    "properties": model,
                },
            },
        },
    }


def batch_schema_text() -> str:
    """The schema as the text of a file."""
    return json.dumps(batch_schema(), indent=2) + "\n"
