# SPDX-License-Identifier: Apache-2.0
"""Writing a model's files whole or not at all, and reading those of strangers."""
