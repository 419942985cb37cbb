# SPDX-License-Identifier: Apache-2.0
"""What Python's statements and builtins mean in TorchScript: operators on numbers, slices, walks, membership, types."""

# ruff: noqa: B905, UP007, UP045 - what is shown is the statement itself, as TorchScript knows it

from __future__ import annotations

import math
from typing import Any, Optional, Union

import torch
from constructs.registry import SCRIPT_ONLY, construct, down, ints, t, up, whole
from torch import Tensor, nn


@construct((ints(7, -3),), (ints(-7, 3),), (ints(-7, -3),), (ints(8, 2),), forms=SCRIPT_ONLY)
def floor_and_remainder_of_negatives(x: Tensor) -> tuple[int, int, int, int]:
    a = int(x[0])
    b = int(x[1])
    return a // b, a % b, -a // 2, (a * b) % 5


@construct((t(2, shift=4.0),), (t(2, shift=-4.0),), forms=SCRIPT_ONLY, since=10)
def floor_and_remainder_of_floats(x: Tensor) -> tuple[float, float, float]:
    a = float(x[0])
    b = float(x[1])
    return a // b, a % b, a % 2.5


@construct((t(5, 3),), (t(8, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def floor_and_remainder_of_sizes(x: Tensor) -> tuple[int, int, int, int]:
    n = x.size(0)
    return -n // 3, -n % 3, (n - 7) // 2, (1 - n) % 4


@construct((whole(5),), (whole(-5),), (whole(0),), forms=SCRIPT_ONLY)
def conversions_between_numbers(n: Tensor) -> tuple[int, float, int, bool, float]:
    k = int(n)
    half = k / 2
    return int(half), half, int(-half), bool(k), float(k) * 0.25


@construct((whole(2),), (whole(5),), forms=SCRIPT_ONLY)
def powers_of_numbers(n: Tensor) -> tuple[float, float, float]:
    k = int(n)
    return float(k) ** 2, 2.0**k, math.pow(1.5, k)


@construct((whole(6),), (whole(13),), forms=SCRIPT_ONLY)
def bits_of_numbers(n: Tensor) -> tuple[int, int, int, int, int]:
    k = int(n)
    return k & 3, k | 8, k ^ 5, k << 2, k >> 1


@construct((up(3),), (up(3) * 7,), forms=SCRIPT_ONLY)
def functions_of_math(x: Tensor) -> Tensor:
    a = float(x[0])
    total = math.sqrt(a) + math.exp(-a) + math.log(a + 1) + math.sin(a) + math.cos(a) + math.tanh(a)
    return x * total + math.floor(a * 3) + math.ceil(a * 3)


@construct((t(3, 4),), (t(5, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def functions_of_math_on_sizes(x: Tensor) -> Tensor:
    n = x.size(0)
    levels = math.ceil(math.log(float(n)))
    return x * levels + math.floor(math.sqrt(n)) / math.exp(n * 0.1)


@construct((t(3, 4),))
def constants_of_math(x: Tensor) -> Tensor:
    return x.clamp(max=math.inf) * math.pi + math.e + math.gcd(12, 18) + math.factorial(3)


@construct((t(2),), (down(2),), forms=SCRIPT_ONLY)
def absolute_and_round(x: Tensor) -> tuple[float, float, float]:
    a = float(x[0])
    return abs(a), float(round(a * 10)), abs(-2.5)


@construct((ints(3, 9, 4),), (ints(8, 1, 1),), forms=SCRIPT_ONLY)
def minimum_and_maximum_of_integers(x: Tensor) -> tuple[int, int, int]:
    a = int(x[0])
    b = int(x[1])
    c = int(x[2])
    return min(a, b), max(a, max(b, c)), max([a, b, c]) - min([a, b, c])


@construct((t(3),), (t(3, seed=5),), forms=SCRIPT_ONLY)
def minimum_and_maximum_of_floats(x: Tensor) -> tuple[float, float]:
    values = [float(x[0]), float(x[1]), float(x[2])]
    return min(values), max(values)


@construct((t(3, 2), t(5, 2)), (t(4, 2), t(2, 2)), axes={"x": [0], "y": [0]}, forms=SCRIPT_ONLY)
def smaller_of_two_sizes(x: Tensor, y: Tensor) -> Tensor:
    n = min(x.size(0), y.size(0))
    return x[:n] + y[:n]


@construct((t(3, 2), t(5, 2)), (t(4, 2), t(2, 2)), (t(3, 2), t(3, 2)), axes={"x": [0], "y": [0]}, forms=SCRIPT_ONLY)
def comparison_of_two_sizes(x: Tensor, y: Tensor) -> Tensor:
    if x.size(0) > y.size(0):
        return x * 2
    elif x.size(0) == y.size(0):
        return x + y
    return y - 1


@construct((t(6, 2),), (t(9, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def comparison_in_a_chain(x: Tensor) -> Tensor:
    if 4 < x.size(0) <= 7 and x.size(1) != 3:
        return x * 2
    return x


@construct((t(2, 3), t(2, 3)), (t(2, 3), t(3, 3)), axes={"y": [0]}, forms=SCRIPT_ONLY)
def shapes_compared(x: Tensor, y: Tensor) -> Tensor:
    if x.shape == y.shape:
        return x + 1
    return y.sum(0, keepdim=True) + x


@construct((t(7, 6),), (t(12, 6),), axes={"x": [0]})
def slices_with_steps(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x[::3], x[1:-1:2, ::2], x[-5:-1]


@construct((t(7, 6),), (t(3, 6),), (t(1, 6),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def slices_beyond_the_end(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return x[:100], x[-4:], x[2:5]


@construct((t(7, 6), whole(-2)), (t(7, 6), whole(3)), (t(7, 6), whole(-9)), forms=SCRIPT_ONLY)
def slice_bounds_of_the_run(x: Tensor, n: Tensor) -> tuple[Tensor, Tensor]:
    k = int(n)
    return x[k:], x[:k, 1:]


@construct((t(7, 2), ints(1, 6)), (t(7, 2), ints(-5, -1)), (t(7, 2), ints(5, 2)), forms=SCRIPT_ONLY)
def slice_between_two_numbers(x: Tensor, bounds: Tensor) -> Tensor:
    start = int(bounds[0])
    stop = int(bounds[1])
    return x[start:stop:2] * 2


@construct((t(4, 3),), (t(6, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def enumerate_from_one(x: Tensor) -> Tensor:
    total = torch.zeros(3)
    for i, row in enumerate(x, 1):
        total = total + row / i
    return total


@construct((t(2, 3),))
def enumerate_a_list(x: Tensor) -> Tensor:
    for i, factor in enumerate([2.0, 0.5, 3.0]):
        x = x * factor + i
    return x


@construct((t(2, 3),))
def zip_of_lists(x: Tensor) -> Tensor:
    for factor, shift in zip([2.0, 0.5], [1, 3]):
        x = x * factor + shift
    return x


@construct((t(4, 2),), (t(7, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def zip_of_a_tensor_and_a_range(x: Tensor) -> Tensor:
    total = torch.zeros(2)
    for row, i in zip(x, range(3, 100, 2)):
        total = total * 0.5 + row * i
    return total


@construct((t(4, 2),), (t(7, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def rows_backwards(x: Tensor) -> Tensor:
    h = torch.zeros(2)
    order = [i * 1 for i in range(x.size(0))]
    for i in order[::-1]:
        h = torch.tanh(h + x[i])
    return h


@construct((t(2, 3),))
def list_backwards(x: Tensor) -> Tensor:
    parts = [x, x * 2, x * 3]
    total = torch.zeros_like(x)
    for part in parts[::-1]:
        total = total * 0.5 + part
    return total


@construct((t(2, 6),))
def comprehension_with_index(x: Tensor) -> Tensor:
    parts = [x[:, i] * i for i in range(4)]
    return torch.stack(parts)


@construct((t(4, 3),), (t(6, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def comprehension_over_a_list(x: Tensor) -> Tensor:
    halves = [x[: x.size(0) // 2], x[x.size(0) // 2 :]]
    means = [half.mean(0) for half in halves]
    return torch.stack(means)


@construct((t(2, 3),))
def dict_comprehension(x: Tensor) -> dict[str, Tensor]:
    return {name: x * len(name) for name in ["a", "bb", "ccc"]}


@construct((t(2, 3),))
def membership_in_known_things(x: Tensor) -> Tensor:
    if x.dim() in [2, 3]:
        x = x + 1
    if "mean" in {"mean": 1, "sum": 2}:
        x = x * 2
    if "mea" in "mean" and "q" not in "mean":
        x = x - 3
    return x


@construct((whole(3),), (whole(4),), forms=SCRIPT_ONLY)
def membership_of_the_run(n: Tensor) -> Tensor:
    k = int(n)
    if k in [1, 3, 5]:
        return torch.ones(2) * k
    return torch.zeros(2)


@construct((t(3, 4),), (t(5, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def membership_of_a_size(x: Tensor) -> Tensor:
    if x.size(0) not in [3, 4]:
        x = x * 10
    return x


@construct((t(2, 3),))
class Annotated(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        parts = torch.jit.annotate(list[Tensor], [])
        for i in range(2):
            parts.append(x + i)
        table = torch.jit.annotate(dict[str, Tensor], {})
        table["both"] = torch.cat(parts)
        return table["both"]


@construct((up(2, 3),), (down(2, 3),), forms=SCRIPT_ONLY)
def annotated_optional(x: Tensor) -> Tensor:
    best = torch.jit.annotate(Optional[Tensor], None)
    if x.sum() > 0:
        best = x * 2
    if best is None:
        best = x - 1
    return best


@construct((t(2, 3),), forms=SCRIPT_ONLY)
def is_instance_of_any(x: Tensor) -> Tensor:
    value: Any = x
    if isinstance(value, int):
        return x + value
    if isinstance(value, Tensor):
        return value * 2
    return x


@construct((t(2, 3),), forms=SCRIPT_ONLY)
class UnionRefined(nn.Module):
    def scaled(self, x: Tensor, by: Union[int, float, list[int]]) -> Tensor:
        if isinstance(by, int):
            return x * by
        elif isinstance(by, float):
            return x / by
        else:
            return x.view(by)

    def forward(self, x: Tensor) -> Tensor:
        return self.scaled(self.scaled(self.scaled(x, 3), 0.5), [3, 2])


@construct((t(3, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
class AugmentedAttributes(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.count = 2
        self.scale = 1.5
        self.sizes = [1, 2]
        self.register_buffer("total", torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 3
        self.scale *= 2.0
        self.sizes.append(self.count)
        self.total += x.sum(0)
        self.total = self.total * self.scale
        return x * self.count + self.total + self.sizes[-1] + len(self.sizes)


@construct((t(2, 3),))
def augmented_everything(x: Tensor) -> Tensor:
    k = 7.0
    k += 2
    k -= 1
    k *= 3
    k /= 5
    f = 2.0
    f /= 3
    y = x.clone()
    y += k
    y -= 0.5
    y *= f
    y /= 1.5
    return y


@construct((t(4, 3),))
def augmented_members(x: Tensor) -> Tensor:
    parts = [x[0].clone(), x[1].clone()]
    parts[0] += 1
    parts[1] = parts[0] * parts[1]
    numbers = [1, 2, 3]
    numbers[1] += 5
    numbers[-1] *= 2
    return parts[0] + parts[1] * numbers[1] - numbers[2]


@construct((t(2, 3),))
def chained_assignment(x: Tensor) -> Tensor:
    a = b = x * 2
    (c, d), e = (a, b + 1), 3
    return a + c * d - e


@construct((t(5, 2),))
def starred_targets(x: Tensor) -> Tensor:
    first, *rest = (x[0], x[1], x[2])
    return first + torch.stack(list(rest)).sum(0)


@construct((t(2, 3), whole(3)), (t(2, 3), whole(-1)), forms=SCRIPT_ONLY)
def conditional_expressions_nested(x: Tensor, n: Tensor) -> Tensor:
    k = int(n)
    return x * (2 if k > 2 else 3 if k > 0 else 5)


@construct((ints(3, 0, 2),), (ints(0, 0, 0),), (ints(4, 4, 4),), forms=SCRIPT_ONLY)
def any_and_all_of_a_list(x: Tensor) -> tuple[bool, bool]:
    flags = [bool(x[0] > 0), bool(x[1] > 0), bool(x[2] > 0)]
    return any(flags), all(flags)


@construct((t(2, 3),))
def sums_and_sorting_of_known_lists(x: Tensor) -> Tensor:
    numbers = [4, -1, 3]
    ordered = sorted(numbers)
    numbers.sort(reverse=True)
    return x * ordered[0] + numbers[0] + sum(numbers) + numbers.index(3) + numbers.count(4)


@construct((t(2, 3),))
def copies_of_lists(x: Tensor) -> Tensor:
    numbers = [1, 2, 3]
    kept = list(numbers)
    kept.append(4)
    copied = numbers.copy()
    copied.clear()
    del numbers[0]
    return x * len(numbers) + len(kept) + len(copied)


@construct((t(2, 3),))
def strings_put_together(x: Tensor) -> Tensor:
    name = "layer" + "." + str(2)
    parts = name.split(".")
    if parts[-1] == "2" and name.upper() == "LAYER.2" and len(name) == 7:
        x = x * 2
    if f"{parts[0]}-{len(parts)}" == "layer-2":
        x = x + 1
    if "{}:{}".format("a", 1) == "a:1":
        x = x * 3
    return x


@construct((up(2, 3),), forms=SCRIPT_ONLY)
def f_string_in_a_raise(x: Tensor) -> Tensor:
    n = x.size(0)
    if bool(x.sum() < 0):
        raise RuntimeError(f"the sum of {n} rows is negative: {x.sum()}")
    return x.sqrt()


@construct((t(2, 3),))
def raise_that_capture_rules_out(x: Tensor) -> Tensor:
    if x.dim() != 2:
        raise ValueError("expected 2 dimensions, got " + str(x.dim()))
    elif x.size(1) != 3:
        raise NotImplementedError(f"{x.size(1)} columns")
    return x.t()


@construct((t(2, 3),))
def nested_function_calls(x: Tensor) -> Tensor:
    return _outer(x, 2) + _outer(x, factor=1, shift=0.5)


def _inner(x: Tensor, factor: int) -> Tensor:
    return x * factor


def _outer(x: Tensor, factor: int, shift: float = 1.0) -> Tensor:
    return _inner(x, factor + 1) + shift


@construct((t(2, 3),))
def number_of_many_kinds(x: Tensor) -> Tensor:
    flag = True
    return x * (1 + int(flag)) + float(flag) - (not flag) * 3.0


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def short_circuit(x: Tensor) -> Tensor:
    y: Optional[Tensor] = None
    if x.sum() > 0:
        y = x
    if y is not None and bool(y.max() > 0):
        return y * 2
    return x


@construct((t(3, 4),), (t(4, 4),), (t(9, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def pass_and_else_of_a_size(x: Tensor) -> Tensor:
    if x.size(0) > 5:
        pass
    elif x.size(0) % 2 == 1:
        x = x[1:]
    else:
        x = torch.cat([x, x[-1:]])
    return x
