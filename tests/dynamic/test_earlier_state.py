# SPDX-License-Identifier: Apache-2.0
"""Tensors that a model made in a call before the export: masks and tables for the length that came then."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import lading

AXES = {"x": {0: "batch", 1: "length"}}
EARLIER = "a tensor of an earlier call is in the file"
MADE = "tensor from before the export made an initializer"

SHARED: dict[str, torch.Tensor] = {}
RAMP = torch.arange(40.0)


def numbers(length: int, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, length, 4, generator=torch.Generator().manual_seed(length))


def positions(length: Any) -> torch.Tensor:
    return torch.arange(length).float()[:, None]


@functools.lru_cache(maxsize=4)
def remembered(length: int) -> torch.Tensor:
    return positions(length)


class Once(nn.Module):
    """Makes its table for the first length that comes, and cuts it afterwards."""

    table: torch.Tensor | None = None

    def forward(self, x):
        if self.table is None:
            self.table = positions(x.shape[1])
        return x + self.table[: x.shape[1]]


class Growing(nn.Module):
    """Makes its table anew when a longer input comes."""

    longest = 0
    table: torch.Tensor | None = None

    def forward(self, x):
        if x.shape[1] > self.longest:
            self.longest = x.shape[1]
            self.table = positions(x.shape[1])
        return x + self.table[: x.shape[1]]


class LastLength(nn.Module):
    """Keeps the table of the last length."""

    table: torch.Tensor | None = None

    def forward(self, x):
        if self.table is None or self.table.shape[0] != x.shape[1]:
            self.table = positions(x.shape[1])
        return x + self.table


class Calibrated(nn.Module):
    """Takes its scale from the first input."""

    scale: torch.Tensor | None = None

    def forward(self, x):
        if self.scale is None:
            self.scale = x.abs().amax()
        return x / self.scale


@dataclasses.dataclass
class Tables:
    cosine: torch.Tensor | None = None


class InAnObject(nn.Module):
    """Keeps its table in a dataclass."""

    def __init__(self):
        super().__init__()
        self.tables = Tables()

    def forward(self, x):
        if self.tables.cosine is None:
            self.tables.cosine = positions(x.shape[1])
        return x + self.tables.cosine[: x.shape[1]]


class InAGlobal(nn.Module):
    """Keeps its table in a dict of its module."""

    def forward(self, x):
        if "table" not in SHARED:
            SHARED["table"] = positions(x.shape[1])
        return x + SHARED["table"][: x.shape[1]]


class InAFunctionCache(nn.Module):
    def forward(self, x):
        return x + remembered(x.shape[1])


TABLES = {"positions": (remembered, "by length")}


class ByName(nn.Module):
    """Finds the function that remembers in a table of functions."""

    def forward(self, x):
        return x + TABLES["positions"][0].__wrapped__(x.shape[1])


class Constants(nn.Module):
    """Has tensors about that are neither parameters nor buffers, and makes none of them."""

    bias = None

    def __init__(self):
        super().__init__()
        self.bias = torch.ones(4)
        self.tables = {"short": [torch.full((4,), 2.0)]}

    def forward(self, x):
        x = x + self.tables["short"][0] + RAMP[:4]
        return x if self.bias is None else x + self.bias


@pytest.fixture(autouse=True)
def nothing_kept():
    SHARED.clear()
    remembered.cache_clear()


def called(model: nn.Module, length: int) -> nn.Module:
    model.eval()(numbers(length))
    return model


def held(found: Any) -> dict[str, str]:
    decisions = [one for event in found.exported.events for one in event.get("decisions") or ()]
    return {one["details"]["tensor"]: one["details"]["held"] for one in decisions if one["what"] == MADE}


def test_tensors_beside_parameters_are_named_by_where_the_code_has_them(free):
    found = free(Constants().eval(), [numbers(5)], AXES)
    expected = {
        "bias": "attribute 'bias' of the model",
        "tables.short.0": "attribute 'tables' of the model",
        "RAMP": f"'RAMP' of module {__name__}",
    }
    assert expected == held(found)
    assert [] == found.exported.warnings


def test_a_variable_of_an_enclosing_function_is_named(free):
    ramp = torch.arange(4.0)

    class Shifted(nn.Module):
        def forward(self, x):
            return x + ramp

    words = held(free(Shifted().eval(), [numbers(5)], AXES))["ramp"]
    assert words.startswith("'ramp' of the function around test_a_variable_of_an_enclosing_function_is_named")


@pytest.mark.parametrize("kind", [Once, InAnObject, InAGlobal])
def test_a_table_of_an_earlier_length_is_a_warning_and_limits_the_length(kind, free):
    model = called(kind(), 9)
    found = free(model, [numbers(5)], AXES)
    assert [EARLIER, "the file is right for some sizes only"] == found.exported.warnings
    assert ["length <= 9 is True"] == found.limits
    assert "" == found.differs(numbers(9))


def test_the_warning_says_which_tensor_and_which_sizes(free):
    found = free(called(InAnObject(), 9), [numbers(5)], AXES)
    (event,) = [one for event in found.exported.events for one in event.get("warnings") or ()][:1]
    assert "tables.cosine" == event["details"]["tensor"]
    assert (
        "the model makes it for the sizes of its inputs: shape (9, 1) in an earlier call, shape (length, 1) here"
        == event["details"]["why"]
    )


@pytest.mark.parametrize("kind", [Once, InAnObject, InAGlobal, InAFunctionCache, LastLength, Growing])
@pytest.mark.parametrize("length", [5, 9])
def test_the_model_is_afterwards_as_the_earlier_call_left_it(kind, length, free):
    model = called(kind(), length)
    before = model(numbers(4)), model(numbers(length))
    free(model, [numbers(length)], AXES)
    assert all(map(torch.equal, before, (model(numbers(4)), model(numbers(length)))))


def test_a_model_that_was_not_called_has_no_state_from_before(free):
    found = free(InAnObject().eval(), [numbers(5)], AXES)
    assert [] == found.exported.warnings
    assert "" == found.differs(numbers(30))


def test_a_table_that_grows_is_made_in_the_file_where_it_is_too_short(free):
    found = free(called(Growing(), 9), [numbers(5)], AXES)
    assert ([], [EARLIER]) == (found.limits, found.exported.warnings)
    assert ["", "", ""] == [found.differs(numbers(length)) for length in (3, 9, 30)]


@pytest.mark.parametrize("length", [5, 9])
def test_a_table_of_the_last_length_fixes_none(length, free):
    found = free(called(LastLength(), length), [numbers(5)], AXES)
    assert [] == found.limits
    assert ["", "", ""] == [found.differs(numbers(each)) for each in (3, 5, 9)]


def test_what_a_function_remembers_is_computed_for_every_length(free):
    found = free(called(InAFunctionCache(), 5), [numbers(5)], AXES)
    assert ([], []) == (found.limits, found.exported.warnings)
    assert ["", ""] == [found.differs(numbers(each)) for each in (3, 9)]


def test_tables_of_functions_are_left_alone(free):
    before = dict(TABLES)
    free(ByName().eval(), [numbers(5)], AXES)
    assert before == TABLES


def test_values_of_an_earlier_input_are_a_warning(free):
    found = free(called(Calibrated(), 5), [numbers(6)], AXES)
    assert [EARLIER] == found.exported.warnings


def test_a_recipe_may_refuse_what_an_earlier_call_has_made():
    with pytest.raises(lading.CaptureError, match="attribute 'scale' of the model: the model makes it from the values"):
        lading.export(called(Calibrated(), 5), numbers(6), settings=["trace.earlier_state=error"])


def test_a_recipe_that_refuses_earlier_state_takes_constants():
    assert [] == lading.export(Constants().eval(), numbers(6), settings=["trace.earlier_state=error"]).warnings


@pytest.mark.parametrize("kind", [Once, InAnObject, InAGlobal])
def test_earlier_state_can_be_made_anew(kind, free):
    found = free(called(kind(), 9), [numbers(5)], AXES, settings=["trace.earlier_state=renew"])
    assert ([], []) == (found.limits, found.exported.warnings)
    SHARED.clear()
    assert np.array_equal(kind().eval()(numbers(30)).numpy(), found.exported(numbers(30))[0])


def test_a_mask_of_another_length_shows_with_fixed_sizes_too(free):
    found = free(called(Once(), 9), [numbers(5)], {})
    assert [EARLIER] == found.exported.warnings
