# SPDX-License-Identifier: Apache-2.0
"""Keeps operators whole that PyTorch would take apart before a recorder can see them.

`linear`, `matmul`, attention, recurrent layers and the like are composites: C++ code that calls other operators, and on
the way reads sizes as plain numbers. Taken apart they bake sizes into the graph, and they blow it up. A torch-function
mode sees the calls of the user's Python before that happens; those that `rules` knows are written down as the one
ATen operator they are, with a shape rule of lading's own, and everything else goes its ordinary way.
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.custom_operators import kept
from lading.passes.trace.quantized.calls import MAKERS
from lading.passes.trace.quantized.tensors import QuantizedTensor
from lading.passes.trace.recorder import Recorder
from torch.overrides import TorchFunctionMode

NOT_KEPT = object()
"""What a rule returns to let the call go its ordinary way."""

Rule = Callable[..., Any]


class _Below(dict[str, Any]):
    """A module's globals with the checks for torch-function answering no, everything else read from the module."""

    def __init__(self, real: dict[str, Any]) -> None:
        super().__init__(
            has_torch_function=_no,
            has_torch_function_unary=_no,
            has_torch_function_variadic=_no,
            __builtins__=real["__builtins__"],
            __name__=real["__name__"],
        )
        self._real = real

    def __missing__(self, key: str) -> Any:
        return self._real[key]


def _no(*_: Any) -> bool:
    return False


class Composites(TorchFunctionMode):
    """The mode that keeps composites whole while a recorder is active."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        from lading.passes.trace.rules import RULES

        self._recorder = recorder
        recorder.quantization.mode = self
        self._rules = RULES
        self._below: dict[int, _Below] = {}
        self._opened: dict[FunctionType, FunctionType] = {}
        self._running: set[FunctionType] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Write a kept composite down, or run the function with this mode still on inside it."""
        kwargs = kwargs or {}
        if self._is_quantized(func, types, args):
            return self._recorder.quantization.call(func, args, kwargs)
        rule = self._rules.get(func)
        if rule is not None and not torch_private.takes_composites_apart():
            result = rule(self._recorder, *args, **kwargs)
            if result is not NOT_KEPT:
                return result
        if rule is None and torch_private.is_operator(func):
            whole = kept(self._recorder, func, args, kwargs)
            if whole is not None:
                return whole[0]
        if type(func) is FunctionType and func not in self._running:
            return self._run_open(func, args, kwargs)
        return func(*args, **kwargs)

    def _is_quantized(self, func: Any, types: Any, args: tuple[Any, ...]) -> bool:
        if func in MAKERS or QuantizedTensor in types:
            return True
        # What the model holds outside of packed parameters; it answers for its own attributes.
        if any(type(item) is torch.Tensor and item.is_quantized for item in args):
            return getattr(func, "__name__", "") != "__get__"
        return torch_private.is_operator(func) and torch_private.operator_name(func).startswith("quantized::")

    def _run_open(self, func: FunctionType, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run a function of torch's Python library so that the composites that it calls are seen too.

        Such a function first asks whether a mode wants it, and this mode is off while it answers. So a twin of the
        function is run, the same code with that question answered no, with this mode on.
        """
        opened = self._opened.get(func)
        if opened is None:
            opened = self._opened[func] = self._open(func)
        self._running.add(func)
        try:
            with self:
                return opened(*args, **kwargs)
        finally:
            self._running.discard(func)

    def _open(self, func: FunctionType) -> FunctionType:
        below = self._below.get(id(func.__globals__))
        if below is None:
            below = self._below[id(func.__globals__)] = _Below(func.__globals__)
        opened = FunctionType(func.__code__, below, func.__name__, func.__defaults__, func.__closure__)
        opened.__kwdefaults__ = func.__kwdefaults__
        return opened
