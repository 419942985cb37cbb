# SPDX-License-Identifier: Apache-2.0
"""The command line: the commands of ``lading.commands``, and how it leaves.

What a command answers goes to stdout; progress, tables about a run and errors go to stderr.  Exit codes: 0 done,
1 a check failed (verification, or a limit of ``audit --fail-on``), 2 usage or recipe, 3 capture, 4 unsupported
operators, 5 internal.
"""

from __future__ import annotations

import sys
from pathlib import Path

import typer
from rich.text import Text

from .commands.answers import Interrupted, Interruptible, stderr_console
from .commands.audit import audit
from .commands.batch import batch
from .commands.explain import explain
from .commands.export import export
from .commands.passes import passes
from .commands.plan import plan
from .commands.recipes import recipes
from .commands.reduce import reduce
from .commands.replay import replay
from .commands.run import CONTEXT, run
from .commands.verify import verify
from .pipeline.errors import InternalError, LadingError

app = typer.Typer(
    name="lading",
    cls=Interruptible,
    help="Export PyTorch models to ONNX as a declared pipeline of passes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (export, batch, plan, audit, explain, replay, reduce, verify):
    app.command()(command)
app.add_typer(recipes, name="recipes")
app.add_typer(passes, name="passes")
app.command(context_settings=CONTEXT)(run)

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    try:
        code = app(arguments, standalone_mode=False)
    except LadingError as error:
        _complain(error)
        code = error.exit_code
    except Interrupted as interrupted:
        stderr_console().print(str(interrupted), markup=False, highlight=False)
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
    console = stderr_console()
    console.print(Text(f"error[{error.code}]: {error}", style="red" if console.is_terminal else ""))
    cause = error.__cause__
    if isinstance(error, InternalError) and cause is not None:
        console.print(Text(f"  from: {type(cause).__name__}: {cause}"))
