# SPDX-License-Identifier: Apache-2.0
"""Calling what came out as the model is called."""

from __future__ import annotations

import collections
import dataclasses

import pytest
import torch
from torch import nn

import lading
from lading import UsageError

ONE, TWO, THREE, FOUR = (torch.full((2,), float(number)) for number in (1, 2, 3, 4))
Pair = collections.namedtuple("Pair", "u v")


@dataclasses.dataclass
class Batch:
    a: torch.Tensor
    rest: list[torch.Tensor]
    mask: torch.Tensor | None = None


class Model(nn.Module):
    """Weighs each member of its arguments, so that no two can be exchanged."""

    def forward(self, batch, pair, *more, table=None):
        result = batch.a + 10 * batch.rest[0] + 100 * pair.u + 1000 * pair.v
        for each in more:
            result = result - each
        return result if table is None else result + 0.1 * table["x"] + 0.01 * table["y"]


@pytest.fixture(scope="module")
def exported():
    args = Batch(ONE, [TWO]), Pair(THREE, FOUR), ONE, {"table": {"x": ONE, "y": TWO}}
    return lading.export(Model(), args)


def expected(*args, **kwargs):
    return pytest.approx(Model()(*args, **kwargs).tolist())


def test_arguments_are_taken_apart_like_those_of_the_example(exported):
    args, table = (Batch(FOUR, [THREE]), Pair(TWO, ONE), TWO), {"x": THREE, "y": FOUR}
    assert expected(*args, table=table) == exported(*args, table=table)[0].tolist()


def test_a_dict_may_have_its_keys_in_another_order(exported):
    args, table = (Batch(FOUR, [THREE]), Pair(TWO, ONE), TWO), {"y": FOUR, "x": THREE}
    assert expected(*args, table=table) == exported(*args, table=table)[0].tolist()


def test_a_dict_by_position_too():
    class Table(nn.Module):
        def forward(self, table, z):
            return table["x"] + 10 * table["y"] + 100 * z

    made = lading.export(Table(), ({"x": ONE, "y": TWO}, THREE))
    table = {"y": FOUR, "x": THREE}
    assert pytest.approx(Table()(table, ONE).tolist()) == made(table, ONE)[0].tolist()


def test_inputs_may_be_given_by_name(exported):
    flat = dict(zip(exported.input_names, (ONE, TWO, THREE, FOUR, ONE, TWO, THREE), strict=True))
    args, table = (Batch(ONE, [TWO]), Pair(THREE, FOUR), ONE), {"x": TWO, "y": THREE}
    assert expected(*args, table=table) == exported(**flat)[0].tolist()


def test_tensors_by_position_are_those_of_the_inputs_in_order(exported):
    args, table = (Batch(ONE, [TWO]), Pair(THREE, FOUR), ONE), {"x": TWO, "y": THREE}
    assert expected(*args, table=table) == exported(ONE, TWO, THREE, FOUR, ONE, TWO, THREE)[0].tolist()


def test_names_of_the_users_are_those_of_the_inputs():
    made = lading.export(Model(), (Batch(ONE, [TWO]), Pair(THREE, FOUR)), input_names=["first", "second"])
    args = Batch(FOUR, [THREE]), Pair(TWO, ONE)
    assert expected(*args) == made(args[0], pair=args[1])[0].tolist()


def test_a_member_that_the_example_did_not_have_is_refused(exported):
    with pytest.raises(UsageError, match="8 values were given by position, and the file takes 7"):
        exported(Batch(ONE, [TWO], ONE), Pair(THREE, FOUR), ONE, {"x": TWO, "y": THREE})
