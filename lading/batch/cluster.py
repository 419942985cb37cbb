# SPDX-License-Identifier: Apache-2.0
"""Jobs on a Dask cluster: its workers do them, in a folder that all of them see."""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from ..pipeline.errors import UsageError
from .file import Job
from .job import Result, failed, run_job

TOPIC = "lading-batch"
SECONDS_TO_CONNECT = 15

_one_at_a_time = threading.Lock()


def run_on_cluster(
    jobs: Sequence[Job], address: str, tell: Callable[[Mapping[str, Any]], None]
) -> Generator[Result, None, None]:
    """Run jobs on the workers of a cluster, and yield what each comes to as it ends.

    A job whose worker dies is begun on another one, as Dask does: until that has happened more often than its setting
    ``distributed.scheduler.allowed-failures`` says. Leaving the iteration cancels what has not ended.

    Args:
        jobs: the jobs.
        address: of the scheduler: "tcp://10.0.0.1:8786".
        tell: as for `run_here`.

    Raises:
        UsageError: distributed is not installed, or no scheduler answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise UsageError("a cluster needs the package distributed", hint="pip install 'lading[dask]'") from error
    try:
        client = distributed.Client(address, timeout=SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise UsageError(
            f"no scheduler answers: {error}", where=address, hint="dask scheduler starts one, dask worker joins it"
        ) from error
    with client:
        client.subscribe_topic(TOPIC, lambda event: tell(event[1]) if isinstance(event[1], dict) else None)
        futures = {
            client.submit(_on_worker, job, key=f"{TOPIC}-{job.name}-{uuid.uuid4().hex}", pure=False): job
            for job in jobs
        }
        try:
            for future in distributed.as_completed(list(futures), loop=client.loop):
                # Not to be kept: Dask would do a job again whose result was on a worker that dies later.
                job = futures.pop(future)
                try:
                    result = future.result()
                except Exception as error:
                    # The worker died with it again and again, or cannot import lading.
                    result = failed(job, f"{type(error).__name__}: {' '.join(str(error).split())}")
                future.release()
                yield result
        finally:
            with contextlib.suppress(Exception):
                client.cancel(list(futures), force=True)
            client.unsubscribe_topic(TOPIC)


def _on_worker(job: Job) -> Result:
    import distributed

    worker = distributed.get_worker()

    def tell(said: Mapping[str, Any]) -> None:
        worker.log_event(TOPIC, dict(said))

    # A worker may have several threads; an export sets flags of PyTorch's for the whole process.
    with _one_at_a_time:
        tell({"job": job.name, "begun": True, "worker": worker.address})
        return run_job(job, tell)
