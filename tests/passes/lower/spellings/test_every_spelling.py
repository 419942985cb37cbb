# SPDX-License-Identifier: Apache-2.0
"""Every spelling, at every opset: the checker accepts it, and it computes what the newest form computes."""

from __future__ import annotations

import collections
import functools
from collections.abc import Sequence

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lading.passes.lower.inexpressible import Inexpressible
from lading.passes.lower.registry import OLDEST_OPSET, SPELLINGS
from support.one_operator import NEWEST, assert_same, run, written
from support.spelling_samples import SAMPLES, Sample

# Operators that older opsets neither have nor can express: the oldest opset of each, and of forms of some.
FIRST_OPSETS = {"GridSample": 16, "RoiAlign": 10, "Attention": 23}

# These need a graph in their attributes; they have tests of their own.
WITH_BODIES = {"Loop", "Scan"}

BY_OPERATOR: dict[str, list[Sample]] = collections.defaultdict(list)
for _sample in SAMPLES:
    BY_OPERATOR[_sample.op_type].append(_sample)


def _first_opset(sample: Sample) -> int:
    if sample.op_type == "MaxPool" and sample.attributes.get("outputs") == 2:
        return 8
    return FIRST_OPSETS.get(sample.op_type, OLDEST_OPSET)


@functools.cache
def _expected(sample: Sample) -> Sequence[np.ndarray]:
    proto = written(sample.op_type, *sample.operands, opset=NEWEST, **sample.attributes)
    return run(proto, sample.operands)


def _switching_opsets(op_type: str) -> list[int]:
    """Return the opsets where the spelling of an operator changes, and the one below each."""
    since = {entry.since for entry in SPELLINGS.entries(op_type)}
    return sorted({opset for first in since for opset in (first - 1, first) if OLDEST_OPSET <= opset <= NEWEST})


def test_every_spelled_operator_has_a_sample() -> None:
    assert set() == set(SPELLINGS) - set(BY_OPERATOR) - WITH_BODIES


def _served(op_type: str) -> list[tuple[int, int]]:
    """Return for each spelling of an operator the opsets that it serves, from the first to the last."""
    since = sorted(entry.since for entry in SPELLINGS.entries(op_type))
    return list(zip(since, [*(first - 1 for first in since[1:]), NEWEST], strict=True))


def test_every_spelling_has_a_sample_that_it_can_say() -> None:
    silent = {
        (op_type, first)
        for op_type in set(SPELLINGS) - WITH_BODIES
        for first, last in _served(op_type)
        if all(_first_opset(sample) > last for sample in BY_OPERATOR[op_type])
    }
    assert set() == silent


@pytest.mark.parametrize("op_type", sorted(BY_OPERATOR))
def test_the_checker_accepts_what_is_written_for_every_opset(op_type: str) -> None:
    for sample in BY_OPERATOR[op_type][:3]:
        for opset in range(_first_opset(sample), NEWEST + 1):
            proto = written(op_type, *sample.operands, opset=opset, **sample.attributes)
            assert opset == proto.opset_import[0].version


@pytest.mark.parametrize("op_type", sorted(op_type for op_type in BY_OPERATOR if op_type != "Bernoulli"))
def test_every_form_computes_the_same(op_type: str) -> None:
    for sample in BY_OPERATOR[op_type]:
        for opset in _switching_opsets(op_type):
            if opset >= _first_opset(sample):
                proto = written(op_type, *sample.operands, opset=opset, **sample.attributes)
                assert_same(_expected(sample), run(proto, sample.operands), **sample.tolerance)


@functools.cache
def _forms(op_type: str) -> list[tuple[Sample, onnx.ModelProto, list[onnx.ModelProto]]]:
    """Return the samples of an operator, each in its newest form and in every other that has it."""
    return [
        (
            sample,
            written(op_type, *sample.operands, opset=NEWEST, **sample.attributes),
            [
                written(op_type, *sample.operands, opset=opset, **sample.attributes)
                for opset in _switching_opsets(op_type)
                if _first_opset(sample) <= opset < NEWEST
            ],
        )
        for sample in BY_OPERATOR[op_type]
    ]


@pytest.mark.parametrize("op_type", sorted(op_type for op_type in BY_OPERATOR if op_type != "Bernoulli"))
@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_form_computes_the_same_from_any_numbers(op_type: str, seed: int) -> None:
    numbers = np.random.default_rng(seed)
    for sample, newest, others in _forms(op_type):
        operands = sample.redrawn(numbers)
        expected = run(newest, operands)
        # What is added up in another order differs by a rounding of the largest number, not of each.
        largest = max((float(np.nanmax(np.abs(a), initial=1)) for a in expected if a.dtype.kind == "f"), default=1.0)
        rounding = 4e-6 * min(largest, 1e3)
        tolerance = {**sample.tolerance, "atol": max(rounding, sample.tolerance.get("atol", 0.0))}
        for proto in others:
            assert_same(expected, run(proto, operands), **tolerance)


@pytest.mark.parametrize(("op_type", "first"), sorted(FIRST_OPSETS.items()))
def test_what_no_older_form_can_say_names_the_opset_that_can(op_type: str, first: int) -> None:
    sample = BY_OPERATOR[op_type][0]
    with pytest.raises(Inexpressible, match=f"only from opset {first} on"):
        written(op_type, *sample.operands, opset=first - 1, **sample.attributes)


@pytest.mark.parametrize("opset", [7, 14, NEWEST])
def test_bernoulli_draws_certain_outcomes(opset: int) -> None:
    sample = BY_OPERATOR["Bernoulli"][0]
    proto = written("Bernoulli", *sample.operands, opset=opset)
    np.testing.assert_array_equal(np.array([0, 1, 0, 1], np.float32), run(proto, sample.operands)[0])
