# SPDX-License-Identifier: Apache-2.0
"""Networks on graphs with any number of nodes and edges."""

from __future__ import annotations

import torch
from torch import nn

from dynamic_models.registry import Call, dynamic, sizes

EXAMPLE, *OTHERS = sizes(nodes=(6, 1, 12, 5, 30, 9), edges=(10, 1, 40, 7, 55, 0))


def graph(nodes: int, edges: int) -> Call:
    return (torch.randn(nodes, 8), torch.randint(0, nodes, (2, edges))), {}


class Convolution(nn.Module):
    """Mean over neighbours, weighed by degrees."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(8, 8)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        loops = torch.arange(x.shape[0], device=x.device).expand(2, -1)
        source, target = torch.cat([edges, loops], 1)
        degree = torch.zeros(x.shape[0]).index_add(0, target, torch.ones(target.shape[0]))
        scale = degree.rsqrt()
        messages = self.layer(x)[source] * (scale[source] * scale[target])[:, None]
        return torch.zeros_like(x).index_add(0, target, messages)


@dynamic("graphs", graph, EXAMPLE, *OTHERS)
def graph_convolution() -> nn.Module:
    return Convolution()


class Attention(nn.Module):
    """Softmax over the edges that reach a node."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.score = nn.Linear(8, 8), nn.Linear(16, 1)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        source, target = edges[0], edges[1]
        y = self.layer(x)
        scores = nn.functional.leaky_relu(self.score(torch.cat([y[source], y[target]], -1))).squeeze(-1)
        highest = torch.full((x.shape[0],), -1e9).scatter_reduce(0, target, scores, "amax")
        weights = (scores - highest[target]).exp()
        total = torch.zeros(x.shape[0]).scatter_add(0, target, weights)
        return torch.zeros_like(y).index_add(0, target, y[source] * (weights / total[target])[:, None])


@dynamic("graphs", graph, EXAMPLE, *OTHERS)
def graph_attention() -> nn.Module:
    return Attention()


class PooledByGraph(nn.Module):
    """Sum, mean and maximum by graph of a batch, as many graphs as the batch vector names."""

    def forward(self, x: torch.Tensor, batch: torch.Tensor) -> torch.Tensor:
        count = int(batch.max()) + 1
        index = batch[:, None].expand_as(x)
        total = x.new_zeros(count, x.shape[1]).scatter_add(0, index, x)
        members = torch.bincount(batch, minlength=count).clamp(min=1)
        highest = x.new_zeros(count, x.shape[1]).scatter_reduce(0, index, x, "amax", include_self=False)
        return torch.cat([total, total / members[:, None], highest], 1)


def pooled(nodes: int, graphs: int) -> Call:
    batch = torch.cat([torch.arange(graphs), torch.randint(0, graphs, (nodes,))]).sort().values
    return (torch.randn(nodes + graphs, 8), batch), {}


@dynamic("graphs", pooled, *sizes(nodes=(6, 1, 12, 5, 30, 9), graphs=(2, 1, 4, 3, 6, 5)))
def pooled_by_graph() -> nn.Module:
    return PooledByGraph()


class Propagated(nn.Module):
    """Three rounds of messages with a GRU, and the mean over nodes."""

    def __init__(self) -> None:
        super().__init__()
        self.message, self.update = nn.Linear(8, 8), nn.GRUCell(8, 8)

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
        for _ in range(3):
            messages = torch.zeros_like(x).index_add_(0, edges[1], self.message(x)[edges[0]])
            x = self.update(messages, x)
        return x.mean(0)


@dynamic("graphs", graph, EXAMPLE, *OTHERS)
def propagated() -> nn.Module:
    return Propagated()


class DenseAdjacency(nn.Module):
    """The adjacency matrix written out, its powers, and the nodes of the highest degree."""

    def forward(self, x: torch.Tensor, edges: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        matrix = torch.zeros(x.shape[0], x.shape[0]).index_put((edges[0], edges[1]), torch.tensor(1.0), accumulate=True)
        reach = matrix @ matrix + matrix
        return reach @ x, reach.sum(1).argmax()


@dynamic("graphs", graph, EXAMPLE, *OTHERS)
def dense_adjacency() -> nn.Module:
    return DenseAdjacency()


class Neighbours(nn.Module):
    """The four nearest points of each, and the largest message from them."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        near = torch.cdist(x, x).topk(4, largest=False).indices
        messages = self.layer(torch.cat([x.unsqueeze(1).expand(-1, 4, -1), x[near] - x.unsqueeze(1)], -1))
        return messages.amax(1)


def points(nodes: int) -> Call:
    return (torch.randn(nodes, 8),), {}


@dynamic("graphs", points, *sizes(nodes=(6, 4, 12, 5, 30, 9)))
def neighbours() -> nn.Module:
    return Neighbours()
