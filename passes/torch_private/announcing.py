# SPDX-License-Identifier: Apache-2.0
"""What libraries ask about an export, and what the kernels of layers ask about masks and states."""

from __future__ import annotations

import contextlib
import functools
import importlib
from collections.abc import Callable, Container, Iterator
from typing import Any

import torch
from lading.passes.torch_private.names import find


def _truth() -> bool:
    return True


@contextlib.contextmanager
def announced_export(answers: Container[str] = ("onnx-export", "compiling", "exporting")) -> Iterator[None]:
    """Let the questions of libraries whether an export is under way be answered with yes for a while.

    Args:
        answers: which of them: "onnx-export" is `torch.onnx.is_in_onnx_export`, "compiling" and "exporting" are
            `torch.compiler.is_compiling` and `is_exporting`, "tracing" is `torch.jit.is_tracing`.
    """
    before = torch.compiler._is_compiling_flag, torch.compiler._is_exporting_flag
    jit: Any = torch.jit
    is_tracing = jit.is_tracing
    torch.compiler._is_compiling_flag |= "compiling" in answers
    torch.compiler._is_exporting_flag |= "exporting" in answers
    if "tracing" in answers:
        jit.is_tracing = _truth
    try:
        with announced_onnx_export() if "onnx-export" in answers else contextlib.nullcontext():
            yield
    finally:
        torch.compiler._is_compiling_flag, torch.compiler._is_exporting_flag = before
        jit.is_tracing = is_tracing


@contextlib.contextmanager
def announced_onnx_export() -> Iterator[None]:
    """Let `torch.onnx.is_in_onnx_export` answer yes for a while."""
    exporting: Any = importlib.import_module("torch.onnx._internal.exporter._flags")
    onnx_globals = find("torch.onnx._internal.torchscript_exporter._globals", "GLOBALS")
    before = exporting._is_onnx_exporting, onnx_globals.in_onnx_export
    exporting._is_onnx_exporting = True
    onnx_globals.in_onnx_export = True
    try:
        yield
    finally:
        exporting._is_onnx_exporting, onnx_globals.in_onnx_export = before


def _given_causality(mask: Any, is_causal: bool | None = None, size: Any = None) -> bool:
    return is_causal is True


@contextlib.contextmanager
def unasked_masks() -> Iterator[None]:
    """Keep `torch.nn.Transformer` from comparing the values of a mask with those of a causal one.

    It does so for a hint to faster kernels only: the mask is applied either way.
    """
    module: Any = importlib.import_module("torch.nn.modules.transformer")
    before = module._detect_is_causal_mask
    module._detect_is_causal_mask = _given_causality
    try:
        yield
    finally:
        module._detect_is_causal_mask = before


@contextlib.contextmanager
def answered_causality() -> Iterator[None]:
    """Let attention be called with `is_causal=length > 1`: its parser takes plain bools only, so the question is put.

    A mode for torch functions sees a call after the parser has.
    """
    functional: Any = torch.nn.functional
    attention = functional.scaled_dot_product_attention

    @functools.wraps(attention)
    def answered(*args: Any, **kwargs: Any) -> Any:
        if isinstance(kwargs.get("is_causal"), torch.SymBool):
            kwargs["is_causal"] = bool(kwargs["is_causal"])
        return attention(*args, **kwargs)

    functional.scaled_dot_product_attention = answered
    try:
        yield
    finally:
        functional.scaled_dot_product_attention = attention


@contextlib.contextmanager
def unchecked_packed_states() -> Iterator[None]:
    """Keep recurrent layers from reading the number of packed sequences from memory, to check a state's size by it."""
    kept = {kind: kind.__dict__["check_forward_args"] for kind in (torch.nn.RNNBase, torch.nn.LSTM)}

    def unless_packed(check: Callable[..., None]) -> Callable[..., None]:
        def checked(layer: Any, input: Any, hidden: Any, batch_sizes: Any) -> None:
            if batch_sizes is None:
                check(layer, input, hidden, batch_sizes)
            else:
                layer.check_input(input, batch_sizes)

        return checked

    for kind, check in kept.items():
        kind.check_forward_args = unless_packed(check)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for kind, check in kept.items():
            kind.check_forward_args = check  # type: ignore[method-assign]
