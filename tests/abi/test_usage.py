#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the host tells a module of allocations: when one is made, what it has relayed, and why it ended."""

import os
import re
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import abi_support  # noqa: E402,F401
import server  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute  # noqa: E402
from transport import Counting  # noqa: E402
from abi_support import Case, of_this_version, password  # noqa: E402

ALICE = password("alice", "wonderland")
NUMBERS = r"(\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+) (\d+)"
CLIENT, EXPIRED, CLOSED = 0, 1, 2
IPV6 = [Attribute("REQUESTED-ADDRESS-FAMILY", b"\x02\0\0\0")]
BOTH = [Attribute(number, b"\x02\0\0\0") for number in (0x8000, 0x8032)]  # ADDITIONAL-ADDRESS-FAMILY; older versions have another number


def numbers(line):
    return [int(n) for n in re.search(NUMBERS, line).groups()]


class Usage(Case):
    def counting_client(self, running, kind="udp"):
        client = self.client(running, ALICE, kind)
        client.transport = Counting(client.transport)
        return client

    def last(self, running, what):
        return [line for line in running.log().splitlines() if f"rules: {what} " in line][-1]

    def count(self, running, what):
        """Different lines: each stands in the log and on standard output."""
        return len({line for line in running.log().splitlines() if f"rules: {what} " in line})

    def ended(self, running, ended, reason=0):
        running.wait_log(r"rules: why", 12)
        self.assertIn(f"why allocation=1 ended={ended} reason={reason}", self.last(running, "why"))

    def relay(self, client, times, size):
        peer = turnclient.Peer()
        self.addCleanup(peer.close)
        self.assertTrue(client.create_permission(peer.address).ok)
        for _ in range(times):
            client.send(peer.address, bytes(size))
            source, octets = peer.receive()
            self.assertEqual(len(octets), size)
            peer.send(source, octets)
            self.assertIsNotNone(client.receive())

    def test_allocation_and_exact_counters(self):
        for kind, number in (("udp", 1), ("tcp", 2)):
            with self.subTest(kind=kind):
                running = self.serve("rules", "alice:password=wonderland")
                client = self.counting_client(running, kind)
                self.assertTrue(client.allocate().ok)
                running.wait_log(r"rules: allocated alice realm=\S+ transport=%d relayed=127.0.0.1:\d+" % number)
                self.relay(client, 10, 100)
                self.assertTrue(client.refresh(0).ok)
                self.ended(running, CLIENT)
                received, sent, packets_in, packets_out, peer_in, peer_out, peer_packets_in, peer_packets_out = numbers(
                    self.last(running, "end"))
                t = client.transport
                # a version that challenges in the listener has not counted the first request and its answer
                before_in, before_out = t.sent - received, t.received - sent
                if packets_in != t.messages_sent:
                    self.assertEqual((packets_in, packets_out), (t.messages_sent - 1, t.messages_received - 1))
                else:
                    self.assertEqual((before_in, before_out, packets_out), (0, 0, t.messages_received))
                self.assertEqual((peer_in, peer_out, peer_packets_in, peer_packets_out), (1000, 1000, 10, 10))

    def test_the_relayed_address_is_the_one_that_the_client_is_told(self):
        for lines in ([], ["external-ip=192.0.2.7"], ["external-ip=192.0.2.7/127.0.0.1"]):
            with self.subTest(lines):
                running = self.serve("rules", "alice:password=wonderland", lines)
                host, port = self.client(running, ALICE).allocate().address("XOR-RELAYED-ADDRESS")
                self.assertEqual(host, "192.0.2.7" if lines else "127.0.0.1")
                running.wait_log(rf"rules: allocated alice .* relayed={host}:{port} ")

    def test_living_sessions_are_reported_while_they_relay(self):
        running = self.serve("rules", "reports=200 alice:password=wonderland")
        client = self.counting_client(running)
        self.assertTrue(client.allocate().ok)
        running.wait_log(r"rules: report ")
        self.relay(client, 5, 200)
        running.wait_log(r"rules: report \d+ \d+ \d+ \d+ 1000 1000 5 5$")
        count = self.count(running, "report")
        self.relay(client, 1, 200)
        running.wait_log(r"rules: report \d+ \d+ \d+ \d+ 1200 1200 6 6$")
        # nothing was relayed in between, and nothing was told
        self.assertLessEqual(self.count(running, "report"), count + 2)
        last = numbers(self.last(running, "report"))
        self.assertTrue(client.refresh(0).ok)
        self.ended(running, CLIENT)
        for before, after in zip(last, numbers(self.last(running, "end"))):
            self.assertLessEqual(before, after)

    def test_without_an_interval_no_reports(self):
        running = self.serve("rules", "alice:password=wonderland")
        client = self.counting_client(running)
        self.assertTrue(client.allocate().ok)
        self.relay(client, 3, 10)
        self.assertTrue(client.refresh(0).ok)
        self.ended(running, CLIENT)
        self.assertNotIn("rules: report ", running.log())

    def test_not_refreshed_is_expired(self):
        running = self.serve("rules", "alice:password=wonderland,expires=+3,policy=strict")
        client = self.client(running, ALICE)
        self.assertTrue(client.allocate(600).ok)
        self.ended(running, EXPIRED)

    def test_a_connection_that_ends_is_the_clients(self):
        running = self.serve("rules", "alice:password=wonderland")
        client = self.client(running, ALICE, "tcp")
        self.assertTrue(client.allocate(600).ok)
        client.close()
        self.ended(running, CLIENT)

    def test_released_and_refreshed_again(self):
        running = self.serve("rules", "alice:password=wonderland,expires=+4,policy=strict")
        client = self.client(running, ALICE)
        self.assertTrue(client.allocate(600).ok)
        self.assertTrue(client.refresh(600).ok)
        self.ended(running, EXPIRED)

    def test_a_release_that_is_refused_is_none(self):
        running = self.serve("rules", "alice:password=wonderland,expires=+4,policy=strict")
        client = self.client(running, ALICE)
        self.assertTrue(client.allocate(600).ok)
        self.assertEqual(client.refresh(0, extra=IPV6).code, 443)
        self.ended(running, EXPIRED)

    def test_an_allocation_of_two_families_is_released_with_both(self):
        if not server.has_ipv6():
            print("no IPv6 on this machine: nothing to see")
            return
        for families, ended in (([IPV6], EXPIRED), ([[]], CLIENT), ([IPV6, []], CLIENT)):
            with self.subTest(families):
                running = self.serve("rules", "alice:password=wonderland,expires=+5,policy=strict", ["relay-ip=::1"])
                client = self.client(running, ALICE)
                self.assertTrue(client.allocate(600, extra=BOTH).ok)
                running.wait_log(r"rules: allocated alice .* relayed=127\.0\.0\.1:\d+ relayed6=::1 ")
                for family in families:
                    self.assertTrue(client.refresh(0, extra=family).ok)
                self.ended(running, ended)

    def test_closed_by_the_module_says_why(self):
        running = self.serve("rules", "alice:password=wonderland")
        client = self.client(running, ALICE)
        self.assertTrue(client.allocate().ok)
        running.signal(signal.SIGUSR2)
        self.ended(running, CLOSED, 8)  # COTURN_AUTH_REASON_REVOKED

    def test_what_was_refused_is_no_allocation(self):
        running = self.serve("rules", "alice:password=wonderland,user-quota=1")
        first, second = self.client(running, ALICE, "tcp"), self.client(running, ALICE, "tcp")
        self.assertTrue(first.allocate().ok)
        self.assertEqual(second.allocate().code, 486)
        second.close()
        running.wait_log(rf"rules: why allocation=0 ended={CLIENT} reason=0")  # its connection has ended
        self.assertEqual(self.count(running, "allocated"), 1)
        third = self.client(running, password("alice", "wrong"), "tcp")
        self.assertEqual(third.allocate().code, 401)
        third.close()
        self.assertEqual(self.count(running, "allocated"), 1)


def load_tests(loader, tests, pattern):
    return of_this_version(loader, tests, pattern)


if __name__ == "__main__":
    unittest.main()
