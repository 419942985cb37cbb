# SPDX-License-Identifier: Apache-2.0
"""The example call of an export: its arguments taken apart, bound, named, and their axes."""
