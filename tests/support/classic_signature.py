# SPDX-License-Identifier: Apache-2.0
"""The arguments of `torch.onnx.export` in PyTorch 1.8, in order."""

from __future__ import annotations

OF_TORCH_1_8 = [
    "model",
    "args",
    "f",
    "export_params",
    "verbose",
    "training",
    "input_names",
    "output_names",
    "aten",
    "export_raw_ir",
    "operator_export_type",
    "opset_version",
    "_retain_param_name",
    "do_constant_folding",
    "example_outputs",
    "strip_doc_string",
    "dynamic_axes",
    "keep_initializers_as_inputs",
    "custom_opsets",
    "enable_onnx_checker",
    "use_external_data_format",
]
"""Source: torch/onnx/__init__.py of PyTorch 1.8, the signature of export."""
