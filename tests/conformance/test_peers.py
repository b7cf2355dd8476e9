#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""allowed_peers and denied_peers of realms, in each way in which a peer is named: two realms with different lists and
one without on one server, changed by SQL while sessions live."""

import pathlib
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import patched  # noqa: E402
import server  # noqa: E402
import stun  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute  # noqa: E402

PLACE = None
FORBIDDEN = 403
LIFE = 6  # seconds of a permission and a channel here
IPV6 = [Attribute("REQUESTED-ADDRESS-FAMILY", b"\x02\0\0\0")]
ORIGINS = {"main.test": None, "gateway.test": "https://gateway.test:443", "open.test": "https://open.test:443"}
LISTS = {
    "main.test": {"denied_peers": ["127.0.0.9", "10.0.0.0/8", "2001:db8:bad::/48", "::ffff:192.0.2.0/120"]},
    "gateway.test": {"allowed_peers": ["127.0.0.8/29", "2001:db8:900d::/48"], "denied_peers": ["127.0.0.10"]},
}
# by realm: peers that it lets in, peers that it refuses
LET_IN = {
    "main.test": ["127.0.0.8", "198.51.100.1", "2001:db8::1", "::ffff:198.51.100.1", "11.0.0.1", "2600::1"],
    "gateway.test": ["127.0.0.8", "127.0.0.9", "127.0.0.15", "2001:db8:900d::7", "::ffff:127.0.0.9"],
    "open.test": ["127.0.0.9", "127.0.0.10", "10.0.0.1", "2001:db8:bad::1", "192.0.2.1", "64:ff9b::a00:1"],
}
REFUSED = {
    "main.test": ["127.0.0.9", "10.255.0.1", "2001:db8:bad:ffff::1", "::ffff:127.0.0.9", "::ffff:10.0.0.1", "192.0.2.9",
                  "::ffff:192.0.2.9", "64:ff9b::a00:1", "2002:a00:1::1"],
    "gateway.test": ["127.0.0.10", "127.0.0.7", "127.0.0.16", "198.51.100.1", "2001:db8::1", "::ffff:127.0.0.10",
                     "::ffff:198.51.100.1", "64:ff9b::7f00:9", "2600::1"],
    "open.test": [],
}


def setUpModule():
    global PLACE
    PLACE = patched.place_of_module(
        [*(["relay-ip=::1"] if server.has_ipv6() else []), f"permission-lifetime={LIFE}", f"channel-lifetime={LIFE}"], realm="main.test")
    for name, origin in ORIGINS.items():
        PLACE.realm(name, origins=[origin] if origin else [], **LISTS.get(name, {}))
    PLACE.start()


class Case(unittest.TestCase):
    def client(self, realm, kind="udp", **allocate):
        client = PLACE.server.client(kind, PLACE.realms[realm].derived(), origin=ORIGINS[realm])
        self.addCleanup(client.close)
        turnclient.need("allocate", client.allocate(**allocate))
        self.assertEqual(client.realm, realm)
        return client

    def both(self, realm, kind="udp", **allocate):
        clients = {4: self.client(realm, kind, **allocate)}
        if server.has_ipv6():
            clients[6] = self.client(realm, kind, extra=IPV6, **allocate)
        return clients

    def lists(self, realm, **lists):
        """Sets the lists, until the end of the test, and waits until the server has them."""
        before = {"allowed_peers": [], "denied_peers": [], **LISTS.get(realm, {})}
        self.addCleanup(self.set_lists, realm, before)
        return self.set_lists(realm, {**before, **lists})

    def set_lists(self, realm, lists):
        values = ", ".join(f"{name} = {patched.quote(value)}" for name, value in lists.items())
        PLACE.database.sql(f"UPDATE turncred.realm SET {values} WHERE name = '{realm}'")
        start = time.monotonic()
        PLACE.synced()
        return time.monotonic() - start


def family(peer):
    return 6 if ":" in peer else 4


def askable(peers):
    """The peers that a client can name: a machine without IPv6 has no relay for the others."""
    return [peer for peer in peers if family(peer) == 4 or server.has_ipv6()]


def each(ask):
    """A test of one way to name a peer: ask(case, realm) answers with a function from peer to code."""

    def test(self):
        for realm in ORIGINS:
            code = ask(self, realm)
            for peers, want in ((LET_IN, 0), (REFUSED, FORBIDDEN)):
                for peer in askable(peers[realm]):
                    with self.subTest(realm=realm, peer=peer):
                        self.assertEqual(code(peer), want)

    return test


def permissions(case, realm):
    clients = case.both(realm)
    return lambda peer: clients[family(peer)].create_permission((peer, 9)).code


def channels(case, realm):
    clients, numbers = case.both(realm), iter(range(0x4000, 0x4fff))
    return lambda peer: clients[family(peer)].channel_bind(next(numbers), (peer, 9)).code


def connections(case, realm):
    def code(peer):
        client = PLACE.server.client("tcp", PLACE.realms[realm].derived(), origin=ORIGINS[realm])
        client.rto = 0.3
        try:
            turnclient.need("allocate", client.allocate(protocol=stun.TCP, extra=IPV6 if ":" in peer else []))
            return 0 if client.connect((peer, 9))[0].code != FORBIDDEN else FORBIDDEN  # nobody listens there
        except turnclient.NoAnswer:
            return 0  # it waits for the peer
        finally:
            client.close()

    return code


class Naming(Case):
    test_create_permission = each(permissions)
    test_channel_bind = each(channels)

    def test_connect(self):
        """RFC 6062. Peers on loopback: others answer after a minute."""
        for realm in ORIGINS:
            code = connections(self, realm)
            for peers, want in ((LET_IN, 0), (REFUSED, FORBIDDEN)):
                for peer in askable(peers[realm]):
                    if want or peer.startswith("127."):
                        with self.subTest(realm=realm, peer=peer):
                            self.assertEqual(code(peer), want)

    def test_send(self):
        """A Send indication has no answer: nothing arrives without a permission, and there is none to be had."""
        let_in, refused = turnclient.Peer("127.0.0.8"), turnclient.Peer("127.0.0.10")
        self.addCleanup(let_in.close)
        self.addCleanup(refused.close)
        client = self.client("gateway.test")
        self.assertEqual(client.create_permission(let_in.address, refused.address).code, FORBIDDEN)
        turnclient.need("permission", client.create_permission(let_in.address))
        client.send(refused.address, b"refused")
        self.assertTrue(turnclient.relay_once(client, let_in))  # the server has read the other one, too
        self.assertIsNone(refused.receive(0.1))
        other = self.client("open.test")
        turnclient.need("permission", other.create_permission(refused.address))
        self.assertTrue(turnclient.relay_once(other, refused))

    def test_a_connection_from_a_peer(self):
        """RFC 6062: an incoming connection is checked when it comes; the list may be younger than the permission."""
        client = self.client("main.test", "tcp", protocol=stun.TCP)
        turnclient.need("permission", client.create_permission(("127.0.0.21", 9)))

        def knock():
            try:
                with socket.create_connection(client.relayed, 3, source_address=("127.0.0.21", 0)):
                    return client.wait_attempt(1.5)
            except ConnectionResetError:
                return None  # refused before connect() was back

        self.assertIsNotNone(knock())
        self.lists("main.test", denied_peers=["127.0.0.16/28"])
        self.assertIsNone(knock())

    def test_the_log(self):
        client = self.client("gateway.test")
        self.assertEqual(client.create_permission(("127.0.0.77", 9)).code, FORBIDDEN)
        self.assertIn('A peer IP 127.0.0.77 denied by the authentication module, realm="gateway.test"', PLACE.server.log())

    def test_every_kind_of_credential(self):
        for kind in ("token", "rest", "pushed"):
            client = PLACE.server.client("udp", getattr(PLACE.realms["gateway.test"], kind)(),
                                         origin=ORIGINS["gateway.test"])
            self.addCleanup(client.close)
            turnclient.need("allocate", client.allocate())
            with self.subTest(kind=kind):
                self.assertEqual(client.create_permission(("127.0.0.10", 9)).code, FORBIDDEN)
                self.assertTrue(client.create_permission(("127.0.0.9", 9)).ok)


class Changes(Case):
    def test_within_a_second(self):
        client, other = self.client("main.test"), self.client("open.test")
        self.assertTrue(client.create_permission(("198.51.100.9", 9)).ok)
        self.assertLess(self.lists("main.test", denied_peers=["198.51.100.0/24"]), 3)  # the design says one
        self.assertEqual(client.create_permission(("198.51.100.9", 9)).code, FORBIDDEN)
        self.assertTrue(other.create_permission(("198.51.100.9", 9)).ok)
        self.lists("main.test", denied_peers=[])
        self.assertTrue(client.create_permission(("198.51.100.9", 9)).ok)

    def test_an_empty_list_restricts_nothing(self):
        client = self.client("gateway.test")
        self.assertEqual(client.create_permission(("198.51.100.9", 9)).code, FORBIDDEN)
        self.lists("gateway.test", allowed_peers=[])
        self.assertTrue(client.create_permission(("198.51.100.9", 9)).ok)
        self.assertEqual(client.create_permission(("127.0.0.10", 9)).code, FORBIDDEN)  # the other list stays

    def permitted(self, channel=None):
        peer = turnclient.Peer("127.0.0.12")
        self.addCleanup(peer.close)
        client = self.client("main.test")
        if channel:
            turnclient.need("channel", client.channel_bind(channel, peer.address))
        else:
            turnclient.need("permission", client.create_permission(peer.address))
        return client, peer

    def ends(self, client, peer, channel=None):
        """The permission lives out its time, and nothing renews it."""
        self.lists("main.test", denied_peers=["127.0.0.12"])
        self.assertTrue(turnclient.relay_once(client, peer, channel), "it ended at once")
        end = time.monotonic() + 3 * LIFE
        while turnclient.relay_once(client, peer, channel, seconds=0.3):
            self.assertLess(time.monotonic(), end, "it does not end")
            renewal = client.channel_bind(channel, peer.address) if channel else client.create_permission(peer.address)
            self.assertEqual(renewal.code, FORBIDDEN)
            time.sleep(0.2)

    def test_a_permission_lives_out_its_time(self):
        self.ends(*self.permitted())

    def test_a_channel_lives_out_its_time(self):
        """Stock coturn looks at the peer of a new channel alone."""
        self.ends(*self.permitted(0x4001), channel=0x4001)

    def test_others_go_on(self):
        """The same change does not touch another peer, nor the same peer in another realm."""
        client, peer = self.permitted()
        self.lists("main.test", denied_peers=["127.0.0.13"])
        end = time.monotonic() + LIFE + 3
        while time.monotonic() < end:
            turnclient.need("permission", client.create_permission(peer.address))
            self.assertTrue(turnclient.relay_once(client, peer))
            time.sleep(0.5)

    def test_a_connection_goes_on(self):
        """RFC 6062: a connection that is there is nobody's permission any more."""
        listener = socket.create_server(("127.0.0.14", 0))
        self.addCleanup(listener.close)
        listener.settimeout(5)
        client = self.client("main.test", "tcp", protocol=stun.TCP)
        answer, identifier = client.connect(listener.getsockname())
        turnclient.need("connect", answer)
        far, _ = listener.accept()
        self.addCleanup(far.close)
        far.settimeout(3)
        answer, data = client.data_connection(identifier)
        self.addCleanup(data.close)
        turnclient.need("bind", answer)
        self.lists("main.test", denied_peers=["127.0.0.14"])
        self.assertEqual(client.connect(listener.getsockname())[0].code, FORBIDDEN)
        data.send(b"x")
        self.assertEqual(far.recv(1), b"x")


class TwoLists(unittest.TestCase):
    """coturn's own lists stay in force: both must permit a peer."""

    def test_order(self):
        with patched.Place(["denied-peer-ip=127.0.0.32-127.0.0.63", "allowed-peer-ip=127.0.0.33",
                            "denied-peer-ip=10.0.0.0-10.255.255.255"], realm="two.test") as place:
            realm = place.realm("two.test", allowed_peers=["127.0.0.0/8"], denied_peers=["127.0.0.33", "127.0.0.64"])
            place.start()
            client = place.server.client("udp", realm.derived())
            self.addCleanup(client.close)
            turnclient.need("allocate", client.allocate())
            for peer, code in (("127.0.0.1", 0),            # of no list of coturn's, allowed here
                               ("127.0.0.34", FORBIDDEN),   # denied there, allowed here
                               ("127.0.0.33", FORBIDDEN),   # allowed there, denied here
                               ("127.0.0.64", FORBIDDEN),   # of no list there, denied here
                               ("10.1.1.1", FORBIDDEN),     # denied there, and not allowed here
                               ("192.0.2.1", FORBIDDEN)):   # of no list there, and not allowed here
                with self.subTest(peer=peer):
                    self.assertEqual(client.create_permission((peer, 9)).code, code)


class Observed(unittest.TestCase):
    def test_observe_refuses_nobody(self):
        with patched.Place(["user=own:secret", "auth-module-observe"], realm="observed.test",
                           take_away=["auth-module-only"]) as place:
            place.realm("observed.test", allowed_peers=["192.0.2.1"])
            place.start()
            client = place.server.client("udp", patched.credentials.Credential("own", password="secret"))
            self.addCleanup(client.close)
            turnclient.need("allocate", client.allocate())
            self.assertTrue(client.create_permission(("198.51.100.1", 9)).ok)


if __name__ == "__main__":
    unittest.main(verbosity=2)
