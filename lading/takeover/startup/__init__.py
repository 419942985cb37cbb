# SPDX-License-Identifier: Apache-2.0
"""The folder that `lading run` puts on PYTHONPATH, so that each Python process of a program looks out for exports."""
