# SPDX-License-Identifier: Apache-2.0
"""The example of a training graph: its loss is that of PyTorch at every step."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples"


def test_the_loss_of_the_graph_is_that_of_pytorch_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    import training_loss

    eager, graph = zip(*training_loss.losses(8), strict=True)
    assert eager == pytest.approx(graph, rel=1e-4)
    assert 8 == len(set(eager))
