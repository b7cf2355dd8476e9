#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""With no module configured, patched coturn answers like unpatched coturn: the same packets go to
both, and what comes back is compared attribute by attribute. Only what is random in each run
(nonces, ports, tickets, MACs) is compared by its length alone."""

import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import credentials  # noqa: E402
import probes  # noqa: E402
import server  # noqa: E402
import stock  # noqa: E402
import stun  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute, Integrity  # noqa: E402

RANDOM = {
    stun.ATTRIBUTES[name]
    for name in (
        "NONCE",
        "MAPPED-ADDRESS",
        "RESPONSE-ORIGIN",
        "XOR-RELAYED-ADDRESS",
        "XOR-MAPPED-ADDRESS",
        "MESSAGE-INTEGRITY",
        "MOBILITY-TICKET",
        "RESERVATION-TOKEN",
        "CONNECTION-ID",
        "FINGERPRINT",
    )
}
TRANSPORT = Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))
PEER = ("127.0.0.1", 9)  # discard: nobody listens, nothing is sent to it


def length(number, value):
    """Of something random; a nonce of 4.16 has 16 octets or more, as chance has it."""
    return min(len(value), 16) if number == stun.ATTRIBUTES["NONCE"] else len(value)


def shape(octets, key):
    """A message without its random parts: class, method, attributes, and whether its MAC is right."""
    if octets is None:
        return None
    if stun.is_channel_data(octets):
        return ("channel", *stun.parse_channel_data(octets))
    try:
        message = stun.Message(octets)
    except stun.Malformed:
        return ("no message", len(octets))
    attributes = [(n, length(n, v) if n in RANDOM else v) for n, v, _ in message.attributes]
    return (message.cls, message.method, attributes, message.check_integrity(key))


class Recorder:
    """A client that sends any packet and writes down the shape of the answer."""

    def __init__(self, place, kind, credential, key=None):
        self.client = place.client(kind, credential)
        self.client.realm = "example.org"
        self.credential = credential
        self.key = key or credential.key("example.org")
        self.record = []

    def ask(self, what, method, attributes=(), tail=None, key=None):
        """tail: None for the credential's own, or a list of attributes."""
        if tail is None:
            tail = self.client.authentication(self.credential, key=key or self.key)
        raw = stun.build(method, list(attributes) + tail)
        octets = None
        try:
            for _ in range(3):
                self.client.transport.send(raw)
                end = time.monotonic() + 1
                while (left := end - time.monotonic()) > 0 and octets is None:
                    got = self.client.transport.recv(left)
                    if got and got[8:20] == raw[8:20]:
                        octets = got
                if octets or self.client.transport.reliable:
                    break
        except transport.Gone:
            self.record.append((what, "gone"))
            return None
        self.record.append((what, shape(octets, self.key)))
        if octets:
            message = stun.Message(octets)
            if message.get("NONCE") is not None:
                self.client.nonce = message.text("NONCE")
            return message
        return None


def exchange(place, kind, credential, key=None):
    """A call with every mistake a client can make on the way."""
    r = Recorder(place, kind, credential, key)
    try:
        r.ask("binding", "BINDING", tail=[])
        r.ask("no credentials", "ALLOCATE", [TRANSPORT], tail=[])
        tail = r.client.authentication(key=r.key)
        for number, left_out in enumerate(("USERNAME", "REALM", "NONCE")):
            rest = [a for at, a in enumerate(tail) if at != number]
            r.ask(f"without {left_out}", "ALLOCATE", [TRANSPORT], tail=rest)
        r.client.nonce = "wrong"
        r.ask("wrong nonce", "ALLOCATE", [TRANSPORT])
        r.ask("wrong key", "ALLOCATE", [TRANSPORT], key=b"wrong")
        r.ask("no transport", "ALLOCATE")
        r.ask("unknown attribute", "ALLOCATE", [TRANSPORT, Attribute(0x7FF0, b"1234")])
        r.ask("allocate", "ALLOCATE", [TRANSPORT, Attribute("LIFETIME", stun.u32(700))])
        r.ask("allocate again", "ALLOCATE", [TRANSPORT])
        r.ask("permission", "CREATE-PERMISSION", [turnclient.PeerAddress(PEER)])
        r.ask("permission without peer", "CREATE-PERMISSION")
        channel = Attribute("CHANNEL-NUMBER", stun.channel_number(0x4001))
        r.ask("channel", "CHANNEL-BIND", [channel, turnclient.PeerAddress(PEER)])
        bad = Attribute("CHANNEL-NUMBER", stun.channel_number(0x1000))
        r.ask("channel out of range", "CHANNEL-BIND", [bad, turnclient.PeerAddress(PEER)])
        r.ask("connect over UDP", "CONNECT", [turnclient.PeerAddress(PEER)])
        r.ask("unknown method", 0x0FE)
        other = Recorder(place, kind, credentials.Credential("bob", password="bob"))
        other.client.close()
        other.client, other.record = r.client, r.record
        other.ask("another user", "REFRESH")
        r.ask("wrong key in a refresh", "REFRESH", key=b"wrong")
        r.ask("refresh", "REFRESH", [Attribute("LIFETIME", stun.u32(800))])
        r.client.realm = "elsewhere"
        r.ask("wrong realm", "REFRESH")
        r.client.realm = "example.org"
        short = [a for a in r.client.authentication(key=r.key)[:-1]]
        r.ask("short MAC", "REFRESH", tail=short + [Integrity(r.key, length=16)])
        r.ask("refresh with a token", "REFRESH", [Attribute("ACCESS-TOKEN", bytes(60))])
        r.ask("end", "REFRESH", [Attribute("LIFETIME", stun.u32(0))])
    finally:
        r.client.close()
    return r.record


class Unconfigured(unittest.TestCase):
    maxDiff = 4000

    @classmethod
    def setUpClass(cls):
        cls.programs = (server.stock(), server.patched())
        if None in cls.programs:
            raise unittest.SkipTest("needs unpatched and patched turnserver")
        cls.programs = [p for p in cls.programs]

    def assert_same(self, unpatched, patched):
        """One answer after the other, so that the first difference is shown; neither has more of them."""
        for before, after in zip(unpatched, patched):
            self.assertEqual(before, after)
        self.assertEqual(len(unpatched), len(patched))

    def both(self, lines, credential, key=None, kinds=("udp", "tcp", "tls", "dtls")):
        records = []
        for program in self.programs:
            with server.Server(program, lines, tls=True) as place:
                records.append({k: exchange(place, k, credential, key) for k in kinds})
        for kind in kinds:
            with self.subTest(transport=kind):
                self.assertGreater(len(records[0][kind]), 20)
                # Debian's build has a version string of its own in SOFTWARE: left out by option
                self.assert_same(*(record[kind] for record in records))

    def test_static_user(self):
        lines = ["lt-cred-mech", "realm=example.org", "user=alice:secret", "user=bob:bob"]
        credential = credentials.Credential("alice", password="secret")
        self.both(lines + ["no-software-attribute"], credential)

    def test_software_and_fingerprint(self):
        lines = ["lt-cred-mech", "realm=example.org", "user=alice:secret", "fingerprint"]
        self.both(lines, credentials.Credential("alice", password="secret"), kinds=("udp",))

    def test_shared_secret(self):
        lines = ["use-auth-secret", "static-auth-secret=north", "realm=example.org"]
        later = int(time.time()) + 600
        credential = credentials.make_rest_credential(b"north", "alice", later)
        self.both(lines + ["no-software-attribute"], credential, kinds=("udp", "tcp"))

    def test_nobody_needs_to_log_in(self):
        lines = ["no-auth", "realm=example.org", "no-software-attribute"]
        self.both(lines, credentials.Credential("alice", password="x"), kinds=("udp",))

    def test_tokens(self):
        """Even coturn's fault with 16 octets stays: this is coturn's own token support, not turncred's."""
        records = []
        for program in self.programs:
            with stock.TokenServer(program, ["no-software-attribute"]) as place:
                token = place.token(mac_key=bytes(range(20)), nonce=bytes(12))
                records.append(exchange(place.server, "udp", token, token.mac_key[:16]))
        self.assert_same(*records)

    def test_overlong_token_is_survived(self):
        """Unpatched, the nonce is copied past the end of its array. Whether that kills the server is up
        to what the compiler has put behind it: no fact that a client could see."""
        with stock.TokenServer(self.programs[1]) as place:
            self.assertEqual(probes.overlong_token(place.server, place.kid), "alive")


if __name__ == "__main__":
    unittest.main(verbosity=2)
