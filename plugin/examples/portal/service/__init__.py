# SPDX-License-Identifier: BSD-3-Clause
"""The sample portal, one noun a file."""
