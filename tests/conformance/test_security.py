#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""patches/4.6.1/security: a packet or an ordinary credential damages unpatched coturn 4.6.1, and does not
damage the patched one. No module is configured."""

import contextlib
import os
import pathlib
import re
import socket
import sqlite3
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
from probes import TRANSPORT  # noqa: E402
from redis_server import Redis  # noqa: E402
from stun import Attribute, Integrity  # noqa: E402

LINES = ["lt-cred-mech", "realm=example.org", "user=alice:alice", "no-software-attribute"]
ALICE = credentials.Credential("alice", password="alice")
FORMAT = "%s%s%s%s%s%s%s%s%s%s"


def setUpModule():
    if server.stock() is None or server.patched() is None:
        raise unittest.SkipTest("needs unpatched and patched turnserver")


def until(condition, seconds=20):
    """Waits until the condition has a true value. Returns its last value."""
    end = time.monotonic() + seconds
    while not (result := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return result


def alive(place):
    """Whether the server still answers."""
    with contextlib.suppress(transport.Gone, turnclient.NoAnswer, OSError):
        client = place.client("tcp")
        try:
            client.binding()
            return place.process.poll() is None
        finally:
            client.close()
    return False


class Both(unittest.TestCase):
    """Runs self.fault(program) on both servers: on the unpatched one it must name the fault's effect."""

    def both(self, fault, unpatched, patched):
        with self.subTest("unpatched"):
            self.assertEqual(fault(server.stock()), unpatched)
        with self.subTest("patched"):
            self.assertEqual(fault(server.patched()), patched)


class MobilityTicket(Both):
    def test_octets_above_127(self):
        """0007. memcheck sees the reads in front of the table; no client has authenticated."""
        self.both(self.invalid_reads, True, False)

    @staticmethod
    def invalid_reads(program):
        with server.Server(program, LINES + ["mobility"], under=["valgrind", "--trace-children=no"]) as place:
            client = place.client("udp")
            for ticket in (b"\xff" * 8, b"\x80" * 8, b"", b"\0AAA", b"AAAAAAAAAAA="):
                with contextlib.suppress(turnclient.NoAnswer):
                    client.exchange(stun.build("REFRESH", [Attribute("MOBILITY-TICKET", ticket)]))
            client.close()
            if not alive(place):
                return "dead"
            return "Invalid read" in place.log()


class RedisFormats(Both):
    def test_statistics(self):
        """0008: SIGSEGV at the Allocate of a user with such a name."""
        self.both(self.statistics, (False, False), (True, True))

    @staticmethod
    def statistics(program):
        with Redis(until) as redis:
            lines = LINES + [f"user={FORMAT}:secret", redis.line("statsdb")]
            with server.Server(program, lines) as place:
                client = place.client("udp", credentials.Credential(FORMAT, password="secret"))
                probes.outcome(client.allocate)
                key = f"turn/realm/example.org/user/{FORMAT}/allocation/"
                noted = until(lambda: place.process.poll() is not None or key in redis.tell("KEYS *"))
                client.close()
                return alive(place), place.process.poll() is None and noted

    def test_what_is_left_of_a_server(self):
        """0008: a key that an earlier server has not deleted ends the next one at its start."""
        self.both(self.left, "gone", "ok")

    @staticmethod
    def left(program):
        with Redis(until) as redis:
            key = f"turn/realm/example.org/user/{FORMAT}/allocation/1/status"
            redis.tell(f"SET {key} new")
            try:
                with server.Server(program, LINES + [redis.line("statsdb")]):
                    return "still there" if key in redis.tell("KEYS *") else "ok"
            except RuntimeError:
                return "gone"

    def test_user_database(self):
        """0008: a client that has a nonce can cause SIGSEGV; it needs no credential."""
        self.both(self.user_database, ("gone", False), ("ok", True))

    @staticmethod
    def user_database(program):
        credential = credentials.Credential(FORMAT, password="secret")
        with Redis(until) as redis:
            key = credential.key("example.org").hex()
            redis.tell(f"SET turn/realm/example.org/user/{FORMAT}/key {key}")
            with server.Server(program, LINES + [redis.line("userdb")]) as place:
                result = probes.login(place, credential)
                ended = until(lambda: place.process.poll() is not None, 1)
                return "gone" if ended else result, alive(place)


class EvenPort(unittest.TestCase):
    """4.6.1 does not lose ports here: only later versions, to 4.16, have the fault."""

    def test_the_odd_port_stays_in_the_pool(self):
        port = next(p for p in iter(server.free_port, None) if p % 2 == 0)
        lines = LINES + [f"min-port={port}", f"max-port={port + 3}"]
        even = [Attribute("EVEN-PORT", b"\0")]
        with server.Server(server.patched(), lines) as place:
            for number in range(4):
                # a released allocation still holds its port for a second
                self.assertTrue(
                    until(lambda: probes.login(place, ALICE, extra=even) == "ok"), f"number {number}"
                )


class Log(Both):
    FORGED = "auth-module: refused client=198.51.100.7 port=1 reason=bad_token session=1"

    def test_origin(self):
        """0011: one packet writes a line of the client's choice into the log."""
        self.both(self.origin, (True, True), (False, False))

    def origin(self, program):
        with server.Server(program, LINES) as place:
            client = place.client("udp")
            client.challenge([TRANSPORT, Attribute("ORIGIN", f"x\n{self.FORGED} {'y' * 900}\n")])
            client.challenge([TRANSPORT, Attribute("ORIGIN", b"\x1b[2Jx \xff\xc2\x85 '\"")])
            client.close()
            log = until(lambda: "[2J" in place.log() and place.log())
            with open(f"{place.folder}/turnserver.log", "rb") as file:
                raw = file.read()
            return self.FORGED in log, b"\x1b" in raw or b"\xff" in raw or b"\xc2\x85" in raw

    def test_realm_and_user(self):
        """0011: both are logged before the nonce is looked at."""
        self.both(self.realm_and_user, True, False)

    def realm_and_user(self, program):
        with server.Server(program, LINES) as place:
            client = place.client("udp")
            for name, realm in (("alice", f"x {self.FORGED}"), (f"x {self.FORGED}", "example.org")):
                tail = [Attribute("USERNAME", name), Attribute("REALM", realm)]
                tail += [Attribute("NONCE", "1"), Integrity(b"key")]
                self.assertEqual(client.exchange(stun.build("ALLOCATE", [TRANSPORT] + tail)).code, 400)
            client.close()
            log = until(lambda: re.search("wrong realm(.|\n)*wrong username", place.log()) and place.log())
            return self.FORGED in log

    def test_users_of_all_kinds_are_named(self):
        """0011: the log shows the ordinary characters of a name unchanged."""
        name = "jürgen+1@example.org/2"
        with server.Server(server.patched(), LINES + [f"user={name}:secret"]) as place:
            result = probes.login(place, credentials.Credential(name, password="secret"))
            self.assertEqual(result, "ok")
            self.assertTrue(until(lambda: f"username=<{name}>" in place.log()))

    def test_flood(self):
        """0011: a packet, a line; but not more than 50 a second."""
        self.both(self.flood, "every", "few")

    @staticmethod
    def flood(program):
        count = 500
        with server.Server(program, LINES) as place:
            client = place.client("udp")
            began = time.monotonic()
            for _ in range(count):
                client.challenge([TRANSPORT, Attribute("ORIGIN", "no origin")])
            client.close()
            allowed = 50 * (time.monotonic() - began + 2)
            until(lambda: "closed" in place.log(), 1)
            with open(f"{place.folder}/turnserver.log", errors="replace") as file:
                lines = file.read().count("Wrong origin format")
            return "every" if lines == count else "few" if 0 < lines <= allowed else lines


class Http(Both):
    def test_request_to_the_turn_port(self):
        """0012: one line of text causes SIGSEGV."""
        self.both(self.request, (b"", False), (b"HTTP/1.", True))

    @staticmethod
    def request(program):
        lines = ["web-admin", "web-admin-listen-on-workers", "web-admin-ip=127.0.0.1"]
        lines.append(f"web-admin-port={server.free_port()}")
        with server.Server(program, LINES + lines) as place:
            answer = b""
            with socket.create_connection(place.address, 5) as connection:
                with contextlib.suppress(ConnectionError):
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: turn.example.org\r\n\r\n")
                    answer = connection.recv(7)
            return answer, alive(place)


class Mobility(Both):
    def test_quota(self):
        """0013: with user-quota=1 a user can double the number of allocations, again and again."""
        self.both(self.quota, "ok", "486")

    @staticmethod
    def quota(program):
        with server.Server(program, LINES + ["mobility", "user-quota=1"]) as place:
            client = place.client("tcp", ALICE)
            client.allocate(mobility=True)
            client.close()
            until(lambda: "closed (1st stage)" in place.log())
            return probes.login(place, ALICE)

    def test_quota_after_a_resumption(self):
        """0013: a returning client is not charged twice, and its whole charge is released at the end."""
        with server.Server(server.patched(), LINES + ["mobility", "user-quota=1"]) as place:
            first = place.client("tcp", ALICE)
            self.assertEqual(probes.outcome(first.allocate, mobility=True), "ok")
            first.close()
            self.assertTrue(until(lambda: "closed (1st stage)" in place.log()))
            second = place.client("udp", ALICE)
            self.assertEqual(probes.outcome(second.refresh, ticket=first.ticket), "ok")
            self.assertEqual(probes.login(place, ALICE), "486")
            self.assertEqual(probes.outcome(second.refresh, 0), "ok")
            second.close()
            self.assertTrue(until(lambda: probes.login(place, ALICE) == "ok"))

    def test_another_user_resumes(self):
        """0014: the ticket is not secret; its thief has logged in under another name."""
        self.both(self.another_user, "ok", "441")

    @staticmethod
    def another_user(program):
        # one thread, because a session begins anew in another thread than the allocation's
        lines = LINES + ["mobility", "user=mallory:mallory", "relay-threads=1"]
        with server.Server(program, lines) as place:
            alice = place.client("udp", ALICE)
            alice.allocate(mobility=True)
            mallory = place.client("udp", credentials.Credential("mallory", password="mallory"))
            mallory.allocate(extra=[Attribute("RESERVATION-TOKEN", b"unknown1")])
            result = probes.outcome(mallory.refresh, ticket=alice.ticket)
            alice.close()
            mallory.close()
            return result


class Origin(Both):
    def test_realm_of_an_unauthenticated_packet(self):
        """0015: one packet from alice's address, and her session is in another realm."""
        self.both(self.realm, "other.example", "example.org")

    @staticmethod
    def realm(program):
        place = server.Server(program, LINES)
        with sqlite3.connect(os.path.join(place.folder, "userdb.sqlite")) as database:
            database.executescript(stock.SCHEMA)
            database.execute(
                "INSERT INTO turn_origin_to_realm VALUES ('https://other.example:443','other.example')"
            )
        database.close()
        with place:
            origin = Attribute("ORIGIN", "https://other.example")

            def known():
                client = place.client("udp")
                client.challenge([TRANSPORT, origin])
                client.close()
                return client.realm == "other.example"

            if not until(known):
                return "the origin is not known"
            client = place.client("udp", ALICE, share_port=True)
            probes.spoof(client, [TRANSPORT, origin])
            client.challenge()
            client.close()
            return client.realm


if __name__ == "__main__":
    unittest.main(verbosity=2)
