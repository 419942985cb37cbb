# SPDX-License-Identifier: Apache-2.0
"""Weights that are in the files of a checkpoint, and how a model comes to refer to them."""
