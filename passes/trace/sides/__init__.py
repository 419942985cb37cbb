# SPDX-License-Identifier: Apache-2.0
"""Both sides of a decision on sizes: recording the other one, and one graph that is right on both."""
