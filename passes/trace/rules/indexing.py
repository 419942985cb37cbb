# SPDX-License-Identifier: Apache-2.0
"""Indices: into tensors, along a dimension, and classes as indices."""

from __future__ import annotations

from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.composites import NOT_KEPT
from lading.passes.trace.recorder import Recorder
from lading.passes.trace.rules.registry import rule, same
from lading.pipeline.errors import CaptureError

_aten = torch.ops.aten
_NN = torch_private.nn_functions


@rule(_NN.one_hot)
def _one_hot(rec: Recorder, input: Any, num_classes: int = -1) -> Any:
    if num_classes == -1:
        if input.numel() == 0:
            return NOT_KEPT
        # One more than the largest class, which only the run knows.
        classes = rec.unknown_size()
        return rec.keep(_aten.one_hot.default, (input, -1), ((*input.shape, classes), torch.int64))
    return rec.keep(_aten.one_hot.default, (input, num_classes), ((*input.shape, num_classes), torch.int64))


@rule(torch.take_along_dim, torch.Tensor.take_along_dim)
def _take_along_dim(rec: Recorder, input: Any, indices: Any, dim: Any = None, *, out: Any = None) -> Any:
    if dim is None or out is not None or input.dim() != indices.dim():
        return NOT_KEPT
    axis = dim % input.dim()
    others = [index for index in range(input.dim()) if index != axis]
    if not all(same(input.shape[index], indices.shape[index]) for index in others):
        return NOT_KEPT
    return input.gather(dim, indices)


@rule(torch.tensor_split, torch.Tensor.tensor_split)
def _tensor_split(
    rec: Recorder, input: Any, indices: Any = None, dim: int = 0, *, tensor_indices_or_sections: Any = None
) -> Any:
    """Cut at places that a tensor holds, or a free size into pieces; PyTorch would read places and size as numbers."""
    places = indices if tensor_indices_or_sections is None else tensor_indices_or_sections
    if type(places) is int and isinstance(input.shape[dim], torch.SymInt):
        # The first pieces are longer by one where the size is no multiple.
        size = input.shape[dim]
        return input.split([(size + places - 1 - piece) // places for piece in range(places)], dim)
    if not isinstance(places, torch.Tensor) or rec.known(places) is not None:
        return NOT_KEPT
    if places.dim() != 1:
        raise CaptureError(
            "how many pieces tensor_split gives depends on the value of a tensor",
            where=rec.places.line() or None,
            hint="give the number of pieces as an int",
        )
    axis = dim % input.dim()
    before, after = input.shape[:axis], input.shape[axis + 1 :]
    shapes = [(*before, rec.unknown_size(), *after) for _ in range(places.shape[0] + 1)]
    arguments = (input, places, axis)
    overload = _aten.tensor_split.tensor_indices_or_sections
    made = rec.keep(overload, arguments, *((shape, input.dtype) for shape in shapes))
    return made if isinstance(made, tuple) else (made,)


# ---- x[...] ----------------------------------------------------------------------------------------------------------


@rule(torch.Tensor.__getitem__)
def _item(rec: Recorder, input: Any, index: Any) -> Any:
    """Keep indices that are numbers of the run symbolic; PyTorch would read them from memory."""
    if type(index) is int:
        return _known_member(rec, input, index)
    if not _has_number_of_run(index):
        return NOT_KEPT
    view, rest = _selected(input, index)
    return view[tuple(rest)] if rest else view


@rule(torch.Tensor.__setitem__)
def _set_item(rec: Recorder, input: Any, index: Any, value: Any) -> Any:
    if not _has_number_of_run(index):
        return NOT_KEPT
    view, rest = _selected(input, index)
    view[tuple(rest) if rest else ...] = value
    return None


def _known_member(rec: Recorder, input: Any, index: int) -> Any:
    """Take a size that stands in a tensor out again as the size that it is."""
    if not torch_private.is_functional(input) or input.dim() != 1:
        return NOT_KEPT
    length = input.shape[0]
    size = rec.known_member(input, index + length if index < 0 and type(length) is int else index)
    return NOT_KEPT if size is None else torch.scalar_tensor(size, dtype=input.dtype)


def _is_number_of_run(item: Any) -> bool:
    if isinstance(item, torch.Tensor):
        return item.dim() == 0 and item.dtype is not torch.bool and not item.is_floating_point()
    return isinstance(item, torch.SymInt)


def _has_number_of_run(index: Any) -> bool:
    items = index if type(index) is tuple else (index,)
    return any(
        _is_number_of_run(item)
        or (type(item) is slice and any(isinstance(end, torch.Tensor) for end in (item.start, item.stop, item.step)))
        for item in items
    )


def _number(item: Any) -> Any:
    return item.item() if isinstance(item, torch.Tensor) else item


def _selected(input: Any, index: Any) -> tuple[Any, list[Any]]:
    """Apply the indices that are numbers of the run, as views, and return what is left of the index."""
    items = list(index) if type(index) is tuple else [index]
    left = input.dim() - sum(_dimensions(item) for item in items)
    rest: list[Any] = []
    view, dim = input, 0
    for item in items:
        if _is_number_of_run(item):
            view = view.select(dim, _number(item))
            continue
        if type(item) is slice:
            item = slice(_number(item.start), _number(item.stop), _number(item.step))
        rest.append(item)
        dim += left if item is Ellipsis else _dimensions(item)
    return view, rest


def _dimensions(item: Any) -> int:
    """Return how many dimensions of a tensor an index takes up."""
    if item is None or item is Ellipsis or isinstance(item, bool):
        return 0
    if isinstance(item, torch.Tensor) and item.dtype in (torch.bool, torch.uint8):
        return item.dim()
    return 1
