#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: fail2ban-regex
"""Debian's fail2ban reads turncred.fail2ban as test_log_lines.py does."""

import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import fail2ban_lines  # noqa: E402


@unittest.skipUnless(shutil.which("fail2ban-regex"), "needs fail2ban")
class Regex(unittest.TestCase):
    def missed(self, lines):
        """The lines that fail2ban's filter does not find."""
        with tempfile.NamedTemporaryFile("w", suffix=".log") as log:
            log.write("".join(line + "\n" for line in lines))
            log.flush()
            run = subprocess.run(
                ["fail2ban-regex", "--print-all-missed", log.name, str(fail2ban_lines.FILTER)],
                capture_output=True, text=True, timeout=60)
        self.assertIn(f"Lines: {len(lines)} lines, 0 ignored", run.stdout, run.stdout + run.stderr)
        return [line for line in lines if f"|  {line}\n" in run.stdout]

    def test_attacks_are_found_in_every_form(self):
        self.assertEqual(self.missed(fail2ban_lines.FOUND), [])

    def test_forged_and_honest_lines_are_passed_over(self):
        self.assertEqual(self.missed(fail2ban_lines.PASSED_OVER), fail2ban_lines.PASSED_OVER)


if __name__ == "__main__":
    unittest.main()
