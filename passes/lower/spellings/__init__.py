# SPDX-License-Identifier: Apache-2.0
"""How each ONNX operator is written per opset.

Lowerings call an operator in its newest form.  A spelling in this package brings that form down to the opsets that
write it otherwise, or lack it but can express it; everything else is written as it is.  The rules are those of the
operator's ONNX page (onnx.ai/onnx/operators), version by version.  A form that an opset cannot express exactly
(up to rounding) raises ``Inexpressible``.
"""
