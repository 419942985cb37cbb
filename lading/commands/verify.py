# SPDX-License-Identifier: Apache-2.0
"""``lading verify``: an exported file against the PyTorch model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    settings: Settings = None,
    format: AsFormat = Format.text,
) -> None:
    """Run an exported file and compare it with the PyTorch model, also at other sizes of its dynamic axes."""
    from ..input_specs import example_call, parse_input
    from ..model_reference import load_model
    from ..verifying import verify_file

    specs = [parse_input(text) for text in inputs or ()]
    named = load_model(model)
    call = example_call(specs, named.model, named.args, named.kwargs)
    verification = verify_file(
        file,
        named.model,
        (*call.args, {}),
        kwargs=call.kwargs,
        input_names=call.input_names,
        weights=weights,
        settings=settings or (),
        inputs=data or (),
        providers=providers or (),
        reload=named.factory,
    )
    if format is Format.json:
        say_json(verification.to_dict())
    else:
        console = Console()
        console.print(verification.table())
        if verification.worst():
            console.print()
            console.print(verification.output_table())
    if not verification.passed:
        raise typer.Exit(1)
