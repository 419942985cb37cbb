# SPDX-License-Identifier: Apache-2.0
"""Every private name of PyTorch that capture leans on, in one place.

PyTorch has no public interface for fake tensors, functionalization or symbolic shapes, so capture uses what
`torch.export` itself is built from. Nothing else in lading touches these names: when a release of PyTorch moves one,
:func:`missing` names it, and this module is where it is put right.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import sys
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Any

import torch

SYMBOLS: tuple[tuple[str, str], ...] = (
    ("torch", "_C.DisableTorchFunction"),
    ("torch", "_disable_functionalization"),
    ("torch", "_enable_functionalization"),
    ("torch", "_from_functional_tensor"),
    ("torch", "_is_functional_tensor"),
    ("torch", "_functionalize_commit_update"),
    ("torch", "_functionalize_replace"),
    ("torch", "_reshape_from_tensor"),
    ("torch", "_shape_as_tensor"),
    ("torch", "_sync"),
    ("torch", "_to_functional_tensor"),
    ("torch._C", "DispatchKey.Functionalize"),
    ("torch._C", "DispatchKeySet"),
    ("torch._C", "_ExcludeDispatchKeyGuard"),
    ("torch._C", "_VariableFunctions.lstm"),
    ("torch._C", "ScriptMethod.owner"),
    ("torch._C", "ScriptModule"),
    ("torch._C", "ScriptObject"),
    ("torch._C", "_ConvBackend.Empty"),
    ("torch._C", "_is_any_autocast_enabled"),
    ("torch._C", "_functorch.peek_interpreter_stack"),
    ("torch._C", "_is_alias_of"),
    ("torch._C", "_nn.linear"),
    ("torch._C", "_select_conv_backend"),
    ("torch._decomp", "decomposition_table"),
    ("torch._ops", "HigherOrderOperator"),
    ("torch._ops", "OpOverload"),
    ("torch._ops", "OpOverloadPacket"),
    ("torch._C", "_dispatch_has_kernel_for_dispatch_key"),
    ("torch._dispatch.python", "enable_python_dispatcher"),
    ("torch._dynamo.eval_frame", "OptimizedModule"),
    ("torch._dynamo.source", "ConstantSource"),
    ("torch._export.utils", "_get_decomp_for_cia"),
    ("torch._higher_order_ops.cond", "cond_op"),
    ("torch._higher_order_ops.map", "map_impl"),
    ("torch._higher_order_ops.scan", "scan_op"),
    ("torch._higher_order_ops.utils", "_hop_compile_and_call"),
    ("torch._higher_order_ops.while_loop", "while_loop_op"),
    ("torch._subclasses.fake_tensor", "DataDependentOutputException"),
    ("torch._subclasses.fake_tensor", "DynamicOutputShapeException"),
    ("torch._subclasses.fake_tensor", "FakeTensor"),
    ("torch._subclasses.fake_tensor", "FakeTensorMode"),
    ("torch._subclasses.fake_tensor", "FakeTensorMode.dispatch"),
    ("torch.compiler", "_is_compiling_flag"),
    ("torch.compiler", "_is_exporting_flag"),
    ("torch.fx.experimental._config", "backed_size_oblivious"),
    ("torch.fx.experimental.symbolic_shapes", "DimDynamic.DYNAMIC"),
    ("torch.fx.experimental.symbolic_shapes", "GuardOnDataDependentSymNode"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._refine_ranges"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._maybe_evaluate_static"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.get_implications"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.create_symbol"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.create_symintnode"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_expr"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.replace"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.create_unbacked_symint"),
    ("torch.fx.experimental.symbolic_shapes", "_constrain_range_for_size"),
    ("torch.jit._state", "_python_cu"),
    ("torch.nn.modules.transformer", "_detect_is_causal_mask"),
    ("torch.onnx._internal.exporter._flags", "_is_onnx_exporting"),
    ("torch.onnx._internal.torchscript_exporter._globals", "GLOBALS.export_onnx_opset_version"),
    ("torch.onnx._internal.torchscript_exporter._globals", "GLOBALS.in_onnx_export"),
    ("torch.onnx._internal.torchscript_exporter.jit_utils", "GraphContext"),
    ("torch.onnx._internal.torchscript_exporter.registration", "registry"),
    ("torch.utils._python_dispatch", "TorchDispatchMode"),
    ("torch.utils._python_dispatch", "_disable_current_modes"),
    ("torch.utils._pytree", "SUPPORTED_NODES"),
    ("torch.utils._pytree", "tree_flatten"),
    ("torch.utils._pytree", "tree_unflatten"),
    ("torch.utils._sympy.functions", "CeilToInt"),
    ("torch.utils._sympy.functions", "CleanDiv"),
    ("torch.utils._sympy.functions", "FloatPow"),
    ("torch.utils._sympy.functions", "FloatTrueDiv"),
    ("torch.utils._sympy.functions", "FloorDiv"),
    ("torch.utils._sympy.functions", "FloorToInt"),
    ("torch.utils._sympy.functions", "IntTrueDiv"),
    ("torch.utils._sympy.functions", "Max"),
    ("torch.utils._sympy.functions", "Min"),
    ("torch.utils._sympy.functions", "Mod"),
    ("torch.utils._sympy.functions", "ModularIndexing"),
    ("torch.utils._sympy.functions", "PowByNatural"),
    ("torch.utils._sympy.functions", "PythonMod"),
    ("torch.utils._sympy.functions", "RoundToInt"),
    ("torch.utils._sympy.functions", "ToFloat"),
    ("torch.utils._sympy.functions", "TruncToInt"),
    ("torch.utils._sympy.functions", "OpaqueUnaryFn_sqrt"),
    ("torch.utils._sympy.numbers", "int_oo"),
    ("torch.utils._sympy.value_ranges", "ValueRanges"),
    ("torch.utils._sympy.value_ranges", "bound_sympy"),
)
"""Module and dotted name of everything private that lading uses."""


def find(module: str, dotted: str) -> Any:
    """Return a private name of PyTorch.

    Raises:
        AttributeError, ImportError: this release of PyTorch does not have it.
    """
    found: Any = importlib.import_module(module)
    for part in dotted.split(".") if dotted else ():
        found = getattr(found, part)
    return found


def missing(symbols: Sequence[tuple[str, str]] = SYMBOLS) -> list[str]:
    """Return those private names that the installed PyTorch lacks, as `module.name`."""
    absent = []
    for module, dotted in symbols:
        try:
            find(module, dotted)
        except (AttributeError, ImportError):
            absent.append(f"{module}.{dotted}")
    return absent


_LOADED_LATE = {
    "ConstantSource": ("torch._dynamo.source", "ConstantSource"),
    "DataDependentOutputException": ("torch._subclasses.fake_tensor", "DataDependentOutputException"),
    "DimDynamic": ("torch.fx.experimental.symbolic_shapes", "DimDynamic"),
    "DynamicOutputShapeException": ("torch._subclasses.fake_tensor", "DynamicOutputShapeException"),
    "FakeTensor": ("torch._subclasses.fake_tensor", "FakeTensor"),
    "FakeTensorMode": ("torch._subclasses.fake_tensor", "FakeTensorMode"),
    "GuardOnDataDependentSymNode": ("torch.fx.experimental.symbolic_shapes", "GuardOnDataDependentSymNode"),
    "HigherOrderOperator": ("torch._ops", "HigherOrderOperator"),
    "ShapeEnv": ("torch.fx.experimental.symbolic_shapes", "ShapeEnv"),
    "ValueRanges": ("torch.utils._sympy.value_ranges", "ValueRanges"),
    "TorchDispatchMode": ("torch.utils._python_dispatch", "TorchDispatchMode"),
    "bound_sympy": ("torch.utils._sympy.value_ranges", "bound_sympy"),
    "int_oo": ("torch.utils._sympy.numbers", "int_oo"),
    "nn_functions": ("torch._C", "_nn"),
    "sympy_functions": ("torch.utils._sympy.functions", ""),
    "variable_functions": ("torch._C", "_VariableFunctions"),
}


def __getattr__(name: str) -> Any:
    """Give the private classes that capture works with, imported when first asked for: they take a second to load."""
    try:
        module, dotted = _LOADED_LATE[name]
    except KeyError:
        raise AttributeError(f"module {__name__} has no attribute {name}") from None
    found = globals()[name] = find(module, dotted)
    return found


shape_as_tensor: Callable[[torch.Tensor], torch.Tensor] = torch._shape_as_tensor
reshape_from_tensor: Callable[[torch.Tensor, torch.Tensor], torch.Tensor] = torch._reshape_from_tensor

# ---- functionalization -----------------------------------------------------------------------------------------------

is_functional: Callable[[torch.Tensor], bool] = torch._is_functional_tensor
wrap_functional: Callable[[torch.Tensor], torch.Tensor] = torch._to_functional_tensor

_sync: Callable[[torch.Tensor], None] = find("torch", "_sync")
_inner: Callable[[torch.Tensor], torch.Tensor] = find("torch", "_from_functional_tensor")
_is_alias: Callable[[torch.Tensor, torch.Tensor], bool] = find("torch._C", "_is_alias_of")

_BENEATH = (
    torch._C.DispatchKeySet(torch._C.DispatchKey.Functionalize)
    | torch._C.DispatchKeySet(torch._C.DispatchKey.Python)
    | torch._C.DispatchKeySet(torch._C.DispatchKey.PythonTLSSnapshot)
)


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


def takes_composites_apart() -> bool:
    """Whether a `torch.func` transform (vmap, grad, ...) or autocast is to see the parts of composites right now."""
    return torch._C._functorch.peek_interpreter_stack() is not None or torch._C._is_any_autocast_enabled()


# ---- flags that libraries ask for ------------------------------------------------------------------------------------


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


# ---- structure -------------------------------------------------------------------------------------------------------


def pytree_node(kind: type) -> Any:
    """Return PyTorch's registration of a container class, or None."""
    return find("torch.utils._pytree", "SUPPORTED_NODES").get(kind)


# ---- decompositions --------------------------------------------------------------------------------------------------


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


def keyword_only_names(overload: Any) -> frozenset[str]:
    """Return the names of an operator's keyword-only arguments."""
    return frozenset(argument.name for argument in overload._schema.arguments if argument.kwarg_only)


# ---- compiled models -------------------------------------------------------------------------------------------------


def uncompiled(model: Any) -> Any:
    """Return the model that `torch.compile` was given, or the model itself where it was given none."""
    if type(model).__module__.startswith("torch._dynamo") and isinstance(model, torch.nn.Module):
        return model._orig_mod
    return getattr(model, "_torchdynamo_orig_callable", model) if inspect.isroutine(model) else model


# ---- operators -------------------------------------------------------------------------------------------------------


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


# ---- exported programs -----------------------------------------------------------------------------------------------


@contextlib.contextmanager
def sizes_undecided() -> Iterator[None]:
    """Let sizes of 0 and 1 in an example of `torch.export` stand for any size, as long as the context is open."""
    config = importlib.import_module("torch.fx.experimental._config")
    with config.patch(backed_size_oblivious=True):
        yield


def dim_names(shape_env: Any) -> dict[Any, str]:
    """Return the name of the `Dim` that the user gave for each symbol of an exported program, where it is known.

    A program that was loaded from a file has forgotten them.
    """
    said: dict[str, str] = getattr(shape_env, "source_name_to_debug_name", None) or {}
    names: dict[Any, Any] = {}
    for symbol, sources in (getattr(shape_env, "var_to_sources", None) or {}).items():
        for source in sources:
            name = said.get(_source_name(source))
            if name is not None and name.isidentifier():
                names.setdefault(symbol, name)
    return names


def shape_env_of(inputs: Sequence[Any]) -> Any:
    """Return the `ShapeEnv` of a program's inputs, None where no input is a tensor."""
    for node in inputs:
        mode = getattr(node.meta.get("val"), "fake_mode", None)
        if mode is not None:
            return mode.shape_env
    return None


def guard_code(program: Any) -> list[str]:
    """Return what an exported program checks of the sizes of its inputs, as Python over `L['x'].size()[0]`."""
    return list(getattr(program, "_guards_code", None) or ())


def sizes_by_source(shape_env: Any) -> dict[str, Any]:
    """Return the expression of each size that became a symbol, by what guards call it: `L['x'].size()[0]`."""
    return {
        _source_name(source): shape_env.replace(symbol)
        for symbol, sources in (getattr(shape_env, "var_to_sources", None) or {}).items()
        for source in sources
    }


def _source_name(source: Any) -> str:
    name: str = source.name if isinstance(source.name, str) else source.name()
    return name


def range_limits(symbol: Any, bounds: Any) -> list[Any]:
    """Return the conditions that a range of an exported program puts on a symbol.

    Lower ends of up to 2 are PyTorch's own: it holds every size that is not a constant to be at least 2.
    """
    infinite = find("torch.utils._sympy.numbers", "int_oo")
    limits = []
    if bounds.lower > 2:
        limits.append(symbol >= bounds.lower)
    if bounds.upper != infinite and bounds.upper.is_finite:
        limits.append(symbol <= bounds.upper)
    return limits


# ---- symbolic integers -----------------------------------------------------------------------------------------------


def unbacked_integer(shape_env: Any, *, size: bool) -> torch.SymInt:
    """Return a symbolic integer of which nothing is known, or only that it is not negative."""
    made: torch.SymInt = shape_env.create_unbacked_symint()
    if size:
        find("torch.fx.experimental.symbolic_shapes", "_constrain_range_for_size")(made)
    return made


# ---- TorchScript -----------------------------------------------------------------------------------------------------


def is_script_object(value: Any) -> bool:
    """Whether a value is a TorchScript module or object, in C++ or in its Python clothes."""
    return isinstance(value, (torch._C.ScriptModule, torch._C.ScriptObject, torch.jit.ScriptModule))


def script_method(module: Any, name: str) -> Any:
    """Return a method of a scripted module: its graph and its schema."""
    return getattr(module, "_c", module)._get_method(name)


def has_script_method(module: Any, name: str) -> bool:
    """Whether a scripted module has a method."""
    return bool(getattr(module, "_c", module)._has_method(name))


def script_type_name(handle: Any) -> str:
    """Return the qualified name of a TorchScript object's type."""
    return str(handle._type().annotation_str)


def script_function_graph(call: Any) -> Any:
    """Return the graph of the TorchScript function that a node calls.

    A module that was loaded brings functions of its own, which nothing but their calls leads to: such a call in a graph
    of its own is inlined. That has lost the calls inside; so where this process has the very same function under the
    name, it is that one's graph.
    """
    private: Any = torch._C
    function, *arguments = call.inputs()
    alone = private.Graph()
    inside = {function.debugName(): alone.insertNode(alone.createClone(function.node(), lambda value: value)).output()}
    for index, argument in enumerate(arguments):
        # An argument that is given twice is two of the function's inputs.
        inside[index] = alone.addInput().setType(argument.type())
    order = iter([inside[function.debugName()], *(inside[index] for index in range(len(arguments)))])
    clone = alone.insertNode(alone.createClone(call, lambda value: next(order)))
    for output in clone.outputs():
        alone.registerOutput(output)
    private._jit_pass_inline(alone)
    named = find("torch.jit._state", "_python_cu").find_function(function.type().annotation_str)
    if named is None:
        return alone
    copy = named.graph.copy()
    private._jit_pass_inline(copy)
    return named.graph if _body(copy) == _body(alone) else alone


def _body(graph: Any) -> list[tuple[Any, ...]]:
    """Return what a graph does, without names of values and without what nothing uses."""
    private: Any = torch._C
    canonical = graph.copy()
    private._jit_pass_dce(canonical)
    text = private._jit_pass_canonicalize(canonical).str(False)
    return [tuple(line.split()) for line in text.splitlines() if "=" in line]


def script_class_method(class_name: str, method: str) -> Any:
    """Return the graph of a method of a TorchScript class by the qualified name of the class, or None."""
    unit = find("torch.jit._state", "_python_cu")
    function = unit.find_function(f"{class_name}.{method}")
    return None if function is None else function.graph


@contextlib.contextmanager
def script_calls_by(function: Callable[..., Any], method: Callable[..., Any]) -> Iterator[None]:
    """Let calls of TorchScript functions and methods from Python go to `function` and `method` for a while.

    Both get the called object first: for a method, `owner` and `name` say which.
    """
    kinds: tuple[Any, Any] = (torch.jit.ScriptFunction, torch._C.ScriptMethod)
    before = [kind.__call__ for kind in kinds]
    for kind, call in zip(kinds, (function, method), strict=True):
        kind.__call__ = call
    try:
        yield
    finally:
        for kind, call in zip(kinds, before, strict=True):
            kind.__call__ = call


# ---- higher-order operators ------------------------------------------------------------------------------------------

_HIGHER_ORDER = (
    ("torch._higher_order_ops.cond", "cond_op"),
    ("torch._higher_order_ops.while_loop", "while_loop_op"),
    ("torch._higher_order_ops.scan", "scan_op"),
    ("torch._higher_order_ops.map", "map_impl"),
)


@contextlib.contextmanager
def higher_order_calls_by(handlers: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Let calls of `torch.cond` and its kin go to handlers for a while, by the operator's name, uncompiled.

    A handler gets what the operator would get: functions and flat operands. The Python faces of the operators would
    compile the call in eager; meanwhile they do not.
    """

    def called(handler: Callable[..., Any]) -> Callable[..., Any]:
        return lambda operator, *args, **kwargs: handler(*args, **kwargs)

    def directly(function: Callable[..., Any], args: Sequence[Any], kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))

    places: list[tuple[Any, str, Any]] = [
        (find("torch._higher_order_ops.utils", ""), "_hop_compile_and_call", directly)
    ]
    for module, name in _HIGHER_ORDER:
        operator = find(module, name)
        places.append((type(operator), "__call__", called(handlers[operator.name()])))
    before = [(holder, name, getattr(holder, name)) for holder, name, _ in places]
    for holder, name, replacement in places:
        setattr(holder, name, replacement)
    try:
        yield
    finally:
        for holder, name, ordinary in before:
            setattr(holder, name, ordinary)


# ---- torch.compile ---------------------------------------------------------------------------------------------------


def forget_compilations() -> None:
    """Throw away what `torch.compile` made while a model ran on fake tensors and failed: eager would use it again.

    `torch.cond` and its kin compile themselves when they are called in eager.
    """
    if "torch._dynamo" in sys.modules:
        torch.compiler.reset()


# ---- symbolic functions ----------------------------------------------------------------------------------------------

_REGISTRATION = "torch.onnx._internal.torchscript_exporter.registration"
_OLDEST_REGISTERED, _NEWEST_REGISTERED = 9, 20


def registered_symbolics(opset: int) -> dict[str, Callable[..., Any]]:
    """Return the functions of `torch.onnx.register_custom_op_symbolic` for an opset, by operator; no built-in ones.

    As there, the newest that is not above the opset counts, and those for 9 serve 7 and 8 too.
    """
    if _REGISTRATION not in sys.modules:
        return {}
    registry = sys.modules[_REGISTRATION].registry
    found = {}
    for name in registry.all_functions():
        given = registry.get_function_group(name)._functions._overrides
        versions = [version for version in given if version <= max(opset, _OLDEST_REGISTERED)]
        if versions:
            found[name] = given[max(versions)]
    return found


class SymbolicGraph:
    """A graph that symbolic functions write into, in PyTorch's own classes, which they look closely at.

    Args:
        opset: the opset to write for; the functions of PyTorch's that symbolic functions call end at 20.
    """

    def __init__(self, opset: int) -> None:
        private: Any = torch._C
        self._private = private
        self._graph = private.Graph()
        self._opset = min(opset, _NEWEST_REGISTERED)
        context = find("torch.onnx._internal.torchscript_exporter.jit_utils", "GraphContext")
        self._context = context(self._graph, self._graph.block(), self._opset, None, {}, {}, set())

    def input(self, dtype: torch.dtype, sizes: Sequence[int | None] | None) -> Any:
        """Return a new tensor input."""
        value = self._graph.addInput()
        kind = self._private.TensorType.get().with_dtype(dtype).with_device(torch.device("cpu"))
        value.setType(kind if sizes is None else kind.with_sizes(list(sizes)))
        return value

    def constant(self, value: Any) -> Any:
        """Return a number, a list of numbers, a string or None as a value."""
        if value is None:
            node = self._graph.insertNode(self._graph.create("prim::Constant"))
            node.output().setType(self._private.NoneType.get())
            return node.output()
        if isinstance(value, str):
            return self._context.op("Constant", value_s=value)
        return self._context.op("Constant", value_t=torch.tensor(value))

    def members(self, values: Sequence[Any]) -> Any:
        """Return a list of values as a value."""
        node = self._graph.insertNode(self._graph.create("prim::ListConstruct", list(values)))
        node.output().setType(self._private.ListType(self._private.TensorType.get()))
        return node.output()

    def call(self, function: Callable[..., Any], arguments: Sequence[Any]) -> Any:
        """Call a symbolic function with the graph in front of its arguments."""
        settings = find("torch.onnx._internal.torchscript_exporter._globals", "GLOBALS")
        before = settings.export_onnx_opset_version
        settings.export_onnx_opset_version = self._opset
        try:
            with announced_onnx_export():
                return function(self._context, *arguments)
        finally:
            settings.export_onnx_opset_version = before

    def nodes(self) -> list[Any]:
        """Return what was written, in order."""
        return list(self._graph.nodes())

    def is_value(self, item: Any) -> bool:
        """Whether an object is a value of such a graph."""
        return isinstance(item, self._private.Value)
