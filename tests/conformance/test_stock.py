#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The faults of unpatched coturn, shown by tests. test_matrix.py has the patched server's answers to
the same probes; a fact here that no longer holds means that the base version has changed."""

import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import credentials  # noqa: E402
import probes  # noqa: E402
import server  # noqa: E402
import stock  # noqa: E402

PROGRAM = server.stock()


def setUpModule():
    if PROGRAM is None:
        raise unittest.SkipTest("no unpatched turnserver: install coturn or set TURNSERVER_STOCK")


class Tokens(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = stock.TokenServer(PROGRAM)
        cls.place.__enter__()
        cls.server = cls.place.server

    @classmethod
    def tearDownClass(cls):
        cls.place.__exit__()

    def test_whole_session_key_is_refused(self):
        """RFC 7635 4.3: the key of the HMAC is mac_key, all 20 octets of it."""
        self.assertEqual(probes.login(self.server, self.place.token()), "401")

    def test_sixteen_octets_of_it_are_let_in(self):
        token = self.place.token(key_octets=16)
        # and its answer is keyed with 16 octets too: the whole key does not verify it
        self.assertEqual(probes.login(self.server, token), "unverified")

    def faulty(self, **options):
        """A token session that a stock server accepts: both HMAC keys are the first 16 octets."""
        token = self.place.token(**options)
        token.key = lambda realm: token.mac_key[:16]
        return token

    def test_wrong_octets_are_refused(self):
        """The control: the sixteen octets do matter."""
        token = self.faulty()
        token.key = lambda realm: bytes(16)
        self.assertEqual(probes.login(self.server, token), "401")

    def test_long_expired_is_refused(self):
        """The control: the time of a token is looked at when the allocation is made."""
        self.assertEqual(probes.login(self.server, self.faulty(age=1000, lifetime=600)), "401")

    def test_expired_refreshes_for_ever(self):
        """RFC 7635 9: the lifetime of an allocation is capped by the token's."""
        token = self.faulty(age=10, lifetime=7)
        self.assertEqual(probes.refresh_after_expiry(self.server, token, time.time() + 2), "ok")

    def test_future_dated_is_accepted(self):
        """RFC 7635 7: lifetime + Delta > abs(RDnew - TS)."""
        self.assertEqual(probes.login(self.server, self.faulty(age=-86400)), "ok")

    def test_lifetime_0_is_accepted(self):
        self.assertEqual(probes.login(self.server, self.faulty(lifetime=0)), "ok")

    def test_token_after_integrity_is_accepted(self):
        """RFC 8489 14.5: attributes after MESSAGE-INTEGRITY are ignored."""
        self.assertEqual(
            probes.login_token_after_integrity(self.server, self.faulty()), "ok"
        )

    def test_one_packet_poisons_a_login(self):
        self.assertEqual(probes.poison_before_login(self.server, self.faulty()), "437")

    def test_one_packet_poisons_an_allocation(self):
        self.assertEqual(probes.poison_established(self.server, self.faulty()), "401")


class Secrets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = stock.SecretServer(PROGRAM)
        cls.place.__enter__()
        cls.server = cls.place.server

    @classmethod
    def tearDownClass(cls):
        cls.place.__exit__()

    def login(self, user_id, left=600):
        return probes.login(self.server, self.place.timed(user_id, left))

    def test_plain_user_id(self):
        """The control."""
        self.assertEqual(self.login("alice"), "ok")
        self.assertEqual(self.login("alice", -600), "401")

    def test_numeric_user_id_is_taken_for_the_timestamp(self):
        """An MSISDN in front is read as the time: the credential never runs out."""
        self.assertEqual(self.login("491711234567", -600), "ok")

    def test_old_looking_user_id_is_refused(self):
        self.assertEqual(self.login("1000000000"), "401")

    def test_sip_uri_is_refused(self):
        self.assertEqual(self.login("sip:bob@ims.example"), "401")

    def test_junk_behind_the_timestamp_is_accepted(self):
        name = f"alice:{int(time.time()) + 600}junk"
        self.assertEqual(self.login(name, None), "ok")

    def test_timestamp_modulo_2_32_is_accepted(self):
        name = f"alice:{int(time.time()) + 600 + 2**32}"
        self.assertEqual(self.login(name, None), "ok")

    def test_expired_refreshes_for_ever(self):
        credential = self.place.timed("alice", 2)
        self.assertEqual(
            probes.refresh_after_expiry(self.server, credential, time.time() + 2), "ok"
        )

    def test_one_packet_poisons_a_login(self):
        self.assertEqual(probes.poison_before_login(self.server, self.place.timed("alice")), "437")

    def test_another_user_is_441_without_having_authenticated(self):
        """RFC 8489 9.2.4: integrity is checked before anything is said about the user."""
        alice, bob = self.place.timed("alice"), self.place.timed("bob")
        self.assertEqual(probes.other_user(self.server, alice, bob, b"wrong key"), "441")


class OurConfiguration(unittest.TestCase):
    """After a rollback, unpatched coturn may read a configuration that was written for the patched one."""

    LINES = [
        "lt-cred-mech",
        "realm=example.org",
        "auth-module=/usr/lib/turncred/turncred.so",
        "auth-module-config=/etc/turncred/turncred.conf",
        "auth-module-only",
    ]

    def test_nobody_is_let_in(self):
        with server.Server(PROGRAM, self.LINES) as place:
            client = place.client()
            self.assertEqual(client.challenge().code, 401)
            client.close()
            for password in ("", "alice", "secret"):
                credential = credentials.Credential("alice", password=password)
                self.assertEqual(probes.login(place, credential), "401")

    def test_without_lt_cred_mech_everybody_would_be(self):
        """The reason why the server refuses a module without lt-cred-mech in the same file."""
        with server.Server(PROGRAM, self.LINES[1:]) as place:
            client = place.client()
            self.assertEqual(probes.outcome(client.challenge), "ok")
            client.close()


if __name__ == "__main__":
    unittest.main(verbosity=2)
