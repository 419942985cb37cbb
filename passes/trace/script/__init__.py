# SPDX-License-Identifier: Apache-2.0
"""Capture of TorchScript: an interpreter of its graphs that computes what is known and writes down the rest.

`interpreter` walks the nodes; the modules named by `dispatch` say what each does; `branches` and `loops` write
`prim::If` and `prim::Loop` where a condition or a trip count is known at run time only. Tensors are the fake tensors of
the record strategy, and its recorder writes their operators, so that both strategies end in the same dialect.
"""
