# SPDX-License-Identifier: Apache-2.0
"""Where everything private that lading uses is in PyTorch."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

SYMBOLS: tuple[tuple[str, str], ...] = (
    ("torch", "_C.DisableTorchFunction"),
    ("torch", "_check"),
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
    ("torch._C", "_DisablePythonDispatcher"),
    ("torch._guards", "GuardSource.CONSTANT"),
    ("torch._guards", "SLoc"),
    ("torch._guards", "Source"),
    ("torch._subclasses.fake_tensor", "in_kernel_invocation_manager"),
    ("torch.fx.experimental.sym_node", "SymNode._add"),
    ("torch.fx.experimental.sym_node", "SymNode._int_floordiv"),
    ("torch.fx.experimental.sym_node", "SymNode._sym_max"),
    ("torch.fx.experimental.sym_node", "SymNode.expect_true"),
    ("torch.fx.experimental.sym_node", "_NO_HINT"),
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
    ("torch._meta_registrations", "calc_conv_nd_return_shape"),
    ("torch._ops", "HigherOrderOperator"),
    ("torch._ops", "OpOverload"),
    ("torch._ops", "OpOverloadPacket"),
    ("torch._C", "_dispatch_has_kernel_for_dispatch_key"),
    ("torch._dispatch.python", "enable_python_dispatcher"),
    ("torch._dynamo.eval_frame", "OptimizedModule"),
    ("torch._compile", "_disable_dynamo"),
    ("torch._dynamo.config", "fake_tensor_cache_enabled"),
    ("torch._dynamo.source", "ConstantSource"),
    ("torch._dynamo.source", "RandomValueSource"),
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
    ("torch.fx.experimental._config", "translation_validation"),
    ("torch.fx.experimental.symbolic_shapes", "DimDynamic.DYNAMIC"),
    ("torch.fx.experimental.symbolic_shapes", "GuardOnDataDependentSymNode"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._refine_ranges"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._maybe_evaluate_static"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.get_implications"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.create_symbol"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.create_symintnode"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.evaluate_expr"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._add_divisible"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._constrain_range"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._constrain_range_for_size"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._constrain_unify"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._get_stack_summary"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._rename_unbacked_to"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._set_replacement"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._simplify_floor_div"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._suppress_guards_enter"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._suppress_guards_exit"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv._update_var_to_range"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.bound_sympy"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.constrain_symbol_range"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.create_unbacked_symbool"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.create_unbacked_symfloat"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.guard_or_defer_runtime_assert"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.guarding_hint_or_throw"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.has_guarding_hint"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.optimization_hint"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.simplify"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.size_hint"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.replace"),
    ("torch.fx.experimental.symbolic_shapes", "ShapeEnv.create_unbacked_symint"),
    ("torch.fx.experimental.symbolic_shapes", "_constrain_range_for_size"),
    ("torch.fx.experimental.validator", "translation_validation_enabled"),
    ("torch.jit._state", "_python_cu"),
    ("torch.nn.modules.transformer", "_detect_is_causal_mask"),
    ("torch.onnx._internal.exporter._flags", "_is_onnx_exporting"),
    ("torch.onnx._internal.torchscript_exporter._globals", "GLOBALS.export_onnx_opset_version"),
    ("torch.onnx._internal.torchscript_exporter._globals", "GLOBALS.in_onnx_export"),
    ("torch.onnx._internal.torchscript_exporter.jit_utils", "GraphContext"),
    ("torch.onnx._internal.torchscript_exporter.registration", "registry"),
    ("torch.utils._python_dispatch", "TorchDispatchMode"),
    ("torch.utils._python_dispatch", "TorchDispatchMode._should_skip_dynamo"),
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
    ("torch.utils._sympy.functions", "Where"),
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
    "DataDependentOutputException": ("torch._subclasses.fake_tensor", "DataDependentOutputException"),
    "DimDynamic": ("torch.fx.experimental.symbolic_shapes", "DimDynamic"),
    "DynamicOutputShapeException": ("torch._subclasses.fake_tensor", "DynamicOutputShapeException"),
    "FakeTensor": ("torch._subclasses.fake_tensor", "FakeTensor"),
    "FakeTensorMode": ("torch._subclasses.fake_tensor", "FakeTensorMode"),
    "GuardOnDataDependentSymNode": ("torch.fx.experimental.symbolic_shapes", "GuardOnDataDependentSymNode"),
    "HigherOrderOperator": ("torch._ops", "HigherOrderOperator"),
    "ShapeEnv": ("torch.fx.experimental.symbolic_shapes", "ShapeEnv"),
    "ValueRanges": ("torch.utils._sympy.value_ranges", "ValueRanges"),
    "bound_sympy": ("torch.utils._sympy.value_ranges", "bound_sympy"),
    "int_oo": ("torch.utils._sympy.numbers", "int_oo"),
    "nn_functions": ("torch._C", "_nn"),
    "sympy_functions": ("torch.utils._sympy.functions", ""),
    "variable_functions": ("torch._C", "_VariableFunctions"),
}
