# SPDX-License-Identifier: Apache-2.0
"""Batches on a Dask cluster of this machine, one of whose workers dies in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.batches import exports

from lading import UsageError
from lading.batch import run_batch

distributed = pytest.importorskip("distributed", reason="the extra 'dask' is not installed")


@pytest.fixture
def cluster() -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs="CRITICAL"
    ) as found:
        yield found


def test_a_batch_outlives_a_worker(cluster: Any, folder: Path) -> None:
    file = exports(folder, "deadly_once.once", "net", verify="false")
    told: list[dict[str, Any]] = []
    summary = run_batch(file, scheduler=cluster.scheduler_address, tell=lambda said: told.append(dict(said)))
    assert (folder / "died").exists()
    assert ["exported", "exported"] == [result.status for result in summary.results], summary.results
    assert all(Path(result.file).is_file() for result in summary.results)
    assert {"once/inference", "net/inference"} == {said["job"] for said in told if "step" in said}


def test_a_scheduler_that_does_not_answer_is_an_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lading.batch.cluster.SECONDS_TO_CONNECT", 1)
    with pytest.raises(UsageError, match="no scheduler answers"):
        run_batch(exports(folder, "net"), scheduler="tcp://127.0.0.1:9")
