#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""patches/4.6.1/security/0016: a ConnectionBind (RFC 6062) that is refused takes the connection away from its owner on
unpatched coturn, and is not answered; on the patched one it is answered, and spends nothing. No module is configured."""

import pathlib
import socket
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import credentials  # noqa: E402
import probes  # noqa: E402
import server  # noqa: E402
import stun  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute  # noqa: E402

ALICE = credentials.Credential("alice", password="alice")
MALLORY = credentials.Credential("mallory", password="mallory")
LINES = ["lt-cred-mech", "realm=example.org", "user=alice:alice", "user=mallory:mallory"]
BIND = "CONNECTION-BIND"


def setUpModule():
    if server.stock() is None or server.patched() is None:
        raise unittest.SkipTest("needs unpatched and patched turnserver")


class Owner:
    """alice, with a TCP allocation, and a peer to which the server has opened a connection for her."""

    def __init__(self, place, kind="tcp"):
        self.client = place.client(kind, ALICE)
        turnclient.need("allocate", self.client.allocate(protocol=stun.TCP))
        self.others = []

    def connect(self):
        """To a new peer: one allocation has one connection to each (446)."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(5)
            answer, self.connection = self.client.connect(listener.getsockname())
            turnclient.need("connect", answer)
            self.peer, _ = listener.accept()
        self.peer.settimeout(5)
        self.others.append(self.peer)
        return self

    def another(self, credential=ALICE, nonce=None, realm=None):
        """A client on a connection of its own that knows the owner's challenge, or what it is given instead."""
        first = self.client.transport
        client = turnclient.Client(transport.connect(first.name, first.server), credential)
        client.nonce, client.realm = nonce or self.client.nonce, realm or self.client.realm
        self.others.append(client)
        return client

    def bind(self, client, connection=None, follow=False, **options):
        attribute = Attribute("CONNECTION-ID", self.connection if connection is None else connection)
        return probes.outcome(client.request, BIND, [attribute], follow=follow, **options)

    def naked(self, client, attributes):
        """A ConnectionBind without a word about who sends it: its answer, whose challenge the client then knows."""
        def ask():
            response = client.exchange(client.build(BIND, attributes, authenticate=False))
            client.take_challenge(response)
            return response
        return probes.outcome(ask)

    def relays(self, client):
        """Whether data comes through the bound connection, both ways."""
        try:
            client.transport.send(b"there")
            if self.peer.recv(100) != b"there":
                return False
            self.peer.sendall(b"back")
            return client.transport.recv_octets(3) == b"back"
        except (OSError, transport.Gone):
            return False

    def close(self):
        for one in [*self.others, self.client]:
            one.close()


class Place:
    """A server with alice on it."""

    def __init__(self, program, kind="tcp", lines=()):
        self.server = server.Server(program, [*LINES, *lines], tls=kind == "tls")
        self.kind = kind

    def __enter__(self):
        self.owner = Owner(self.server.__enter__(), self.kind)
        return self.owner

    def __exit__(self, *error):
        self.owner.close()
        self.server.__exit__(*error)


# how somebody else, or a client that is mistaken, asks for the owner's connection: what is sent, and its answer
REFUSED = {
    "no credentials": (lambda owner: owner.naked(owner.another(), [Attribute("CONNECTION-ID", owner.connection)]), "401"),
    "a wrong password": (lambda owner: owner.bind(owner.another(credentials.Credential("alice", password="x"))), "401"),
    "a user that is unknown": (lambda owner: owner.bind(owner.another(credentials.Credential("eve", password="x"))), "441"),
    "another user's credentials": (lambda owner: owner.bind(owner.another(MALLORY)), "441"),
    "a wrong nonce": (lambda owner: owner.bind(owner.another(nonce="0123456789abcdef")), "438"),
    "another realm": (lambda owner: owner.bind(owner.another(realm="elsewhere")), "441"),
    "an integrity that is cut": (
        lambda owner: owner.naked(
            owner.another(),
            [Attribute("CONNECTION-ID", owner.connection), Attribute("MESSAGE-INTEGRITY", bytes(19))],
        ),
        "401",
    ),
    "no user name": (
        lambda owner: owner.naked(
            owner.another(),
            [Attribute("CONNECTION-ID", owner.connection), Attribute("REALM", "example.org"), stun.Integrity(bytes(16))],
        ),
        "400",
    ),
}


class ConnectionBind(unittest.TestCase):
    def test_unpatched_each_one_costs_the_owner_its_connection(self):
        for name, (ask, _) in REFUSED.items():
            with self.subTest(name), Place(server.stock()) as owner:
                owner.connect()
                self.assertEqual(ask(owner), "gone")
                self.assertEqual(owner.bind(owner.another()), "gone")

    def test_unpatched_the_control(self):
        with Place(server.stock()) as owner:
            mine = owner.connect().another()
            self.assertEqual(owner.bind(mine), "ok")
            self.assertTrue(owner.relays(mine))

    def test_unpatched_an_unverified_realm_counts(self):
        """The password is right, the realm is that of another server."""
        with Place(server.stock()) as owner:
            owner.connect()
            probes.outcome(owner.another(realm="elsewhere").request, BIND, [Attribute("CONNECTION-ID", owner.connection)])
            self.assertEqual(probes.outcome(owner.client.refresh, 600), "441")

    def refused(self, kind):
        with Place(server.patched(), kind) as owner:
            for name, (ask, answer) in REFUSED.items():
                with self.subTest(name):
                    owner.connect()
                    for _ in range(2):
                        self.assertEqual(ask(owner), answer)
                    mine = owner.another()
                    self.assertEqual(owner.bind(mine), "ok")
                    self.assertTrue(owner.relays(mine))
                    self.assertEqual(probes.outcome(owner.client.refresh, 600), "ok")

    def test_what_is_refused_is_answered_and_spends_nothing(self):
        self.refused("tcp")

    def test_what_is_refused_over_tls(self):
        self.refused("tls")

    def test_the_challenge_leads_to_the_connection(self):
        """One 401 at the most, and on the connection that got it (RFC 8489 9.2.4)."""
        for kind in ("tcp", "tls"):
            with self.subTest(kind), Place(server.patched(), kind) as owner:
                for first in (None, "0123456789abcdef"):
                    fresh = owner.connect().another(nonce=first)
                    if first is None:
                        fresh.nonce = fresh.realm = None
                    self.assertEqual(owner.bind(fresh, follow=True), "ok")
                    self.assertTrue(owner.relays(fresh))

    def test_a_slip_is_mended_on_the_same_connection(self):
        with Place(server.patched()) as owner:
            mine = owner.connect().another()
            self.assertEqual(owner.bind(mine, credential=credentials.Credential("alice", password="slip")), "401")
            self.assertEqual(owner.bind(mine), "ok")
            self.assertTrue(owner.relays(mine))

    def test_connections_that_are_not_there(self):
        """RFC 6062 5.4: 400; but who has no credentials is challenged, whatever the id."""
        with Place(server.patched()) as owner:
            first = owner.connect().connection
            near = bytes([*first[:3], first[3] ^ 1]), bytes([first[0] ^ 1, *first[1:]])
            for connection in (*near, bytes(4), b"\xff\xff\xff\xff", b"\x00\x00\x00\x80"):
                with self.subTest(connection.hex()):
                    mine = owner.another()
                    self.assertEqual(owner.naked(mine, [Attribute("CONNECTION-ID", connection)]), "401")
                    mine.nonce = owner.client.nonce
                    self.assertEqual(owner.bind(mine, connection), "400")
            for malformed in ([], [Attribute("CONNECTION-ID", b"abc")], [Attribute("CONNECTION-ID", b"")]):
                mine = owner.another()
                self.assertEqual(probes.outcome(mine.request, BIND, malformed, follow=False), "400")
            self.assertEqual(owner.bind(mine), "ok")
            self.assertTrue(owner.relays(mine))

    def test_a_connection_is_bound_once(self):
        with Place(server.patched()) as owner:
            mine = owner.connect().another()
            self.assertEqual(owner.bind(mine), "ok")
            self.assertEqual(owner.bind(owner.another()), "400")
            self.assertTrue(owner.relays(mine))

    def test_nobody_is_on_the_way(self):
        """Many that are refused, from many connections, while the owner binds one after the other."""
        with Place(server.patched(), lines=["relay-threads=4"]) as owner:
            for _ in range(5):
                owner.connect()
                for _ in range(20):
                    self.assertEqual(owner.bind(owner.another(MALLORY)), "441")
                mine = owner.another()
                self.assertEqual(owner.bind(mine), "ok")
                self.assertTrue(owner.relays(mine))


if __name__ == "__main__":
    unittest.main(verbosity=2)
