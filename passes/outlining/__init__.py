# SPDX-License-Identifier: Apache-2.0
"""Calls of modules as functions of the file, cut out of the captured graph."""
