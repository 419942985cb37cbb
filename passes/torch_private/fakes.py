# SPDX-License-Identifier: Apache-2.0
"""Fake tensors, without the tensor class of distributed programs.

PyTorch's dispatcher compares the class of a tensor subclass with `torch.distributed.tensor.DTensor` when it hands an
operator over to the subclass, loads that package for it, and keeps the class for good, so that nothing may stand in
for it. It does not where a dispatch mode is active, which gets the operator first.
"""

from __future__ import annotations

import contextlib
import sys
from typing import Any

from lading.passes.torch_private.dynamo import UntracedMode
from lading.passes.torch_private.names import find

_DISTRIBUTED = "torch.distributed.tensor"


class _Handing(UntracedMode):
    """The mode beneath all others, which hands operators on fake tensors to these."""

    def __init__(self, fake: Any) -> None:
        super().__init__()
        self._fake = fake
        self._class = type(fake)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        fake_tensor = find("torch._subclasses.fake_tensor", "FakeTensor")
        if not any(issubclass(kind, fake_tensor) for kind in types):
            return func(*args, **(kwargs or {}))
        with self:  # for the operators that this one is made of
            return fake_tensor.__torch_dispatch__(func, types, args, kwargs or {})


def handed_to_fakes(fake: Any) -> contextlib.AbstractContextManager[Any]:
    """Return a context in which operators on fake tensors need no `torch.distributed.tensor`, where that is not loaded.

    Args:
        fake: the mode of the fake tensors.
    """
    return contextlib.nullcontext() if _DISTRIBUTED in sys.modules else _Handing(fake)
