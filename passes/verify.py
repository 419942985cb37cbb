# SPDX-License-Identifier: Apache-2.0
"""The check at the end: does the file compute what the model computes?"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ..pipeline.declare import a_pass, option
from ..pipeline.errors import VerificationFailed
from ..pipeline.facts import Fact

if TYPE_CHECKING:
    import torch

    from ..pipeline.note import Note
    from ..pipeline.work import Work
    from .signature.interface import Interface
    from .trace.capture import Guard
    from .verification.report import Verification


@a_pass("verify", requires=(Fact.FILE, Fact.ARGUMENTS), provides=(Fact.VERIFIED,))
class Verify:
    """Run the file and compare it with PyTorch, also at other sizes.

    Why: a file can be valid and wrong, and it can be right on the example alone. So it runs in onnxruntime beside the
    model on the example, on random inputs of the same kind, and with every dynamic axis at one, at one more than the
    example's size and at a prime, then with all axes changed at once. Count, element types, shapes and values of the
    outputs must agree: floating-point values within `rtol` of the scale of their output (types coarser than float32
    within 16 steps of their precision, if that is more), integers and booleans exactly.

    Inputs and outputs to which a pass has given other names or places are compared as what they are; an output that a
    pass has added is not compared, which is a warning.

    `inputs` names `.npz` files with further inputs, `providers` the execution providers that run all of this.

    Each check is passed, failed, or skipped with a reason, and all are recorded before a failed one ends the run. A
    check is skipped when PyTorch itself refuses the size, when the model is random (dropout in training mode), when the
    sizes are outside of a limit that capture has stated, when the provider is missing, or when nothing can run the
    file. Where onnxruntime is not installed or lacks a kernel, onnx's reference evaluator runs the file in its place,
    and the record says so; not in the place of a provider other than the CPU.

    Declines when: no runtime can run the file; the one check is then skipped, and a warning says why.
    """

    rtol: float = option(1e-4, help="Accepted difference, as a share of the output's scale.", at_least=0)
    atol: float = option(1e-7, help="Accepted difference beside rtol, for outputs near zero.", at_least=0)
    samples: int = option(2, help="How many random inputs to try at the example's sizes.", at_least=0)
    sizes: bool = option(True, help="Also try every dynamic axis at other sizes.")
    borders: int = option(
        6, help="How many sizes on the other side of decisions that have no effect to try.", at_least=0
    )
    seed: int = option(0, help="Seed of the random inputs.", at_least=0)
    runtime: str = option(
        "auto",
        help="What runs the file: onnxruntime, reference (onnx's evaluator), or auto for the first that can.",
        choices=("auto", "onnxruntime", "reference"),
    )
    inputs: tuple[str, ...] = option((), help="Files (.npz) with further inputs, an array for each by its name.")
    providers: tuple[str, ...] = option(
        ("CPU",), help="Execution providers of onnxruntime that run all checks; one that is missing is skipped."
    )

    def run(self, work: Work, note: Note) -> None:
        """Check, record, and raise if a check failed."""
        from .signature.interface import interface_of
        from .torch_private import threads_of_the_caller

        with threads_of_the_caller():
            self.compare(work, note, None if work.model is None else interface_of(work.model.graph))

    def compare(self, work: Work, note: Note, interface: Interface | None) -> None:
        """Check a file whose inputs and outputs are those of the call as `interface` says; None for by their places.

        Raises:
            VerificationFailed: a check failed; what was found is recorded all the same.
        """
        from .size_limits import size_limits, telling_sizes
        from .verification.checking import Checker
        from .verification.comparison import Tolerance
        from .verification.given import read_inputs

        arguments, guards = work.need(Fact.ARGUMENTS), _guards(work)
        if interface is not None:
            arguments = arguments.renamed(interface.names)
        given = {os.fspath(file): read_inputs(file, arguments.inputs) for file in self.inputs}
        with _on_disk(work) as path:
            verification = Checker(
                path=path,
                arguments=arguments,
                tolerance=Tolerance(rtol=self.rtol, atol=self.atol),
                runtime=self.runtime,
                providers=self.providers or ("CPU",),
                given=given,
                samples=self.samples,
                sizes=self.sizes,
                seed=self.seed,
                weights=_weight_inputs(work),
                limits=size_limits(guards),
                telling=lambda sizes: telling_sizes(guards, sizes, arguments.ranges, self.borders),
                outputs=None if interface is None else interface.outputs,
            ).run()
        work.provide(Fact.VERIFIED, verification)
        _record(verification, note)
        failed = verification.of_status("failed")
        if failed:
            lines = [f"{check.label}: {check.reason}" for check in failed]
            where = getattr(work.values.get(Fact.FILE), "path", None)
            raise VerificationFailed(
                f"{len(failed)} of {len(verification.checks)} checks failed\n  " + "\n  ".join(lines),
                where=where and f"{where}, run by {verification.runtime}",
                hint="compare the opset and the options; verify.rtol sets what difference is accepted",
            )


def _record(verification: Verification, note: Note) -> None:
    for check in verification.checks:
        note.count(check.status)
        note.decided(
            f"check {check.status}",
            check.reason or "agrees with PyTorch",
            check=check.label,
            **{key: value for key, value in check.to_dict().items() if key in ("sizes", "absolute", "relative")},
        )
    for name in verification.added_outputs:
        note.warned("an output is none of the model's, and was not compared", output=name)
    for axis in verification.unchecked_axes() if not verification.of_status("failed") else ():
        note.warned("a dynamic axis could only be checked at the example's size", axis=axis)
    if verification.instead:
        note.warned("the file was not run by onnxruntime", runtime=verification.runtime, why=verification.instead)
    if verification.status == "skipped":
        reason = verification.checks[0].reason if verification.checks else "there was no check"
        note.warned("nothing was verified", why=reason)


@contextlib.contextmanager
def _on_disk(work: Work) -> Iterator[str]:
    """Give the path of the file; a model that was not written to one, or was streamed away, gets a temporary one."""
    import tempfile
    from pathlib import Path

    path = getattr(work.need(Fact.FILE), "path", None)
    if path is not None and Path(path).is_file():
        yield os.fspath(path)
        return
    from ..pipeline.note import Note
    from .serialize import Serialize

    with tempfile.TemporaryDirectory(prefix="lading-verify-") as folder:
        path = os.path.join(folder, "model.onnx")
        Serialize(sync="never", weights="copy").write(work.need_model(), path, Note())
        yield path


def _weight_inputs(work: Work) -> Mapping[str, torch.Tensor]:
    """Return the values of weights that the file takes as inputs; those on the meta device have none."""
    from .verification.runtimes import from_numpy

    placed = getattr(work.values.get(Fact.INITIALIZERS), "weight_inputs", {})
    return {
        name: from_numpy(tensor.numpy())
        for name, tensor in placed.items()
        if not getattr(tensor.raw, "is_meta", False) or tensor.source is not None
    }


def _guards(work: Work) -> tuple[Guard, ...]:
    return tuple(getattr(work.values.get(Fact.GRAPH), "guards", ()))
