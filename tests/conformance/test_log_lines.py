#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""turncred.fail2ban as a Python pattern: what it finds in coturn's log, in every form of it. The step fail2ban_filter
of integration/server/start.py shows it lines of a server; test_fail2ban.py runs fail2ban itself."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import fail2ban_lines  # noqa: E402


class Lines(unittest.TestCase):
    def test_attacks_are_found_in_every_form(self):
        for line in fail2ban_lines.FOUND:
            with self.subTest(line):
                found = fail2ban_lines.pattern().search(line)
                self.assertIsNotNone(found)
                self.assertIn(found["ip"], ("192.0.2.7", "2001:db8::7"))

    def test_forged_and_honest_lines_are_passed_over(self):
        for line in fail2ban_lines.PASSED_OVER:
            with self.subTest(line):
                self.assertIsNone(fail2ban_lines.pattern().search(line))


if __name__ == "__main__":
    unittest.main()
