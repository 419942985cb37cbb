# SPDX-License-Identifier: Apache-2.0
"""What torch.compile keeps does not suffer from a recording that fails."""

from __future__ import annotations

import numpy as np
import torch

import lading


class Choosing(torch.nn.Module):
    def forward(self, x):
        return torch.cond(x.sum() > 0, lambda x: x + 1, lambda x: x - 1, (x,))


def test_torch_cond_works_in_eager_after_an_export_and_is_in_the_file():
    model = Choosing().eval()
    exported = lading.export(model, (torch.ones(3),))
    assert torch.equal(torch.full((3,), 2.0), model(torch.ones(3)))
    np.testing.assert_allclose(np.full(3, -2.0), exported(-torch.ones(3))[0])
