# SPDX-License-Identifier: Apache-2.0
"""What the emitter refuses on behalf of every lowering."""

from __future__ import annotations

import numpy as np
import pytest
from lading.passes.lower.inexpressible import Inexpressible
from support.one_operator import fed, outcome


def test_a_fraction_is_no_constant_beside_integers() -> None:
    with pytest.raises(Inexpressible, match=r"a constant with a fraction, 2\.5, meets int64"):
        outcome("Mul", fed([1, 2], np.int64), 2.5)


def test_a_whole_number_is() -> None:
    (got,) = outcome("Mul", fed([1, 2], np.int64), 3.0)
    np.testing.assert_array_equal(np.array([3, 6]), got)
