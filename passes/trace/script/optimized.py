# SPDX-License-Identifier: Apache-2.0
"""What `torch.jit.optimize_for_inference` writes on a CPU: operators on tensors in the layout of oneDNN.

The layout is a matter of PyTorch's memory, and a graph knows nothing of it: the operators are those that they were
made from, weights are read in the ordinary layout, and going to the layout and back does nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from lading.passes import torch_private
from lading.passes.trace.script.operators import run_named
from lading.passes.trace.script.programs import Step
from lading.passes.trace.script.tables import primitive, tensor_builtin

if TYPE_CHECKING:
    from lading.passes.trace.script.interpreter import Interpreter


@primitive("ConstantMKLDNNTensor")
def constant(interpreter: Interpreter, step: Step) -> torch.Tensor:
    """A weight."""
    if step.constant is None:
        output = step.node.output()
        # Only the node knows the tensor: it has no value of Python's.
        with torch_private.beneath_modes():
            tensor = step.node.t("value").to_dense()
        interpreter.constant_names[id(tensor)] = output.debugName().removeprefix("self.").removesuffix("_mkldnn")
        step.constant = (interpreter.held(tensor, ""),)
    held: torch.Tensor = step.constant[0]
    return held


@tensor_builtin("to_mkldnn", "to_dense")
def same(interpreter: Interpreter, step: Step, tensor: torch.Tensor, *rest: Any) -> torch.Tensor:
    """The tensor in the other layout."""
    return tensor


@primitive("BroadcastMKLDNNTensors")
def both(interpreter: Interpreter, step: Step, left: torch.Tensor, right: torch.Tensor) -> Any:
    """Two tensors that are about to be combined: broadcasting is theirs."""
    return left, right


@primitive("mkldnn_convolution")
def convolution(
    interpreter: Interpreter, step: Step, tensor: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
    groups: int,
) -> Any:  # fmt: skip
    """A convolution."""
    name = f"conv{weight.dim() - 2}d"
    return run_named(interpreter, name, "", (tensor, weight, bias, stride, padding, dilation, groups))


@primitive("MKLDNNHardSwish", "MKLDNNHardSwish_")
def hard_swish(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> torch.Tensor:
    """Hard swish."""
    return F.hardswish(tensor)


@primitive("MKLDNNHardSigmoid", "MKLDNNHardSigmoid_")
def hard_sigmoid(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> torch.Tensor:
    """Hard sigmoid."""
    return F.hardsigmoid(tensor)


@primitive("MKLDNNHardTanh", "MKLDNNHardTanh_", "MKLDNNClamp", "MKLDNNClamp_")
def clamped(interpreter: Interpreter, step: Step, tensor: torch.Tensor) -> torch.Tensor:
    """The tensor between two bounds, which the node states."""
    return torch.clamp(tensor, step.node.f("min_val"), step.node.f("max_val"))


@primitive("MKLDNNScalarMul", "MKLDNNScalarMul_")
def scaled(interpreter: Interpreter, step: Step, tensor: torch.Tensor, factor: Any) -> Any:
    """The tensor times a number."""
    return run_named(interpreter, "mul", "Scalar", (tensor, factor))


@primitive("MKLDNNLayerNorm", "MKLDNNLayerNorm_")
def layer_norm(interpreter: Interpreter, step: Step, *args: Any) -> Any:
    """Layer normalisation."""
    return run_named(interpreter, "layer_norm", "", args)
