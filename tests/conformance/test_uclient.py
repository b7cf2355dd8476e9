#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""coturn's own load client, turnutils_uclient, logs in and relays data with a REST secret."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import patched  # noqa: E402
import server  # noqa: E402

PLACE = None
REALM = "clients.example"


def setUpModule():
    global PLACE
    PLACE = patched.place_of_module(tls=True, realm=REALM)
    PLACE.realm(REALM)
    PLACE.start()


def uclient():
    beside = pathlib.Path(server.patched() or "/nowhere/x").with_name("turnutils_uclient")
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("turnutils_uclient")


class Uclient(unittest.TestCase):
    """coturn's own load client; -W makes timestamp:user-id and its password from a secret."""

    def call(self, secret, *options):
        program = uclient()
        if program is None:
            self.skipTest("turnutils_uclient is not there")
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(
                [program, "-y", "-c", "-m", "1", "-n", "10", "-l", "100", "-u", "carol"]
                + ["-W", secret, "-p", str(PLACE.server.port), *options, "127.0.0.1"],
                capture_output=True,
                text=True,
                timeout=60,
                cwd=folder,
            )
        text = done.stdout + done.stderr
        return done.returncode == 0 and "Total lost packets 0 (0.000000%)" in text, text

    def setUp(self):
        self.secret = f"rest-{os.urandom(8).hex()}"
        PLACE.realms[REALM].add_key(
            self.secret[:12], "rest", "sha1", "none", "timestamp:user-id", self.secret.encode()
        )
        PLACE.synced()

    def test_rest_secret(self):
        for options in ((), ("-t",)):
            with self.subTest(options=options):
                good, text = self.call(self.secret, *options)
                self.assertTrue(good, text)

    def test_wrong_secret(self):
        """The control."""
        good, text = self.call("another secret")
        self.assertFalse(good, text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
