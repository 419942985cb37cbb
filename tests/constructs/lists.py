# SPDX-License-Identifier: Apache-2.0
"""Lists, tuples, named tuples, dicts and strings."""

from __future__ import annotations

from typing import NamedTuple

import torch
from constructs.registry import SCRIPT_ONLY, construct, down, ints, t, up, whole
from torch import Tensor


class Pair(NamedTuple):
    left: Tensor
    right: Tensor


@construct((t(2, 3),))
def list_built_and_stacked(x: Tensor) -> Tensor:
    parts = [x, x * 2]
    parts.append(x + 1)
    return torch.stack(parts)


@construct((t(2, 3),))
def list_appended_in_a_known_loop(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(3):
        out.append(x * i)
    return torch.cat(out, dim=1)


@construct((t(3, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_appended_in_a_loop_of_the_run(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[i] * i)
    return torch.stack(out)


@construct((t(3, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_appended_and_stacked_last(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    h = torch.zeros(2)
    for i in range(x.size(0)):
        h = h + x[i]
        out.append(h)
    return torch.stack(out, dim=-1)


@construct((t(3, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_appended_and_joined(x: Tensor) -> Tensor:
    out = [x[:1]]
    for i in range(x.size(0)):
        out.append(x[i : i + 1] * 2)
    return torch.cat(out, 0)


@construct((t(3, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def two_members_in_each_iteration(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[i])
        out.append(-x[i])
    return torch.stack(out)


@construct((t(5, 2),), (up(3, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_appended_on_a_condition(x: Tensor) -> Tensor:
    out = [torch.zeros(2)]
    for i in range(x.size(0)):
        if x[i].sum() > 0:
            out.append(x[i])
    return torch.stack(out)


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def last_member_read_in_the_loop(x: Tensor) -> Tensor:
    out = [x[0]]
    for i in range(1, x.size(0)):
        out.append(out[-1] * 0.5 + x[i])
    return torch.stack(out)


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def length_of_a_grown_list(x: Tensor) -> int:
    out: list[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[i])
    return len(out)


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def member_of_a_grown_list(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[i] * 2)
    return out[1] + out[-1]


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def slice_of_a_grown_list(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[i] * 2)
    return torch.stack(out[1:])


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def grown_list_walked_again(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[i] * 2)
    total = torch.zeros(2)
    for y in out:
        total = total * 0.5 + y
    return total


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_comprehension_over_rows(x: Tensor) -> Tensor:
    rows = [row * 2 for row in x.unbind(0)]
    return torch.stack(rows)


@construct((t(4, 3),), (t(5, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY, since=13)
def members_of_different_sizes(x: Tensor) -> Tensor:
    out: list[Tensor] = []
    for i in range(x.size(0)):
        out.append(x[: i + 1])
    return torch.cat(out)


@construct((up(2, 3),), (down(2, 3),), forms=SCRIPT_ONLY)
def list_that_an_if_lengthens(x: Tensor) -> Tensor:
    out = [x]
    if x.sum() > 0:
        out.append(x * 2)
    return torch.cat(out)


@construct((t(3),), (t(5),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_of_integers_grown(x: Tensor) -> Tensor:
    sizes: list[int] = []
    for i in range(x.size(0)):
        sizes.append(i * i)
    return torch.tensor(sizes)


@construct((t(4, 6),))
def list_of_integers(x: Tensor) -> Tensor:
    shape = [2, 2]
    shape.append(x.size(1))
    return x.reshape(shape)


@construct((t(4, 6),))
def list_operations(x: Tensor) -> Tensor:
    numbers = [3, 1, 2]
    numbers.sort()
    numbers.insert(0, 7)
    numbers.extend([5])
    last = numbers.pop()
    numbers.reverse()
    return x * numbers[0] + last + len(numbers) + sum(numbers)


@construct((t(4, 6),))
def list_of_lists(x: Tensor) -> Tensor:
    table = [[1.0, 2.0], [3.0, 4.0]]
    return x[:2, :2] @ torch.tensor(table)


@construct((t(4, 6),))
def split_and_joined(x: Tensor) -> Tensor:
    parts = x.split(2, dim=1)
    return torch.cat([parts[2], parts[0]], dim=1)


@construct((t(4, 6),))
def chunks(x: Tensor) -> list[Tensor]:
    return [part * 2 for part in x.chunk(3, dim=1)]


@construct((t(4, 6),))
def unpacked(x: Tensor) -> Tensor:
    a, b = x.chunk(2, dim=0)
    return a - b


@construct((t(4, 6),))
def list_multiplied_and_added(x: Tensor) -> Tensor:
    shape = [1] * 2 + [x.size(0), x.size(1)]
    return x.view(shape)


@construct(([t(2), t(3)],))
class ListArgument(torch.nn.Module):
    def forward(self, parts: list[Tensor]) -> Tensor:
        return torch.cat(parts)


@construct(({"a": t(2), "b": t(2, seed=1)},))
class DictArgument(torch.nn.Module):
    def forward(self, parts: dict[str, Tensor]) -> Tensor:
        return parts["a"] - parts["b"]


@construct((t(2),))
def dict_result(x: Tensor) -> dict[str, Tensor]:
    return {"double": x * 2, "half": x / 2}


@construct((t(2),))
def dict_built_and_walked(x: Tensor) -> Tensor:
    table: dict[str, Tensor] = {}
    table["a"] = x
    table["b"] = x * 2
    total = torch.zeros(2)
    for key in table:
        total = total + table[key]
    if "c" in table:
        total = total * 0
    for _, value in table.items():
        total = total - value * 0.5
    return total


@construct((t(2),))
def named_tuple_result(x: Tensor) -> Pair:
    return Pair(x + 1, x - 1)


@construct((t(2),))
def named_tuple_inside(x: Tensor) -> Tensor:
    pair = Pair(x, x * 2)
    return pair.left + pair.right


@construct((t(2, 3),))
def nested_tuples(x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    return x, (x + 1, x * 2)


@construct(((t(2), t(2, seed=2)),))
class TupleArgument(torch.nn.Module):
    def forward(self, pair: tuple[Tensor, Tensor]) -> Tensor:
        return pair[0] * pair[1]


@construct((t(2, 3),))
def string_guides_the_way(x: Tensor) -> Tensor:
    mode = "double"
    if mode == "half":
        return x / 2
    elif mode.startswith("dou"):
        return x * 2
    return x


@construct((t(2, 3),))
class StringAttribute(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mode = "sum"

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "sum":
            return x.sum(0)
        return x.mean(0)


@construct((up(3, 4),), (up(5, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_cells_written_in_a_loop(x: Tensor) -> Tensor:
    state = [torch.zeros(4), torch.ones(4)]
    for i in range(x.size(0)):
        state[0] = state[0] + x[i]
        state[1] = state[1] * x[i]
    return state[0] + state[1]


@construct((t(6, 2), whole(2)), (t(6, 2), whole(5)), forms=SCRIPT_ONLY)
def member_at_an_index_of_the_run(x: Tensor, i: Tensor) -> Tensor:
    rows = [x[0], x[1], x[2], x[3], x[4], x[5]]
    return rows[int(i)]


@construct((ints(2, 3, 4),), (ints(1, 1, 9),), forms=SCRIPT_ONLY)
def numbers_of_a_tensor_as_a_list(x: Tensor) -> Tensor:
    a = int(x[0])
    b = int(x[1])
    return torch.ones([a, b])


@construct((t(3, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def list_result_of_the_run(x: Tensor) -> tuple[Tensor, Tensor]:
    firsts: list[Tensor] = []
    lasts: list[Tensor] = []
    for i in range(x.size(0)):
        firsts.append(x[i, 0])
        lasts.append(x[i, 1])
    return torch.stack(firsts), torch.stack(lasts)
