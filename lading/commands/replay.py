# SPDX-License-Identifier: Apache-2.0
"""``lading replay``: what was left of a failed export, from the failing step."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..pipeline.errors import LadingError
from .answers import MODEL, stderr_console


def replay(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="What lading export --reproducer left.")],
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help=f"For a failure before there was a graph: {MODEL}")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="SPEC", help="As for lading export, with MODEL.")
    ] = None,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Append the audit as JSON lines.")] = None,
) -> None:
    """Run a failed export again from the step that failed.

    Leaves with 0 where no step fails any more, and with the code of the export where one does.
    """
    from ..console import Progress
    from ..pipeline.replay import read_failure
    from ..replaying import replay as run_replay

    failure = read_failure(folder)
    console = stderr_console()
    console.print(f"failed in {failure.step}: {failure.error.splitlines()[0]}", markup=False)
    call = None
    if model is not None:
        from ..input_specs import named_call, parse_input
        from ..model_reference import load_model

        named = load_model(model)
        specs = [parse_input(text) for text in inputs or ()]
        call = named.model, named_call(named, specs)
    progress = Progress(console)
    try:
        if call is None:
            replayed = run_replay(folder, log=log, on_event=progress)
        else:
            loaded, example = call
            replayed = run_replay(
                folder, model=loaded, args=(*example.args, {}), kwargs=example.kwargs, log=log, on_event=progress
            )
    except LadingError as error:
        if error.step is not None:
            same = error.step == failure.step and str(error).splitlines()[0] == failure.error.splitlines()[0]
            console.print("it fails in the same way" if same else "it fails in another way", markup=False)
        raise
    finally:
        progress.close()
    if replayed.left_out:
        console.print(f"not run, because they need the model: {', '.join(replayed.left_out)}", markup=False)
    console.print(f"{failure.step} no longer fails, and neither does what follows it", markup=False)
