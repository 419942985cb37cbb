# SPDX-License-Identifier: Apache-2.0
"""The bytes of strided tensors in row-major order, made in memory that is used again."""

from __future__ import annotations

import weakref

import numpy as np
import torch

_ROWS_AT_ONCE = 16

_CARRIERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64, 16: torch.complex128}
"""A type of numpy's for each size of elements: copying does not look at what they mean."""


class Scratch:
    """Memory for blocks of `size` bytes, taken again once nobody looks at a block any more; larger ones are not kept.

    Fresh memory for each block would cost as much as what is done in it: an allocator gives large pieces back to the
    system, above all where one thread makes what another one takes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._free: list[np.ndarray] = []

    def bytes_of(self, tensor: torch.Tensor) -> memoryview:
        """Return the bytes of a tensor in row-major order: its own memory if that is so, else a copy."""
        tensor = tensor.resolve_conj().resolve_neg().cpu()
        if tensor.is_contiguous():
            return tensor.reshape(-1).view(torch.uint8).numpy().data
        source = tensor.view(_CARRIERS[tensor.element_size()]).numpy()
        memory = self._empty(source.nbytes)
        _copy(memory.view(source.dtype).reshape(source.shape), source)
        return memory.data

    def _empty(self, size: int) -> np.ndarray:
        """Return memory of so many bytes, with what it held before."""
        if size > self._size:
            return np.empty(size, np.uint8)
        try:
            whole = self._free.pop()
        except IndexError:
            whole = np.empty(self._size, np.uint8)
        part = whole[:size]
        # Every look at the block holds on to `part`, so its end is that of the last look.
        weakref.finalize(part, self._free.append, whole).atexit = False
        return part


def _copy(target: np.ndarray, source: np.ndarray) -> None:
    """Copy values into row-major memory; where the last axis of the source is not its innermost, a few columns at once.

    Each column of a transposition comes from a row of its own, and a processor reads only so many rows at full speed
    side by side: measured, 16 are three to five times as fast as a whole row of the target.
    """
    if source.ndim < 2 or source.strides[-1] == source.itemsize:
        target[...] = source
        return
    for start in range(0, source.shape[-1], _ROWS_AT_ONCE):
        columns = slice(start, start + _ROWS_AT_ONCE)
        target[..., columns] = source[..., columns]
