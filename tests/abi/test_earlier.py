#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""No half of the first draft of the interface works with a half of this one: each side names the other and refuses."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from abi_support import BUILD, Case, ModuleServer, module_file  # noqa: E402


class EarlierModules(Case):
    def refused(self, module, message):
        running = ModuleServer(module, "alice:wonderland")
        self.addCleanup(running.__exit__)
        with self.assertRaises(RuntimeError):
            running.start(8)
        self.assertGreater(running.process.wait(8), 0, running.log())
        self.assertRegex(running.log(), rf"auth-module: \S*/{module}\.so{message}")

    def test_a_module_that_looks_at_its_host(self):
        self.refused("earlier", r" refuses this turnserver \(coturn-[0-9.]+, ABI 1\.0\)")

    def test_a_module_that_does_not(self):
        self.refused("earlier_trusting", r": wrong magic: the module says 0x43415554, this turnserver 0x4341553\d")


class EarlierHost(unittest.TestCase):
    def load(self, module):
        program = os.path.join(BUILD, "tests", "abi", "earlier_host")
        if not os.path.exists(program):
            self.skipTest("earlier_host is not built: make check TESTS=")
        run = subprocess.run([program, module_file(module)], capture_output=True, text=True, timeout=10)
        return run.returncode, run.stdout + run.stderr

    def test_modules_of_its_own_draft_are_loaded(self):
        for module in ("earlier", "earlier_trusting"):
            code, text = self.load(module)
            self.assertEqual((0, True), (code, text.endswith("earlier 1.0 loaded\n")), text)

    def test_turncred_and_the_sample_refuse_it(self):
        for module in ("turncred", "instant"):
            code, text = self.load(module)
            self.assertEqual(1, code, text)
            self.assertIn(f"{module}.so refuses this turnserver (earlier_host, ABI 1.0)", text)

    def test_it_refuses_a_module_that_does_not_look(self):
        code, text = self.load("rules")
        self.assertEqual(1, code, text)
        self.assertRegex(text, r"rules\.so: wrong magic: the module says 0x4341553\d, this turnserver 0x43415554")


if __name__ == "__main__":
    unittest.main()
