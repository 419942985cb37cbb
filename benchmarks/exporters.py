# SPDX-License-Identifier: Apache-2.0
"""The exporters that the benchmarks compare, each behind the same call."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any

from measuring import Case


@dataclasses.dataclass(frozen=True)
class Job:
    """One export: which case, to which file and opset, with free axes or not, with weights beside the file or not.

    `log` is where lading writes its audit; the other exporters have none.
    """

    case: Case
    file: str
    opset: int
    dynamic: bool
    external: bool = False
    log: str | None = None

    @property
    def input_names(self) -> list[str]:
        parameters = list(inspect.signature(self.case.model.forward).parameters)
        return [*parameters[: len(self.case.args)], *self.case.kwargs]

    @property
    def dynamic_axes(self) -> dict[str, dict[int, str]] | None:
        if not self.dynamic:
            return None
        return {name: dict(axes) for name, axes in self.case.dynamic_axes.items()}


def with_lading(job: Job) -> None:
    import lading

    # Small tensors stay, as they do with the other exporter: runtimes want to see the shapes among them.
    options: dict[str, Any] = {"overrides": {"serialize.external_data_threshold": 1024}} if job.external else {}
    lading.export(
        job.case.model,
        job.case.args,
        job.file,
        kwargs=job.case.kwargs,
        input_names=job.input_names,
        opset_version=job.opset,
        dynamic_axes=job.dynamic_axes,
        log=job.log,
        **options,
    )


def with_dynamo(job: Job) -> None:
    import torch

    shapes = None
    if job.dynamic:
        # The name of a dimension as a string is a hint: it stays dynamic unless the model needs it fixed.
        shapes = {name: job.case.dynamic_axes.get(name, {}) for name in job.input_names}
    torch.onnx.export(
        job.case.model,
        job.case.args,
        job.file,
        kwargs=job.case.kwargs,
        input_names=job.input_names,
        opset_version=job.opset,
        dynamic_shapes=shapes,
        dynamo=True,
        external_data=job.external,
        verbose=False,
    )


def with_torchscript(job: Job) -> None:
    import torch

    if job.external:
        raise NotImplementedError("the TorchScript exporter writes external data only above 2 GB")
    names = list(job.case.kwargs)

    class ByPosition(torch.nn.Module):
        """Take all inputs by position.

        Given keywords, the TorchScript exporter passes every parameter of forward by position, which the wrappers
        around those of transformers refuse.
        """

        def __init__(self) -> None:
            super().__init__()
            self.model = job.case.model

        def forward(self, *tensors: torch.Tensor) -> Any:
            return self.model(*tensors[: -len(names)], **dict(zip(names, tensors[-len(names) :], strict=True)))

    torch.onnx.export(
        ByPosition().eval() if names else job.case.model,
        (*job.case.args, *job.case.kwargs.values()),
        job.file,
        input_names=job.input_names,
        opset_version=job.opset,
        dynamic_axes=job.dynamic_axes,
        dynamo=False,
    )


EXPORTERS: dict[str, Callable[[Job], None]] = {
    "lading": with_lading,
    "dynamo": with_dynamo,
    "torchscript": with_torchscript,
}


def import_all(modules: list[str]) -> list[str]:
    """Import what an export is known to load, so that it is not timed; return those that cannot be imported alone."""
    refused = []
    for name in modules:
        if name not in sys.modules:
            try:
                importlib.import_module(name)
            except Exception:
                refused.append(name)
    return refused
