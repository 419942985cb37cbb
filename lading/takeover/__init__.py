# SPDX-License-Identifier: Apache-2.0
"""Every `torch.onnx.export` of a program, served by lading: what `lading.taking_over` and `lading run` are made of.

Loads neither torch nor anything else of lading's before an export is called.
"""
