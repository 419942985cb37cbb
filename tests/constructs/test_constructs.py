# SPDX-License-Identifier: Apache-2.0
"""Every small model, exported in every form at old, middle and newest opsets, beside PyTorch on all its calls."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from constructs import collect
from constructs.registry import Construct, cases
from lading.passes.structure import leaves

from lading.exporting import export

CASES = list(cases()) if collect.LOADED else []


@pytest.mark.parametrize(("one", "form", "opset"), CASES, ids=[f"{c.label}-{form}-{opset}" for c, form, opset in CASES])
def test_agrees_with_pytorch(one: Construct, form: str, opset: int) -> None:
    exported = export(
        one.model(form),
        (*one.calls[0], {}),
        opset_version=opset,
        dynamic_axes=dict(one.axes),
        verify=False,
        overrides={"trace.strategy": "record" if form == "eager" else "script"},
    )
    assert opset == exported.opset
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        exported.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = exported.input_names
    taken = {value.name for value in session.get_inputs()}
    for number, call in enumerate(one.calls):
        expected = flat_results(one, call)
        feeds = dict(zip(names, flat_tensors(call), strict=False))
        results = session.run(None, {name: value for name, value in feeds.items() if name in taken})
        assert len(expected) == len(results), f"call {number}"
        for left, right in zip(expected, results, strict=True):
            assert left.dtype == right.dtype, f"call {number}"
            assert left.shape == right.shape, f"call {number}"
            np.testing.assert_allclose(right, left, rtol=1e-4, atol=1e-5, err_msg=f"call {number}")


def flat_tensors(call: Any) -> list[np.ndarray]:
    """Return the tensors of a call in order, as arrays."""
    return [leaf.numpy() for _, leaf in leaves(call) if isinstance(leaf, torch.Tensor)]


def flat_results(one: Construct, call: Any) -> list[np.ndarray]:
    """Return what PyTorch gives for a call, flat, as arrays."""
    result = one.model("eager")(*_copied(call))
    kept = [leaf for _, leaf in leaves(result) if leaf is not None]
    return [(leaf if isinstance(leaf, torch.Tensor) else torch.tensor(leaf)).detach().numpy() for leaf in kept]


def _copied(call: Any) -> Any:
    if isinstance(call, torch.Tensor):
        return call.clone()
    if isinstance(call, dict):
        return {key: _copied(value) for key, value in call.items()}
    if isinstance(call, (list, tuple)):
        return type(call)(_copied(value) for value in call)
    return call
