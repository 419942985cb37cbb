# SPDX-License-Identifier: Apache-2.0
"""What a caller asks to have exported; everything else of the classic signature is an override of a recipe value."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import attrs


def _target(file: Any) -> Any:
    """Return a path in bytes as text; anything else is as it was."""
    path = os.fspath(file) if isinstance(file, PathLike) else file
    return os.fsdecode(path) if isinstance(path, bytes) else file


@attrs.frozen
class Remark:
    """An argument of the caller's that takes no effect here, and why; it is on record beside what does."""

    argument: str
    value: Any
    why: str


@attrs.frozen(kw_only=True)
class Request:
    """One model, the example call that shows how it is used, and where the file goes.

    Attributes:
        model: a `torch.nn.Module` or any other callable.
        args: the example arguments in any form that the classic `torch.onnx.export` takes.
        kwargs: further keyword arguments of the call, or None.
        file: a path as text or as a `PathLike` (one in bytes becomes text), a writable binary file object, or None to
            keep the result in memory.
        metadata: what the file is to say of its making (recipe, hash, versions), as metadata properties.
        reload: makes the model anew (a factory), for checks that want a second copy; None when there is none.
        remarks: what the caller asked for and does not get, where that does no harm.
    """

    model: Any
    args: Any = ()
    kwargs: Mapping[str, Any] | None = None
    file: Any = attrs.field(default=None, converter=_target)
    reload: Callable[[], Any] | None = None
    metadata: Mapping[str, str] = attrs.field(factory=dict)
    remarks: Sequence[Remark] = ()

    @property
    def without_arguments(self) -> bool:
        """Whether the example call has no arguments at all."""
        args = self.args
        if not self.kwargs and isinstance(args, tuple) and len(args) == 1 and type(args[0]) is dict:
            args = args[0]
        return not self.kwargs and (args is None or (isinstance(args, (tuple, dict)) and len(args) == 0))
