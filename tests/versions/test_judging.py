#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The table of differences cannot rot, and nothing that failed is green."""

import os
import re
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

import checks  # noqa: E402
import differences  # noqa: E402
from differences import Absent, Difference, within  # noqa: E402
from judging import absent, judge  # noqa: E402
from running import Result, results  # noqa: E402

ROWS = (Difference("4.10.0..", r"\.test_cli$", r"refused", "off by default"),)
ABSENT = (Absent("..4.6.2", "drain", "a.c", "drain", "began with 4.6.3"),)
FAILED = Result("test_session.Life.test_cli", False, "ConnectionRefusedError: refused")


class Judging(unittest.TestCase):
    def test_a_failure_is_red(self):
        self.assertEqual(judge("4.9.0", [FAILED], ROWS).word, "red")

    def test_an_expected_one_is_known_with_its_reason(self):
        outcome = judge("4.10.0", [FAILED, Result("test_x", True, None)], ROWS)
        self.assertEqual((outcome.word, outcome.text), ("known", "1, 1 known"))
        self.assertIn("off by default", outcome.why[0])

    def test_a_failure_of_another_kind_is_red(self):
        self.assertEqual(judge("4.10.0", [FAILED._replace(said="TimeoutError")], ROWS).word, "red")

    def test_an_expected_one_that_does_not_show_is_red(self):
        outcome = judge("4.17.1", [Result(FAILED.name, True, None)], ROWS)
        self.assertEqual(outcome.word, "red")
        self.assertIn("passes, but", outcome.why[0])

    def test_a_skipped_test_is_red(self):
        self.assertEqual(judge("4.9.0", results("ok - a.B.c # SKIP no such program\n"), ROWS).word, "red")

    def test_no_test_is_red(self):
        self.assertEqual(judge("4.9.0", [], ROWS).word, "red")

    def test_what_a_version_has_not_is_looked_at_in_its_tree(self):
        with tempfile.TemporaryDirectory() as tree:
            self.assertEqual(absent("4.6.2", "drain", tree, ABSENT).word, "absent")
            self.assertEqual(absent("4.6.3", "drain", tree, ABSENT).word, "red")
            with open(os.path.join(tree, "a.c"), "w") as file:
                file.write("int drain;\n")
            self.assertEqual(absent("4.6.2", "drain", tree, ABSENT).word, "red")
            self.assertIsNone(absent("4.6.3", "drain", tree, ABSENT))

    def test_ranges(self):
        for versions, inside, outside in (("4.6.2..", "4.10.0", "4.6.1"), ("..4.6.2", "4.5.2", "4.10.0"),
                                          ("4.6.3..4.7.0", "4.7.0", "4.8.0"), ("4.6.1", "4.6.1", "4.6.10")):
            self.assertTrue(within(versions, inside))
            self.assertFalse(within(versions, outside))


class Tap(unittest.TestCase):
    def test_what_is_said(self):
        text = "1..3\nok 1 make check\nnot ok - a.B.c (kind='udp') \n# AssertionError: 0 != -15\n# more\nok 3 x # skip why\n"
        self.assertEqual(results(text), [
            Result("make check", True, None),
            Result("a.B.c (kind='udp')", False, "AssertionError: 0 != -15; more"),
            Result("x", False, "skipped: why"),
        ])  # fmt: skip


class Table(unittest.TestCase):
    def test_every_row_names_a_test_that_is_there(self):
        for folder in ("abi", "conformance"):
            sys.path.insert(0, os.path.join(checks.TOP, "tests", folder))
        ids, needed = [], set()
        for file in checks.test_files("abi", "conformance"):
            module = __import__(os.path.basename(file)[:-3])
            # class by class: load_tests leaves out what the version at hand does not have
            for case in vars(module).values():
                if isinstance(case, type) and issubclass(case, unittest.TestCase):
                    ids += [test.id() for test in unittest.defaultTestLoader.loadTestsFromTestCase(case)]
                    needed |= {getattr(method, "needs", None) for method in vars(case).values()} - {None}
        self.assertGreater(len(ids), 100)
        for row in differences.DIFFERENCES + differences.LEFT_OUT:
            self.assertTrue(any(re.search(row.test, i) for i in ids), row)
        for check, test in checks.OF_THEIR_OWN.items():
            self.assertTrue(any(re.search(test, i) for i in ids), check)
        # what is left out where a version has it not has a check that looks whether it really has not
        self.assertEqual(needed, {"drain", "nonce"})
        self.assertLessEqual(needed, {row.check for row in differences.ABSENT})

    def test_every_row_names_a_check(self):
        for row in differences.ABSENT:
            self.assertIn(row.check, checks.CHECKS)
            self.assertTrue(row.why)


if __name__ == "__main__":
    unittest.main(verbosity=2)
