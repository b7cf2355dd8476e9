#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The whole way of a credential: turncredctl makes it, turncredctl probe goes through the relay with it. Every
kind over UDP and TCP, and a wrong password."""

import json
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import patched  # noqa: E402

REALM = "login.example"


class Login(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        reason = patched.missing() or (None if patched.ctl() else "no turncredctl: set top_builddir")
        if reason:
            raise unittest.SkipTest(reason)
        cls.place = patched.Place(realm=REALM)
        cls.addClassCleanup(cls.place.stop)
        cls.realm = cls.place.realm(REALM)
        cls.place.start()

    def probe(self, credential, transport):
        """(exit code, output) of turncredctl probe; 0 after data has gone both ways."""
        file = os.path.join(self.place.folder, "credential.json")
        with open(os.open(file, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as out:
            json.dump(credential, out)
        done = subprocess.run(
            [patched.ctl(), "probe", "--server", "%s:%d" % self.place.server.address]
            + ["--transport", transport, "--credential", file, "--config", "/dev/null"],
            capture_output=True,
            text=True,
            timeout=60,
        )
        return done.returncode, done.stdout + done.stderr

    def let_in(self, credential):
        for transport in ("udp", "tcp"):
            with self.subTest(transport=transport):
                code, said = self.probe(credential, transport)
                self.assertEqual(code, 0, said)

    def issue(self, *arguments):
        return self.place.database.ctl(*arguments[:2], REALM, "alice", *arguments[2:])

    def test_token(self):
        self.let_in(self.issue("token", "issue"))

    def test_derived(self):
        self.let_in(self.issue("credential", "issue"))

    def test_rest(self):
        self.let_in(self.issue("credential", "issue", "--kind", "rest"))

    def test_pushed(self):
        pushed = self.realm.pushed("bob")
        self.let_in({"username": pushed.username, "password": pushed.password, "realm": REALM})

    def test_wrong_password(self):
        right = self.issue("credential", "issue")
        wrong = dict(right, password="x" * len(right["password"]))
        for transport in ("udp", "tcp"):
            code, said = self.probe(wrong, transport)
            self.assertNotEqual(code, 0, said)
            self.assertIn("401", said)
        self.let_in(right)


if __name__ == "__main__":
    unittest.main(verbosity=2)
