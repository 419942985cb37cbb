# SPDX-License-Identifier: Apache-2.0
"""PyTorch's own operator database (OpInfo) as calls to export.

Nobody here wrote these samples, which is their worth.  Of each entry and dtype the first `SAMPLES` are taken and, where
they come later, the first with an empty tensor and the first with a tensor of no dimensions.
"""

from __future__ import annotations

import contextlib
import functools
import random
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np
import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

SAMPLES = 4
LOOKED_AT = 40
"""How far the search for an empty tensor and for one of no dimensions goes."""

SAMPLE_SEED = 1234
"""The seed that PyTorch's own iterator over samples sets before each."""

LARGEST = 1 << 22
"""Samples with more elements than this are left out: they measure memory, not operators."""

DTYPES = {
    "float32": torch.float32,
    "int64": torch.int64,
    "bool": torch.bool,
    "float16": torch.float16,
    "float64": torch.float64,
    "int32": torch.int32,
}
CORE_DTYPES = ("float32", "int64", "bool")

# Which of several equal elements an index names is left open by these: the place of `dim` in their arguments.
_OPEN_INDICES = {"argsort": 0, "sort": 0, "kthvalue": 1, "topk": 1, "mode": 0, "median": 0, "nanmedian": 0}

# Of the vectors among the results of these only the direction is defined; the database says what of them is unique.
_UNIQUE_IN_PART = ("svd", "linalg.svd", "linalg.eig", "linalg.eigh", "svd_lowrank", "pca_lowrank")

# What these return is whatever memory held.
_UNINITIALISED = ("empty", "new_empty")


@attrs.frozen
class Call:
    """One call of an operator, with every tensor in it an input.

    Attributes:
        function: takes the tensors and returns a tuple of tensors.
        tensors: the inputs, in the order of the sample.
        expected: what eager PyTorch returns.
        random: whether only dtypes and shapes can be compared.
        axis: where int64 results are places along this axis of the first input, any of equal elements being right, else
            None.
    """

    function: Callable[..., tuple[torch.Tensor, ...]]
    tensors: tuple[torch.Tensor, ...]
    expected: tuple[torch.Tensor, ...]
    random: bool
    axis: int | None = None


class Operator(torch.nn.Module):
    """A call as a model."""

    def __init__(self, call: Call) -> None:
        super().__init__()
        self.function = call.function

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.function(*tensors)


@functools.cache
def database() -> dict[str, Any]:
    """Return the OpInfo entries by name, with the variant after a dot where there is one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal import common_methods_invocations
        from torch.testing._internal.opinfo import core
        from torch.testing._internal.opinfo.definitions import fft, linalg, nested, signal, special  # noqa: F401
    # Entries of random operators are wrapped to run with a fixed seed; the operator itself is what is exported.
    for module in (common_methods_invocations, core):
        if hasattr(module, "wrapper_set_seed"):
            module.wrapper_set_seed = _as_it_is
    found: dict[str, Any] = {}
    for entry in common_methods_invocations.op_db:
        name = f"{entry.name}.{entry.variant_test_name}" if entry.variant_test_name else entry.name
        found.setdefault(name, entry)
    return dict(sorted(found.items()))


def _as_it_is(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return function(*args, **kwargs)


def seed(value: int) -> None:
    torch.manual_seed(value)
    np.random.seed(value)
    random.seed(value)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        yield


def calls(name: str, dtype_name: str, samples: int = SAMPLES) -> list[Call]:
    """Return the calls of an entry that have something to compare; empty where the entry does not take the dtype."""
    entry = database()[name]
    dtype = DTYPES[dtype_name]
    if dtype not in entry.dtypes:
        return []
    with _quiet():
        seed(0)
        try:
            chosen = _chosen(_drawn(entry, dtype), samples)
        except Exception:
            # What the database itself cannot make here (a missing library, a CUDA-only sample) is not an operator.
            return []
        found = [_call(entry, sample, name) for sample in chosen]
    return [call for call in found if call is not None]


def _drawn(entry: Any, dtype: torch.dtype) -> Iterator[Any]:
    """Yield what `entry.sample_inputs` does outside of a TestCase, without its search of the whole stack for one."""
    samples = iter(entry.sample_inputs_func(entry, "cpu", dtype, False))
    while True:
        seed(SAMPLE_SEED)
        try:
            sample = next(samples)
        except StopIteration:
            return
        yield sample


def _chosen(samples: Iterator[Any], count: int) -> list[Any]:
    chosen: list[Any] = []
    wanted: list[Callable[[torch.Tensor], bool]] = [lambda t: t.numel() == 0, lambda t: t.dim() == 0]
    for index, sample in enumerate(samples):
        if index >= max(count, LOOKED_AT) or (index >= count and (not wanted or count < SAMPLES)):
            break
        tensors = [leaf for leaf in _leaves(sample)[0] if isinstance(leaf, torch.Tensor)]
        met = [rule for rule in wanted if any(tensor.layout == torch.strided and rule(tensor) for tensor in tensors)]
        if index < count or met:
            chosen.append(sample)
            wanted = [rule for rule in wanted if rule not in met]
    return chosen


def _leaves(sample: Any) -> tuple[list[Any], Any]:
    return pytree.tree_flatten((sample.input, tuple(sample.args), dict(sample.kwargs)))


def _call(entry: Any, sample: Any, name: str) -> Call | None:
    leaves, structure = _leaves(sample)
    places = [index for index, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    tensors = tuple(leaves[index].detach() for index in places)
    if any(t.layout != torch.strided or t.is_nested for t in tensors) or sum(t.numel() for t in tensors) > LARGEST:
        return None

    def function(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        filled = list(leaves)
        for place, tensor in zip(places, given, strict=True):
            filled[place] = tensor
        first, args, kwargs = pytree.tree_unflatten(filled, structure)
        result = entry.op(first, *args, **kwargs)
        if name in _UNIQUE_IN_PART:
            result = sample.output_process_fn_grad(result)
        return tuple(leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor))

    watch = _Randomness()
    try:
        seed(0)
        with watch:
            result = function(*_copies(tensors))
        expected = tuple(t.detach().resolve_conj().resolve_neg().clone() for t in result)
    except Exception:
        return None
    comparable = [t for t in expected if t.layout == torch.strided and not t.is_nested and not t.is_quantized]
    if not expected or len(comparable) < len(expected) or sum(t.numel() for t in expected) > LARGEST:
        return None
    varies = watch.met or name.split(".")[0].startswith(_UNINITIALISED)
    return Call(function, tensors, expected, varies, _open_axis(name, sample))


def _open_axis(name: str, sample: Any) -> int | None:
    place = _OPEN_INDICES.get(name)
    if place is None or sample.kwargs.get("stable") or sample.input.dim() == 0:
        return None
    given = sample.kwargs.get("dim", sample.args[place] if len(sample.args) > place else -1)
    return int(given) if isinstance(given, int) and not isinstance(given, bool) else None


class _Randomness(TorchDispatchMode):
    """Notices operators that draw random numbers."""

    met = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.met = self.met or torch.Tag.nondeterministic_seeded in func.tags
        return func(*args, **(kwargs or {}))


def _copies(tensors: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Copy tensors with their strides, so that an operator that writes into its input changes no sample."""
    return tuple(_copy(tensor) for tensor in tensors)


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_contiguous() or tensor.is_conj() or tensor.is_neg():
        return tensor.clone()
    if 0 in tensor.stride() or tensor.numel() == 0:
        return tensor.clone()
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype).copy_(tensor)
