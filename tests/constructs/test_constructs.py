# SPDX-License-Identifier: Apache-2.0
"""Every small model, exported in every form at old, middle and newest opsets, beside PyTorch on all its calls."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from constructs import collect  # noqa: F401  (fills the table)
from constructs.registry import OPSETS, STRATEGY_OF, Construct, cases
from lading.passes.signature.structure import leaves
from support.one_capture import FirstExport

import lading

CASES = list(cases())


@pytest.mark.parametrize(("one", "form", "opset"), CASES, ids=[f"{c.label}-{form}-{opset}" for c, form, opset in CASES])
def test_agrees_with_pytorch(one: Construct, form: str, opset: int) -> None:
    with lowerings_of(one):
        exported = first_export(one, form).at(opset)
    assert opset == exported.opset
    if one.names is not None:
        assert tuple(map(list, one.names)) == (exported.input_names, exported.output_names)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        exported.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = exported.input_names
    taken = {value.name for value in session.get_inputs()}
    tolerance = one.tolerance
    for number in range(len(one.calls)):
        expected = flat_results(one, number)
        feeds = dict(zip(names, flat_tensors(one, number), strict=False))
        results = flat_sequences(session.run(None, {name: value for name, value in feeds.items() if name in taken}))
        assert len(expected) == len(results), f"call {number}"
        for left, right in zip(expected, results, strict=True):
            assert left.dtype == right.dtype, f"call {number}"
            assert left.shape == right.shape, f"call {number}"
            np.testing.assert_allclose(
                right, left, rtol=tolerance or 1e-4, atol=tolerance or 1e-5, err_msg=f"call {number}"
            )


@functools.lru_cache(maxsize=1)
def first_export(one: Construct, form: str) -> FirstExport:
    """Export a model in a form to the first opset that is tried."""
    args, kwargs = one.arguments()
    options: dict[str, Any] = {}
    if form != "program":
        options = {"dynamic_axes": dict(one.axes), "dynamic_shapes": one.shapes}
    return FirstExport(
        one.model(form),
        (*args, kwargs),
        max(OPSETS),
        verify=False,
        overrides={"trace.strategy": STRATEGY_OF[form]},
        **options,
    )


@contextlib.contextmanager
def lowerings_of(one: Construct) -> Iterator[None]:
    """Have the lowerings registered that a model needs."""
    for name, lowering in one.lowerings.items():
        lading.lowers(name)(lowering)
    try:
        yield
    finally:
        for name in one.lowerings:
            lading.unregister_lowering(name)


def flat_tensors(one: Construct, number: int) -> list[np.ndarray]:
    """Return the tensors of a call in order, as arrays."""
    args, kwargs = one.arguments(number)
    return [leaf.numpy() for _, leaf in leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]


@functools.lru_cache(maxsize=8)
def flat_results(one: Construct, number: int) -> list[np.ndarray]:
    """Return what PyTorch gives for a call, flat, as arrays."""
    args, kwargs = one.arguments(number)
    result = one.model("eager")(*args, **kwargs)
    kept = [leaf for _, leaf in leaves(result) if leaf is not None]
    return [(leaf if isinstance(leaf, torch.Tensor) else torch.tensor(leaf)).detach().numpy() for leaf in kept]


def flat_sequences(results: list[Any]) -> list[np.ndarray]:
    """Return the outputs of a run with those that are sequences laid out."""
    flat: list[np.ndarray] = []
    for result in results:
        flat.extend(result if isinstance(result, list) else [result])
    return flat
