# SPDX-License-Identifier: Apache-2.0
"""Attention: windows came in opset 25; before 23 lowerings write it by parts."""

from __future__ import annotations

from .forms import as_is, without

as_is("Attention", since=25)
without("Attention", since=23, left_window_size=-1, right_window_size=-1)
without("Attention", since=24, left_window_size=-1, right_window_size=-1)
