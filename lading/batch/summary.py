# SPDX-License-Identifier: Apache-2.0
"""The page of a batch: one HTML file that fetches nothing."""

from __future__ import annotations

import html
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..console import readable_bytes
from ..pipeline.run import versions
from .job import Result, counted

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .75rem .35rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.failed { color: light-dark(#b3261e, #ff8a80); font-weight: 600; }
.exported { color: light-dark(#17692b, #7ddc93); }
.unchanged { opacity: .7; }
pre { white-space: pre-wrap; margin: .25rem 0; font-size: 13px; }
"""


def summary_page(title: str, results: Sequence[Result], output: Path) -> str:
    """Return the page of a batch, with links to what stands in its folder.

    Args:
        title: what the batch is called.
        results: what the jobs came to, in the order of the file.
        output: the folder that the page is for.
    """
    total = counted(result.status for result in results) or "no exports"
    seen = ", ".join(f"{name} {version}" for name, version in versions().items())
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body>",
            f"<h1>{html.escape(title)}</h1>",
            f"<p>{html.escape(total)}</p>",
            '<div class="scroll"><table><thead><tr><th>export<th>status<th>nodes<th>size<th>opset<th>time<th>notes</tr>'
            "</thead><tbody>",
            *(_row(result, output) for result in results),
            "</tbody></table></div>",
            f"<p><small>{html.escape(seen)}</small></p>",
            "</body></html>",
            "",
        ]
    )


def _row(result: Result, output: Path) -> str:
    facts = result.facts
    name = html.escape(result.job)
    if result.status != "failed":
        name = f'<a href="{_link(result.file, output)}">{name}</a>'
    cells = [
        f"<td>{name}",
        f'<td class="{result.status}">{result.status}',
        *(f'<td class="n">{text}' for text in _figures(facts)),
        f'<td class="n">{result.seconds:.1f} s',
        f"<td>{''.join(_notes(result, output))}",
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _figures(facts: Any) -> Iterable[str]:
    if not facts:
        return ("", "", "")
    return (f"{facts['nodes']:,}", readable_bytes(facts["bytes"]), str(facts["opset"]))


def _notes(result: Result, output: Path) -> Iterable[str]:
    if result.facts.get("verification"):
        yield f"{html.escape(result.facts['verification'])}<br>"
    for warning in result.facts.get("warnings", ()):
        yield f"{html.escape(warning)}<br>"
    if result.error:
        yield f"<pre>{html.escape(f'{result.code}: {result.error}')}</pre>"
    if result.reproducer:
        place = os.path.relpath(result.reproducer, output)
        yield f"<code>lading replay {html.escape(Path(place).as_posix())}</code><br>"
    log = Path(result.file).with_suffix(".audit.jsonl")
    if log.is_file():
        yield f'<a href="{_link(str(log), output)}">audit</a>'


def _link(file: str, output: Path) -> str:
    return html.escape(Path(os.path.relpath(file, output)).as_posix(), quote=True)
