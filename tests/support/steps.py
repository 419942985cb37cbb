# SPDX-License-Identifier: Apache-2.0
"""Steps of a plan, run as the engine runs them but without the record that it keeps."""

from __future__ import annotations

from collections.abc import Iterable

from lading.passes.torch_private import outside_of_modes
from lading.pipeline.errors import InternalError, LadingError
from lading.pipeline.fingerprint import survey
from lading.pipeline.note import Note
from lading.pipeline.plan import PlanNode
from lading.pipeline.work import Work


def run_steps(nodes: Iterable[PlanNode], work: Work) -> None:
    """Run steps in their order, groups of them until nothing changes; the record would cost as much as they do.

    Raises:
        LadingError: as a pass raised it, an InternalError where it raised anything else.
    """
    with outside_of_modes():
        for node in nodes:
            for _ in range(node.group.rounds if node.group else 1):
                before = survey(work.model).hash if node.group else None
                for step in node.steps:
                    try:
                        step.made.run(work, Note())
                    except LadingError:
                        raise
                    except Exception as error:
                        raise InternalError(f"{step.id} failed: {type(error).__name__}: {error}") from error
                if node.group and before == survey(work.model).hash:
                    break
