# SPDX-License-Identifier: Apache-2.0
"""Writes in place that a graph cannot show are refused where they would be read; models that work are in constructs."""

# ruff: noqa: SIM108 - TorchScript compiles what stands here

from __future__ import annotations

from typing import Any

import pytest
import torch
from lading.passes.request import Request
from lading.passes.signature.binding import bind_arguments
from lading.passes.trace.script.strategy import script
from lading.pipeline.errors import CaptureError
from torch import Tensor


def captured(function: Any) -> Any:
    made = torch.jit.script(function)
    return script(bind_arguments(Request(model=made, args=(torch.ones(3, 2), {})), dynamic_axes={"x": {0: "n"}}))


def _appended_then_written(x: Tensor) -> Tensor:
    h = torch.zeros(2)
    out: list[Tensor] = []
    for i in range(x.size(0)):
        h += x[i]
        out.append(h)
    return torch.stack(out)


def _joined_then_written(x: Tensor) -> Tensor:
    y = x.clone()
    if x.sum() > 0:
        v = y
    else:
        v = y * 2
    v.add_(1)
    return y + v


def _kept_from_the_iteration_before(x: Tensor) -> Tensor:
    h = torch.zeros(2)
    before = torch.zeros(2)
    total = torch.zeros(2)
    for i in range(x.size(0)):
        h += x[i]
        total = total + before
        before = h
    return total


def _written_in_the_next_iteration(x: Tensor) -> Tensor:
    h = torch.ones(2)
    out: list[Tensor] = []
    for i in range(x.size(0)):
        h.mul_(2)
        h = h + x[i]
        out.append(h)
    return torch.stack(out)


def _first_value_written(x: Tensor) -> Tensor:
    a = x.clone()
    y = a
    for _ in range(x.size(0)):
        a.add_(1)
        a = a * 2
    return y + a


def _written_after_the_loop(x: Tensor) -> Tensor:
    row = x[0].clone()
    out: list[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[i] * 2 if i > 0 else row)
    out[0].add_(1)
    return torch.stack(out) + row


def _member_of_a_sequence_written(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[: i + 1].clone())
    out[0].add_(1)
    return torch.cat(out)


@pytest.mark.parametrize(
    "function",
    [
        _appended_then_written,
        _joined_then_written,
        _kept_from_the_iteration_before,
        _written_in_the_next_iteration,
        _first_value_written,
        _written_after_the_loop,
        _member_of_a_sequence_written,
    ],
    ids=lambda function: function.__name__,
)
def test_reading_what_a_write_has_made_stale_is_an_error(function: Any) -> None:
    with pytest.raises(CaptureError, match=r"written in place at .*test_script_aliases\.py"):
        captured(function)


def _stale_and_not_read(x: Tensor) -> Tensor:
    y = x.clone()
    if x.sum() > 0:
        v = y
    else:
        v = y * 2
    v.add_(1)
    return v


def test_what_is_stale_and_not_read_is_no_error() -> None:
    model, _ = captured(_stale_and_not_read)
    assert 1 == len(model.graph.outputs)


def _member_changes_later(x: Tensor) -> Tensor:
    rows: list[list[Tensor]] = []
    for i in range(x.size(0)):
        rows.append([x[i]])
    first = rows[0]
    first.append(x[0])
    return torch.stack(rows[0])


def test_a_list_that_is_a_member_of_a_growing_list_cannot_change() -> None:
    with pytest.raises(CaptureError, match="after it has become a member of a list"):
        captured(_member_changes_later)


def _tuples_of_two_kinds(x: Tensor) -> Tensor:
    pairs: list[tuple[Tensor, list[int]]] = []
    for i in range(x.size(0)):
        pairs.append((x[i], [1]))
        pairs.append((x[i], [1, 2]))
    return pairs[0][0]


def test_members_of_a_growing_list_are_made_of_the_same() -> None:
    with pytest.raises(CaptureError, match="differ in what they are made of"):
        captured(_tuples_of_two_kinds)


def _list_of_pairs(x: Tensor) -> list[tuple[Tensor, int]]:
    pairs: list[tuple[Tensor, int]] = []
    for i in range(x.size(0)):
        pairs.append((x[i], i))
    return pairs


def test_a_growing_list_of_tuples_is_no_result() -> None:
    with pytest.raises(CaptureError, match="list of tuples whose length only the run knows"):
        captured(_list_of_pairs)
