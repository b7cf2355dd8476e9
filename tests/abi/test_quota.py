#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Quota of sessions whose names, realm or client address change: the server keeps the charge while the
allocation exists, and releases exactly that charge."""

import os
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from abi_support import Case, password, token  # noqa: E402
from stun import Attribute  # noqa: E402

ALICE = password("alice", "wonderland")
K1, K2 = bytes(range(1, 21)), bytes(range(101, 121))
PEER = ("127.0.0.1", 9)
# one thread, because only the thread of the allocation can evaluate its ticket
MOBILE = ("mobility", "no-software-attribute", "relay-threads=1")
ORIGIN = "https://b.test:443"
NEW_BANDWIDTH = 0x8010  # coturn's own, in kilobits


class Charges(Case):
    def allocate(self, running, credential=ALICE, kind="udp", origin=None, **options):
        client = self.client(running, credential, kind, origin=origin)
        return client, client.allocate(**options).code

    def wait_allocated(self, running, credential=ALICE, origin=None, seconds=90):
        """A client, as soon as the quota allows its allocation. From 4.17 the watchdog has to see
        first that a mobile allocation is over: it comes once a minute."""
        end = time.monotonic() + seconds
        while True:
            client, code = self.allocate(running, credential, origin=origin)
            if code == 0:
                return client
            self.assertEqual(code, 486)
            self.assertLess(time.monotonic(), end, "the quota is not given back")
            client.close()
            time.sleep(0.3)

    def gone(self, running, client):
        """Its client goes, and a mobile allocation stays."""
        client.close()
        running.wait_log(r"closed \(1st stage\)")


class Names(Charges):
    IPV6 = Attribute("REQUESTED-ADDRESS-FAMILY", b"\2\0\0\0")  # which the server does not relay

    def test_what_failed_for_one_user_is_not_another_users_charge(self):
        bob = password("bob", "builder")
        running = self.serve("rules", "alice:password=wonderland,user-quota=1 bob:password=builder,user-quota=1")
        client, code = self.allocate(running, extra=[self.IPV6])
        self.assertEqual(code, 440)
        self.assertEqual(self.allocate(running, bob)[1], 0)
        self.assertEqual(client.allocate(credential=bob).code, 486)
        # the first user's charge went with the first user
        self.assertEqual(self.allocate(running)[1], 0)
        self.assertEqual(client.allocate().code, 486)


    def test_what_failed_for_one_user_is_not_another_users_bandwidth(self):
        slow = password("slow", "p")
        running = self.serve("rules", "alice:password=wonderland,max-bps=50000 slow:password=p,max-bps=2000")
        client, code = self.allocate(running, extra=[self.IPV6])
        self.assertEqual(code, 440)
        response = client.allocate(credential=slow)
        bandwidths = [value for number, value, _ in response.attributes if number == NEW_BANDWIDTH]
        self.assertEqual(bandwidths, [(2000 // 128).to_bytes(4, "big")])


class Mobility(Charges):
    def test_allocations_without_client_count(self):
        running = self.serve("rules", "alice:password=wonderland,user-quota=2", MOBILE)
        client, code = self.allocate(running, kind="tcp", mobility=True)
        self.assertEqual(code, 0)
        self.assertEqual(self.allocate(running)[1], 0)
        self.gone(running, client)
        self.assertEqual(self.allocate(running)[1], 486)
        # resumed, it counts once
        other = self.client(running, ALICE)
        self.assertTrue(other.refresh(600, ticket=client.ticket).ok)
        self.assertTrue(other.create_permission(PEER).ok)
        self.assertEqual(self.allocate(running)[1], 486)
        # ended, it is given back once
        other.send(PEER, b"by the new path")
        self.assertTrue(other.refresh(0).ok)
        self.wait_allocated(running)
        self.assertEqual(self.allocate(running)[1], 486)

    def test_total_quota(self):
        running = self.serve("rules", "alice:password=wonderland bob:password=builder",
                             [*MOBILE, "total-quota=1"])
        client, code = self.allocate(running, kind="tcp", mobility=True)
        self.assertEqual(code, 0)
        self.gone(running, client)
        self.assertEqual(self.allocate(running, password("bob", "builder"))[1], 486)

    def test_given_back_when_nobody_comes_for_it(self):
        running = self.serve("rules", "alice:password=wonderland,user-quota=1,expires=+5", MOBILE)
        client, code = self.allocate(running, kind="tcp", mobility=True)
        self.assertEqual(code, 0)
        self.gone(running, client)
        self.assertEqual(self.allocate(running)[1], 486)
        self.wait_allocated(running)

    def test_given_back_with_the_allocation(self):
        running = self.serve("rules", "alice:password=wonderland,user-quota=1", MOBILE)
        client, code = self.allocate(running, mobility=True)
        self.assertEqual(code, 0)
        self.assertTrue(client.refresh(0).ok)
        self.wait_allocated(running)

    def test_given_back_when_the_module_closes_it(self):
        running = self.serve("rules", "alice:password=wonderland,user-quota=1", MOBILE)
        client, code = self.allocate(running, kind="tcp", mobility=True)
        self.assertEqual(code, 0)
        self.gone(running, client)
        running.signal(12)  # SIGUSR2: the module rules closes all sessions
        running.wait_log("rules: ended alice")
        self.wait_allocated(running)


class TwoRealms(Charges):
    """A ticket of one realm changes nothing in a session of another realm whose client has proved nothing."""

    CONFIG = (f"realm.{ORIGIN}=b.test a:password=p,total-quota=2 b:password=p,total-quota=2")
    A, B = password("a", "p"), password("b", "p")
    NO_SUCH_RESERVATION = (Attribute("RESERVATION-TOKEN", b"nothing!"),)

    def serve_both(self):
        running = self.serve("rules", self.CONFIG, MOBILE)
        client, code = self.allocate(running, self.B, origin=ORIGIN, mobility=True)
        self.assertEqual((code, client.realm), (0, "b.test"))
        return running, client

    def charged_and_moved(self, running, ticket):
        """A session that is charged, has no allocation, and has named the ticket."""
        client, code = self.allocate(running, self.A, "tcp", extra=self.NO_SUCH_RESERVATION)
        self.assertNotIn(code, (0, 401, 486))
        self.assertFalse(client.refresh(600, ticket=ticket, follow=False).ok)
        client.realm = "example.org"
        return client

    def test_what_was_charged_is_released(self):
        running, owner = self.serve_both()
        self.assertEqual(self.allocate(running, self.B, origin=ORIGIN)[1], 0)
        for n in range(3):
            self.charged_and_moved(running, owner.ticket).close()
            self.wait_ended(running, n + 1)
        # realm a has its whole charge still, and realm b has no more than before
        self.wait_allocated(running, self.A)  # the charge goes after the module has heard of the end
        self.wait_allocated(running, self.A)
        self.assertEqual(self.allocate(running, self.A)[1], 486)
        self.assertEqual(self.allocate(running, self.B, origin=ORIGIN)[1], 486)

    def wait_ended(self, running, times):
        running.wait_log("(?s)" + "rules: ended a .*" * times)

    def test_the_other_realm_does_not_stick(self):
        running, owner = self.serve_both()
        client = self.charged_and_moved(running, owner.ticket)
        self.assertEqual(client.allocate().code, 0)
        running.wait_log("new, realm=<example.org>, username=<a>")
        self.assertNotIn("new, realm=<b.test>, username=<a>", running.log())


class Renewal(Charges):
    def test_a_name_that_is_used_up_leaves_the_charge_as_it_was(self):
        running = self.serve("rules", "server=turn.test")

        def credential(quota, key=K1, identity="x"):
            text = f"expires=+60,identity={identity},quota={quota},user-quota=1"
            return token("kid" + quota, key, text)

        client, code = self.allocate(running, credential("one"))
        self.assertEqual(code, 0)
        self.assertEqual(self.allocate(running, credential("two", identity="y"))[1], 0)
        self.assertTrue(client.renew(credential("two", K2)).ok)
        running.wait_log("its new quota name is used up")
        for quota in ("one", "two"):
            self.assertEqual(self.allocate(running, credential(quota))[1], 486)
        self.assertTrue(client.refresh(0).ok)
        self.wait_allocated(running, credential("one"))
        self.assertEqual(self.allocate(running, credential("two"))[1], 486)


if __name__ == "__main__":
    unittest.main()
