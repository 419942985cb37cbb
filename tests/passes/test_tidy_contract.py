# SPDX-License-Identifier: Apache-2.0
"""What every tidy-up pass owes: the same function, the same interface, a valid graph, and rest on a second run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from lading.passes.drop_dead import DropDead
from lading.passes.drop_expand import DropExpand
from lading.passes.drop_identity import DropIdentity
from lading.passes.fold_batch_norm import FoldBatchNorm
from lading.passes.fold_constants import FoldConstants
from lading.passes.infer_shapes import InferShapes
from lading.passes.initializers import Initializers
from lading.passes.merge_chains import MergeChains
from lading.passes.merge_matmul import MergeMatmul
from lading.passes.name_values import NameValues
from lading.passes.share_equal import ShareEqual
from lading.pipeline.fingerprint import structural_hash
from lading.pipeline.note import Note

sys.path.insert(0, str(Path(__file__).parent))
from docstring_graphs import work_on
from random_graphs import random_model, results

PASSES = [
    FoldConstants(weights=False),
    FoldConstants(),
    FoldBatchNorm(),
    DropIdentity(),
    ShareEqual(),
    MergeChains(),
    DropExpand(),
    MergeMatmul(),
    DropDead(),
    InferShapes(),
    NameValues(),
    Initializers(),
]
NAMES = [f"{each.declaration.name}{'' if getattr(each, 'weights', True) else '-no-weights'}" for each in PASSES]


def interface(model: ir.Model) -> list[str]:
    return [f"{value.name} {value.dtype} {value.shape}" for value in (*model.graph.inputs, *model.graph.outputs)]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("the_pass", PASSES, ids=NAMES)
def test_a_pass_keeps_what_the_model_computes(the_pass: Any, seed: int) -> None:
    proto = random_model(seed)
    work = work_on(proto)
    before = interface(work.model)
    the_pass.run(work, Note())
    onnx.checker.check_model(ir.to_proto(work.model), full_check=True)
    assert before == interface(work.model)
    for expected, found in zip(results(proto), results(work.model), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("the_pass", PASSES, ids=NAMES)
def test_a_second_run_changes_nothing(the_pass: Any, seed: int) -> None:
    work = work_on(random_model(seed))
    the_pass.run(work, Note())
    first, note = structural_hash(work.model), Note()
    the_pass.run(work, note)
    assert first == structural_hash(work.model)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("the_pass", PASSES, ids=NAMES)
def test_two_runs_on_the_same_model_agree(the_pass: Any, seed: int) -> None:
    works = [work_on(random_model(seed)) for _ in range(2)]
    for work in works:
        the_pass.run(work, Note())
    assert structural_hash(works[0].model) == structural_hash(works[1].model)


@pytest.mark.parametrize("seed", range(40))
def test_all_of_them_in_a_row(seed: int) -> None:
    proto = random_model(seed, pieces=25)
    work = work_on(proto)
    for _ in range(2):
        for the_pass in PASSES[:-3]:
            the_pass.run(work, Note())
    for the_pass in PASSES[-3:]:
        the_pass.run(work, Note())
    onnx.checker.check_model(ir.to_proto(work.model), full_check=True)
    assert len(work.model.graph) < len(proto.graph.node)
    for expected, found in zip(results(proto), results(work.model), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
