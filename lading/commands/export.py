# SPDX-License-Identifier: Apache-2.0
"""``lading export``: a model in, an ONNX file out."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from .answers import MODEL, AsFormat, Format, ProjectRecipe, Settings, say_json, stderr_console


class LogLevel(str, Enum):
    """How far the audit goes."""

    nodes = "nodes"
    steps = "steps"


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The ONNX file to write.")],
    recipe: ProjectRecipe = None,
    settings: Settings = None,
    inputs: Annotated[
        list[str] | None,
        typer.Option(
            "--input", "-i", metavar="SPEC", help=r'"x:float32\[batch=2,3,224,224]"; a named size is dynamic.'
        ),
    ] = None,
    opset: Annotated[int | None, typer.Option(help="The opset of the file; overrides the recipe.")] = None,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help="Append the audit as JSON lines.")] = None,
    log_level: Annotated[
        LogLevel, typer.Option(help="nodes: follow each node from pass to pass; steps: only what each pass did.")
    ] = LogLevel.nodes,
    weights: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A .safetensors file, an index or a folder that has the model's weights."),
    ] = None,
    verify: Annotated[
        bool | None, typer.Option("--verify/--no-verify", help="Run the file and compare it with PyTorch.")
    ] = None,
    reproducer: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where a failing step leaves its graph and recipe.")
    ] = None,
    otel: Annotated[
        bool, typer.Option("--otel", help="Make OpenTelemetry spans, for the provider that the process has.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but errors.")] = False,
    format: AsFormat = Format.text,
) -> None:
    """Export MODEL to an ONNX file.

    MODEL names a callable that returns a model, a model with args, or a model with args and kwargs; or a program that
    torch.export.save has written.
    """
    from ..console import Progress, print_summary
    from ..exporting import export as run_export
    from ..input_specs import named_call, parse_input
    from ..model_reference import load_model
    from ..pipeline.audit import Sink
    from ..pipeline.project import find_project
    from ..pipeline.telemetry import Spans

    specs = [parse_input(text) for text in inputs or ()]
    named = load_model(model)
    call = named_call(named, specs)
    console = stderr_console()
    progress = None if quiet else Progress(console)
    sinks: list[Sink] = [*([] if progress is None else [progress]), *([Spans()] if otel else [])]

    kept: list[Path] = []

    def told(event: Mapping[str, Any]) -> None:
        for sink in sinks:
            sink(event)
        if event["event"] == "pass.failed" and event["reproducer"] and reproducer is not None:
            kept.append(reproducer / Path(event["reproducer"]).name)

    begun = time.perf_counter()
    try:
        exported = run_export(
            named.model,
            # A trailing dict of the model's own would be read as keyword arguments.
            (*call.args, {}),
            output,
            kwargs=call.kwargs,
            input_names=call.input_names,
            dynamic_axes=call.axes or None,
            opset_version=opset,
            recipe=recipe,
            defaults=find_project(),
            settings=settings or (),
            weights=weights,
            verify=verify,
            log=log,
            log_level=log_level.value,
            reproducer=reproducer,
            on_event=told,
            reload=named.factory,
        )
    finally:
        if progress is not None:
            progress.close()
        for folder in kept:
            # Above the error, which is the last thing to say.
            console.print(f"again from there: lading replay {shlex.quote(str(folder))}", markup=False, highlight=False)
    if not quiet:
        print_summary(console, exported, time.perf_counter() - begun, None if log is None else str(log))
    if format is Format.json:
        say_json(exported.to_dict())
