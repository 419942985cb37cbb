# SPDX-License-Identifier: Apache-2.0
"""A recipe bound to its passes: overrides applied, every option typed, every value with its source."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import attrs

from .declare import OPTION_METADATA, PassDeclaration, declaration_of
from .errors import LadingError, PlanError, RecipeError, did_you_mean, near_miss
from .plain import to_plain, toml_key, toml_value
from .project import Project
from .recipe import (
    LATEST,
    LOWEST_OPSET,
    RESERVED_IDS,
    STEP_KEYS,
    TARGET_KEYS,
    FromText,
    Recipe,
    Setting,
    StepTable,
    TargetTable,
    key_of,
    load_recipe,
    shipped_recipes,
)
from .registry import Registry, reference_of
from .structure import Misfit, fit, fit_text, option_types

Table = dict[str, Setting]

_STEP_TYPES = {key.rstrip("_"): kind for key, kind in get_type_hints(StepTable).items()}
_TARGET_TYPES = get_type_hints(TargetTable)
_GROUP_KEYS = ("until_stable", "rounds", "enabled", "after", "before")


@attrs.frozen(kw_only=True)
class ResolvedStep:
    """One pass of a recipe, with its options.

    `reference` is what a recipe file calls the pass; `settings` holds every option with its source, defaults
    included, `head` what is said about the step itself; `made` is the pass.
    """

    id: str
    reference: str
    made: Any
    enabled: bool
    after: tuple[str, ...]
    before: tuple[str, ...]
    settings: Mapping[str, Setting]
    head: Mapping[str, Setting]
    where: str

    @property
    def declaration(self) -> PassDeclaration:
        """What the pass says about itself."""
        declaration: PassDeclaration = self.made.declaration
        return declaration

    @property
    def spec(self) -> str:
        """The pass with the options that differ from their defaults, as `name{option = value, …}`."""
        given = {
            key: to_plain(setting.value)
            for key, setting in self.settings.items()
            if not _same(setting.value, _defaults(type(self.made))[key])
        }
        name = self.declaration.name
        options = ", ".join(f"{toml_key(key)} = {toml_value(value)}" for key, value in given.items())
        return f"{name}{{{options}}}" if given else name


@attrs.frozen(kw_only=True)
class ResolvedGroup:
    """Steps that repeat, in this order, until they change nothing or `rounds` is used up.

    `head` holds what is said about the group, with its source.
    """

    id: str
    members: tuple[ResolvedStep, ...]
    rounds: int
    enabled: bool
    after: tuple[str, ...]
    before: tuple[str, ...]
    head: Mapping[str, Setting]
    where: str


@attrs.frozen(kw_only=True)
class ResolvedRecipe:
    """All that an export will do: target, steps and options, with nothing left to look up.

    `opset` may be "latest", which `run.target_of` settles when a run starts.  `defaults` names the file of the project
    that gave defaults, if one did.
    """

    name: str
    about: str
    file: str
    folder: Path
    lineage: tuple[str, ...]
    opset: Setting
    custom_opsets: Setting
    entries: tuple[ResolvedStep | ResolvedGroup, ...]
    defaults: str | None = None

    def steps(self) -> tuple[ResolvedStep, ...]:
        """Every pass of the recipe, those in groups included, sorted by id."""
        found: list[ResolvedStep] = []
        for entry in self.entries:
            found.extend(entry.members if isinstance(entry, ResolvedGroup) else (entry,))
        return tuple(sorted(found, key=lambda step: step.id))

    def sources(self) -> dict[str, Setting]:
        """Every value of the recipe by its dotted key, as `to_dict` writes it, with its source."""
        found = {"target.opset": self.opset, "target.custom_opsets": self.custom_opsets}
        everything: list[ResolvedStep | ResolvedGroup] = [*self.steps()]
        everything += [entry for entry in self.entries if isinstance(entry, ResolvedGroup)]
        for entry in sorted(everything, key=lambda entry: entry.id):
            found.update({f"{entry.id}.{_spelled(key)}": setting for key, setting in entry.head.items()})
            if isinstance(entry, ResolvedStep):
                found.update({f"{entry.id}.{key}": setting for key, setting in entry.settings.items()})
        return found

    def to_dict(self) -> dict[str, Any]:
        """The recipe as plain data in the form of a recipe file that extends nothing."""
        steps: dict[str, Any] = {}
        for entry in self.entries:
            if isinstance(entry, ResolvedGroup):
                steps[entry.id] = _group_table(entry)
        for step in self.steps():
            steps[step.id] = _step_table(step)
        return {
            "recipe": {"name": self.name, "about": self.about},
            "target": {"opset": self.opset.value, "custom_opsets": to_plain(self.custom_opsets.value)},
            "step": dict(sorted(steps.items())),
        }

    def to_toml(self) -> str:
        """The recipe as the text of a recipe file that extends nothing and resolves to the same hash."""
        return recipe_toml(self.to_dict())

    @functools.cached_property
    def hash(self) -> str:
        """SHA-256 of what the recipe does; its name and description take no part in it."""
        data = self.to_dict()
        del data["recipe"]
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def recipe_toml(data: Mapping[str, Any]) -> str:
    """Plain data in the form of a recipe as TOML text."""
    lines = []
    tables = [("recipe", data["recipe"]), ("target", data["target"])]
    tables += [(f"step.{toml_key(step)}", table) for step, table in data["step"].items()]
    for name, table in tables:
        lines.append(f"[{name}]")
        lines += [f"{toml_key(key)} = {toml_value(value)}" for key, value in table.items()]
        lines.append("")
    return "\n".join(lines)


def resolve(
    recipe: Recipe,
    registry: Registry,
    *,
    overrides: Mapping[str, Any] | None = None,
    settings: Iterable[str] = (),
    passes: Sequence[Any] = (),
    project: Project | None = None,
) -> ResolvedRecipe:
    """Bind `recipe` to the passes it names.

    `overrides` are values by dotted key ("fold-constants.size_limit"), as a caller from Python has them, or settings
    where the caller knows better than the key where a value comes from; `settings` the same as text
    ("fold-constants.enabled=false"), as a command line has them, and they win.  `passes` are further passes, instances
    or classes, each of which becomes a step called by its name.  The values of `project` go over those of the recipe
    and under the others, and one of a step that this recipe does not have is left out.

    Raises:
        RecipeError: a step, key or option is unknown, or a value does not fit its type or its limits.
        PlanError: a pass is unknown or cannot be loaded.
    """
    tables: dict[str, Table] = {step: dict(table) for step, table in recipe.steps.items()}
    target: Table = dict(recipe.target)
    given = {**_projects(project, tables, registry), **_overrides(overrides or {}, settings)}
    # Which steps exist may depend on an override of a group's members, so those come first.
    for (step, key), setting in given.items():
        if key == "until_stable":
            _table_of(tables, step, recipe, registry, setting)[key] = setting
    members = _members(tables, registry)
    for (step, key), setting in given.items():
        if step == "target":
            if key not in TARGET_KEYS:
                raise RecipeError(
                    f"unknown key 'target.{key}'", where=setting.where, hint=did_you_mean(key, TARGET_KEYS)
                )
            target[key] = setting
        else:
            _table_of(tables, step, recipe, registry, setting)[key] = setting
    opset, custom_opsets = _resolve_target(target)
    steps = {
        step: _resolve_step(step, table, _place(step, members, tables, recipe), recipe, registry)
        for step, table in tables.items()
        if "until_stable" not in table
    }
    entries: dict[str, ResolvedStep | ResolvedGroup] = {
        step: made for step, made in steps.items() if step not in members
    }
    for step, table in tables.items():
        if "until_stable" in table:
            entries[step] = _resolve_group(step, table, steps)
    for extra in passes:
        made = _extra_step(extra, registry, {*tables, *entries})
        entries[made.id] = made
    return ResolvedRecipe(
        name=recipe.name,
        about=recipe.about,
        file=recipe.file,
        folder=recipe.folder,
        lineage=recipe.lineage,
        opset=opset,
        custom_opsets=custom_opsets,
        entries=tuple(entries[step] for step in sorted(entries)),
        defaults=None if project is None else project.file,
    )


def _projects(
    project: Project | None, tables: Mapping[str, Table], registry: Registry
) -> dict[tuple[str, str], Setting]:
    if project is None:
        return {}
    there = {"target", *tables}
    for table in tables.values():
        members = table["until_stable"].value if "until_stable" in table else ()
        there.update(members if isinstance(members, (list, tuple)) else ())
    found = {}
    for dotted, setting in project.values.items():
        step, key = _split(dotted, setting.where)
        # They are for every recipe of the project, and not each has every step; what no recipe has is a mistake.
        if step in there or not (registry.knows(step) or step in _steps_of_shipped_recipes()):
            found[step, key] = setting
    return found


def _steps_of_shipped_recipes() -> set[str]:
    return {step for name in shipped_recipes() for step in load_recipe(name).steps}


def _spelled(key: str) -> str:
    return "until-stable" if key == "until_stable" else key


def _overrides(values: Mapping[str, Any], texts: Iterable[str]) -> dict[tuple[str, str], Setting]:
    found: dict[tuple[str, str], Setting] = {}
    for dotted, value in values.items():
        known = value if isinstance(value, Setting) else Setting(value, "override", f"override of {dotted}")
        found[_split(dotted, "override")] = known
    for text in texts:
        dotted, equals, value = text.partition("=")
        where = f"--set {text}"
        if not equals:
            raise RecipeError(f"'{text}' sets nothing", where=where, hint="--set step.option=value")
        found[_split(dotted.strip(), where)] = Setting(FromText(value.strip()), "override", where)
    return found


def _split(dotted: str, where: str) -> tuple[str, str]:
    step, dot, key = dotted.partition(".")
    if not dot or not step or not key:
        hint = "a step (or 'target'), a dot and an option: fold-constants.enabled"
        raise RecipeError(f"'{dotted}' does not name an option", where=where, hint=hint)
    return step, key_of(key)


def _table_of(tables: dict[str, Table], step: str, recipe: Recipe, registry: Registry, setting: Setting) -> Table:
    if step in tables:
        return tables[step]
    if registry.knows(step):
        raise RecipeError(
            f"recipe '{recipe.name}' has no step '{step}'",
            where=setting.where,
            hint=f"add [step.{step}] to a recipe that extends '{recipe.name}'",
        )
    raise RecipeError(
        f"recipe '{recipe.name}' has no step '{step}'",
        where=setting.where,
        hint=did_you_mean(step, (*tables, "target")),
    )


def _members(tables: dict[str, Table], registry: Registry) -> dict[str, str]:
    """The group of each step that is in one; members without a table of their own get one."""
    group_of: dict[str, str] = {}
    for group in [step for step, table in tables.items() if "until_stable" in table]:
        setting = tables[group]["until_stable"]
        names = _value(setting, tuple[str, ...], f"{group}.until-stable")
        if not names:
            raise RecipeError(f"group '{group}' has no members", where=setting.where, hint=f"{group}.enabled = false")
        for name in names:
            if name in group_of:
                place = f"twice in '{group}'" if group_of[name] == group else f"in '{group_of[name]}' and in '{group}'"
                hint = f'give the second one an id of its own: [step.{name}-again] with pass = "{name}"'
                raise RecipeError(f"step '{name}' is {place}", where=setting.where, hint=hint)
            if name not in tables and not registry.knows(name):
                near = did_you_mean(name, (*tables, *registry.names()))
                raise RecipeError(f"group '{group}' has the unknown member '{name}'", where=setting.where, hint=near)
            if "until_stable" in tables.get(name, {}):
                hint = f"list the members of '{name}' themselves"
                raise RecipeError(f"group '{name}' is inside group '{group}'", where=setting.where, hint=hint)
            group_of[name] = group
            tables.setdefault(name, {})
    return group_of


def _place(step: str, group_of: Mapping[str, str], tables: Mapping[str, Table], recipe: Recipe) -> str:
    """Where a step is written: its own table, or the list of the group that it is in."""
    return recipe.places.get(step) or tables[group_of[step]]["until_stable"].where


def _value(setting: Setting, annotation: Any, key: str) -> Any:
    try:
        if isinstance(setting.value, FromText):
            return fit_text(setting.value.text, annotation)
        return fit(setting.value, annotation)
    except Misfit as error:
        raise RecipeError(f"{key} {error}", where=setting.where) from error


def _resolve_target(table: Table) -> tuple[Setting, Setting]:
    opset = table.get("opset", Setting(TargetTable().opset, "default", "default of [target]"))
    domains = table.get("custom_opsets", Setting({}, "default", "default of [target]"))
    opset = attrs.evolve(opset, value=_value(opset, _TARGET_TYPES["opset"], "target.opset"))
    domains = attrs.evolve(domains, value=_value(domains, _TARGET_TYPES["custom_opsets"], "target.custom_opsets"))
    if opset.value != LATEST and opset.value < LOWEST_OPSET:
        hint = f'opset = {LOWEST_OPSET}, or "{LATEST}"'
        raise RecipeError(f"opset {opset.value} is below {LOWEST_OPSET}", where=opset.where, hint=hint)
    for domain, version in domains.value.items():
        if domain in ("", "ai.onnx") or version < 1:
            what = "the default domain" if version >= 1 else f"version {version} of domain '{domain}'"
            raise RecipeError(f"custom_opsets cannot set {what}", where=domains.where, hint="its own key is opset")
    return opset, domains


def _resolve_step(step: str, table: Table, where: str, recipe: Recipe, registry: Registry) -> ResolvedStep:
    head = {key: _value(table[key], _STEP_TYPES[key], f"{step}.{key}") for key in STEP_KEYS if key in table}
    if "rounds" in head:
        hint = "rounds belongs to a group: until-stable = [...]"
        raise RecipeError(f"step '{step}' is no group", where=table["rounds"].where, hint=hint)
    asked = table["pass"].where if "pass" in table else where
    pass_class = registry.find(head.get("pass", step), where=asked, folder=recipe.folder)
    settings = _options(step, pass_class, {key: table[key] for key in table if key not in STEP_KEYS})
    return ResolvedStep(
        id=step,
        reference=head.get("pass", step),
        made=_make(step, pass_class, settings, where),
        enabled=head.get("enabled", True),
        after=head.get("after", ()),
        before=head.get("before", ()),
        settings=settings,
        head=_with_sources(step, table, {"pass": head.get("pass", step), "enabled": True, **head}),
        where=where,
    )


def _with_sources(step: str, table: Table, values: Mapping[str, Any]) -> dict[str, Setting]:
    """What is said about a step or a group, each value with where it is said."""
    return {
        key: attrs.evolve(table[key], value=value) if key in table else Setting(value, "default", f"default of {step}")
        for key, value in values.items()
    }


def _options(step: str, pass_class: Any, given: Mapping[str, Setting]) -> dict[str, Setting]:
    name = pass_class.declaration.name
    types = option_types(pass_class)
    for key, setting in given.items():
        if key not in types:
            near = did_you_mean(key, (*types, "enabled"), otherwise=f"`lading passes {name}` lists its options")
            raise RecipeError(f"pass '{name}' has no option '{key}'", where=setting.where, hint=near)
        if not _in_recipe(pass_class, key) and setting.source in ("recipe", "parent"):
            raise RecipeError(f"option '{key}' of '{name}' is set from Python only", where=setting.where)
    settings = {}
    for key, default in _defaults(pass_class).items():
        if key in given:
            settings[key] = attrs.evolve(given[key], value=_value(given[key], types[key], f"{step}.{key}"))
        else:
            settings[key] = Setting(default, "default", f"default of {name}")
    return settings


def _make(step: str, pass_class: Any, settings: Mapping[str, Setting], where: str) -> Any:
    try:
        return pass_class(**{key: setting.value for key, setting in settings.items()})
    except LadingError:
        raise
    except (ValueError, TypeError) as error:
        message = str(error)
        option = next((key for key in settings if message.startswith(f"{key} ")), None)
        if option is None:
            raise RecipeError(f"{step}: {message}", where=where) from error
        setting = settings[option]
        declared = getattr(attrs.fields(pass_class), option).metadata.get(OPTION_METADATA)
        choices = [choice for choice in (declared and declared.choices) or () if isinstance(choice, str)]
        near = near_miss(setting.value, choices) if isinstance(setting.value, str) else None
        hint = None if near is None else f"did you mean '{near}'?"
        raise RecipeError(f"{step}.{message}", where=setting.where, hint=hint) from error


def _resolve_group(group: str, table: Table, steps: Mapping[str, ResolvedStep]) -> ResolvedGroup:
    where = table["until_stable"].where
    for key, setting in table.items():
        if key not in _GROUP_KEYS:
            hint = did_you_mean(key, _GROUP_KEYS, otherwise="options belong to the steps of its members")
            raise RecipeError(f"group '{group}' has no key '{key}'", where=setting.where, hint=hint)
    head = {key: _value(table[key], _STEP_TYPES[key], f"{group}.{key}") for key in table if key != "until_stable"}
    names = _value(table["until_stable"], tuple[str, ...], f"{group}.until-stable")
    rounds = head.get("rounds", StepTable().rounds)
    if rounds < 1:
        raise RecipeError(f"{group}.rounds must be at least 1, not {rounds}", where=table["rounds"].where)
    return ResolvedGroup(
        id=group,
        members=tuple(steps[name] for name in names),
        rounds=rounds,
        enabled=head.get("enabled", True),
        after=head.get("after", ()),
        before=head.get("before", ()),
        head=_with_sources(group, table, {"until_stable": names, "rounds": rounds, "enabled": True, **head}),
        where=where,
    )


def _extra_step(extra: Any, registry: Registry, taken: set[str]) -> ResolvedStep:
    declaration = declaration_of(extra)
    if declaration is None:
        raise PlanError(
            f"{extra!r} is not a pass", where="passes=", hint="an instance of a class declared with @a_pass"
        )
    where = f"passes= ({declaration.name})"
    pass_class = extra if isinstance(extra, type) else type(extra)
    made = _make(declaration.name, pass_class, {}, where) if isinstance(extra, type) else extra
    registry.add(pass_class)
    step, number = declaration.name, 2
    while step in taken or step in RESERVED_IDS:
        step, number = f"{declaration.name}-{number}", number + 1
    settings = {}
    for key, default in _defaults(pass_class).items():
        value = getattr(made, key)
        settings[key] = Setting(value, "default" if _same(value, default) else "override", where)
    return ResolvedStep(
        id=step,
        reference=reference_of(pass_class),
        made=made,
        enabled=True,
        after=(),
        before=(),
        settings=settings,
        head={
            "pass": Setting(reference_of(pass_class), "override", where),
            "enabled": Setting(True, "default", f"default of {step}"),
        },
        where=where,
    )


def _defaults(pass_class: Any) -> dict[str, Any]:
    defaults = {}
    for field in pass_class.__attrs_attrs__:
        if isinstance(field.default, attrs.Factory):  # type: ignore[arg-type]
            defaults[field.name] = field.default.factory()
        elif field.default is attrs.NOTHING:
            name = pass_class.declaration.name
            hint = f"{field.name}: ... = option(<default>, help=...)"
            raise PlanError(
                f"option '{field.name}' of pass '{name}' has no default", where=reference_of(pass_class), hint=hint
            )
        else:
            defaults[field.name] = field.default
    return defaults


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    try:
        return bool(one == other)
    except (ValueError, RuntimeError):
        # Arrays and tensors compare element by element, and are the same only if they are one object.
        return False


def _in_recipe(pass_class: Any, key: str) -> bool:
    field = getattr(attrs.fields(pass_class), key)
    declared = field.metadata.get(OPTION_METADATA)
    return declared is None or bool(declared.in_recipe)


def _step_table(step: ResolvedStep) -> dict[str, Any]:
    table: dict[str, Any] = {"pass": step.reference, "enabled": step.enabled}
    table.update({key: list(names) for key, names in (("after", step.after), ("before", step.before)) if names})
    defaults = _defaults(type(step.made))
    for key, setting in step.settings.items():
        # A None that is the default needs no mention; TOML has no word for it.
        if _in_recipe(type(step.made), key) and not (setting.value is None and defaults[key] is None):
            table[key] = to_plain(setting.value)
    return table


def _group_table(group: ResolvedGroup) -> dict[str, Any]:
    table: dict[str, Any] = {
        "until-stable": [member.id for member in group.members],
        "rounds": group.rounds,
        "enabled": group.enabled,
    }
    table.update({key: list(names) for key, names in (("after", group.after), ("before", group.before)) if names})
    return table
