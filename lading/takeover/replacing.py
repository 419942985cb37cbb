# SPDX-License-Identifier: Apache-2.0
"""PyTorch's export functions, taken over where they stand.

Not the name `torch.onnx.export` is given another value, but the function gets another body. So it is the same object to
everybody who holds it (a module that has imported it by name, a default argument, a wrapper around it, the attribute of
a class), and to put it back is to give it its own body again.
"""

from __future__ import annotations

import gc
import inspect
import sys
import types
from collections.abc import Callable
from typing import Any

from ..pipeline.errors import UsageError

TORCH_ONNX_EXPORT = "torch.onnx.export"
TORCH_ONNX_UTILS_EXPORT = "torch.onnx.utils.export"


def _body_of_torch_onnx_export(*args: Any, **kwargs: Any) -> Any:
    # Runs with the globals of torch.onnx, and so brings what it needs.
    from lading.takeover.active import called

    return called("torch.onnx.export", args, kwargs)


def _body_of_utils_export(*args: Any, **kwargs: Any) -> Any:
    from lading.takeover.active import called

    return called("torch.onnx.utils.export", args, kwargs)


class Taken:
    """One function with another body, and what it was before.

    Args:
        function: the function, which stays the object that it is.
        body: the function whose body it gets; it takes whatever arguments there are.

    `inspect.signature` goes on showing the signature of the function's own.
    """

    def __init__(self, function: types.FunctionType, body: Any) -> None:
        self.function = function
        self._code = function.__code__
        self._signature = function.__dict__.get("__signature__")
        own: Any = types.FunctionType(
            function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__
        )
        own.__kwdefaults__ = function.__kwdefaults__
        self.own: Callable[..., Any] = own
        changed: Any = function
        changed.__signature__ = inspect.signature(function)
        changed.__code__ = body.__code__

    def put_back(self) -> None:
        """Give the function its own body again."""
        function: Any = self.function
        function.__code__ = self._code
        if self._signature is None:
            function.__dict__.pop("__signature__", None)
        else:
            function.__signature__ = self._signature


def take() -> dict[str, Taken]:
    """Take both export functions of the imported `torch.onnx` over; what calls them from now on calls lading.

    Raises:
        UsageError: somebody has replaced one of them, and PyTorch's own is nowhere in this process.
    """
    package = sys.modules["torch.onnx"]
    functions = {
        TORCH_ONNX_EXPORT: (_own_function(TORCH_ONNX_EXPORT, package), _body_of_torch_onnx_export),
        TORCH_ONNX_UTILS_EXPORT: (_own_function(TORCH_ONNX_UTILS_EXPORT, package.utils), _body_of_utils_export),
    }
    return {name: Taken(function, body) for name, (function, body) in functions.items()}


def _own_function(name: str, module: types.ModuleType) -> types.FunctionType:
    """Return PyTorch's function of a name, also where a library has put a wrapper in its place."""
    current: Any = vars(module)["export"]
    if _is_own(current, name):
        return current  # type: ignore[no-any-return]
    for candidate in gc.get_objects():
        if _is_own(candidate, name):
            return candidate  # type: ignore[no-any-return]
    raise UsageError(
        f"{name} has been replaced by {getattr(current, '__module__', '?')}.{getattr(current, '__qualname__', current)}"
        ", and PyTorch's own is nowhere in this process",
        hint="take exports over before it is replaced",
    )


def _is_own(candidate: Any, name: str) -> bool:
    # Not isinstance, which asks objects that answer with a warning or an import.
    if type(candidate) is not types.FunctionType or candidate.__code__.co_name != "export":
        return False
    # What functools.wraps copies does not tell: the globals do.
    home = str(candidate.__globals__.get("__name__"))
    return home == "torch.onnx" if name == TORCH_ONNX_EXPORT else home.startswith("torch.onnx.")
