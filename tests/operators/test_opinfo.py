# SPDX-License-Identifier: Apache-2.0
"""A fixed slice of PyTorch's operator database, at four opsets; `make sweep` runs all of it.

At the newest opset the first sample of every dtype is exported; at the older ones, one sample of one dtype, chosen by a
hash of the entry's name.  What fails is listed in expected_failures.toml with the reason, and has to fail.
"""

from __future__ import annotations

import functools
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytest.importorskip("expecttest", reason="PyTorch's operator database needs it")

from operators.entries import CORE_DTYPES, DTYPES, Call, calls, database
from operators.measuring import NEWEST, measure

OLDER = (9, 13, 18)
OPSETS = {**{str(opset): opset for opset in OLDER}, "newest": NEWEST}

# Samples of one entry that the slice draws from at the older opsets.
_DRAWN_FROM = 3


@functools.cache
def expected_failures() -> dict[str, dict[str, Any]]:
    """Return the listed entries: the reason `why` and, for each dtype, the opsets at which the slice fails."""
    return tomllib.loads((Path(__file__).parent / "expected_failures.toml").read_text(encoding="utf-8"))


def slice_of(name: str, opset: str) -> dict[str, Call]:
    """Return the calls of an entry that are run at an opset, by dtype."""
    taken = [dtype for dtype in CORE_DTYPES if DTYPES[dtype] in database()[name].dtypes]
    if opset == "newest":
        found = {dtype: calls(name, dtype, 1)[:1] for dtype in taken}
        return {dtype: prepared[0] for dtype, prepared in found.items() if prepared}
    if not taken:
        return {}
    drawn = zlib.crc32(f"{name} {opset}".encode())
    dtype = taken[drawn % len(taken)]
    prepared = calls(name, dtype, _DRAWN_FROM)
    return {dtype: prepared[drawn // 7 % len(prepared)]} if prepared else {}


def problems(name: str, opset: str) -> dict[str, str]:
    """Return why each dtype of the slice does not pass."""
    outcomes = {dtype: measure(call, OPSETS[opset]) for dtype, call in slice_of(name, opset).items()}
    return {
        dtype: f"{outcome.status}: {outcome.why}" for dtype, outcome in outcomes.items() if outcome.status != "passed"
    }


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("name", database())
def test_an_entry_is_exported_and_gives_eagers_numbers(name: str, opset: str) -> None:
    listed = expected_failures().get(name, {})
    expected = {dtype for dtype in CORE_DTYPES if opset in listed.get(dtype, ())}
    found = problems(name, opset)
    assert expected == set(found), "\n".join(
        [f"{dtype} fails: {why}" for dtype, why in found.items() if dtype not in expected]
        + [f"{dtype} is listed as failing, and passes" for dtype in sorted(expected - set(found))]
    )


def test_every_listed_failure_is_of_an_entry_and_has_a_reason() -> None:
    strange = {
        name
        for name, listed in expected_failures().items()
        if name not in database() or not listed.get("why") or listed.keys() - {"why", *CORE_DTYPES}
    }
    assert set() == strange
