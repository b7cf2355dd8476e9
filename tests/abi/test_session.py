#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The rules of a session that the patch series adds, with the module rules: deadlines, renewal,
identity, poisoning, tokens, realms, mobility, TCP allocations, quota, closing, logs and counters."""

import contextlib
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import abi_support  # noqa: E402
import server  # noqa: E402
import stun  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402
from abi_support import ENDED, PATIENCE, REALM, Case, ModuleServer, password, token  # noqa: E402
from credentials import Credential  # noqa: E402
from stun import Attribute, Integrity  # noqa: E402

K1, K2 = bytes(range(1, 21)), bytes(range(101, 121))
ALICE = password("alice", "wonderland")
PEER = ("127.0.0.1", 9)
NEW_BANDWIDTH = 0x8010  # coturn's own, in kilobits


def transport_attribute(protocol=stun.UDP):
    return Attribute("REQUESTED-TRANSPORT", stun.requested_transport(protocol))


def lifetime(response):
    return int.from_bytes(response.get("LIFETIME"), "big")


class Deadline(Case):
    kinds = ("udp", "tcp")

    def test_strict_caps_every_lifetime_and_ends_on_time(self):
        running = self.serve("rules", "alice:password=wonderland,expires=+6,policy=strict")
        for kind in self.kinds:
            with self.subTest(kind=kind):
                client = self.client(running, ALICE, kind)
                start = time.monotonic()
                response = client.allocate(3600)
                self.assertTrue(response.ok)
                self.assertLessEqual(lifetime(response), 6)
                self.assertGreaterEqual(lifetime(response), 4)
                time.sleep(2)
                # the same grant, so the deadline does not move
                response = client.refresh(3600)
                self.assertTrue(response.ok)
                self.assertLessEqual(lifetime(response), 4)
                running.wait_log("rules: ended alice", 10)
                self.assertLess(time.monotonic() - start, 6 + 1.5 * PATIENCE)

    def test_expired_is_401_until_valid_credentials_come(self):
        running = self.serve("rules", "server=turn.test")
        old = token("kid", K1, "expires=+4,identity=alice")
        client = self.client(running, old)
        self.assertTrue(client.allocate().ok)
        running.wait_log("rules: ended kid", 6)
        response = client.refresh(600)
        self.assertEqual(response.code, 401)
        self.assertIsNotNone(response.challenge["nonce"])
        new = token("kid", K2, "expires=+60,identity=alice")
        self.assertEqual(client.renew(new, 600).code, 437)
        self.assertTrue(client.allocate(credential=new).ok)

    def test_grace_ends_later(self):
        running = self.serve("rules", "alice:password=wonderland,expires=+2,policy=grace,grace=3")
        client = self.client(running, ALICE)
        response = client.allocate(3600)
        self.assertTrue(3 <= lifetime(response) <= 5, lifetime(response))
        time.sleep(2.5)
        response = client.refresh(3600)
        self.assertTrue(response.ok)
        self.assertLessEqual(lifetime(response), 3)
        running.wait_log("rules: ended alice", 6)

    def test_allocate_looks_once(self):
        running = self.serve("rules", "alice:password=wonderland,expires=+2,policy=allocate")
        client = self.client(running, ALICE)
        response = client.allocate(3600)
        self.assertEqual(lifetime(response), 3600)
        time.sleep(2.5)
        response = client.refresh(3600)
        self.assertTrue(response.ok)
        self.assertEqual(lifetime(response), 3600)
        self.assertTrue(client.create_permission(PEER).ok)

    def test_far_and_odd_deadlines(self):
        for expires in (2**31, 2**40, 2**62):
            with self.subTest(expires=expires):
                running = self.serve("rules", f"alice:password=wonderland,expires=+{expires}")
                client = self.client(running, ALICE)
                self.assertEqual(lifetime(client.allocate(3600)), 3600)
        running = self.serve("rules", "alice:password=wonderland,expires=-5")
        client = self.client(running, ALICE)
        self.assertEqual(client.allocate().code, 401)
        running.wait_log("user=\"alice\" .*reason=expired")


class ClockSteps(Case):
    """The wall clock is stepped under the server's feet."""

    def stepped(self, step):
        with tempfile.NamedTemporaryFile(delete=False) as file:
            self.addCleanup(os.unlink, file.name)
            file.write(struct.pack("=q", 0))
        environment = {"LD_PRELOAD": abi_support.module_file("clockstep"), "CLOCKSTEP": file.name}
        running = self.serve("rules", "alice:password=wonderland,expires=+9 bob:password=b",
                             ["stale-nonce=0"], environment=environment)
        client = self.client(running, ALICE)
        start = time.monotonic()
        self.assertLessEqual(lifetime(client.allocate(3600)), 9)
        bob = self.client(running, password("bob", "b"))
        self.assertTrue(bob.allocate(3600).ok)
        with open(file.name, "r+b") as clock:
            clock.write(struct.pack("=q", step))
        time.sleep(2)
        response = client.refresh(3600)
        self.assertTrue(response.ok)
        left = 9 - (time.monotonic() - start)
        self.assertTrue(left - 2 <= lifetime(response) <= 7, lifetime(response))
        self.assertTrue(client.create_permission(PEER).ok)
        running.wait_log("rules: ended alice", 10)
        self.assertTrue(7 < time.monotonic() - start < 9 + 1.5 * PATIENCE)
        response = bob.refresh(3600)
        self.assertTrue(response.ok)
        self.assertEqual(lifetime(response), 3600)

    def test_a_day_ahead(self):
        self.stepped(86400)

    def test_a_day_back(self):
        self.stepped(-86400)

    def test_beyond_2038_and_2106(self):
        self.stepped(3 * 10**9)


class Renewal(Case):
    def test_a_new_token_moves_the_deadline_and_retires_the_old_key(self):
        running = self.serve("rules", "server=turn.test")
        for kind in ("udp", "tcp"):
            with self.subTest(kind=kind):
                first = token("kid1", K1, "expires=+5,identity=alice")
                second = token("kid2", K2, "expires=+100,identity=alice")
                client = self.client(running, first, kind)
                self.assertTrue(client.allocate(600).ok)
                response = client.renew(second, 600)
                self.assertTrue(response.ok)
                self.assertTrue(90 <= lifetime(response) <= 100, lifetime(response))
                self.assertTrue(client.create_permission(PEER).ok)
                response = client.create_permission(PEER, credential=first, follow=False)
                self.assertEqual(response.code, 401)
                self.assertTrue(client.create_permission(PEER).ok)

    def test_a_later_expiry_of_the_same_user(self):
        users = "a:1:password=one,expires=+5,identity=a a:2:password=two,expires=+90,identity=a"
        running = self.serve("rules", users.replace("a:1", "a.1").replace("a:2", "a.2"))
        client = self.client(running, password("a.1", "one"))
        self.assertTrue(client.allocate(600).ok)
        response = client.renew(password("a.2", "two"), 600)
        self.assertTrue(80 <= lifetime(response) <= 90)

    def test_another_user_is_441_after_it_has_authenticated(self):
        running = self.serve("rules", "alice:password=wonderland bob:password=builder")
        client = self.client(running, ALICE)
        self.assertTrue(client.allocate().ok)
        bob, liar = password("bob", "builder"), password("bob", "liar")
        self.assertEqual(client.refresh(600, credential=liar, follow=False).code, 401)
        response = client.refresh(600, credential=bob, follow=False)
        self.assertEqual(response.code, 441)
        self.assertTrue(response.integrity, "441 carries MESSAGE-INTEGRITY of the request's key")
        running.wait_log("user=\"bob\" .*code=441 reason=identity_mismatch")
        self.assertTrue(client.refresh(600).ok)

    def test_a_session_without_allocation_may_change_its_user(self):
        running = self.serve("rules", "alice:password=wonderland bob:password=builder")
        client = self.client(running, ALICE)
        client.challenge()
        self.assertEqual(client.refresh(600).code, 437)
        self.assertTrue(client.allocate(credential=password("bob", "builder")).ok)


class Poisoning(Case):
    """One invalid packet with another USERNAME, before the owner's first request."""

    def poison(self, running):
        owner = self.client(running, ALICE)
        owner.challenge()
        spoofed = stun.build(
            "ALLOCATE",
            [
                transport_attribute(),
                Attribute("USERNAME", "mallory"),
                Attribute("REALM", REALM),
                Attribute("NONCE", "0123456789abcdef"),
                Integrity(b"x" * 16),
            ],
        )
        owner.exchange(spoofed)
        return owner.allocate()

    def test_patched(self):
        running = self.serve("rules", "alice:password=wonderland")
        self.assertTrue(self.poison(running).ok)

    def test_unpatched_is_poisoned(self):
        program = server.stock()
        if not program:
            self.skipTest("no unpatched turnserver")
        lines = ["lt-cred-mech", f"realm={REALM}", "user=alice:wonderland"]
        with server.Server(program, lines) as running:
            self.assertIn(self.poison(running).code, (437, 441))

    def test_a_failed_request_changes_nothing(self):
        running = self.serve("rules", "alice:password=wonderland bob:password=builder")
        client = self.client(running, ALICE)
        self.assertTrue(client.allocate().ok)
        before = client.nonce
        for credential in (password("bob", "liar"), password("alice", "liar")):
            for method in ("REFRESH", "CREATE-PERMISSION"):
                raw = client.build(method, [Attribute("LIFETIME", stun.u32(0))], credential)
                self.assertEqual(client.exchange(raw).code, 401)
        for name in ("USERNAME", "REALM", "NONCE"):
            attributes = [
                a for a in client.authentication() if getattr(a, "kind", 0) != stun.ATTRIBUTES[name]
            ]
            self.assertEqual(client.exchange(stun.build("REFRESH", attributes)).code, 400)
        raw = stun.build("REFRESH", [*client.authentication()[:1], Attribute("REALM", "elsewhere"),
                                     *client.authentication()[2:]])
        self.assertEqual(client.exchange(raw).code, 401)
        running.wait_log("reason=realm_mismatch")
        client.nonce = before
        self.assertTrue(client.refresh(600, follow=False).ok)


class Tokens(Case):
    def test_the_challenge_offers_tokens_where_the_realm_does(self):
        running = self.serve("rules", "server=turn.test alice:password=wonderland")
        client = self.client(running, ALICE)
        self.assertEqual(client.challenge().code, 401)
        self.assertEqual(client.server_name, "turn.test")
        self.assertTrue(client.allocate().ok)
        running = self.serve("rules", "alice:password=wonderland")
        client = self.client(running, ALICE)
        client.challenge()
        self.assertIsNone(client.server_name)

    def test_a_client_may_show_that_it_can_do_tokens(self):
        running = self.serve("rules", "server=turn.test")
        client = self.client(running, token("kid", K1, ""), wants_token="turn.test")
        self.assertTrue(client.allocate().ok)
        running.wait_log("flags=0x6|flags=0x4")

    def test_420_only_where_no_tokens_are_accepted(self):
        running = self.serve("rules", "tokens=0 alice:password=wonderland")
        client = self.client(running, token("alice", K1, ""))
        client.challenge()
        response = client.request("ALLOCATE", [transport_attribute()], follow=False)
        self.assertEqual(response.code, 420)
        self.assertEqual(response.unknown_attributes(), [0x001B])
        raw = stun.build("ALLOCATE", [transport_attribute(), Attribute("ACCESS-TOKEN", b"x")])
        self.assertEqual(client.exchange(raw).code, 420)
        running.wait_log("code=420 reason=token_not_offered")
        running = self.serve("rules", "server=turn.test")
        client = self.client(running)
        self.assertEqual(client.exchange(raw).code, 401)

    def test_a_token_behind_message_integrity_does_not_exist(self):
        running = self.serve("rules", "server=turn.test alice:password=wonderland")
        credential = token("kid", K1, "")
        client = self.client(running, credential)
        client.challenge()
        raw = stun.build(
            "ALLOCATE",
            [transport_attribute(), *client.authentication(credential, token=False),
             Attribute("ACCESS-TOKEN", credential.token)],
        )
        self.assertEqual(client.exchange(raw).code, 401)
        running.wait_log("asked about kid .*token=0")

    def test_all_20_octets_count(self):
        running = self.serve("rules", "server=turn.test")
        short = token("kid", K1, "")
        short.key_octets = 16
        client = self.client(running, short)
        self.assertEqual(client.allocate().code, 401)
        running.wait_log("reason=integrity_mismatch")
        client = self.client(running, token("kid", K1, ""))
        self.assertTrue(client.allocate().ok)

    def test_unusable_grants_are_500(self):
        running = self.serve("rules", "server=turn.test")
        client = self.client(running, Credential("kid", mac_key=K1, token=b"expires=+9"))
        self.assertEqual(client.allocate().code, 500)
        running.wait_log("grant of module rules is not usable: key_len is 0")


class Realms(Case):
    def test_by_origin_and_by_listener(self):
        port = server.free_port()
        running = self.serve(
            "rules",
            f"realm=one.test realm.https://two.test:443=two.test realm.{port}=three.test"
            " alice:password=wonderland",
            [f"aux-server=127.0.0.1:{port}"],
        )
        for origin, address, realm in (
            (None, running.address, "one.test"),
            ("https://two.test:443", running.address, "two.test"),
            (None, ("127.0.0.1", port), "three.test"),
        ):
            with self.subTest(realm=realm):
                client = turnclient.Client(transport.connect("udp", address), ALICE, origin)
                self.addCleanup(client.close)
                self.assertTrue(client.allocate().ok)
                self.assertEqual(client.realm, realm)
                running.wait_log(f"rules: bound alice quota=alice realm={realm}")
                self.assertTrue(client.refresh(60).ok)


class Mobility(Case):
    def mobile(self, config, **options):
        running = self.serve("rules", config, ["mobility"])
        client = self.client(running, ALICE, **options)
        self.assertTrue(client.allocate(mobility=True).ok)
        return running, client

    def move(self, running, client, credential=None):
        """The client with another address, which knows realm and nonce."""
        other = self.client(running, credential or client.credential)
        other.realm, other.nonce = client.realm, client.nonce
        return other

    def test_the_same_user_goes_on(self):
        running, client = self.mobile("alice:password=wonderland,expires=+60,display=Alice.A")
        other = self.move(running, client)
        response = other.refresh(600, ticket=client.ticket)
        self.assertTrue(response.ok)
        self.assertLessEqual(lifetime(response), 60)
        self.assertTrue(other.create_permission(PEER).ok)
        self.assertTrue(other.refresh(600).ok)
        running.wait_log("realm <example.org> user <Alice.A>: incoming packet CREATE_PERMISSION")

    def test_without_a_nonce_it_is_challenged(self):
        running, client = self.mobile("alice:password=wonderland")
        other = self.client(running, ALICE)
        self.assertTrue(other.refresh(600, ticket=client.ticket).ok)

    def test_another_user_does_not_get_it(self):
        running, client = self.mobile("alice:password=wonderland bob:password=builder")
        for bob in (password("bob", "builder"), password("bob", "liar")):
            other = self.move(running, client, bob)
            response = other.refresh(600, ticket=client.ticket, follow=False)
            self.assertEqual(response.code, 441 if bob.password == "builder" else 401)
        # not even a user who is logged in already, with a grant of its own
        other = self.client(running, password("bob", "builder"))
        other.challenge()
        self.assertEqual(other.refresh(600).code, 437)
        # the allocation may live in another relay thread, which knows nothing of that nonce: 438 first
        response = other.refresh(600, ticket=client.ticket)
        self.assertEqual(response.code, 441)
        self.assertTrue(client.refresh(600).ok)

    def test_a_failed_try_charges_nobody(self):
        running, client = self.mobile("alice:password=wonderland,user-quota=2")
        for _ in range(5):
            other = self.move(running, client, password("alice", "liar"))
            self.assertEqual(other.refresh(600, ticket=client.ticket, follow=False).code, 401)
        second = self.client(running, ALICE)
        self.assertTrue(second.allocate().ok)

    def test_renewal_and_resumption_at_once(self):
        running = self.serve("rules", "server=turn.test", ["mobility"])
        client = self.client(running, token("kid1", K1, "expires=+9,identity=alice"))
        self.assertTrue(client.allocate(mobility=True).ok)
        other = self.move(running, client, token("kid2", K2, "expires=+90,identity=alice"))
        response = other.refresh(600, ticket=client.ticket, token=True)
        self.assertTrue(response.ok)
        self.assertGreater(lifetime(response), 80)
        self.assertTrue(other.create_permission(PEER).ok)

    def test_the_answer_may_come_later(self):
        running, client = self.mobile("alice:password=wonderland late:password=x,pend=200,identity=l")
        late = self.client(running, password("late", "x"))
        self.assertTrue(late.allocate(mobility=True).ok)
        other = self.move(running, late, password("late", "x"))
        self.assertTrue(other.refresh(600, ticket=late.ticket).ok)

    def test_a_client_that_went_before_the_answer_came(self):
        running = self.serve("rules", "server=turn.test", ["mobility", "no-software-attribute", "relay-threads=1"])
        client = self.client(running, token("kid", K1, "expires=+60,identity=alice"), "tcp")
        self.assertTrue(client.allocate(mobility=True).ok)
        later = token("kid", K1, "expires=+60,identity=alice,pend=300")
        for times in range(1, 6):
            raw = client.build("REFRESH", [Attribute("LIFETIME", stun.u32(600))], later)
            client.transport.send(raw)
            running.wait_log(rf"(?s)(rules: asked about kid why=0x8 .*){{{times}}}")
            client.close()
            time.sleep(0.6)
            ticket, realm, nonce = client.ticket, client.realm, client.nonce
            client = self.client(running, token("kid", K1, "expires=+60,identity=alice"), "tcp")
            client.realm, client.nonce = realm, nonce
            self.assertTrue(client.refresh(600, ticket=ticket).ok)
        self.assertEqual(client.renew(later, 600).code, 0)

    def test_closing_ends_mobile_allocations(self):
        running, client = self.mobile("alice:password=wonderland")
        running.signal(signal.SIGUSR2)
        running.wait_log("rules: ended alice")
        other = self.move(running, client)
        self.assertEqual(other.refresh(600, ticket=client.ticket).code, 404)


class TcpAllocations(Case):
    def relayed(self, config):
        running = self.serve("rules", config)
        client = self.client(running, ALICE, "tcp")
        self.assertTrue(client.allocate(protocol=stun.TCP).ok)
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        listener.settimeout(5)
        response, connection = client.connect(listener.getsockname())
        self.assertTrue(response.ok)
        peer, _ = listener.accept()
        self.addCleanup(peer.close)
        peer.settimeout(5)
        return running, client, connection, peer

    def test_bind_relay_and_close(self):
        running, client, connection, peer = self.relayed("alice:password=wonderland")
        response, data = client.data_connection(connection)
        self.addCleanup(data.close)
        self.assertTrue(response.ok)
        peer.sendall(b"hello")
        self.assertEqual(data.recv_octets(3), b"hello")
        running.signal(signal.SIGUSR2)
        running.wait_log("rules: ended alice")
        try:
            self.assertEqual(peer.recv(10), b"")
        except ConnectionResetError:
            pass

    def bind_refused(self, running, client, connection, credential, code, reason):
        """The refusal is answered and logged as the one who asked, not the owner; it spends nothing."""
        response, data = client.data_connection(connection, credential, follow=False)
        self.addCleanup(data.close)
        self.assertEqual(response.code, code)
        running.wait_log(
            f"refused client=127.0.0.1 port={data.local[1]} .*method=CONNECTION_BIND code={code} reason={reason}"
        )

    def bound_after_all(self, client, connection, peer):
        response, data = client.data_connection(connection)
        self.addCleanup(data.close)
        self.assertTrue(response.ok)
        peer.sendall(b"hello")
        self.assertEqual(data.recv_octets(3), b"hello")
        self.assertTrue(client.refresh(600).ok)

    def test_bind_compares_the_realm(self):
        running, client, connection, peer = self.relayed("alice:password=wonderland")
        real, client.realm = client.realm, "elsewhere"
        self.bind_refused(running, client, connection, ALICE, 401, "realm_mismatch")
        client.realm = real
        self.bound_after_all(client, connection, peer)

    def test_bind_with_a_wrong_key(self):
        running, client, connection, peer = self.relayed("alice:password=wonderland")
        liar = password("alice", "liar")
        self.bind_refused(running, client, connection, liar, 401, "integrity_mismatch")
        self.bound_after_all(client, connection, peer)

    def test_bind_by_somebody_else(self):
        running, client, connection, peer = self.relayed("alice:password=wonderland mallory:password=x")
        self.bind_refused(running, client, connection, password("mallory", "x"), 441, "identity_mismatch")
        self.bind_refused(running, client, connection, password("eve", "x"), 401, "unknown_user")
        self.bound_after_all(client, connection, peer)

    def test_bind_without_credentials_is_challenged(self):
        running, client, connection, peer = self.relayed("alice:password=wonderland")
        other = turnclient.Client(transport.connect("tcp", client.transport.server), ALICE)
        self.addCleanup(other.close)
        wanted = [Attribute("CONNECTION-ID", connection)]
        response = other.exchange(other.build("CONNECTION-BIND", wanted, authenticate=False))
        self.assertEqual(response.code, 401)
        other.take_challenge(response)
        self.assertTrue(other.request("CONNECTION-BIND", wanted, follow=False).ok)
        peer.sendall(b"hello")
        self.assertEqual(other.transport.recv_octets(3), b"hello")

    def test_a_late_answer_does_not_count(self):
        running, client, connection, peer = self.relayed(
            "alice:password=wonderland slow:password=x,pend=100"
        )
        slow = password("slow", "x")
        self.bind_refused(running, client, connection, slow, 500, "cannot_postpone")
        self.bound_after_all(client, connection, peer)


class Quota(Case):
    def test_by_quota_name_not_by_wire_name(self):
        users = " ".join(f"17000{i}.alice:password=p,quota=alice,identity=alice,user-quota=2"
                         for i in range(3))
        running = self.serve("rules", users)
        clients = [self.client(running, password(f"17000{i}.alice", "p")) for i in range(3)]
        codes = [client.allocate().code for client in clients]
        self.assertEqual(codes, [0, 0, 486])
        running.wait_log("code=486 reason=quota")
        self.assertTrue(clients[0].refresh(0).ok)
        running.wait_log("rules: ended 170000.alice")
        again = self.client(running, password("170002.alice", "p"))
        self.assertTrue(again.allocate().ok)

    def test_names_that_look_like_timestamps(self):
        # coturn would cut "1700000000:" off, and take the rest for the user
        a, b = "1700000000:quota", "1800000000:quota"
        running = self.serve(
            "rules",
            f"x:password=p,quota={a},user-quota=1 y:password=p,quota={b},user-quota=1",
            ["use-auth-secret", "static-auth-secret=unused"],
        )
        for name in ("x", "y"):
            client = self.client(running, password(name, "p"))
            self.assertTrue(client.allocate().ok)
            again = self.client(running, password(name, "p"))
            self.assertEqual(again.allocate().code, 486)

    def test_total_quota(self):
        running = self.serve("rules", "x:password=p y:password=p", ["total-quota=1"])
        self.assertTrue(self.client(running, password("x", "p")).allocate().ok)
        self.assertEqual(self.client(running, password("y", "p")).allocate().code, 486)

    def test_total_quota_of_a_grant(self):
        running = self.serve("rules", "x:password=p,total-quota=1 y:password=p,total-quota=1")
        x = self.client(running, password("x", "p"))
        self.assertTrue(x.allocate().ok)
        self.assertEqual(self.client(running, password("y", "p")).allocate().code, 486)
        self.assertTrue(x.refresh(0).ok)
        running.wait_log("rules: ended x")
        self.assertTrue(self.client(running, password("y", "p")).allocate().ok)

    def test_bandwidth_of_a_grant(self):
        running = self.serve("rules", "slow:password=p,max-bps=2000 fast:password=p")
        for name, bps in (("slow", 2000), ("fast", None)):
            response = self.client(running, password(name, "p")).allocate()
            self.assertTrue(response.ok)
            value = next((v for n, v, _ in response.attributes if n == NEW_BANDWIDTH), None)
            self.assertEqual(value and int.from_bytes(value, "big") * 128, bps and bps // 128 * 128)

    def test_renewal_keeps_the_charge(self):
        running = self.serve("rules", "server=turn.test")
        properties = "expires=+60,identity=a,quota=a,user-quota=1"
        client = self.client(running, token("kid1", K1, properties))
        self.assertTrue(client.allocate().ok)
        self.assertTrue(client.renew(token("kid2", K2, properties.replace("quota=a", "quota=b"))).ok)
        self.assertTrue(self.client(running, token("kid1", K1, properties)).allocate().ok)
        self.assertEqual(
            self.client(running, token("k", K1, properties.replace("quota=a", "quota=b")))
            .allocate().code, 486)


class Life(Case):
    def test_display_name_and_end(self):
        running = self.serve("rules", "u1:password=p,display=A%n_b\"c,quota=q,accounting=books.test")
        client = self.client(running, password("u1", "p"))
        self.assertTrue(client.allocate().ok)
        self.assertTrue(client.refresh(0).ok)
        running.wait_log("realm=<books.test>, username=<A_n_b_c>")
        running.wait_log("rules: ended A_n_b_c realm=books.test received=[1-9]")

    def test_an_origin_does_not_move_a_bound_session(self):
        running = self.serve("rules", "u1:password=p,accounting=books.test")
        client = self.client(running, password("u1", "p"))
        self.assertEqual(client.refresh(600).code, 437)
        running.wait_log("rules: bound u1")
        client.origin = "https://elsewhere.test"
        self.assertTrue(client.allocate().ok)
        running.wait_log("new, realm=<books.test>, username=<u1>")

    def test_denied_peer(self):
        running = self.serve("rules", "deny-peer=127.0.0.77 alice:password=wonderland",
                             ["allowed-peer-ip=127.0.0.0-127.0.0.255"])
        client = self.client(running, ALICE)
        self.assertTrue(client.allocate().ok)
        self.assertTrue(client.create_permission(PEER).ok)
        self.assertEqual(client.create_permission(("127.0.0.77", 9)).code, 403)

    def test_peers_of_a_realm(self):
        """check_peer() gets the realm of the session's accounting, and each address that a peer stands for."""
        ipv6 = server.has_ipv6()
        running = self.serve("rules", "peers.books.test=127.0.0.8 alice:password=wonderland "
                             "bob:password=wonderland,accounting=books.test", ["relay-ip=::1"] if ipv6 else [])
        alice, bob = self.client(running, ALICE), self.client(running, password("bob", "wonderland"))
        for client in (alice, bob):
            turnclient.need("allocate", client.allocate())
        self.assertTrue(alice.create_permission(PEER).ok)
        running.wait_log(f"asked for peer {PEER[0]} of realm example.org")
        self.assertEqual(bob.create_permission(("127.0.0.9", 9)).code, 403)
        running.wait_log('A peer IP 127.0.0.9 denied by the authentication module, realm="books.test"')
        self.assertTrue(bob.create_permission(("127.0.0.8", 9)).ok)
        if not ipv6:
            return
        # a mapped address is its IPv4 address; another form is asked for itself, and then for the IPv4 address in it
        v6 = self.client(running, password("bob", "wonderland"))
        turnclient.need("allocate", v6.allocate(extra=[Attribute("REQUESTED-ADDRESS-FAMILY", b"\x02\0\0\0")]))
        self.assertTrue(v6.create_permission(("::ffff:127.0.0.8", 9)).ok)
        self.assertNotIn("asked for peer ::ffff:", running.log())
        self.assertEqual(v6.create_permission(("64:ff9b::7f00:8", 9)).code, 403)

    def test_peers_of_a_channel(self):
        """The refresh of a channel is asked about, too, which coturn itself does not look at."""
        running = self.serve("rules", "alice:password=wonderland")
        client = self.client(running, ALICE)
        turnclient.need("allocate", client.allocate())
        for _ in range(2):
            self.assertTrue(client.channel_bind(0x4001, PEER).ok)
        line = f"asked for peer {PEER[0]} of realm example.org"

        def times():
            """coturn writes each line to its output and to its log, to each in its own time."""
            files = [os.path.join(running.folder, name) for name in ("output", "turnserver.log")]
            return max(pathlib.Path(name).read_text(errors="replace").count(line) for name in files if os.path.exists(name))

        end = time.monotonic() + 5
        while times() < 2 and time.monotonic() < end:
            time.sleep(0.02)
        self.assertEqual(times(), 2)

    def test_module_denials(self):
        for code, reason, name in ((403, 15, "address_mismatch"), (500, 11, "store_unavailable"),
                                   (437, 8, "revoked"), (777, 8, "revoked")):
            with self.subTest(code=code):
                running = self.serve("rules", f"alice:deny={code}/{reason}")
                client = self.client(running, ALICE)
                self.assertEqual(client.allocate().code, 500 if code == 777 else code)
                running.wait_log(f"user=\"alice\" .*reason={name}")

    def test_a_grant_that_races_a_revocation(self):
        running = self.serve("rules", "alice:password=wonderland,bound=8")
        client = self.client(running, ALICE)
        self.assertEqual(client.allocate().code, 401)
        running.wait_log("reason=revoked")

    def test_privileges_are_dropped_after_init(self):
        if os.geteuid():
            self.skipTest("only root has privileges to drop")
        running = self.serve("rules", "alice:password=wonderland",
                             ["proc-user=nobody", "proc-group=nogroup"])
        running.wait_log("New UID: nobody")
        with open(f"/proc/{running.process.pid}/status") as file:
            self.assertRegex(file.read(), r"(?m)^Uid:\t65534\t65534\t65534")
        self.assertTrue(self.client(running, ALICE).allocate().ok)
        running.signal(signal.SIGUSR2)
        running.wait_log("rules: ended alice")

    def test_one_thread_for_everything(self):
        running = self.serve("rules", "alice:password=wonderland late:password=x,pend=50",
                             ["relay-threads=0"])
        for credential in (ALICE, password("late", "x")):
            client = self.client(running, credential)
            self.assertTrue(client.allocate().ok)
            self.assertTrue(client.refresh(60).ok)
        running.signal(signal.SIGUSR2)
        running.wait_log("rules: ended late")
        running.signal(signal.SIGTERM)
        self.assertIn(running.process.wait(20), ENDED)
        self.assertIn("rules: stopped", running.log())

    def pid_of_daemon(self, pidfile, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            with contextlib.suppress(FileNotFoundError, ValueError):
                with open(pidfile) as file:
                    pid = int(file.read())
                self.addCleanup(os.unlink, pidfile)
                self.addCleanup(self.kill, pid)
                return pid
            time.sleep(0.05)
        self.fail("the daemon has written no pid")

    def kill(self, pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def test_daemon(self):
        pidfile = tempfile.mktemp(prefix="abi-daemon-")
        running = ModuleServer("rules", "alice:password=wonderland",
                               ["daemon", f"pidfile={pidfile}"])
        self.addCleanup(running.__exit__)
        subprocess.run([running.program, "-c", running.config], check=True, timeout=20,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        pid = self.pid_of_daemon(pidfile)
        running.answering(40)
        client = self.client(running, ALICE, "udp")
        self.assertTrue(client.allocate().ok)
        running.signal(signal.SIGTERM, pid)
        running.wait_log("rules: stopped", 20)

    def test_stop_on_sigterm(self):
        running = self.serve("rules", "alice:password=wonderland")
        client = self.client(running, ALICE)
        self.assertTrue(client.allocate().ok)
        running.signal(signal.SIGTERM)
        self.assertEqual(running.process.wait(20), -signal.SIGTERM)
        self.assertIn("rules: stopped", running.log())

    def test_stop_as_process_1(self):
        """A container without an init: a signal whose action is the default does not end its first process."""
        environment = {"LD_PRELOAD": abi_support.module_file("process1")}
        running = self.serve("rules", "alice:password=wonderland", environment=environment)
        running.signal(signal.SIGTERM)
        self.assertIn(running.process.wait(20), (128 + signal.SIGTERM, 0))
        self.assertIn("rules: stopped", running.log())

    def test_cli(self):
        port = server.free_port()
        running = ModuleServer("rules", "alice:password=wonderland",
                               [f"cli-port={port}", "cli-password=secret"])
        self.addCleanup(running.__exit__)
        with open(running.config) as file:
            text = file.read().replace("no-cli\n", "")
        with open(running.config, "w") as file:
            file.write(text)
        running.start()
        client = self.client(running, password("alice", "liar"))
        self.assertEqual(client.allocate().code, 401)
        with socket.create_connection(("127.0.0.1", port), 5) as cli:
            cli.sendall(b"secret\r\n")
            time.sleep(0.5)
            cli.sendall(b"am\r\n")
            cli.settimeout(1)
            said = b""
            try:
                while b"in force" not in said or b"rules_asked" not in said:
                    said += cli.recv(65536)
            except TimeoutError:
                pass
        said = said.decode(errors="replace")
        for line in ("auth-module: rules", "version: 1.0", "rules: in force",
                     "refused_requests{reason=integrity_mismatch}: 1", "rules_asked: 1"):
            self.assertIn(line, said)


class Beside(Case):
    """The module beside coturn's own mechanisms."""

    OWN = password("own", "secret")

    def test_declined_goes_to_the_static_users(self):
        running = self.serve("rules", "decline=1 alice:password=wonderland", ["user=own:secret"])
        for credential in (self.OWN, ALICE):
            for kind in ("udp", "tcp"):
                client = self.client(running, credential, kind)
                self.assertTrue(client.allocate().ok)
                self.assertTrue(client.refresh(600).ok)
                self.assertTrue(client.create_permission(PEER).ok)
        self.assertEqual(self.client(running, password("own", "liar")).allocate().code, 401)
        self.assertEqual(self.client(running, password("nobody", "x")).allocate().code, 401)

    def test_a_declined_transaction_is_no_way_around_a_deadline(self):
        running = self.serve("rules", "decline=1 alice:password=wonderland,expires=+3",
                             ["user=own:secret"])
        client = self.client(running, ALICE)
        client.challenge()
        txid = b"twelve octet"
        nobody = client.authentication(password("nobody", "x"))
        raw = stun.build("ALLOCATE", [transport_attribute(), *nobody], txid=txid)
        self.assertEqual(client.exchange(raw).code, 401)
        self.assertEqual(client.refresh(600).code, 437)
        running.wait_log("rules: bound alice")
        time.sleep(3)
        client.exchange(stun.build("REFRESH", client.authentication(), txid=txid))
        running.wait_log("asked about alice why=0x4")

    def test_declined_later(self):
        running = self.serve("later", "alice:wonderland", ["user=own:secret"])
        # the module later denies users that it does not know
        self.assertEqual(self.client(running, self.OWN).allocate().code, 401)

    def test_requests_declined_later_at_once(self):
        running = self.serve("rules", "own:pend=200,decline=1", ["user=own:secret"])
        for _ in range(12):
            client = self.client(running, self.OWN, "tcp")
            client.challenge()
            client.transport.send(b"".join(client.build("REFRESH") for _ in range(4)))
            codes = []
            while len(codes) < 4:
                message = client._receive(5 * PATIENCE)
                self.assertIsNotNone(message, codes)
                codes.append(turnclient.Response(message).code)
            self.assertEqual(codes, [437] * 4)  # coturn knows who it is, and that there is no allocation

    def test_denied_never_falls_through(self):
        running = self.serve("rules", "own:deny=401/8", ["user=own:secret"])
        self.assertEqual(self.client(running, self.OWN).allocate().code, 401)

    def test_only(self):
        running = self.serve("rules", "decline=1 alice:password=wonderland",
                             ["user=own:secret", "auth-module-only"])
        self.assertEqual(self.client(running, self.OWN).allocate().code, 401)
        self.assertTrue(self.client(running, ALICE).allocate().ok)
        running.wait_log("user=\"own\" .*reason=unknown_user")

    def test_observe(self):
        running = self.serve(
            "rules",
            "own:password=secret two:password=x alice:password=wonderland",
            ["user=own:secret", "user=two:two", "auth-module-observe"],
        )
        self.assertTrue(self.client(running, self.OWN).allocate().ok)
        self.assertTrue(self.client(running, password("two", "two")).allocate().ok)
        self.assertEqual(self.client(running, ALICE).allocate().code, 401)
        running.wait_log('observed client=127.0.0.1 realm="example.org" user="two": coturn lets in, '
                         "module would refuse reason=integrity_mismatch")
        running.wait_log('user="alice": coturn refuses, module would let in')
        self.assertNotIn('observed client=127.0.0.1 realm="example.org" user="own"', running.log())

    def test_observe_names_nobody_whom_coturn_refuses(self):
        running = self.serve("rules", "own:password=secret", ["user=own:secret", "auth-module-observe"])
        for name in ('o"wn', "o wn", "union;select"):
            self.assertEqual(self.client(running, password(name, "secret")).allocate().code, 400)
        self.assertNotIn("rules: asked", running.log())

    def test_observe_with_a_module_that_answers_later(self):
        running = self.serve("later", "own:secret", ["user=own:secret", "auth-module-observe"])
        self.assertTrue(self.client(running, self.OWN).allocate().ok)
        running.wait_log("module would refuse reason=cannot_postpone")


if __name__ == "__main__":
    unittest.main()
