# SPDX-License-Identifier: Apache-2.0
"""What can be read out of an audit log: stories of nodes, views, comparisons, and a page for a browser."""
