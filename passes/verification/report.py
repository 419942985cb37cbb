# SPDX-License-Identifier: Apache-2.0
"""What verification found: a list of checks, each passed, failed or skipped with its reason."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import attrs

from .comparison import OutputError

if TYPE_CHECKING:
    import torch
    from rich.table import Table

Status = Literal["passed", "failed", "skipped"]


@attrs.frozen(kw_only=True)
class Check:
    """One run of the file beside eager.

    Attributes:
        name: what was run: "example", "random inputs 1", "batch = 7".
        status: passed, failed, or skipped.
        reason: why it failed or was skipped; None if it passed.
        sizes: the sizes that dynamic axes had, by axis name.
        outputs: how far each output is from eager's; empty if nothing was compared.
        provider: the execution provider that was asked for, where there is more than one.
        inputs: of a check that failed, what was run, by the name of the input.
    """

    name: str
    status: Status
    reason: str | None = None
    sizes: Mapping[str, int] = attrs.field(factory=dict)
    outputs: tuple[OutputError, ...] = ()
    provider: str | None = None
    inputs: Mapping[str, torch.Tensor] = attrs.field(factory=dict, eq=False, repr=False)

    @property
    def label(self) -> str:
        """The name, after that of the provider where there is more than one."""
        return self.name if self.provider is None else f"{self.provider}: {self.name}"

    @property
    def absolute(self) -> float | None:
        """The largest difference over all outputs, or None if nothing was compared."""
        return max((output.absolute for output in self.outputs), default=None)

    @property
    def relative(self) -> float | None:
        """The largest difference as a share of its output's scale, or None if nothing was compared."""
        return max((output.relative for output in self.outputs), default=None)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; infinite differences become null."""
        return {
            "name": self.name,
            "provider": self.provider,
            "status": self.status,
            "reason": self.reason,
            "sizes": dict(self.sizes),
            "absolute": _number(self.absolute),
            "relative": _number(self.relative),
            "outputs": [
                {
                    "name": output.name,
                    "dtype": output.dtype,
                    "shape": list(output.shape),
                    "absolute": _number(output.absolute),
                    "relative": _number(output.relative),
                    "allowed": output.allowed,
                    "problem": output.problem,
                }
                for output in self.outputs
            ],
        }


@attrs.frozen(kw_only=True)
class WorstError:
    """The largest errors of one output over all checks that count.

    Attributes:
        name: the name of the output in the file.
        absolute: the largest difference.
        absolute_in: the check that had it.
        relative: the largest difference as a share of the output's scale.
        relative_in: the check that had it.
        allowed: the share that the tolerance accepts there.
    """

    name: str
    absolute: float
    absolute_in: str
    relative: float
    relative_in: str
    allowed: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON; infinite differences become null."""
        return {
            **attrs.asdict(self),
            "absolute": _number(self.absolute),
            "relative": _number(self.relative),
        }


@attrs.frozen(kw_only=True)
class Verification:
    """The value of `Fact.VERIFIED`: all checks of one file.

    Attributes:
        checks: what was run, in order.
        runtime: name and version of what ran the file, or None if nothing could.
        instead: why that is not onnxruntime, or None if it is.
        added_outputs: outputs of the file that a pass has added; they are none of the model's, and were not compared.
    """

    checks: tuple[Check, ...]
    runtime: str | None = None
    instead: str | None = None
    added_outputs: tuple[str, ...] = ()

    def of_status(self, status: Status) -> tuple[Check, ...]:
        """Return the checks that have a status."""
        return tuple(check for check in self.checks if check.status == status)

    @property
    def status(self) -> Status:
        """Failed if any check failed; passed if some passed; skipped if all were."""
        if self.of_status("failed"):
            return "failed"
        return "passed" if self.of_status("passed") else "skipped"

    @property
    def passed(self) -> bool:
        """Whether some checks passed and none failed."""
        return self.status == "passed"

    def unchecked_axes(self) -> tuple[str, ...]:
        """Return the axes that were tried at other sizes than the example's and passed at none of them."""
        if not self.checks:
            return ()
        # A check that could not start (a provider that is missing) has no sizes.
        example = next((check.sizes for check in self.checks if check.sizes), {})
        tried: dict[str, bool] = {}
        for check in self.checks:
            for axis, size in check.sizes.items():
                if size != example.get(axis):
                    tried[axis] = tried.get(axis, False) or check.status == "passed"
        return tuple(axis for axis, passed in tried.items() if not passed)

    def worst(self) -> tuple[WorstError, ...]:
        """Return the largest errors of each output, in the order of the outputs; skipped checks do not count."""
        found: dict[str, list[tuple[Check, OutputError]]] = {}
        for check in self.checks:
            for output in check.outputs if check.status != "skipped" else ():
                found.setdefault(output.name, []).append((check, output))
        worst = []
        for name, pairs in found.items():
            absolute = max(pairs, key=lambda pair: pair[1].absolute)
            relative = max(pairs, key=lambda pair: pair[1].relative)
            worst.append(
                WorstError(
                    name=name,
                    absolute=absolute[1].absolute,
                    absolute_in=absolute[0].label,
                    relative=relative[1].relative,
                    relative_in=relative[0].label,
                    allowed=relative[1].allowed,
                )
            )
        return tuple(worst)

    def summary(self) -> str:
        """Return one line: how many checks passed, failed and were skipped, and the worst error."""
        counts = [f"{len(self.of_status(s))} {s}" for s in ("passed", "failed", "skipped") if self.of_status(s)]
        worst = max((check.relative for check in self.checks if check.relative is not None), default=None)
        error = "" if worst is None else f", worst relative error {worst:.1e}"
        return f"verification {self.status}: {', '.join(counts) or 'no checks'}{error} ({self.runtime or 'not run'})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "status": self.status,
            "runtime": self.runtime,
            "instead": self.instead,
            "added_outputs": list(self.added_outputs),
            "outputs": [error.to_dict() for error in self.worst()],
            "checks": [check.to_dict() for check in self.checks],
        }

    def table(self) -> Table:
        """Return a rich table with a line for each check."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="dim", title=self.summary(), title_justify="left")
        table.add_column("check")
        table.add_column("status")
        table.add_column("relative", justify="right")
        table.add_column("absolute", justify="right")
        table.add_column("reason", overflow="fold")
        for check in self.checks:
            style = {"passed": "green", "failed": "bold red", "skipped": "yellow"}[check.status]
            table.add_row(
                Text(check.label),
                Text(check.status, style=style),
                _shown(check.relative),
                _shown(check.absolute),
                Text(check.reason or ""),
            )
        said = [f"run by {self.runtime}, because {self.instead}"] if self.instead else []
        if self.added_outputs:
            said.append(f"not compared, because a pass has added them: {', '.join(self.added_outputs)}")
        if said:
            table.caption = Text("\n".join(said))
            table.caption_justify = "left"
        return table

    def output_table(self) -> Table:
        """Return a rich table with a line for each output: its worst errors, and the checks that had them."""
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("output")
        table.add_column("worst relative", justify="right")
        table.add_column("allowed", justify="right")
        table.add_column("in", overflow="fold")
        table.add_column("worst absolute", justify="right")
        table.add_column("in", overflow="fold")
        for error in self.worst():
            table.add_row(
                Text(error.name),
                _shown(error.relative),
                _shown(error.allowed),
                Text(error.relative_in),
                _shown(error.absolute),
                Text(error.absolute_in),
            )
        return table


def _number(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}"
