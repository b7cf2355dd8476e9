#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The sample module of plugin/examples/instant builds as a stranger would build it, and works."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from abi_support import BUILD, TOP, Case, ModuleServer, password  # noqa: E402


class Sample(Case):
    def build(self):
        """The sample, compiled in a folder of its own with nothing but the installed header."""
        if not os.path.exists(os.path.join(BUILD, "Makefile")):
            self.skipTest("there is no build folder to install from")
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        destination = os.path.join(folder, "destination")
        subprocess.run(
            ["make", "-s", "-C", BUILD, "install-includeHEADERS", f"DESTDIR={destination}"],
            check=True,
            capture_output=True,
            timeout=60,
        )
        headers = [where for where, _, names in os.walk(destination) if "coturn_auth_module.h" in names]
        self.assertEqual(1, len(headers))
        for name in ("instant.c", "users.h"):
            shutil.copy(os.path.join(TOP, "plugin", "examples", "instant", name), folder)
        subprocess.run(
            [os.environ.get("CC", "cc"), "-std=c11", "-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Werror"]
            + ["-shared", "-fPIC", "-I", headers[0], "instant.c", "-o", "instant.so", "-lcrypto"],
            cwd=folder,
            check=True,
            timeout=60,
        )
        return os.path.join(folder, "instant.so")

    def test_it_builds_outside_the_tree_and_lets_its_user_in(self):
        module = self.build()
        running = ModuleServer("instant", "alice:wonderland")
        self.addCleanup(running.__exit__)
        shutil.copy(module, running.folder)
        running.start(8)
        self.assertTrue(self.client(running, password("alice", "wonderland")).allocate().ok)
        self.assertEqual(self.client(running, password("alice", "oz")).allocate().code, 401)


if __name__ == "__main__":
    unittest.main()
