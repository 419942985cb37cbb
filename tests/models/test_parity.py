# SPDX-License-Identifier: Apache-2.0
"""Real models at many opsets: the file runs in onnxruntime and computes what PyTorch computes.

On the example, on other inputs, and at other sizes of every dynamic axis; float32 within 1e-4 of the output's scale,
integers exactly.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from lading.passes.verification.report import Verification
from support.example_models import SMALL, arguments_of, example, input_names, neighbour, newest_opset
from torch.utils import _pytree as pytree

import lading
from lading.exported import Exported

OPSETS = (9, 11, 13, 17, 18, 20, 23, newest_opset())


def exported(reference: str, opset: int, file: Path | None = None) -> Exported:
    overrides = {"verify.samples": 1, "verify.rtol": 1e-4}
    return lading.export(
        **arguments_of(example(reference)), f=file, opset_version=opset, verify=True, overrides=overrides
    )


def axes_checked(verification: Verification) -> set[str]:
    """Return the axes that passed a check at a size other than the example's."""
    standing = verification.checks[0].sizes
    return {
        axis
        for check in verification.of_status("passed")
        for axis, size in check.sizes.items()
        if size != standing[axis]
    }


def declared_axes(reference: str) -> set[str]:
    axes = example(reference).dynamic_axes
    assert axes is not None
    return {name for names in axes.values() for name in names.values()}


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("reference", SMALL)
def test_the_file_agrees_with_eager_in_onnxruntime(reference: str, opset: int, tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    found = exported(reference, opset, file)
    onnx.checker.check_model(file, full_check=True)
    verification = found.verification
    assert (opset, "passed", None) == (found.opset, verification.status, verification.instead)
    assert declared_axes(reference) == axes_checked(verification)


@pytest.mark.parametrize("opset", [opset for opset in OPSETS if opset >= 11])
def test_an_image_of_any_size_agrees(opset: int) -> None:
    found = exported("unet.py:unet_any_size", opset)
    assert {"batch", "height", "width"} == axes_checked(found.verification)


@pytest.mark.parametrize("opset", OPSETS)
def test_the_accuracy_on_digits_stays(opset: int) -> None:
    reference = "digits.py:digits"
    model, accuracy = example(reference).model, neighbour(reference, "accuracy")

    def eager(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return model(torch.from_numpy(images)).numpy()

    found = exported(reference, opset)
    assert accuracy(eager) == accuracy(lambda images: found(images)[0]) > 0.97


@pytest.mark.parametrize("reference", ["huggingface.py:gpt2", "translator.py:translator", "resnet.py:resnet50_narrow"])
def test_running_the_result_agrees_without_the_help_of_verify(reference: str) -> None:
    named = example(reference)
    found = lading.export(**arguments_of(named))
    inputs = dict(zip(input_names(named), (*named.args, *named.kwargs.values()), strict=True))
    doubled = {name: torch.cat([tensor, tensor.flip(0)]) for name, tensor in inputs.items()}
    with torch.no_grad():
        (expected,) = pytree.tree_leaves(named.model(**doubled))
    (got,) = found(**doubled)
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))
