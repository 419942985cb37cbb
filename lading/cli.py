# SPDX-License-Identifier: Apache-2.0
"""The command line: ``lading export``, ``plan``, ``recipes``, ``passes``, ``audit`` and ``verify``.

What a command answers goes to stdout; progress, tables about a run and errors go to stderr.  Exit codes: 0 done,
1 verification failed, 2 usage or recipe, 3 capture, 4 unsupported operators, 5 internal.
"""

from __future__ import annotations

import json
import sys
import time
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from .pipeline.errors import InternalError, LadingError, UsageError

app = typer.Typer(
    name="lading",
    help="Export PyTorch models to ONNX as a declared pipeline of passes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

INTERRUPTED = 130


class Format(str, Enum):
    """How a command answers on stdout."""

    text = "text"
    json = "json"


class PlanFormat(str, Enum):
    """How a plan is printed."""

    text = "text"
    json = "json"
    mermaid = "mermaid"


_MODEL = "path/file.py:factory, package.module:factory, or program.pt2"

Recipe = Annotated[str, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="A shipped recipe or a recipe file.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", "-s", metavar="STEP.OPTION=VALUE", help="Override a value of the recipe.")
]
AsFormat = Annotated[Format, typer.Option("--format", help="text for people, json for programs.")]


def _stderr() -> Console:
    return Console(stderr=True, soft_wrap=True)


def _say(text: str) -> None:
    """Write an answer to stdout; characters that its encoding lacks are escaped, not fatal."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.write("" if text.endswith("\n") else "\n")


def _say_json(data: Any) -> None:
    _say(json.dumps(data, indent=2, default=str))


# ---- export ----------------------------------------------------------------------------------------------------------


@app.command()
def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The ONNX file to write.")],
    recipe: Recipe = "inference",
    settings: Settings = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", "-i", metavar="SPEC", help=r'"x:float32\[batch=2,3,224,224]"; a named size is dynamic.'
        ),
    ] = None,
    opset: Annotated[int | None, typer.Option(help="The opset of the file; overrides the recipe.")] = None,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Append the audit as JSON lines.")] = None,
    verify: Annotated[
        bool | None, typer.Option("--verify/--no-verify", help="Run the file and compare it with PyTorch.")
    ] = None,
    reproducer: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where a failing step leaves its graph and recipe.")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    format: AsFormat = Format.text,
) -> None:
    """Export MODEL to an ONNX file.

    MODEL names a callable that returns a model, a model with args, or a model with args and kwargs; or a program that
    torch.export.save has written.
    """
    from .console import Progress, print_summary
    from .exporting import export as run_export
    from .input_specs import example_call, parse_input
    from .model_reference import load_model

    specs = [parse_input(text) for text in inputs or ()]
    named = load_model(model)
    call = example_call(specs, named.model, named.args, named.kwargs)
    axes = {**(named.dynamic_axes or {}), **call.axes} if not specs else call.axes
    console = _stderr()
    progress = None if quiet else Progress(console)
    begun = time.perf_counter()
    try:
        exported = run_export(
            named.model,
            # A trailing dict of the model's own would be read as keyword arguments.
            (*call.args, {}),
            output,
            kwargs=call.kwargs,
            input_names=call.input_names,
            dynamic_axes=axes or None,
            opset_version=opset,
            recipe=recipe,
            settings=settings or (),
            verify=verify,
            log=log,
            reproducer=reproducer,
            on_event=progress,
            reload=named.factory,
        )
    finally:
        if progress is not None:
            progress.close()
    if not quiet:
        print_summary(console, exported, time.perf_counter() - begun, None if log is None else str(log))
    if format is Format.json:
        _say_json(exported.to_dict())


# ---- plans, recipes, passes ------------------------------------------------------------------------------------------


@app.command()
def plan(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A shipped recipe or a recipe file.")] = "inference",
    settings: Settings = None,
    format: Annotated[PlanFormat, typer.Option("--format", help="text, json or mermaid.")] = PlanFormat.text,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="The same as --format mermaid.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show what a recipe will run, in which order, and why in that order; nothing is run."""
    from .pipeline import render
    from .pipeline.plan import make_plan

    resolved, registry = _resolved(recipe, settings)
    made = make_plan(resolved, registry)
    if as_json or format is PlanFormat.json:
        _say_json(render.plan_data(made))
    elif mermaid or format is PlanFormat.mermaid:
        _say(render.plan_mermaid(made))
    else:
        _say(render.plan_text(made))


def _resolved(recipe: str, settings: list[str] | None) -> tuple[Any, Any]:
    from .passes import BUILTIN
    from .pipeline.recipe import load_recipe
    from .pipeline.registry import Registry
    from .pipeline.resolve import resolve

    registry = Registry(BUILTIN)
    return resolve(load_recipe(recipe), registry, settings=settings or ()), registry


@app.command()
def recipes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show this recipe, resolved.")] = None,
    settings: Settings = None,
    format: AsFormat = Format.text,
) -> None:
    """List the shipped recipes, or show one with every value and where it came from."""
    from .pipeline.recipe import load_recipe, shipped_recipes
    from .pipeline.render import recipe_text

    if name is not None:
        resolved, _ = _resolved(name, settings)
        if format is Format.json:
            _say_json(resolved.to_dict())
        else:
            _say(recipe_text(resolved))
        return
    about = {shipped: load_recipe(shipped).about for shipped in shipped_recipes()}
    if format is Format.json:
        _say_json(about)
        return
    width = max(len(shipped) for shipped in about)
    _say("\n".join(f"{shipped:<{width}}  {line}" for shipped, line in about.items()))


@app.command()
def passes(
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="Show this pass.")] = None,
    format: AsFormat = Format.text,
) -> None:
    """List the passes, or show one with its documentation, facts and options."""
    from .passes import BUILTIN
    from .pipeline.registry import Registry
    from .pipeline.render import option_rows, pass_text

    registry = Registry(BUILTIN)
    if name is not None:
        found = registry.find(name)
        if format is Format.json:
            declaration = found.declaration
            _say_json(
                {
                    "name": declaration.name,
                    "about": declaration.about,
                    "doc": declaration.doc,
                    "requires": [str(fact) for fact in declaration.requires],
                    "provides": [str(fact) for fact in declaration.provides],
                    "closes": [str(fact) for fact in declaration.closes],
                    "options": option_rows(found),
                }
            )
        else:
            _say(pass_text(found))
        return
    about = {known: registry.declaration(known).about for known in registry.names()}
    if format is Format.json:
        _say_json(about)
        return
    width = max(len(known) for known in about)
    _say("\n".join(f"{known:<{width}}  {line}" for known, line in about.items()))


# ---- audit and verify ------------------------------------------------------------------------------------------------


@app.command()
def audit(
    log: Annotated[Path, typer.Argument(metavar="LOG", help="A log that lading export --log wrote.")],
    run: Annotated[int, typer.Option(help="Which run of the log, from the last: -1, -2, ...")] = -1,
    format: AsFormat = Format.text,
) -> None:
    """Show what each pass of a run changed."""
    from .pipeline.audit import read_log
    from .pipeline.render import audit_table, audit_text

    runs = read_log(log)
    if not runs:
        raise UsageError(f"{log} holds no run", hint="lading export ... --log FILE writes one")
    try:
        events = runs[run]
    except IndexError as error:
        raise UsageError(f"{log} holds {len(runs)} runs, not run {run}", hint="--run -1 is the last") from error
    if format is Format.json:
        _say_json(events)
    elif sys.stdout.isatty():
        Console().print(audit_table(events))
    else:
        _say(audit_text(events))


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An exported ONNX file.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help=_MODEL)],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="SPEC", help="As for lading export.")
    ] = None,
    settings: Settings = None,
    format: AsFormat = Format.text,
) -> None:
    """Run an exported file and compare it with the PyTorch model, also at other sizes of its dynamic axes."""
    from .input_specs import example_call, parse_input
    from .model_reference import load_model
    from .verifying import verify_file

    specs = [parse_input(text) for text in inputs or ()]
    named = load_model(model)
    call = example_call(specs, named.model, named.args, named.kwargs)
    verification = verify_file(
        file,
        named.model,
        (*call.args, {}),
        kwargs=call.kwargs,
        input_names=call.input_names,
        settings=settings or (),
        reload=named.factory,
    )
    if format is Format.json:
        _say_json(verification.to_dict())
    else:
        Console().print(verification.table())
    if not verification.passed:
        raise typer.Exit(1)


# ---- errors ----------------------------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    try:
        code = app(arguments, standalone_mode=False)
    except LadingError as error:
        _complain(error)
        code = error.exit_code
    except KeyboardInterrupt:
        _stderr().print("interrupted; nothing was left half-written")
        code = INTERRUPTED
    except (typer.Exit, typer.Abort) as leaving:
        code = getattr(leaving, "exit_code", 1)
    except BrokenPipeError:
        # Whoever read our answer had enough of it.
        sys.stderr.close()
        code = 0
    except Exception as error:
        code = _outside(error)
    sys.exit(code or 0)


def _outside(error: Exception) -> int:
    # A mistake on the command line: click's exception, or the same one of the click that newer typer has inside.
    show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
    if callable(show) and isinstance(code, int):
        show()
        return code
    import traceback

    line = traceback.extract_tb(error.__traceback__)[-1]
    _complain(
        InternalError(
            f"{type(error).__name__}: {error}",
            where=f"{Path(line.filename).name}:{line.lineno} in {line.name}",
            hint="this is a fault in lading; the command with --log and --reproducer is what a report needs",
        )
    )
    return InternalError.exit_code


def _complain(error: LadingError) -> None:
    console = _stderr()
    console.print(Text(f"error: {error}", style="red" if console.is_terminal else ""))
    cause = error.__cause__
    if isinstance(error, InternalError) and cause is not None:
        console.print(Text(f"  from: {type(cause).__name__}: {cause}"))
