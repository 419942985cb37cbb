# SPDX-License-Identifier: Apache-2.0
"""What the engine itself costs: hash, delta, stamps and events, without any work of passes."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from lading.pipeline.audit import JsonLines
from lading.pipeline.facts import Fact
from lading.pipeline.run import run_plan
from lading.pipeline.work import Target, Work
from support.fake_passes import chain_model, fake, plan_of, registry_of

STEPS = 15
NODES = 1000


def test_fifteen_steps_on_a_thousand_nodes_cost_little(tmp_path: Path) -> None:
    def touch(self: Any, work: Work, note: Any) -> None:
        assert work.model is not None
        node = work.model.graph[len(work.model.graph) // 2]
        node.name = f"{node.name}x"

    model = chain_model(NODES, weights=50)

    def capture(self: Any, work: Work, note: Any) -> None:
        work.model = model

    passes = [fake("capture", capture, provides=(Fact.ONNX,))]
    passes += [fake(f"touch-{index}", touch, requires=(Fact.ONNX,)) for index in range(STEPS - 1)]
    text = "".join(f"[step.{pass_class.declaration.name}]\n" for pass_class in passes)
    plan = plan_of(tmp_path, text, registry_of(*passes))
    spent = []
    for _ in range(5):
        with JsonLines(tmp_path / "log.jsonl") as sink:
            start = time.process_time()
            run_plan(plan, Work(target=Target(18)), [sink])
            spent.append(time.process_time() - start)
    assert min(spent) < 0.15
