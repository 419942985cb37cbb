# SPDX-License-Identifier: Apache-2.0
"""Limits of a file: in the result, the audit and the file, an error where the recipe says so, and known to verify."""

from __future__ import annotations

import json

import pytest
import torch

import lading

AXES = {"x": {0: "rows", 1: "length"}}


def at_most_eight(x):
    if x.shape[1] > 8:
        raise ValueError("too long")
    return x.cumsum(1)


def scaled(x):
    return x * (x.shape[1] // 4)


def test_the_result_has_the_limit():
    exported = lading.export(at_most_eight, torch.randn(2, 3), dynamic_axes=AXES)
    assert ["length at most 8"] == [limit.words for limit in exported.limits]
    assert exported.limits[0].source.startswith("tests/dynamic/test_limits.py:")


def test_the_file_has_the_limit():
    exported = lading.export(at_most_eight, torch.randn(2, 3), dynamic_axes=AXES)
    stated = {prop.key: prop.value for prop in exported.model_proto.metadata_props}
    assert ["length at most 8"] == json.loads(stated["lading.limits"])


def test_the_audit_warns_of_the_limit():
    exported = lading.export(at_most_eight, torch.randn(2, 3), dynamic_axes=AXES)
    assert ["the file is right for some sizes only"] == exported.warnings


def test_an_undeclared_limit_is_an_error_where_the_recipe_says_so():
    with pytest.raises(lading.CaptureError, match="length at most 8"):
        lading.export(at_most_eight, torch.randn(2, 3), dynamic_axes=AXES, overrides={"dynamic-axes.on_limit": "error"})


def test_a_declared_limit_is_neither_error_nor_warning():
    length = torch.export.Dim("length", max=8)
    exported = lading.export(
        at_most_eight,
        torch.randn(2, 3),
        dynamic_shapes=({0: torch.export.Dim("rows"), 1: length},),
        overrides={"dynamic-axes.on_limit": "error"},
    )
    assert ([], True) == (exported.warnings, all(limit.declared for limit in exported.limits))


def test_a_file_without_limits_says_nothing_of_them():
    exported = lading.export(scaled, torch.randn(2, 9), dynamic_axes=AXES)
    assert "lading.limits" not in {prop.key for prop in exported.model_proto.metadata_props}
    assert () == exported.limits


def test_verify_tries_the_other_side_of_what_has_no_effect():
    def model(x):
        return x.abs() if x.shape[1] > 40 else x.exp()

    exported = lading.export(model, torch.randn(2, 3), dynamic_axes=AXES, verify=True)
    (check,) = (check for check in exported.verification.checks if "other side of length > 40" in check.name)
    assert ("passed", True) == (check.status, check.sizes["length"] > 40)
