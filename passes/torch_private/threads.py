# SPDX-License-Identifier: Apache-2.0
"""How many threads the calling thread's own work with tensors is spread over.

PyTorch spreads an operator on more than 32768 elements over all processors, where threads that have nothing to do yet
wait by asking again and again. An export copies and samples thousands of tensors of that size, and waiting takes far
more processor time than the work. `torch.set_num_threads` would change the number for other threads too.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Callable, Iterator

import torch


class _Before(threading.local):
    """The numbers of threads that the caller of an export had."""

    numbers: _Numbers | None = None


class _Numbers:
    """The number of threads of OpenMP, and the one that MKL was told beside it (0 for none), of the calling thread."""

    def __init__(self, of_openmp: int, of_mkl: int) -> None:
        self.of_openmp = of_openmp
        self.of_mkl = of_mkl


_before = _Before()
_ONE = _Numbers(1, 1)


@functools.cache
def _library() -> ctypes.CDLL | None:
    """Return what PyTorch is linked with; None where it works with other threads than OpenMP's, or hides them."""
    try:
        library = ctypes.CDLL(torch._C.__file__)
        library.omp_get_max_threads, library.omp_set_num_threads  # noqa: B018 - whether they are there
    except (AttributeError, OSError, TypeError):
        return None
    return library


def _set(numbers: _Numbers) -> _Numbers:
    """Set the numbers of the calling thread, and return what they were."""
    library = _library()
    assert library is not None
    of_mkl: Callable[[int], int] = getattr(library, "MKL_Set_Num_Threads_Local", lambda _: 0)
    was = _Numbers(library.omp_get_max_threads(), of_mkl(numbers.of_mkl))
    library.omp_set_num_threads(numbers.of_openmp)
    return was


@contextlib.contextmanager
def _having(numbers: _Numbers) -> Iterator[_Numbers]:
    was = _set(numbers)
    try:
        yield was
    finally:
        left = _set(was)
        if left.of_openmp != numbers.of_openmp:
            _set(left)  # A model has called `torch.set_num_threads`, which is to hold.


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let the calling thread work with tensors alone while the context is open; other threads are not concerned."""
    torch.get_num_threads()  # PyTorch sets the number when a thread first asks for it
    if _library() is None or _before.numbers is not None:
        yield
        return
    with _having(_ONE) as was:
        _before.numbers = was
        try:
            yield
        finally:
            _before.numbers = None


@contextlib.contextmanager
def threads_of_the_caller() -> Iterator[None]:
    """Inside of `one_thread`, let what the context encloses use as many threads as there were before."""
    if _before.numbers is None:
        yield
        return
    with _having(_before.numbers):
        yield
