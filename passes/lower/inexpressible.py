# SPDX-License-Identifier: Apache-2.0
"""How a lowering or a spelling says that it cannot write something."""

from __future__ import annotations

IN_NO_ORDER = "eigenvalues of matrices that are not symmetric come in the order in which LAPACK happens to find them"

NEVER = dict.fromkeys(("aten::linalg_eig", "aten::linalg_eigvals", "aten::_linalg_eigvals"), IN_NO_ORDER)
"""Operators that ONNX cannot say at any opset, and why."""

LEFT_BY_RECIPE = "the recipe leaves it in place"


class Inexpressible(Exception):
    """Raised where an operator, with these arguments, cannot be written at the target opset.

    ``why`` is half a sentence that completes "cannot be lowered: ...".  The lower pass catches it, leaves the node in
    place, and records the reason.
    """

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
