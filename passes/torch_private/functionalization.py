# SPDX-License-Identifier: Apache-2.0
"""Functional tensors, and the modes that are beneath them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import torch
from lading.passes.torch_private.names import find

shape_as_tensor: Callable[[torch.Tensor], torch.Tensor] = torch._shape_as_tensor
reshape_from_tensor: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = torch._reshape_from_tensor


is_functional: Callable[[torch.Tensor], bool] = torch._is_functional_tensor
wrap_functional: Callable[[torch.Tensor], torch.Tensor] = torch._to_functional_tensor

_sync: Callable[[torch.Tensor], None] = find("torch", "_sync")
_inner: Callable[[torch.Tensor], torch.Tensor] = find("torch", "_from_functional_tensor")
_is_alias: Callable[[torch.Tensor, torch.Tensor], bool] = find("torch._C", "_is_alias_of")

_no_python_dispatcher: Any = find("torch._C", "_DisablePythonDispatcher")

_BENEATH = (
    torch._C.DispatchKeySet(torch._C.DispatchKey.Functionalize)
    | torch._C.DispatchKeySet(torch._C.DispatchKey.Python)
    | torch._C.DispatchKeySet(torch._C.DispatchKey.PythonTLSSnapshot)
)


def _in_kernel(fake: Any) -> Any:
    return find("torch._subclasses.fake_tensor", "in_kernel_invocation_manager")(fake)


def unwrap_functional(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor inside a functional wrapper, with every pending in-place write applied to it."""
    _sync(tensor)
    return _inner(tensor)


def share_memory(left: torch.Tensor, right: torch.Tensor) -> bool:
    """Whether two tensors are views of one, functional ones by the tensor that they stand for."""
    return left is right or _is_alias(left, right)


def replace_functional(tensor: torch.Tensor, inner: torch.Tensor) -> None:
    """Let a functional tensor hold another one, and let its base and its views know."""
    torch._functionalize_replace(tensor, inner)
    torch._functionalize_commit_update(tensor)


def beneath_modes() -> Any:
    """Return a context in which operators reach neither functionalization nor a dispatch mode."""
    return torch._C._ExcludeDispatchKeyGuard(_BENEATH)


def meta_tensor(fake: Any, size: Any, stride: Any, offset: Any, dtype: torch.dtype, base: Any = None) -> torch.Tensor:
    """Return a tensor of the device "meta" with given sizes, in the memory of a fake tensor or in new memory.

    Nothing is asked about the sizes: they come from a tensor that exists.
    """
    with beneath_modes(), _no_python_dispatcher():
        if base is None:
            return torch.empty(0, dtype=dtype, device="meta").as_strided(size, stride, offset)
        with _in_kernel(fake):
            return torch.as_strided(base, size, stride, offset)


def outside_of_modes() -> Any:
    """Return a context in which no dispatch mode is active, such as the one of somebody's fake tensors."""
    return find("torch.utils._python_dispatch", "_disable_current_modes")()


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """Let neither a dispatch mode nor a torch-function mode see what runs while the context is open."""
    with torch._C.DisableTorchFunction(), beneath_modes():
        yield


@contextlib.contextmanager
def functionalized() -> Iterator[None]:
    """Turn in-place writes and views of functional tensors into pure operators while the context is open."""
    torch._enable_functionalization(reapply_views=True)
    try:
        yield
    finally:
        torch._disable_functionalization()


@contextlib.contextmanager
def symbolic_kernels() -> Iterator[None]:
    """Let operators with kernels for plain numbers only take PyTorch's Python ones, as long as the context is open.

    Nor is the implementation of a convolution selected for tensors without data: the selection is a matter of speed,
    and compares batch and length with numbers.
    """
    library: Any = torch._C
    select = library._select_conv_backend
    library._select_conv_backend = _any_convolution
    try:
        with find("torch._dispatch.python", "enable_python_dispatcher")():
            yield
    finally:
        library._select_conv_backend = select


def _any_convolution(*_: Any, **__: Any) -> Any:
    return find("torch._C", "_ConvBackend.Empty")


def convolved_sizes(data: Any, weight: Any, steps: Any, padding: Any, dilation: Any, groups: int) -> list[Any]:
    """Return the sizes of a convolution's result, with what PyTorch checks of its input."""
    sizes: list[Any] = find("torch._meta_registrations", "calc_conv_nd_return_shape")(
        data, weight, steps, padding, dilation, False, groups
    )
    return sizes


def takes_composites_apart() -> bool:
    """Whether a `torch.func` transform (vmap, grad, ...) or autocast is to see the parts of composites right now."""
    return torch._C._functorch.peek_interpreter_stack() is not None or torch._C._is_any_autocast_enabled()
