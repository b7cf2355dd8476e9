#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Differences of other versions of coturn from 4.6.1 that a module's session must survive: nonces
that are not kept, drain, the ways a mobile allocation is resumed. True of every version; the tests
of what a version does not have are left out by its number (differences.py)."""

import os
import signal
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from abi_support import Case, needs, of_this_version, password  # noqa: E402
import server  # noqa: E402
import stun  # noqa: E402
from stun import Attribute  # noqa: E402

ALICE, MALLORY = password("alice", "wonderland"), password("mallory", "builder")
OWN = password("own", "secret")
USERS = "decline=1 alice:password=wonderland mallory:password=builder"
TRANSPORT = Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))
ANOTHER_SECOND = 1.1


load_tests = of_this_version


class Away(Case):
    """A nonce of another server passes as it is, or not at all: a session holds so many octets."""

    def test_a_nonce_that_the_session_cannot_hold_is_none(self):
        program = server.patched()
        holds = 24 if program and server.version(program) >= (4, 16, 0) else 16
        for octets in (1, 16, holds, holds + 1, 127):
            with self.subTest(octets):
                nonce = ("n" * octets).encode()
                running = self.serve("rules", f"away:password=p alice:password=wonderland away={nonce.decode()} "
                                     f"known={nonce.decode()}")
                client = self.client(running, password("away", "p"))
                answer = client.allocate()
                self.assertEqual(answer.code, 300)
                self.assertEqual(answer.get("NONCE"), nonce if octets <= holds else None)
                comes = self.client(running, ALICE)
                comes.realm, comes.nonce = client.realm, nonce.decode()
                self.assertEqual(comes.allocate(follow=False).code, 0 if octets <= holds else 438)
                self.assertTrue(comes.allocate().ok if octets > holds else comes.refresh(600).ok)
                if octets > holds:
                    running.wait_log(f"an alternate_nonce of {octets} octets is not sent: sessions hold {holds} at most")


class Nonces(Case):
    """Each login takes one challenge and one request."""

    def log_in(self, running, kind, pause=0.0, credential=ALICE):
        client = self.client(running, credential, kind)
        self.assertEqual(client.challenge().code, 401)
        time.sleep(pause)
        response = client.request("ALLOCATE", [TRANSPORT], follow=False)
        self.assertEqual(response.code, 0, f"{kind}, {pause} s after the challenge")
        return client

    def both_ways(self, lines=(), credentials=(ALICE,)):
        running = self.serve("rules", USERS, lines)
        for credential in credentials:
            for kind in ("udp", "tcp"):
                for pause in (0, ANOTHER_SECOND, 2 * ANOTHER_SECOND):
                    client = self.log_in(running, kind, pause, credential)
                    self.assertTrue(client.refresh(600, follow=False).ok)

    def test_the_retry_comes_in_another_second(self):
        self.both_ways()

    def test_so_does_the_retry_of_a_declined_user(self):
        self.both_ways(["user=own:secret"], [OWN])

    def test_observing(self):
        self.both_ways(["user=own:secret", "auth-module-observe"], [OWN])

    @needs("nonce")
    def test_stateless(self):
        self.both_ways(["stateless-nonce"])

    @needs("nonce")
    def test_not_stateless(self):
        self.both_ways(["stateless-nonce=false"])

    def test_every_session_can_log_in(self):
        # a random nonce of 4.16 is shorter in one session of 16
        running = self.serve("rules", USERS)
        for _ in range(100):
            self.log_in(running, "udp").close()

    def test_resumption_in_another_second(self):
        running = self.serve("rules", USERS, ["mobility", "relay-threads=1"])
        client = self.client(running, ALICE)
        self.assertTrue(client.allocate(mobility=True).ok)
        other = self.client(running, ALICE)
        self.assertEqual(other.refresh(600, ticket=client.ticket, follow=False).code, 401)
        time.sleep(ANOTHER_SECOND)
        self.assertTrue(other.refresh(600, ticket=client.ticket, follow=False).ok)

    def test_a_session_goes_on_with_its_own_nonce_only(self):
        running = self.serve("rules", USERS)
        client = self.client(running, ALICE)
        client.challenge()
        earlier = client.nonce
        time.sleep(ANOTHER_SECOND)
        client.challenge()
        if client.nonce == earlier:
            earlier = earlier[::-1]
        self.assertTrue(client.request("ALLOCATE", [TRANSPORT], follow=False).ok)
        current, client.nonce = client.nonce, earlier
        self.assertEqual(client.refresh(600, follow=False).code, 438)
        client.nonce = current
        self.assertTrue(client.refresh(600, follow=False).ok)

    def test_a_session_obeys_stale_nonce(self):
        running = self.serve("rules", USERS, ["stale-nonce=2"])
        client = self.log_in(running, "udp")
        end = time.monotonic() + 10
        while (response := client.refresh(600, follow=False)).ok and time.monotonic() < end:
            time.sleep(0.2)
        self.assertEqual(response.code, 438)
        client.take_challenge(response)
        self.assertTrue(client.refresh(600, follow=False).ok)


class Drain(Case):
    @needs("drain")
    def test_it_waits_for_the_sessions_of_a_module(self):
        running = self.serve("rules", USERS)
        clients = [self.client(running, ALICE, kind) for kind in ("udp", "udp", "tcp")]
        for client in clients:
            self.assertTrue(client.allocate().ok)
        self.assertEqual(clients[0].refresh(0).code, 0)
        running.signal(signal.SIGUSR1)
        running.wait_log("[Dd]rain")
        with self.assertRaises(subprocess.TimeoutExpired):
            running.process.wait(8)  # it looks every 5 seconds, and then needs as long to end
        self.assertNotIn("Drain complete", running.log())
        for client in clients[1:]:
            self.assertTrue(client.refresh(0).ok)
        running.process.wait(20)


    def drained(self, config):
        """A server that has been told to drain, and a client whose allocation lives there."""
        running = self.serve("rules", f"{config} {USERS}", ["user=own:secret"])
        living = self.client(running, ALICE)
        self.assertTrue(living.allocate().ok)
        running.signal(signal.SIGUSR1)
        running.wait_log("[Dd]rain")
        return running, living

    @needs("drain")
    def test_a_module_sends_new_clients_elsewhere(self):
        running, living = self.drained("drain=300")
        for kind in ("udp", "tcp"):
            response = self.client(running, MALLORY, kind).allocate()
            self.assertEqual((response.code, response.integrity), (300, True), kind)
            self.assertEqual(response.message.get("ALTERNATE-SERVER"), b"\0\1\0\x09\x7f\0\0\1")
        self.assertEqual(self.client(running, password("mallory", "wrong")).allocate().code, 401)
        # coturn's own users are coturn's concern
        self.assertEqual(self.client(running, OWN).allocate().code, 403)
        self.assertTrue(living.refresh(600).ok)

    @needs("drain")
    def test_a_module_that_knows_no_other_server(self):
        running, living = self.drained("drain=508")
        response = self.client(running, MALLORY).allocate()
        self.assertEqual((response.code, response.integrity), (508, True))
        self.assertTrue(living.refresh(600).ok)

    @needs("drain")
    def test_a_module_that_does_not_care(self):
        running, living = self.drained("server=one.test")
        self.assertEqual(self.client(running, MALLORY).allocate().code, 403)
        self.assertTrue(living.refresh(600).ok)


class Resumption(Case):
    """A mobile allocation moves only to the client that made it."""

    # one thread: in another a client that is in already would be a new one
    LINES = ("mobility", "no-software-attribute", "relay-threads=1")

    def try_to_take(self, running, owner, thief):
        victim = self.client(running, owner)
        self.assertTrue(victim.allocate(mobility=True).ok)
        # once as a new client, once as a client that is logged in already
        fresh, known = self.client(running, thief), self.client(running, thief)
        fresh.challenge()
        known.challenge()
        self.assertTrue(known.create_permission(("127.0.0.1", 9)).summary()["integrity"])
        for client in (fresh, known):
            response = client.refresh(600, ticket=victim.ticket)
            self.assertIn(response.code, (401, 441), response.summary())
        self.assertTrue(victim.refresh(600).ok)

    def test_not_to_another_identity(self):
        running = self.serve("rules", USERS, self.LINES)
        self.try_to_take(running, ALICE, MALLORY)

    def test_not_from_coturns_own_user_to_the_modules(self):
        running = self.serve("rules", USERS, [*self.LINES, "user=own:secret"])
        self.try_to_take(running, OWN, MALLORY)

    def test_not_from_the_modules_user_to_coturns_own(self):
        running = self.serve("rules", USERS, [*self.LINES, "user=own:secret"])
        self.try_to_take(running, ALICE, OWN)


if __name__ == "__main__":
    unittest.main()
