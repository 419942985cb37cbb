# SPDX-License-Identifier: Apache-2.0
"""Models that PyTorch has quantized in eager mode: tensors of 8-bit types, and the operators of ``quantized``.

Capture sees a quantized tensor as what it stands for: integers with a scale and a zero point, and the numbers that they
mean. An operator runs on the numbers, and its result is put on the grid of the result's own scale again, which the
file says with QuantizeLinear and DequantizeLinear. Weights stay the integers that they are. PyTorch's kernels compute
with the integers, so that a result may differ by one step of the grid where a number lies between two.
"""

from lading.passes.trace.quantized.calls import Quantization

__all__ = ["Quantization"]
