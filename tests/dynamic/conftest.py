# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from lading.passes.signature.structure import leaves

import lading


class Free:
    """A model exported with free sizes, to compare with eager at any."""

    def __init__(self, model: Any, exported: lading.Exported) -> None:
        self.model = model
        self.exported = exported
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString(), options)

    def differs(self, *tensors: torch.Tensor) -> str:
        """Return in which output the file differs from eager for these inputs, "" where it does in none."""
        with torch.no_grad():
            result = self.model(*[tensor.clone() for tensor in tensors])
        expected = [leaf for _, leaf in leaves(result) if leaf is not None]
        feeds = dict(zip(self.exported.input_names, (tensor.numpy() for tensor in tensors), strict=True))
        for name, left, right in zip(self.exported.output_names, expected, self._session.run(None, feeds), strict=True):
            wanted = left.numpy() if isinstance(left, torch.Tensor) else np.asarray(left)
            if wanted.shape != right.shape:
                return f"{name} has shape {right.shape} where eager has {wanted.shape}"
            if wanted.dtype != right.dtype or not np.allclose(right, wanted, rtol=1e-4, atol=1e-5):
                return f"{name} has other values"
        return ""

    @property
    def limits(self) -> list[str]:
        """The conditions on sizes that are left."""
        capture = self.exported.work.values[lading.Fact.GRAPH]
        return [f"{guard.condition} is {guard.outcome}" for guard in capture.guards if not guard.harmless]

    def decided(self, what: str) -> list[str]:
        """The reasons of decisions on record that are called `what`."""
        decisions = [one for event in self.exported.events for one in event.get("decisions") or ()]
        return [one["why"] for one in decisions if one["what"] == what]

    def count(self, operator: str) -> int:
        """How often the file has an operator, branches included."""

        def of(graph: Any) -> int:
            inner = sum(of(a.g) for node in graph.node for a in node.attribute if a.HasField("g"))
            return inner + sum(node.op_type == operator for node in graph.node)

        return of(self.exported.model_proto.graph)


@pytest.fixture
def free() -> Callable[..., Free]:
    """Export a model at example inputs, with axes by input name."""

    def export(model: Any, inputs: Sequence[torch.Tensor], axes: dict[str, Any], **options: Any) -> Free:
        settings = ["trace.strategy=record", *options.pop("settings", ())]
        exported = lading.export(model, tuple(inputs), dynamic_axes=axes, settings=settings, **options)
        return Free(model, exported)

    return export
