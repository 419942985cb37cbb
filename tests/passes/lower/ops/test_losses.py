# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest
import torch
from support.calls import Call, agrees, call, spread, tensor
from support.operator_check import NEWEST

A = torch.ops.aten
OPSETS = (7, 9, 13, NEWEST)
NONE, MEAN, SUM = range(3)

X, Y = tensor(4, 3), tensor(4, 3, seed=1)
CHANCE, TARGET = torch.sigmoid(X), torch.sigmoid(Y)
WEIGHT = tensor(3, seed=2).abs()
LABELS = torch.tensor([0, 2, -100, 1])
SIGNS = torch.tensor([1.0, -1.0, 1.0, -1.0])
IMAGE, PIXELS = tensor(2, 3, 4, 5), tensor(2, 4, 5, dtype=torch.int64).abs() % 3
LOG = torch.log_softmax(X, 1)

DISTANCES = [
    *(
        call(loss, X, Y, reduction)
        for loss in (A.mse_loss.default, A.l1_loss.default, A.smooth_l1_loss.default, A.huber_loss.default)
        for reduction in (NONE, MEAN, SUM)
    ),
    *(call(A.mse_loss.default, X[:0], Y[:0], reduction, free=False) for reduction in (NONE, MEAN, SUM)),
    call(A.smooth_l1_loss.default, X, Y, MEAN, 0.3),
    call(A.smooth_l1_loss.default, X, Y, MEAN, 0.0),
    call(A.huber_loss.default, X, Y, MEAN, 0.3),
    call(A.pairwise_distance.default, X, Y, 3.0, 1e-6, True),
    call(A.triplet_margin_loss.default, X, Y, Y.flip(0), 0.5, 2.0, 1e-6, True),
    call(A.cosine_similarity.default, X, Y, 1),
    call(A.cosine_similarity.default, X, Y[:1], 0, free=False),
    call(A.cosine_embedding_loss.default, X, Y, SIGNS, 0.1),
]

MARGINS = [
    call(A.margin_ranking_loss.default, X[:, 0], Y[:, 0], SIGNS, 0.2),
    call(A.hinge_embedding_loss.default, X, torch.sign(Y), 0.7),
    call(A.soft_margin_loss.default, X, torch.sign(Y)),
    call(A.multi_margin_loss.default, X, LABELS.clamp(0), 2, 0.7, WEIGHT, SUM),
    call(A.multi_margin_loss.default, X, LABELS.clamp(0)),
    call(A.multilabel_margin_loss_forward.default, X, torch.tensor([[0, -1, 1], [2, 1, -1], [1, 0, 2], [-1, 0, 1]]), 1),
]

LIKELIHOODS = [
    *(call(A.binary_cross_entropy.default, CHANCE, TARGET, None, reduction) for reduction in (NONE, MEAN, SUM)),
    call(A.binary_cross_entropy.default, torch.tensor([0.0, 1.0]), torch.tensor([0.0, 0.5])),
    call(A.binary_cross_entropy_with_logits.default, X * 9, TARGET, WEIGHT, WEIGHT + 1),
    call(A.kl_div.default, LOG, TARGET, SUM),
    call(A.kl_div.default, LOG, LOG.flip(0), MEAN, log_target=True),
    call(A.poisson_nll_loss.default, X, TARGET * 5, True, True, 1e-8, MEAN),
    call(A.poisson_nll_loss.default, CHANCE, TARGET * 5, False, False, 1e-8, SUM),
    *(call(A.nll_loss_forward.default, LOG, LABELS, WEIGHT, reduction, -100) for reduction in (NONE, MEAN, SUM)),
    call(A.nll_loss_forward.default, LOG, LABELS.clamp(0), None, MEAN, 1),
    call(A.nll_loss_forward.default, LOG[0], LABELS[1], None, NONE, -100),
    call(A.nll_loss2d_forward.default, IMAGE, PIXELS, WEIGHT, MEAN, 2),
    call(A.nll_loss_nd.default, IMAGE, PIXELS),
    *(call(A.cross_entropy_loss.default, X, LABELS, WEIGHT, reduction) for reduction in (NONE, MEAN, SUM)),
    call(A.cross_entropy_loss.default, IMAGE, PIXELS, WEIGHT, MEAN, -100, 0.1),
    call(A.cross_entropy_loss.default, X, TARGET, WEIGHT, MEAN, -100, 0.1),
    call(A.cross_entropy_loss.default, X[0], LABELS[1]),
]


@pytest.mark.parametrize(("item", "opset", "free"), spread(DISTANCES + MARGINS + LIKELIHOODS, OPSETS))
def test_losses_agree_with_eager(item: Call, opset: int, free: bool) -> None:
    agrees(item, opset, free)
