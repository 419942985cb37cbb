# SPDX-License-Identifier: Apache-2.0
"""The export strategy: `torch.export`, or a program that the user has already exported, as an ATen-dialect graph."""
