# SPDX-License-Identifier: Apache-2.0
"""Programs that decide on sizes at random: their files are right at every size inside of the limits that they state."""

from __future__ import annotations

import importlib.util
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import lading

ROWS = (1, 2, 3, 4, 5, 7, 9, 12)
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 16, 19, 20, 21, 24, 33)

sizes = st.sampled_from(["m", "n", "n + m", "n * m", "n - m", "n // 2", "(n + 1) // 3"])
numbers = st.sampled_from([2, 3, 4, 5, 7, 8, 12, 20])
single = st.one_of(
    st.builds("{} {} {}".format, sizes, st.sampled_from([">", "<=", "==", "!="]), numbers),
    st.builds("{} % {} == {}".format, sizes, st.sampled_from([2, 3, 4, 5]), st.sampled_from([0, 1])),
)
conditions = st.one_of(
    single,
    st.builds("{} and m < {}".format, single, st.sampled_from([3, 5, 9])),
    st.builds("{} or n % 2 == 0".format, single),
)
factors = st.integers(2, 9)
changed = st.sampled_from(
    ["F.pad(x, (0, 1))", "torch.cat([x, x[:, :1]], 1)", "F.pad(x, (n % 2, 2 - n % 2))", "x[:, -3:]"]
)
steps = st.one_of(
    st.builds("    if {}:\n        x = x * {} + 1".format, conditions, factors),
    st.builds("    x = x + {} if {} else x * {}".format, factors, conditions, factors),
    st.builds("    if {}:\n        x = {}\n    m, n = x.shape".format, conditions, changed),
    st.builds("    kept = kept + (1 if {} else 0)".format, conditions),
    st.builds("    if kept == {}:\n        x = x * {}".format, st.sampled_from([1, 2]), factors),
)
ends = st.sampled_from(["    return x", "    return x.cumsum(1)", "    return x.reshape(-1), x.sum(0)"])


@st.composite
def programs(draw: st.DrawFn) -> str:
    body = draw(st.lists(steps, min_size=2, max_size=4))
    return "\n".join(["def program(x):", "    kept = 0", "    m, n = x.shape", *body, draw(ends)])


def loaded(source: str, folder: str) -> Callable[..., Any]:
    """Return a program from a file of its own: what asks is told from PyTorch by where it stands."""
    file = Path(folder) / "a_program.py"
    file.write_text(f"import torch\nimport torch.nn.functional as F\n\n\n{source}\n")
    spec = importlib.util.spec_from_file_location("a_program", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[..., Any] = module.program
    return found


def agrees(session: onnxruntime.InferenceSession, program: Callable[..., Any], x: torch.Tensor) -> bool:
    result = program(x)
    expected = result if isinstance(result, tuple) else (result,)
    got = session.run(None, {"x": x.numpy()})
    return all(
        left.shape == tuple(right.shape) and np.allclose(left, right, rtol=1e-3, atol=1e-3)
        for left, right in zip(got, expected, strict=True)
    )


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(programs(), st.sampled_from([1, 2, 3, 4, 6]), st.sampled_from([1, 2, 5, 6, 8, 9, 16]))
def test_a_file_is_right_at_every_size_inside_of_its_limits(source: str, rows: int, length: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        program = loaded(source, folder)
        axes = {"x": {0: "m", 1: "n"}}
        try:
            exported = lading.export(program, (torch.randn(rows, length),), None, dynamic_axes=axes)
        except lading.CaptureError:
            reject()  # a refusal is no wrong file
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString())
    wrong = [
        (m, n)
        for m, n in itertools.product(ROWS, LENGTHS)
        if all(limit.holds({"m": m, "n": n}) for limit in exported.limits)
        if not agrees(session, program, torch.randn(m, n))
    ]
    assert [] == wrong, source
