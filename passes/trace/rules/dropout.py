# SPDX-License-Identifier: Apache-2.0
"""Dropout, in every form that training uses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule

_aten = torch.ops.aten


def _dropout(overload: Any, rec: Recorder, input: Any, p: float, training: bool, inplace: bool) -> Any:
    if not training:
        return input
    if not 0 <= p <= 1 or not isinstance(p, (int, float)):
        return NOT_KEPT
    result = rec.keep(overload, (input, float(p), True), (input.shape, input.dtype))
    return input.copy_(result) if inplace else result


def _dropout_rules(overload: Any, python: Sequence[Any], builtin: Any, builtin_inplace: Any) -> None:
    def functional(rec: Recorder, input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        return _dropout(overload, rec, input, p, training, inplace)

    def plain(rec: Recorder, input: Any, p: float, train: bool) -> Any:
        return _dropout(overload, rec, input, p, train, False)

    def in_place(rec: Recorder, input: Any, p: float, train: bool) -> Any:
        return _dropout(overload, rec, input, p, train, True)

    rule(*python)(functional)
    rule(builtin)(plain)
    rule(builtin_inplace)(in_place)


_dropout_rules(_aten.dropout.default, (F.dropout,), torch.dropout, torch.dropout_)
_dropout_rules(_aten.feature_dropout.default, (), torch.feature_dropout, torch.feature_dropout_)
_dropout_rules(_aten.alpha_dropout.default, (), torch.alpha_dropout, torch.alpha_dropout_)
_dropout_rules(_aten.feature_alpha_dropout.default, (), torch.feature_alpha_dropout, torch.feature_alpha_dropout_)
