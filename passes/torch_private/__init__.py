# SPDX-License-Identifier: Apache-2.0
"""Every private name of PyTorch that capture leans on, in one place.

PyTorch has no public interface for fake tensors, functionalization or symbolic shapes, so capture uses what
`torch.export` itself is built from. Nothing else in lading touches these names: when a release of PyTorch moves one,
:func:`missing` names it, and this module is where it is put right.
"""

from __future__ import annotations

from typing import Any

from lading.passes.torch_private.announcing import (
    announced_export,
    announced_onnx_export,
    answered_causality,
    unasked_masks,
    unchecked_packed_states,
)
from lading.passes.torch_private.compiled import forget_compilations, uncompiled
from lading.passes.torch_private.dynamo import UntracedMode, compiler_unneeded
from lading.passes.torch_private.functionalization import (
    beneath_modes,
    convolved_sizes,
    functionalized,
    is_functional,
    meta_tensor,
    outside_of_modes,
    replace_functional,
    reshape_from_tensor,
    shape_as_tensor,
    share_memory,
    symbolic_kernels,
    takes_composites_apart,
    unseen,
    unwrap_functional,
    wrap_functional,
)
from lading.passes.torch_private.higher_order import higher_order_calls_by
from lading.passes.torch_private.names import _LOADED_LATE, SYMBOLS, find, missing
from lading.passes.torch_private.operators import (
    class_name,
    composite_of,
    decomposition_of,
    define_operator,
    is_composite,
    is_of_custom_class,
    is_operator,
    observed_fake_quantization,
    only_overload,
    operator_name,
    pytree_flat,
    pytree_node,
    pytree_whole,
    quantized_decomposed,
)
from lading.passes.torch_private.programs import (
    dim_names,
    guard_code,
    range_limits,
    required,
    shape_env_of,
    sizes_by_source,
    sizes_undecided,
    unbacked_integer,
)
from lading.passes.torch_private.scripts import (
    has_script_method,
    is_script_object,
    script_calls_by,
    script_class_method,
    script_function_graph,
    script_method,
    script_type_name,
)
from lading.passes.torch_private.symbolics import SymbolicGraph, registered_symbolics
from lading.passes.torch_private.threads import one_thread, threads_of_the_caller

__all__ = [
    "SYMBOLS",
    "SymbolicGraph",
    "UntracedMode",
    "announced_export",
    "announced_onnx_export",
    "answered_causality",
    "beneath_modes",
    "class_name",
    "compiler_unneeded",
    "composite_of",
    "convolved_sizes",
    "decomposition_of",
    "define_operator",
    "dim_names",
    "find",
    "forget_compilations",
    "functionalized",
    "guard_code",
    "has_script_method",
    "higher_order_calls_by",
    "is_composite",
    "is_functional",
    "is_of_custom_class",
    "is_operator",
    "is_script_object",
    "meta_tensor",
    "missing",
    "observed_fake_quantization",
    "one_thread",
    "only_overload",
    "operator_name",
    "outside_of_modes",
    "pytree_flat",
    "pytree_node",
    "pytree_whole",
    "quantized_decomposed",
    "range_limits",
    "registered_symbolics",
    "replace_functional",
    "required",
    "reshape_from_tensor",
    "script_calls_by",
    "script_class_method",
    "script_function_graph",
    "script_method",
    "script_type_name",
    "shape_as_tensor",
    "shape_env_of",
    "share_memory",
    "sizes_by_source",
    "sizes_undecided",
    "symbolic_kernels",
    "takes_composites_apart",
    "threads_of_the_caller",
    "unasked_masks",
    "unbacked_integer",
    "unchecked_packed_states",
    "uncompiled",
    "unseen",
    "unwrap_functional",
    "wrap_functional",
]


def __getattr__(name: str) -> Any:
    """Give the private classes that capture works with, imported when first asked for: they take a second to load."""
    try:
        module, dotted = _LOADED_LATE[name]
    except KeyError:
        raise AttributeError(f"module {__name__} has no attribute {name}") from None
    found = globals()[name] = find(module, dotted)
    return found
