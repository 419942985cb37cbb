# SPDX-License-Identifier: Apache-2.0
"""The engine: facts, pass declarations, recipes, the plan, the runner, deltas, the audit log and their rendering.

It imports neither torch nor any pass, and `onnx_ir` only while a graph is at hand.
"""
