# SPDX-License-Identifier: Apache-2.0
"""A small convolutional network trained on scikit-learn's handwritten digits, in a few seconds.

lading export examples/digits.py:digits -o digits.onnx --verify
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn


class DigitNet(nn.Module):
    """``[batch, 1, 8, 8]`` grey values from 0 to 1, to scores ``[batch, 10]``."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(128, 10))

    def forward(self, image: Tensor) -> Tensor:
        return self.classifier(self.features(image))


def dataset() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training images, test images, training labels, test labels; images are float32 ``[n, 1, 8, 8]``."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    return tuple(train_test_split(images, labels, test_size=0.25, random_state=0, stratify=labels))


def train(epochs: int = 12) -> DigitNet:
    images, _, labels, _ = (torch.from_numpy(part) for part in dataset())
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = DigitNet().train()
        optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
        for _ in range(epochs):
            for batch in torch.randperm(len(images)).split(64):
                loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    return model.eval()


def digits() -> tuple[DigitNet, tuple[Tensor]]:
    return train(), (torch.from_numpy(dataset()[1][:4]),)


def accuracy(predict: Callable[[np.ndarray], np.ndarray]) -> float:
    """Return the share of test images that ``predict`` (images to scores ``[n, 10]``) gets right."""
    _, images, _, labels = dataset()
    return float((predict(images).argmax(axis=1) == labels).mean())


digits.dynamic_axes = {"image": {0: "batch"}}  # type: ignore[attr-defined]


if __name__ == "__main__":
    model, _ = digits()
    with torch.no_grad():
        print(f"test accuracy: {accuracy(lambda images: model(torch.from_numpy(images)).numpy()):.4f}")
