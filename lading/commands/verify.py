# SPDX-License-Identifier: Apache-2.0
"""``lading verify``: an exported file against the PyTorch model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from .answers import MODEL, AsFormat, Format, Settings, say_json


def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An exported ONNX file.")],
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    inputs: Annotated[
        list[str] | None, typer.Option("--input", "-i", metavar="SPEC", help="As for lading export.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A .safetensors file, an index or a folder that has the model's weights."),
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            "--inputs", metavar="FILE.npz", help="Further inputs, an array for each by its name; may be given again."
        ),
    ] = None,
    providers: Annotated[
        list[str] | None,
        typer.Option("--provider", metavar="NAME", help="An execution provider, as CPU or CUDA; may be given again."),
    ] = None,
    bisect: Annotated[
        bool, typer.Option("--bisect", help="Where it departs: find the first node, and the first step of the export.")
    ] = False,
    recipe: Annotated[
        str, typer.Option("--recipe", "-r", metavar="NAME|FILE", help="What the file was exported with; for --bisect.")
    ] = "inference",
    settings: Settings = None,
    format: AsFormat = Format.text,
) -> None:
    """Run an exported file and compare it with the PyTorch model, also at other sizes of its dynamic axes.

    With --bisect the export is run again in memory, by --recipe and --set, where a check fails.
    """
    from ..bisecting import find_departure
    from ..input_specs import named_call, parse_input
    from ..model_reference import load_model
    from ..pipeline.errors import UsageError
    from ..verifying import verify_file

    specs = [parse_input(text) for text in inputs or ()]
    named = load_model(model)
    call = named_call(named, specs)
    shared: dict[str, Any] = {
        "kwargs": call.kwargs,
        "input_names": call.input_names,
        "weights": weights,
        "settings": settings or (),
        "inputs": data or (),
        "reload": named.factory,
    }
    departure = None
    if bisect and providers:
        raise UsageError("--bisect runs on the CPU", hint="leave --provider out, or --bisect")
    if bisect:
        departure = find_departure(named.model, (*call.args, {}), file=file, recipe=recipe, **shared)
        verification = departure.verification
    else:
        verification = verify_file(
            file, named.model, (*call.args, {}), recipe=recipe, providers=providers or (), **shared
        )
    if format is Format.json:
        say_json({**verification.to_dict(), **({} if departure is None else {"departure": departure.to_dict()})})
    else:
        console = Console()
        console.print(verification.table())
        if verification.worst():
            console.print()
            console.print(verification.output_table())
        if departure is not None and departure.departs:
            console.print()
            console.print(departure.table())
            console.print()
            console.print(departure.text(), markup=False, highlight=False, soft_wrap=True)
    if not verification.passed:
        raise typer.Exit(1)
