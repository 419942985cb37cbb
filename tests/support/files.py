# SPDX-License-Identifier: Apache-2.0
"""An exported model read back from its bytes, and run."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch


def operators(exported: Any) -> list[str]:
    """Return the operators of the main graph in order, with their domain unless it is the default one."""
    return [f"{node.domain}::{node.op_type}" if node.domain else node.op_type for node in graph(exported).node]


def graph(exported: Any) -> onnx.GraphProto:
    """Return the graph as the file says it."""
    return exported.model_proto.graph


def inputs(exported: Any) -> list[str]:
    """Return the names of all graph inputs, weights that are inputs included."""
    return [value.name for value in graph(exported).input]


def outputs(exported: Any) -> list[str]:
    """Return the names of the graph outputs."""
    return [value.name for value in graph(exported).output]


def initializers(exported: Any) -> list[str]:
    """Return the names of the initializers."""
    return [tensor.name for tensor in graph(exported).initializer]


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node as Python values, bytes as text."""
    found = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def constants(exported: Any) -> dict[str, Any]:
    """Return initializers and Constant nodes by name, as plain Python values."""
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in graph(exported).initializer}
    for node in graph(exported).node:
        if node.op_type == "Constant":
            found[node.output[0]] = onnx.numpy_helper.to_array(node.attribute[0].t)
    return {name: array.tolist() for name, array in found.items()}


def run(exported: Any, feeds: dict[str, torch.Tensor]) -> list[np.ndarray]:
    """Run the bytes in onnxruntime on copies of the tensors, without any optimization."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        exported.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, {name: tensor.detach().clone().numpy() for name, tensor in feeds.items()})


def close(expected: torch.Tensor, got: np.ndarray) -> bool:
    """Whether an array is what PyTorch has, up to rounding."""
    return torch.allclose(expected.detach(), torch.from_numpy(got), rtol=1e-4, atol=1e-5)


def decisions(exported: Any, what: str) -> list[dict[str, Any]]:
    """Return the decisions of a kind that the audit has."""
    found = [one for event in exported.events for one in event.get("decisions") or ()]
    return [one for one in found if one["what"] == what]
