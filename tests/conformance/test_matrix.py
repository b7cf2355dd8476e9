#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Runs the matrix once and makes each of its rows a test of its own."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import matrix  # noqa: E402
import patched  # noqa: E402


class MatrixTest(unittest.TestCase):
    rows = {}

    @classmethod
    def setUpClass(cls):
        reason = patched.missing()
        if reason:
            raise unittest.SkipTest(reason)
        place = matrix.Matrix()
        try:
            rows = place.run()
        finally:
            place.stop()
        print("\n".join(matrix.table(rows)))
        cls.rows = {row.name: row for row in rows}


def one(name):
    def test(self):
        row = self.rows[name]
        found = row.differences()
        lines = [f"{what}: {want} expected, {seen} seen" for what, want, seen in found]
        self.assertFalse(found, f"{name}: " + "; ".join(lines) + "\n" + row.trouble)

    return test


for kind in matrix.KINDS:
    for carrier in matrix.TRANSPORTS:
        for policy in matrix.POLICIES:
            for state in matrix.STATES:
                name = f"{kind}-{carrier}-{policy}-{state}"
                setattr(MatrixTest, "test_" + name.replace("-", "_"), one(name))

if __name__ == "__main__":
    unittest.main(verbosity=1)
