# SPDX-License-Identifier: Apache-2.0
"""Follow a training run with an exported graph: the loss of each step, and the statistics that the step moves.

    python examples/training_loss.py --steps 5

The graph has the loss inside. Its weights are inputs under their names in `state_dict`, and the running statistics of
the normalization are outputs, which the next step takes. The network is in training mode but for its Dropout, which
`training-preserve` leaves off: two runs would draw different numbers.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import torch
from torch import nn

import lading


class WithLoss(nn.Module):
    """A small network for images of one channel, and the loss of its answers."""

    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Sequential(
            nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(288, 10)
        )
        self.loss = nn.CrossEntropyLoss(label_smoothing=0.1)

    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.loss(self.network(images), labels)


def batch(generator: torch.Generator, size: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and labels that have to do with each other."""
    labels = torch.randint(0, 10, (size,), generator=generator)
    images = torch.randn(size, 1, 8, 8, generator=generator)
    images[:, 0, 0] += labels[:, None] - 4.5
    return images, labels


def losses(steps: int) -> Iterator[tuple[float, float]]:
    """Train in PyTorch; yield the loss of each step in PyTorch and in the graph.

    The graph gets the weights that the step starts from. Its running statistics are its own, from step to step.
    """
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    model = WithLoss().train()
    model.network[4].eval()
    exported = lading.export(
        model,
        batch(generator),
        recipe="training-preserve",
        export_params=False,
        dynamic_axes={"images": {0: "batch"}, "labels": {0: "batch"}},
        overrides={"trace.buffer_outputs": True},
    )
    names = [name for name in exported.input_names if name not in ("images", "labels")]
    statistics = {name: value.clone() for name, value in model.named_buffers() if name in names}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for step in range(steps):
        images, labels = batch(generator, size=16 + step)
        weights = {name: value.detach().clone() for name, value in model.named_parameters()}
        fed = {**weights, **statistics}
        found = dict(zip(exported.output_names, exported(images, labels, *(fed[name] for name in names)), strict=True))
        statistics = {name: torch.from_numpy(found[f"{name}.updated"]) for name in statistics}
        loss = model(images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        yield loss.item(), float(found[exported.output_names[0]])
    moved = model.state_dict()
    for name, value in statistics.items():
        torch.testing.assert_close(value, moved[name])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    for step, (eager, graph) in enumerate(losses(parser.parse_args().steps)):
        print(f"step {step}: PyTorch {eager:.6f}, graph {graph:.6f}")


if __name__ == "__main__":
    main()
