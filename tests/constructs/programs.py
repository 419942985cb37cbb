# SPDX-License-Identifier: Apache-2.0
"""Whole programs as people script them: post-processing of detections, searches, trees, streams, tables of results."""

# ruff: noqa: SIM108, B905, UP045 - TorchScript knows no zip(strict=...), and the if is what is shown

from __future__ import annotations

import math
from typing import NamedTuple, Optional

import torch
from constructs.registry import AS_SCRIPT, SCRIPT_ONLY, construct, down, ints, t, up, whole
from torch import Tensor, nn


def boxes(count: int, seed: int = 0) -> Tensor:
    """Return boxes as left, top, right, bottom, some of which overlap."""
    corners = t(count, 2, seed=seed).abs() * 4
    return torch.cat([corners, corners + up(count, 2) + 1], 1)


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    low = torch.max(a[:2], b[:2])
    high = torch.min(a[2:], b[2:])
    common = (high - low).clamp(min=0).prod()
    areas = (a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()
    return common / (areas - common)


@construct(
    (boxes(6), up(6)),
    (boxes(9, seed=4), t(9, seed=2)),
    (boxes(1), up(1)),
    axes={"b": {0: "n"}, "scores": {0: "n"}},
    forms=SCRIPT_ONLY,
    since=10,
)
def suppressed_overlaps(b: Tensor, scores: Tensor) -> Tensor:
    order = scores.argsort(descending=True)
    alive = torch.ones(scores.size(0), dtype=torch.bool)
    kept: list[Tensor] = []
    for i in range(scores.size(0)):
        here = order[i]
        if bool(alive[here]):
            kept.append(here)
            for j in range(i + 1, scores.size(0)):
                there = order[j]
                if bool(_overlap(b[here], b[there]) > 0.3):
                    alive[there] = False
    return torch.stack(kept)


@construct(
    (boxes(6), up(6)), (boxes(9, seed=4), t(9, seed=2)), axes={"b": {0: "n"}, "scores": {0: "n"}}, forms=SCRIPT_ONLY
)
def best_boxes_as_a_dict(b: Tensor, scores: Tensor) -> dict[str, Tensor]:
    keep = scores > 0.2
    b = b[keep]
    scores = scores[keep]
    if b.size(0) > 3:
        top = scores.topk(3)[1]
        b = b[top]
        scores = scores[top]
    return {"boxes": b, "scores": scores, "areas": (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])}


@construct((up(2, 4, 6),), (t(2, 4, 6),), (up(3, 4, 6),), axes={"x": [0]}, forms=AS_SCRIPT, since=13)
class DetectionsOfEachImage(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.threshold = 0.4
        self.classes = 2

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        rows: list[Tensor] = []
        images: list[Tensor] = []
        for i in range(x.size(0)):
            for c in range(self.classes):
                scores = x[i, :, 4 + c]
                chosen = x[i][scores > self.threshold]
                rows.append(chosen[:, :4])
                images.append(torch.full([chosen.size(0)], i))
        return torch.cat(rows), torch.cat(images)


@construct((t(5, 5), whole(0)), (t(5, 5, seed=3), whole(4)), forms=AS_SCRIPT)
class BeamSearch(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.width = 3
        self.steps = 4

    def forward(self, table: Tensor, start: Tensor) -> tuple[Tensor, Tensor]:
        scores = torch.zeros(1)
        beams = start.reshape(1, 1)
        for _ in range(self.steps):
            following = scores.unsqueeze(1) + table.log_softmax(-1)[beams[:, -1]]
            flat = following.flatten()
            best, place = flat.topk(min(self.width, flat.size(0)))
            beams = torch.cat([beams[place // 5], (place % 5).unsqueeze(1)], 1)
            scores = best
        return beams, scores


@construct((t(6, 6), whole(3)), (t(6, 6, seed=3), whole(6)), (t(6, 6, seed=5), whole(1)), forms=SCRIPT_ONLY)
def beam_search_until_the_end(table: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    width = 2
    scores = torch.zeros(width)
    beams = torch.zeros(width, 1, dtype=torch.long)
    done = torch.zeros(width, dtype=torch.bool)
    length = 1
    while length < int(most) and not bool(done.all()):
        following = table.log_softmax(-1)[beams[:, -1]]
        following = following.masked_fill(done.unsqueeze(1), -1.0)
        best, place = (scores.unsqueeze(1) + following).flatten().topk(width)
        token = place % 6
        parent = place // 6
        beams = torch.cat([beams[parent], token.unsqueeze(1)], 1)
        done = done[parent] | (token == 5)
        scores = best
        length += 1
    return beams, scores


@construct((t(4),), (up(4),), (down(4),), forms=AS_SCRIPT)
class DecisionTree(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.feature = [0, 1, 2, 3, -1, -1, -1, -1, -1]
        self.threshold = [0.0, 0.3, -0.2, 0.1, 0.0, 0.0, 0.0, 0.0, 0.0]
        self.left = [1, 3, 5, 7, 0, 0, 0, 0, 0]
        self.right = [2, 4, 6, 8, 0, 0, 0, 0, 0]

    def forward(self, x: Tensor) -> tuple[int, Tensor]:
        node = 0
        depth = 0
        while self.feature[node] >= 0:
            if bool(x[self.feature[node]] <= self.threshold[node]):
                node = self.left[node]
            else:
                node = self.right[node]
            depth += 1
        return node, x * depth


@construct((t(3, 4),), (down(5, 4),), axes={"x": [0]}, forms=AS_SCRIPT)
class TreesOfTensors(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("feature", torch.tensor([0, 1, 2, -1, -1, -1, -1]))
        self.register_buffer("threshold", torch.tensor([0.1, -0.3, 0.2, 0.0, 0.0, 0.0, 0.0]))
        self.register_buffer("value", torch.arange(7.0))

    def forward(self, x: Tensor) -> Tensor:
        out = torch.zeros(x.size(0))
        for i in range(x.size(0)):
            node = 0
            while int(self.feature[node]) >= 0:
                goes_left = bool(x[i, int(self.feature[node])] < self.threshold[node])
                node = 2 * node + 1 if goes_left else 2 * node + 2
            out[i] = self.value[node]
        return out


@construct((t(3, 8),), (t(3, 13),), (t(3, 4),), axes={"x": [1]}, forms=SCRIPT_ONLY, since=13)
class StreamInChunks(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("context", torch.zeros(3, 2))
        self.chunk = 4

    def step(self, x: Tensor) -> Tensor:
        joined = torch.cat([self.context, x], 1)
        self.context = joined[:, -2:]
        return joined.unfold(1, 3, 1).mean(-1)

    def forward(self, x: Tensor) -> Tensor:
        self.context = torch.zeros(3, 2)
        out: list[Tensor] = []
        for start in range(0, x.size(1) - self.chunk + 1, self.chunk):
            out.append(self.step(x[:, start : start + self.chunk]))
        return torch.cat(out, 1)


@construct((t(2, 3), t(2, 4)), (up(2, 3), t(2, 4)), forms=SCRIPT_ONLY)
class GatedState(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(3, 4)

    def forward(self, x: Tensor, state: Optional[Tensor] = None) -> tuple[Tensor, Tensor]:
        if state is None:
            state = torch.zeros(x.size(0), 4)
        new = self.cell(x, state)
        if bool(x.mean() > 0.1):
            new = new * 0.5 + state * 0.5
        return new.sum(1), new


class _Best(NamedTuple):
    score: Tensor
    place: int
    found: bool


@construct((t(6),), (down(6),), forms=SCRIPT_ONLY)
def first_above(x: Tensor) -> _Best:
    best = _Best(torch.zeros(()), -1, False)
    for i in range(x.size(0)):
        if bool(x[i] > 0.5) and not best.found:
            best = _Best(x[i], i, True)
    return best


@construct((t(4, 3),), (t(6, 3),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def rows_and_their_numbers(x: Tensor) -> Tensor:
    pairs: list[tuple[int, Tensor]] = []
    for i in range(x.size(0)):
        pairs.append((i, x[i]))
    total = torch.zeros(3)
    for number, row in pairs:
        total = total * 0.5 + row * number
    return total


@construct((t(4, 3),))
def pairs_of_known_length(x: Tensor) -> Tensor:
    pairs = [(x[0], 2.0), (x[1], 0.5), (x[3], -1.0)]
    total = torch.zeros(3)
    for row, factor in pairs:
        total = total + row * factor
    return total + pairs[1][0]


@construct((t(3, 4),))
def lists_in_lists(x: Tensor) -> Tensor:
    grid: list[list[Tensor]] = []
    for i in range(3):
        row: list[Tensor] = []
        for j in range(4):
            row.append(x[i, j] * (i + j))
        grid.append(row)
    rows = [torch.stack(row) for row in grid]
    return torch.stack(rows) + grid[1][2]


@construct((t(3, 4),), (t(5, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def lists_in_lists_of_the_run(x: Tensor) -> Tensor:
    grid: list[list[Tensor]] = []
    for i in range(x.size(0)):
        row: list[Tensor] = []
        for j in range(4):
            row.append(x[i, j] * (i + j))
        grid.append(row)
    rows = [torch.stack(row) for row in grid]
    return torch.stack(rows)


@construct((t(3, 4),), (t(5, 4),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def two_groups_in_a_list(x: Tensor) -> tuple[Tensor, Tensor]:
    groups: list[list[Tensor]] = [[], []]
    for i in range(x.size(0)):
        groups[0].append(x[i])
        groups[1].append(x[i] * 2)
    return torch.stack(groups[0]), torch.stack(groups[1])


@construct((t(4, 2),), (t(6, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def lists_in_a_dict(x: Tensor) -> dict[str, Tensor]:
    found: dict[str, list[Tensor]] = {"even": [], "odd": []}
    for i in range(x.size(0)):
        found["even"].append(x[i] * 2)
        found["odd"].append(x[i] + 1)
    return {name: torch.stack(rows) for name, rows in found.items()}


@construct((t(5),), (t(7, seed=2),), axes={"x": [0]}, forms=SCRIPT_ONLY, since=10)
def numbers_collected_and_sorted(x: Tensor) -> Tensor:
    values: list[float] = []
    for i in range(x.size(0)):
        values.append(float(x[i]))
    values.sort()
    return torch.tensor(values)


@construct((ints(5, 1, 4, 1),), (ints(3, 9, 2, 8),), forms=SCRIPT_ONLY)
def integers_of_the_run_sorted(x: Tensor) -> tuple[int, int, Tensor]:
    values = [int(x[0]), int(x[1]), int(x[2]), int(x[3])]
    values.sort(reverse=True)
    lowest = sorted(values)
    return values[0], lowest[0], torch.tensor(values)


@construct((ints(2, 4, 1),), (ints(3, 1, 2),), forms=SCRIPT_ONLY)
def lengths_from_a_tensor(x: Tensor) -> Tensor:
    lengths: list[int] = x.tolist()
    parts: list[Tensor] = []
    for length in lengths:
        parts.append(torch.arange(length))
    return torch.cat(parts)


@construct((ints(2, 4, 1),), (ints(3, 1, 2),), forms=SCRIPT_ONLY)
def padded_rows(x: Tensor) -> Tensor:
    lengths: list[int] = x.tolist()
    longest = max(lengths)
    out = torch.zeros(len(lengths), longest)
    for i, length in enumerate(lengths):
        out[i, :length] = 1.0
    return out


@construct((t(3, 5), ints(2, 5, 3)), (t(3, 5), ints(1, 1, 4)), forms=SCRIPT_ONLY)
def split_into_lengths_of_the_run(x: Tensor, lengths: Tensor) -> Tensor:
    sums: list[Tensor] = []
    flat = torch.cat([x, x], 1)
    for i in range(3):
        sums.append(flat[i, : int(lengths[i])].sum())
    return torch.stack(sums)


@construct((t(4, 3),), (up(4, 3),), (down(4, 3),), forms=SCRIPT_ONLY)
def while_with_break_and_continue(x: Tensor) -> tuple[Tensor, int]:
    total = torch.zeros(3)
    i = 0
    seen = 0
    while i < 20:
        i += 1
        row = x[i % 4]
        if bool(row.sum() < 0):
            continue
        total = total + row
        seen += 1
        if bool(total.sum() > 5.0) or seen == 7:
            break
    return total, seen


@construct((t(3, 3), whole(4)), (t(3, 3), whole(0)), (t(3, 3), whole(7)), forms=SCRIPT_ONLY)
def matrix_power_by_squaring(x: Tensor, n: Tensor) -> Tensor:
    k = int(n)
    result = torch.eye(3)
    base = x * 0.5
    while k > 0:
        if k % 2 == 1:
            result = result @ base
        base = base @ base
        k = k // 2
    return result


@construct((up(4, 4),), (up(6, 6),), axes={"x": {0: "n", 1: "n"}}, forms=SCRIPT_ONLY)
def power_iteration(x: Tensor) -> tuple[Tensor, int]:
    v = torch.ones(x.size(0)) / math.sqrt(x.size(0))
    steps = 0
    change = 1.0
    while change > 1e-3 and steps < 30:
        w = torch.mv(x, v)
        w = w / w.norm()
        change = float((w - v).abs().max())
        v = w
        steps += 1
    return v, steps


@construct((t(3, 4),), (t(5, 6),), axes={"x": [0, 1]}, forms=SCRIPT_ONLY)
def cheapest_path(x: Tensor) -> Tensor:
    cost = torch.zeros(x.size(0) + 1, x.size(1) + 1)
    cost[0, 1:] = 100.0
    cost[1:, 0] = 100.0
    for i in range(1, x.size(0) + 1):
        for j in range(1, x.size(1) + 1):
            least = torch.min(torch.min(cost[i - 1, j], cost[i, j - 1]), cost[i - 1, j - 1])
            cost[i, j] = x[i - 1, j - 1].abs() + least
    return cost[-1, -1]


@construct((t(4, 3),), (t(7, 3, seed=2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def viterbi(x: Tensor) -> tuple[Tensor, Tensor]:
    moves = torch.tensor([[0.5, -1.0, 0.2], [0.1, 0.3, -0.4], [-0.2, 0.6, 0.0]])
    score = x[0]
    back: list[Tensor] = []
    for i in range(1, x.size(0)):
        best, place = (score.unsqueeze(1) + moves).max(0)
        score = best + x[i]
        back.append(place)
    state = score.argmax()
    path = [state]
    for i in range(len(back)):
        state = back[len(back) - 1 - i][state]
        path.append(state)
    return score.max(), torch.stack(path).flip(0)


@construct((ints(1, 1, 0, 2, 2, 0),), (ints(0, 0, 0, 0, 3, 3),), (ints(1, 0, 1, 0, 1, 0),), forms=SCRIPT_ONLY)
def repeats_and_blanks_dropped(x: Tensor) -> Tensor:
    out: list[int] = []
    last = 0
    for i in range(x.size(0)):
        token = int(x[i])
        if token != 0 and token != last:
            out.append(token)
        last = token
    return torch.tensor(out + [-1])  # noqa: RUF005 - TorchScript knows no other way


@construct((t(6, 2), whole(3)), (t(6, 2), whole(1)), (t(6, 2), whole(9)), forms=SCRIPT_ONLY)
def ring_buffer(x: Tensor, size: Tensor) -> Tensor:
    n = int(size)
    ring = torch.zeros(n, 2)
    for i in range(x.size(0)):
        ring[i % n] = x[i]
    return ring


@construct((t(8),), (t(5),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def histogram_by_hand(x: Tensor) -> Tensor:
    counts = [0, 0, 0]
    for i in range(x.size(0)):
        v = float(x[i])
        place = 0 if v < -0.5 else 1 if v < 0.5 else 2
        counts[place] += 1
    return torch.tensor(counts)


@construct((t(4, 4),), (t(6, 4),), axes={"x": [0]}, forms=AS_SCRIPT)
class Router(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(4, 3)
        self.experts = nn.ModuleList([nn.Linear(4, 4) for _ in range(3)])

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        choice = self.gate(x).argmax(1)
        out = torch.zeros_like(x)
        used: list[Tensor] = []
        for i, expert in enumerate(self.experts):
            rows = torch.nonzero(choice == i)[:, 0]
            used.append((choice == i).sum())
            if rows.numel() > 0:
                out[rows] = expert(x[rows])
        return out, {"choice": choice, "used": torch.stack(used)}


@construct((up(2, 3),), (down(2, 3),), forms=AS_SCRIPT)
class EarlyExit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(3, 3) for _ in range(3)])
        self.heads = nn.ModuleList([nn.Linear(3, 2) for _ in range(3)])

    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        depth = 0
        out = torch.zeros(x.size(0), 2)
        sure = False
        for block, head in zip(self.blocks, self.heads):
            if not sure:
                x = torch.relu(block(x))
                out = head(x)
                depth += 1
                sure = bool(out.softmax(-1).max() > 0.6)
        return out, depth


@construct((t(3, 2),), (t(5, 2),), axes={"x": [0]}, forms=SCRIPT_ONLY)
def dict_that_a_loop_updates(x: Tensor) -> dict[str, Tensor]:
    state = {"sum": torch.zeros(2), "last": torch.zeros(2)}
    for i in range(x.size(0)):
        state["sum"] = state["sum"] + x[i]
        state["last"] = x[i]
    return state


@construct((up(3),), (down(3),), forms=SCRIPT_ONLY)
def optional_through_functions(x: Tensor) -> Tensor:
    mask = _maybe_mask(x)
    return _apply(x, mask)


def _maybe_mask(x: Tensor) -> Optional[Tensor]:
    if bool(x.sum() > 0):
        return x > 0.3
    return None


def _apply(x: Tensor, mask: Optional[Tensor]) -> Tensor:
    if mask is not None:
        x = x.masked_fill(mask, 0.0)
    return x + 1


@construct((up(4),), (down(4),), (t(4),), forms=SCRIPT_ONLY)
def returns_at_many_depths(x: Tensor) -> Tensor:
    for i in range(4):
        if bool(x[i] > 0.5):
            j = 0
            while j < 3:
                if bool(x[j] < 0):
                    return x * j
                j += 1
            return x + i
    if bool(x.sum() < -3):
        return -x
    return x
