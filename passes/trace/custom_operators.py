# SPDX-License-Identifier: Apache-2.0
"""Operators of the user's that stay whole: of `torch.library`, and autograd Functions with a lowering of their own.

An operator of `torch.library` reaches the recorder by itself, unless it is a composite (PyTorch then runs its parts) or
writes into its arguments (functionalization then refuses it). A composite stays whole where a lowering is registered
for it. An operator that writes is recorded as one that does not: after its own results it returns the new value of each
argument that it writes, in schema order.

An autograd Function is what its `forward` does. Where a lowering is registered for `autograd::<name of the class>`, or
the class has a static `symbolic` as `torch.onnx` knows it, it is recorded as one operator of that name, with the
arguments of `forward` (without the context) as its schema.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any

import torch
from lading.passes import torch_private
from lading.passes.trace.recorder import Recorder
from lading.pipeline.errors import CaptureError, UsageError

NAMESPACE = "autograd"
NEWEST_OPSET = 1 << 16
"""Above every opset: whether anything is registered at all."""

_kept: dict[str, type] = {}
"""The autograd Functions that captures have kept whole, by the name of their operator."""

_NOT_THE_USERS = frozenset({"aten", "prim", "prims"})
_SYMBOLIC = {torch.SymInt: "SymInt", torch.SymFloat: "float", torch.SymBool: "bool"}


# ---- torch.library ---------------------------------------------------------------------------------------------------


def kept(rec: Recorder, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any] | None:
    """Write a call of an operator down whole if it is to stay so; return its result in a tuple, None if it is not."""
    overload = torch_private.only_overload(func)
    if overload is None or overload.namespace in _NOT_THE_USERS:
        return None
    if overload._schema.is_mutable:
        return (_keep_writing(rec, overload, _in_order(overload, args, kwargs)),)
    if torch_private.is_composite(overload) and _has_lowering(overload.name()):
        given = _in_order(overload, args, kwargs)
        return (rec.keep_run(overload, given, lambda: overload(*args, **kwargs)),)
    return None


def _has_lowering(name: str) -> bool:
    from lading.passes.lower.registry import has_lowering

    qualified, _, overload = name.partition(".")
    return has_lowering(qualified, overload) or qualified in torch_private.registered_symbolics(NEWEST_OPSET)


def _in_order(overload: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    given = list(args)
    for argument in overload._schema.arguments[len(args) :]:
        given.append(kwargs.get(argument.name, argument.default_value))
    return given


def _keep_writing(rec: Recorder, overload: Any, args: list[Any]) -> Any:
    written = [
        value
        for argument, value in zip(overload._schema.arguments, args, strict=True)
        if argument.alias_info is not None and argument.alias_info.is_write and isinstance(value, torch.Tensor)
    ]
    results = rec.fake_results(overload, args)
    own = [(result.shape, result.dtype) for result in results]
    made = rec.keep(overload, args, *own, *((tensor.shape, tensor.dtype) for tensor in written))
    values = made if isinstance(made, tuple) else (made,)
    for tensor, value in zip(written, values[len(own) :], strict=True):
        tensor.copy_(value)
    if not own:
        return None
    return values[0] if len(own) == 1 else values[: len(own)]


# ---- autograd.Function -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def kept_functions(rec: Recorder) -> Iterator[None]:
    """Keep autograd Functions whole that a lowering or a `symbolic` is there for, as long as the context is open."""
    from lading.passes.lower.registry import LOWERINGS
    from lading.passes.lower.symbolics import has_symbolic, remember_function

    names = {name.partition(".")[0] for name in LOWERINGS.in_namespace(NAMESPACE)}
    ordinary = torch.autograd.Function.__dict__["apply"]
    met: dict[str, type] = {}

    def apply(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if cls.__name__ not in names and not has_symbolic(cls):
            return ordinary.__get__(None, cls)(*args, **kwargs)
        if met.setdefault(cls.__name__, cls) is not cls:
            raise UsageError(
                f"two autograd Functions are named {cls.__name__}, and are to stay whole under that name",
                where=rec.places.line() or None,
                hint="give one of the classes another name",
            )
        _kept[cls.__name__] = cls
        if has_symbolic(cls):
            remember_function(cls)
        return _keep_function(rec, cls, args, lambda: ordinary.__get__(None, cls)(*args, **kwargs))

    torch.autograd.Function.apply = classmethod(apply)  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        torch.autograd.Function.apply = ordinary  # type: ignore[method-assign]


def kept_function(name: str) -> Any:
    """Return the autograd Function that was last kept whole under a name; None where none was."""
    return _kept.get(name)


def _keep_function(rec: Recorder, function: Any, args: tuple[Any, ...], run: Any) -> Any:
    with rec.quiet():
        results = run()
    flat = list(results) if isinstance(results, (tuple, list)) else [results]
    if not all(isinstance(result, torch.Tensor) for result in flat):
        raise CaptureError(
            f"{function.__name__}.forward returns something that is no tensor, and so cannot be kept as one operator",
            where=rec.places.line() or None,
            hint=f'take its lowering out: lading.unregister_lowering("{NAMESPACE}::{function.__name__}")',
        )
    parameters = ", ".join(
        f"{_schema_type(rec, function, name, value)} {name}"
        for name, value in zip(_parameter_names(function, len(args)), args, strict=True)
    )
    returns = ", ".join(["Tensor"] * len(flat))
    overload = torch_private.define_operator(NAMESPACE, function.__name__, f"({parameters}) -> ({returns})")
    made = rec.keep(overload, args, *((result.shape, result.dtype) for result in flat))
    return made if isinstance(results, torch.Tensor) else made if isinstance(made, tuple) else (made,)


def _parameter_names(function: Any, count: int) -> list[str]:
    """Return the names of the arguments of `forward`, without the context where it takes one."""
    takes_context = function.setup_context is torch.autograd.Function.setup_context
    names: list[str] = []
    for parameter in list(inspect.signature(function.forward).parameters.values())[int(takes_context) :]:
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}_{index}" for index in range(count - len(names))]
        else:
            names.append(parameter.name)
    return names[:count]


def _schema_type(rec: Recorder, function: Any, name: str, value: Any) -> str:
    if value is None or isinstance(value, torch.Tensor):
        return "Tensor?"
    if type(value) in _SYMBOLIC:
        return _SYMBOLIC[type(value)]
    for kind, spelling in (
        (bool, "bool"),
        (int, "SymInt"),
        (float, "float"),
        (str, "str"),
        (torch.dtype, "ScalarType"),
    ):
        if isinstance(value, kind):
            return spelling
    if isinstance(value, (list, tuple)) and value:
        member = _schema_type(rec, function, name, value[0])
        if "[" not in member:
            return f"{member}[]"
    raise CaptureError(
        f"{function.__name__} cannot be kept as one operator: its argument '{name}' is a {type(value).__name__}",
        where=rec.places.line() or None,
        hint="pass tensors, numbers, strings, dtypes or lists of those",
    )
