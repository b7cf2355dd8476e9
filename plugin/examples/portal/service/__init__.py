# SPDX-License-Identifier: BSD-3-Clause
"""The sample portal: each file has one noun."""
