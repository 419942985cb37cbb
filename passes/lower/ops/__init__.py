# SPDX-License-Identifier: Apache-2.0
"""Lowerings: what each ATen operator becomes, by family."""
