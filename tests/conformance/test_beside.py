#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A module beside coturn's own mechanisms (no auth-module-only), and as an observer only."""

import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import credentials  # noqa: E402
import patched  # noqa: E402
import probes  # noqa: E402

STATIC = credentials.Credential("static", password="of-coturns-own")


def login(place, credential, ip="127.0.0.1"):
    client = place.server.client("udp", credential, ip=ip)
    try:
        word = probes.outcome(client.allocate)
        if word == "ok":
            client.refresh(0)
        return word
    finally:
        client.close()


class Case(unittest.TestCase):
    lines = []
    known = "known.example"

    @classmethod
    def setUpClass(cls):
        reason = patched.missing()
        if reason:
            raise unittest.SkipTest(reason)
        lines = ["listening-ip=127.0.0.2", "relay-ip=127.0.0.2", *cls.lines]
        cls.place = patched.Place(lines, realm="own.example", take_away=["auth-module-only"])
        try:
            cls.realm = cls.place.realm(cls.known, listen_addresses=["127.0.0.2"])
            cls.place.start()
        except BaseException:
            cls.place.stop()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.place.stop()


class Beside(Case):
    """A realm that the database knows is the module's alone; others are coturn's."""

    lines = ["user=static:of-coturns-own"]

    def test_unknown_realm_is_coturns(self):
        self.assertEqual(login(self.place, STATIC), "ok")
        wrong = credentials.Credential("static", password="wrong")
        self.assertEqual(login(self.place, wrong), "401")

    def test_unknown_realm_offers_no_tokens(self):
        client = self.place.server.client("udp")
        self.addCleanup(client.close)
        answer = client.challenge()
        self.assertEqual(answer.challenge["realm"], "own.example")
        self.assertIsNone(answer.challenge["server_name"])

    def test_known_realm_is_the_modules(self):
        for credential in (self.realm.token(), self.realm.derived()):
            self.assertEqual(login(self.place, credential, "127.0.0.2"), "ok")

    def test_static_user_does_not_open_a_known_realm(self):
        self.assertEqual(login(self.place, STATIC, "127.0.0.2"), "401")

    def test_known_credential_does_not_open_coturns_realm(self):
        self.assertEqual(login(self.place, self.realm.derived()), "401")


class BesideSecret(Case):
    """coturn's own shared secret cannot let a revoked user of a known realm in again."""

    lines = ["use-auth-secret", "static-auth-secret=north"]

    def test_secret(self):
        later = int(time.time()) + 600
        credential = credentials.make_rest_credential(b"north", "alice", later)
        self.assertEqual(login(self.place, credential), "ok")
        self.assertEqual(login(self.place, credential, "127.0.0.2"), "401")
        self.assertEqual(login(self.place, self.realm.rest("alice"), "127.0.0.2"), "ok")


class Observer(Case):
    """auth-module-observe: coturn decides, and the log has the module's verdict. The realm is
    coturn's own, because the challenges to clients name that realm."""

    lines = ["user=static:of-coturns-own", "auth-module-observe"]
    known = "own.example"

    def observed(self, words):
        end = time.monotonic() + 3
        while time.monotonic() < end:
            lines = [line for line in self.place.server.log().splitlines() if "observed" in line]
            if any(words in line for line in lines):
                return
            time.sleep(0.1)
        self.fail(f"{words!r} is not in the log: " + "\n".join(lines[-5:]))

    def test_coturn_lets_in(self):
        self.assertEqual(login(self.place, STATIC), "ok")
        self.observed("coturn lets in, module would refuse reason=unknown_user")

    def test_coturn_refuses(self):
        self.assertEqual(login(self.place, self.realm.derived()), "401")
        self.observed("coturn refuses, module would let in")


if __name__ == "__main__":
    unittest.main(verbosity=2)
