# SPDX-License-Identifier: Apache-2.0
"""What `verify` is made of: other inputs, runtimes, the comparison, and the report."""
