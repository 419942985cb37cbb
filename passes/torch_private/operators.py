# SPDX-License-Identifier: Apache-2.0
"""Operators, their decompositions, and the pytrees that they take."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from lading.passes.torch_private.names import find
from lading.passes.torch_private.scripts import script_type_name


def pytree_node(kind: type) -> Any:
    """Return PyTorch's registration of a container class, or None."""
    return find("torch.utils._pytree", "SUPPORTED_NODES").get(kind)


def pytree_flat(value: Any) -> tuple[list[Any], Any]:
    """Return the leaves of a nested value by PyTorch's own rules, and its structure."""
    leaves, structure = find("torch.utils._pytree", "tree_flatten")(value)
    return leaves, structure


def pytree_whole(leaves: Sequence[Any], structure: Any) -> Any:
    """Return the nested value of leaves in a structure."""
    return find("torch.utils._pytree", "tree_unflatten")(list(leaves), structure)


def decomposition_of(overload: Any) -> Callable[..., Any] | None:
    """Return PyTorch's definition of an operator in terms of others, or None where it has none."""
    table: dict[Any, Callable[..., Any]] = find("torch._decomp", "decomposition_table")
    definition = table.get(overload)
    if definition is None and overload._can_decompose():
        definition = overload.decompose
    return definition


def is_operator(function: Any) -> bool:
    """Whether a function is an operator of `torch.ops`."""
    return isinstance(function, (torch._ops.OpOverload, torch._ops.OpOverloadPacket))


def only_overload(operator: Any) -> Any:
    """Return the overload that an operator is or has, None where it has several."""
    if isinstance(operator, torch._ops.OpOverload):
        return operator
    names = operator.overloads()
    return getattr(operator, names[0]) if len(names) == 1 else None


def operator_name(operator: Any) -> str:
    """Return an operator's name with its namespace and without an overload: ``aten::add``."""
    if isinstance(operator, torch._ops.OpOverload):
        return str(operator._schema.name)
    return str(operator._qualified_op_name)


def class_name(value: Any) -> str:
    """Return the name of the class that an object of a custom class of TorchScript has, "" for any other object."""
    if not isinstance(value, torch._C.ScriptObject):
        return ""
    kind: Any = value._type()
    return str(kind.name())


def is_of_custom_class(handle: Any) -> bool:
    """Whether a TorchScript object is of a class that C++ defines, such as packed parameters."""
    return script_type_name(handle).startswith("__torch__.torch.classes.")


def quantized_decomposed() -> Any:
    """Return the namespace of the operators that quantize to ordinary integers; loading them registers them."""
    importlib.import_module("torch.ao.quantization.fx._decomposed")
    return torch.ops.quantized_decomposed


def observed_fake_quantization() -> Any:
    """Return the operator that quantizes by the range that it sees."""
    return torch.ops.aten._fused_moving_avg_obs_fq_helper_functional.default


def is_composite(overload: Any) -> bool:
    """Whether PyTorch runs the parts of an operator in its place, so that no dispatch mode sees it."""
    return torch._C._dispatch_has_kernel_for_dispatch_key(overload.name(), "CompositeImplicitAutograd")


def composite_of(overload: Any) -> Callable[..., Any]:
    """Return what PyTorch runs for a composite operator, in the form that tables of decompositions take."""
    found: Callable[..., Any] = find("torch._export.utils", "_get_decomp_for_cia")(overload)
    return found


_defined: dict[str, tuple[Any, dict[str, str]]] = {}


def define_operator(namespace: str, name: str, signature: str) -> Any:
    """Return an operator of a name and a signature, `(Tensor x) -> Tensor`; each further signature is an overload."""
    library, known = _defined.setdefault(namespace, (torch.library.Library(namespace, "FRAGMENT"), {}))
    overload = known.get(name + signature)
    if overload is None:
        overload = known[name + signature] = f"of_{sum(other.startswith(f'{name}(') for other in known) + 1}"
        library.define(f"{name}.{overload}{signature}")
    return getattr(getattr(getattr(torch.ops, namespace), name), overload)
