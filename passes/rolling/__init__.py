# SPDX-License-Identifier: Apache-2.0
"""Loops of the model's Python over a free axis, found again in recordings in which they are written out."""
