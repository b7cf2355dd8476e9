#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""No half of the first draft of the interface works with a half of this one: each side names the other and refuses. A
module of a newer minor version works."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from abi_support import BUILD, TOP, Case, ModuleServer, module_file, password  # noqa: E402


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


def newer(header):
    """The header of a newer minor version: every struct that may grow has members more."""
    never = ("coturn_auth_header", "coturn_auth_handle", "coturn_auth_traffic")

    def grown(match):
        more = "" if match[1] in never else "  uint64_t newer_number;\n  const char *newer_text;\n"
        return f"struct {match[1]} {{{match[2]}{more}}};"

    header, count = re.subn(r"(#define COTURN_AUTH_ABI_MINOR) .*", r"\1 65000", header)
    assert count == 1
    return re.sub(r"struct (\w+) \{(.*?\n)\};", grown, header, flags=re.S)


class NewerModules(Case):
    """The sample that answers at once, and the one that hands its longer structs to complete()."""

    def test_they_log_their_users_in(self):
        sources = {"instant": "plugin/examples/instant/instant.c", "later": "tests/abi/later/later.c"}
        with open(os.path.join(TOP, "plugin", "include", "coturn_auth_module.h"), encoding="utf-8") as file:
            header = newer(file.read())
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "coturn_auth_module.h"), "w", encoding="utf-8") as file:
                file.write(header)
            for name, source in sources.items():
                with self.subTest(name):
                    built = os.path.join(folder, name + ".so")
                    subprocess.run(["cc", "-shared", "-fPIC", f"-I{folder}", f"-I{TOP}/plugin", "-o", built, os.path.join(TOP, source),
                                    "-lcrypto", "-lpthread"], check=True)
                    with mock.patch("abi_support.module_file", return_value=built):
                        running = self.serve(name, "alice:wonderland")
                    self.assertIn(" (ABI 1.65000) loaded from ", running.log())
                    client = self.client(running, password("alice", "wonderland"))
                    self.assertTrue(client.allocate().ok)
                    self.assertTrue(client.refresh(600).ok)
                    self.assertEqual(self.client(running, password("alice", "wrong")).allocate().code, 401)


if __name__ == "__main__":
    unittest.main()
