# SPDX-License-Identifier: Apache-2.0
"""What the passes that tidy an ONNX graph are made of: walks, rules and edits."""
