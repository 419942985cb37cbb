# SPDX-License-Identifier: Apache-2.0
"""``lading explain``: where a node of a file comes from, by the file alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .answers import AsFormat, Format, say, say_json


def explain(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="An exported ONNX file.")],
    node: Annotated[str, typer.Argument(metavar="NODE", help="The name of a node, or of a value that it makes.")],
    format: AsFormat = Format.text,
) -> None:
    """Say where a node of an exported file comes from, by what the file itself holds."""
    from ..pipeline.report.file_story import explain as explained

    found = explained(file, node)
    if format is Format.json:
        say_json(found.to_dict())
    else:
        say(found.text())
