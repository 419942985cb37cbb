# SPDX-License-Identifier: Apache-2.0
"""The recipes that come with lading, one TOML file each."""
