# SPDX-License-Identifier: Apache-2.0
"""Other inputs of the same kind as the example, at its sizes or at others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from .limits import formula

if TYPE_CHECKING:
    import torch

Dims = Sequence[int | str | None]
"""One input's shape in the file: sizes, and the names of dynamic axes (None where an axis has no name)."""


def axis_sizes(shapes: Mapping[str, Dims], examples: Mapping[str, torch.Tensor]) -> dict[str, int]:
    """Return the name of every dynamic axis with the size that it has in the examples."""
    sizes: dict[str, int] = {}
    for name, tensor in examples.items():
        for axis, size in enumerate(tensor.shape):
            symbol = axis_name(name, axis, shapes[name])
            if symbol is not None:
                sizes.setdefault(symbol, int(size))
    return sizes


class Roots:
    """The axes of a file that vary by themselves, and those whose sizes follow, as their names say.

    Attributes:
        sizes: the sizes in the example of those that vary by themselves: axes, or what names of axes are made of.
    """

    def __init__(self, standing: Mapping[str, int]) -> None:
        formulas = {name: found for name in standing if (found := formula(name)) is not None}
        self.sizes = {name: size for name, size in standing.items() if name not in formulas}
        self._formulas: dict[str, Callable[[Mapping[str, int]], int]] = {}
        for name, (names, value) in formulas.items():
            size = standing[name]
            open_names = [other for other in names if other not in self.sizes]
            candidates = [self.sizes]
            if len(open_names) == 1:
                candidates = [{**self.sizes, open_names[0]: root} for root in range(1, 2 * size + _SEARCHED)]
            elif open_names:
                candidates = []
            # A name that merely looks like an expression does not come to the size of the example.
            fitting = next((sizes for sizes in candidates if _comes_to(value, sizes) == size), None)
            if fitting is None:
                self.sizes[name] = size
            else:
                self.sizes, self._formulas[name] = dict(fitting), value

    def all(self, sizes: Mapping[str, int]) -> dict[str, int] | None:
        """Return the sizes of all axes for those of the roots; None where there are no such tensors."""
        found = dict(sizes)
        for name, value in self._formulas.items():
            size = _comes_to(value, sizes)
            if size is None or size < 0:
                return None
            found[name] = size
        return found


_SEARCHED = 64
"""How far beyond twice a size its root is looked for."""


def _comes_to(value: Callable[[Mapping[str, int]], int], sizes: Mapping[str, int]) -> int | None:
    try:
        return value(sizes)
    except ArithmeticError:
        return None


def axis_name(name: str, axis: int, dims: Dims) -> str | None:
    """Return what an axis of an input is called, or None if it has a fixed size."""
    if axis >= len(dims) or isinstance(dims[axis], int):
        return None
    return str(dims[axis]) if dims[axis] else f"{name}.shape[{axis}]"


def other_sizes(size: int) -> list[int]:
    """Return the sizes at which an axis is tried that has `size` in the example: one, one more, and a prime."""
    prime = next(candidate for candidate in (7, 5, 11) if candidate not in (size, size + 1))
    return [other for other in dict.fromkeys((1, size + 1, prime)) if other != size]


def draw(
    examples: Mapping[str, torch.Tensor],
    shapes: Mapping[str, Dims],
    sizes: Mapping[str, int],
    generator: torch.Generator,
) -> dict[str, torch.Tensor]:
    """Draw inputs like the examples, with `sizes` for the axes named there and the example's sizes for the others."""
    drawn = {}
    for name, tensor in examples.items():
        symbols = [axis_name(name, axis, shapes[name]) for axis in range(tensor.ndim)]
        shape = [
            int(size) if symbol is None else sizes.get(symbol, int(size))
            for symbol, size in zip(symbols, tensor.shape, strict=True)
        ]
        drawn[name] = draw_like(tensor, shape, generator)
    return drawn


def draw_like(example: torch.Tensor, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """Draw a tensor of the example's dtype and kind, of the given shape.

    Integers are uniform between the example's least and greatest value, so an index stays valid. Booleans, and integers
    that are all 0 or 1, are taken to be masks: rows of the example, in another order, repeated or cut to size, so that
    a mask keeps its structure. Other numbers are drawn from the values of the example, so they keep its range and
    distribution; where it has only one value they are drawn above that one.
    """
    import torch

    example = example.detach().cpu()
    numbers = example.to(_widest(example.dtype))
    is_real = numbers.dtype.is_floating_point or numbers.dtype.is_complex
    if numbers.numel() == 0:
        made = torch.randn(*shape, generator=generator) if is_real else torch.zeros(*shape)
        return made.to(example.dtype)
    if not is_real and (
        example.dtype == torch.bool or (example.ndim > 0 and bool(((numbers == 0) | (numbers == 1)).all()))
    ):
        return _reordered_rows(numbers, shape, generator).to(example.dtype)
    if not is_real:
        low, high = int(numbers.min()), int(numbers.max())
        return torch.randint(low, high + 1, tuple(shape), generator=generator).to(example.dtype)
    values = numbers.reshape(-1)
    if bool((values == values[0]).all()):
        return (values[0] + torch.rand(*shape, generator=generator)).to(example.dtype)
    return values[torch.randint(values.numel(), tuple(shape), generator=generator)].to(example.dtype)


def _widest(dtype: torch.dtype) -> torch.dtype:
    import torch

    if dtype.is_complex:
        return torch.complex128
    return torch.float64 if dtype.is_floating_point else torch.int64


def _reordered_rows(mask: torch.Tensor, shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    import torch

    # A square mask says which word sees which: exchanging its rows would let words see the future.
    is_square = mask.ndim == 2 and mask.shape[0] == mask.shape[1]
    for axis, size in enumerate(shape):
        index = torch.arange(size)
        if axis == 0 and mask.ndim > 1 and not is_square:
            index = torch.randperm(size, generator=generator)
        mask = mask.index_select(axis, index % mask.shape[axis])
    return mask
