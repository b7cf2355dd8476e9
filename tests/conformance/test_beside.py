#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A module beside coturn's own mechanisms (no auth-module-only), and as an observer only; and what
auth-module-only leaves of coturn's own database: its peer ranges."""

import os
import pathlib
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import credentials  # noqa: E402
import patched  # noqa: E402
import probes  # noqa: E402
import stock  # noqa: E402
import stun  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute  # noqa: E402

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


class BesideOrigin(unittest.TestCase):
    """A client that shows coturn one realm first, by its ORIGIN, does not come into a known realm by coturn's own users:
    neither with the transaction that the module left to coturn, nor with the key that coturn looked up for it."""

    KNOWN, OTHER, ORIGIN = "known.example", "other.example", "https://other.example"
    REFUSED = (401, 437)  # newer versions keep a session to the realm that it was first in

    @classmethod
    def setUpClass(cls):
        reason = patched.missing()
        if reason:
            raise unittest.SkipTest(reason)
        cls.place = patched.Place(realm=cls.KNOWN, take_away=["auth-module-only"])
        cls.addClassCleanup(cls.place.stop)
        path = os.path.join(cls.place.folder, "userdb.sqlite")
        with sqlite3.connect(path) as database:
            database.executescript(stock.SCHEMA)
            database.execute("INSERT INTO turn_origin_to_realm VALUES (?, ?)", (cls.ORIGIN + ":443", cls.OTHER))
            for realm in (cls.KNOWN, cls.OTHER):
                key = STATIC.key(realm).hex()
                database.execute("INSERT INTO turnusers_lt VALUES (?, ?, ?)", (realm, STATIC.username, key))
        database.close()
        cls.place.lines.append(f"userdb={path}")
        cls.place.realm(cls.KNOWN)
        cls.place.start()

    def refused_elsewhere(self, kind):
        """A client that coturn has refused in the realm of its ORIGIN, and the transaction of its request."""
        wrong = credentials.Credential(STATIC.username, password="wrong")
        end = time.monotonic() + 30  # coturn reads the table of origins from time to time
        while True:
            client = self.place.server.client(kind, STATIC, origin=self.ORIGIN)
            self.addCleanup(client.close)
            client.challenge()
            if client.realm == self.OTHER:
                break
            self.assertLess(time.monotonic(), end, "coturn does not know the origin")
            time.sleep(0.3)
        answer = client.exchange(self.request(client, wrong, transaction := os.urandom(12)))
        self.assertEqual(answer.code, 401)
        client.take_challenge(answer)
        client.origin, client.realm = None, self.KNOWN
        return client, transaction

    def request(self, client, credential, transaction):
        attributes = [Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))]
        if client.origin:
            attributes.append(Attribute("ORIGIN", client.origin))
        return stun.build("ALLOCATE", attributes + client.authentication(credential), txid=transaction)

    def test_coturns_realm_is_open(self):
        self.refused_elsewhere("udp")
        client = self.place.server.client("udp", STATIC, origin=self.ORIGIN)
        self.addCleanup(client.close)
        self.assertTrue(client.allocate().ok)
        self.assertTrue(client.create_permission(("192.0.2.1", 9)).ok)
        self.assertTrue(client.refresh(600).ok)

    def test_a_transaction_that_was_left_to_coturn(self):
        for kind in ("udp", "tcp"):
            client, transaction = self.refused_elsewhere(kind)
            self.assertIn(client.exchange(self.request(client, STATIC, transaction)).code, self.REFUSED)

    def test_a_key_that_coturn_has_looked_up(self):
        for kind in ("udp", "tcp"):
            client, _ = self.refused_elsewhere(kind)
            self.assertIn(client.allocate().code, self.REFUSED)


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


PEERS = """
INSERT INTO denied_peer_ip VALUES ('own.example', '127.0.0.10-127.0.0.19');
INSERT INTO denied_peer_ip VALUES ('other.example', '127.0.0.20');
INSERT INTO denied_peer_ip VALUES ('', '127.0.0.30');
INSERT INTO allowed_peer_ip VALUES ('own.example', '127.0.0.15');
"""


class PeerRanges(unittest.TestCase):
    """denied_peer_ip and allowed_peer_ip of coturn's database hold with auth-module-only as they hold without."""

    WANTED = {"127.0.0.10": 403, "127.0.0.19": 403, "127.0.0.30": 403, "127.0.0.15": 0, "127.0.0.20": 0, "127.0.0.9": 0}
    NAMED = "the user database is not read from now on: its users, secrets, OAuth keys, realm options"

    def setUp(self):
        reason = patched.missing()
        if reason:
            raise unittest.SkipTest(reason)

    def verdicts(self, lines, take_away=(), postgresql=False):
        """The code of a permission for each peer, and the server's log."""
        with patched.Place(lines, realm="own.example", take_away=take_away) as place:
            if postgresql:
                place.database.sql("CREATE DATABASE coturn", "postgres")
                place.database.psql(["-c", stock.SCHEMA + PEERS], "coturn")
                place.lines.append(f'psql-userdb="host={place.folder}/pg/run dbname=coturn user=postgres"')
            else:
                path = os.path.join(place.folder, "userdb.sqlite")
                with sqlite3.connect(path) as database:
                    database.executescript(stock.SCHEMA + PEERS)
                database.close()
                place.lines.append(f"userdb={path}")
            realm = place.realm("own.example")
            place.start()
            return self.permissions(place, realm), place.server.log()

    def permissions(self, place, realm):
        client = place.server.client("udp", realm.derived())
        self.addCleanup(client.close)
        turnclient.need("allocate", client.allocate())
        return {peer: client.create_permission((peer, 9)).code for peer in self.WANTED}

    def test_only(self):
        for postgresql in (False, True):
            codes, log = self.verdicts([], postgresql=postgresql)
            self.assertEqual(codes, self.WANTED, log)
            self.assertIn("3 ranges of denied_peer_ip of the user database stay in force", log)
            self.assertIn("1 ranges of allowed_peer_ip of the user database stay in force", log)
            self.assertIn(self.NAMED, log)

    def test_beside(self):
        """The control: coturn's own reading of the same tables."""
        codes, log = self.verdicts([], take_away=["auth-module-only"])
        self.assertEqual(codes, self.WANTED, log)
        self.assertNotIn(self.NAMED, log)

    def test_switched_off(self):
        codes, log = self.verdicts(["no-dynamic-ip-list"])
        self.assertEqual(set(codes.values()), {0}, log)

    def test_a_database_that_is_away_is_named(self):
        lines = ['psql-userdb="host=127.0.0.1 port=1 dbname=coturn user=postgres"']
        with patched.Place(lines, realm="own.example") as place:
            realm = place.realm("own.example")
            place.start()
            self.assertEqual(set(self.permissions(place, realm).values()), {0})
            self.assertIn("denied_peer_ip of the user database cannot be read", place.server.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
