# SPDX-License-Identifier: Apache-2.0
"""The bytes of strided tensors in row-major order, made in memory that is used again."""

from __future__ import annotations

import math
import weakref

import numpy as np
import torch


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
        # In two steps: what lies together in memory is gathered first, and turned round where the cache has it.
        order = sorted(range(tensor.dim()), key=tensor.stride, reverse=True)
        together = tensor.permute(order)
        gathered, _ = self._empty(together)
        gathered.copy_(together)
        made, memory = self._empty(tensor)
        made.copy_(gathered.permute([order.index(axis) for axis in range(tensor.dim())]))
        return memory.data

    def _empty(self, like: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
        """Return a contiguous tensor of the type and shape of another one, and its bytes."""
        size = math.prod(like.shape) * like.element_size()
        if size > self._size:
            whole = np.empty(size, np.uint8)
            return torch.from_numpy(whole).view(like.dtype).view(like.shape), whole
        try:
            whole = self._free.pop()
        except IndexError:
            whole = np.empty(self._size, np.uint8)
        part = whole[:size]
        # Every look at the block holds on to `part`, so its end is that of the last look.
        weakref.finalize(part, self._free.append, whole).atexit = False
        return torch.from_numpy(part).view(like.dtype).view(like.shape), part
