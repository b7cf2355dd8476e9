#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Which peers a client may name: the lists denied-peer-ip and allowed-peer-ip, the scopes that are
denied without them, the module's own list, and IPv4 addresses inside IPv6 ones. Stock coturn accepts
peers that the patched one refuses: each test shows the fault on both."""

import ipaddress
import os
import pathlib
import random
import socket
import subprocess
import sys
import tempfile
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "abi"))

import abi_support  # noqa: E402
import credentials  # noqa: E402
import patched  # noqa: E402
import server  # noqa: E402
import stun  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute  # noqa: E402

ALICE = credentials.Credential("alice", password="wonderland")
USERS = ["lt-cred-mech", "realm=example.org", "user=alice:wonderland"]
IPV6 = [Attribute("REQUESTED-ADDRESS-FAMILY", b"\x02\0\0\0")]
FORBIDDEN = 403

# --- IPv6 forms of IPv4 addresses ------------------------------------------------------------


def form(start, at=96, mask=0):
    """IPv6 address with an IPv4 address at bit number at."""

    def make(ipv4):
        number = int(ipaddress.IPv4Address(ipv4)) ^ mask
        return str(ipaddress.IPv6Address(int(ipaddress.IPv6Address(start)) | number << 96 - at))

    return make


FORMS = {
    "mapped": form("::ffff:0:0"),
    "compatible": form("::"),
    "translated": form("::ffff:0:0:0"),
    "NAT64": form("64:ff9b::"),
    "6to4": form("2002::1", at=16),
    "Teredo": form("2001:0:c000:201:8000:63bf::", mask=0xFFFFFFFF),
    "ISATAP": form("2001:db8:7:7:0:5efe::"),
    "ISATAP, global": form("2001:db8:7:7:200:5efe::"),
    "ISATAP in 6to4": form("2002:c000:201:7:0:5efe::"),
}
LOCAL_NAT64 = form("64:ff9b:1:7::")

LINES = [
    "allow-loopback-peers=no",
    "relay-ip=::1",
    "denied-peer-ip=10.0.0.0-10.255.255.255",
    "allowed-peer-ip=10.9.9.9",
    "denied-peer-ip=2001:db8:1:0:ff::-2001:db8:1:0:1ff::",
    "denied-peer-ip=2001:db8:2::-2001:db8:2::ffff:0",
    "allowed-peer-ip=2001:db8:2::80-2001:db8:2::17f",
]
MODULE_DENIES = "198.51.100.7"

# peers that a client may not reach, and peers that it may
REFUSED_IPV4 = {"loopback": "127.0.0.1", "loopback 2": "127.255.0.9", "this network": "0.1.2.3",
                "denied": "10.1.2.3", "denied, last": "10.255.255.255",
                "metadata": "169.254.169.254"}
ALLOWED_IPV4 = {"allowed": "10.9.9.9", "by no list": "192.0.2.1", "behind the range": "11.0.0.0"}
STOCK_REFUSES = ("loopback", "loopback 2", "this network", "denied", "denied, last")
SCOPES = ["fe80::1", "febf:ffff::1", "fec0::1", "feff::1", "fc00::1", "fd00:ec2::254", "64:ff9b:1::1"]
LEAKED = ["2001:db8:1:0:100::", "2001:db8:1:0:ff::1", "2001:db8:2::1:7f", "2001:db8:2::fffe:ffff"]
ENDS = ["2001:db8:1:0:ff::", "2001:db8:1:0:1ff::", "2001:db8:2::", "2001:db8:2::ffff:0"]
LEGITIMATE = ["2001:db8::1", "2001:db8:1:0:fe:ffff::", "2001:db8:1:0:200::", "2001:db8:2::90",
              "2001:db8:2::170", "2600::1", "fe7f::1", "fbff::1", "64:ff9b:2::1", "2003:a00:1::1",
              "2001:db8:7:7:0:5eff:7f00:1", "2001:1::7f00:1", "::1:0:7f00:1"]


class Peers:
    """Two allocations on one server: the server's answers about a peer."""

    def __init__(self, place, credential):
        self.clients = {}
        for version, attributes in ((4, []), (6, IPV6)):
            client = place.client("tcp", credential)
            turnclient.need("allocate", client.allocate(extra=attributes))
            self.clients[version] = client
        self.credential = credential

    def permission(self, peer):
        """The code of a CreatePermission: 0 if the peer is let in."""
        version = ipaddress.ip_address(peer).version
        return self.clients[version].create_permission((peer, 9)).code

    def close(self):
        for client in self.clients.values():
            client.close()


def connect_code(place, credential, peer):
    """RFC 6062: the code of a Connect."""
    client = place.client("tcp", credential)
    try:
        turnclient.need("allocate", client.allocate(protocol=stun.TCP, extra=IPV6))
        return client.connect(peer)[0].code
    finally:
        client.close()


class Table:
    """The patched server, in one of three settings."""

    @classmethod
    def tearDownClass(cls):
        cls.peers.close()
        cls.place.__exit__()

    def refused(self, peer):
        with self.subTest(peer=peer):
            self.assertEqual(self.peers.permission(peer), FORBIDDEN)

    def let_in(self, peer):
        with self.subTest(peer=peer):
            self.assertEqual(self.peers.permission(peer), 0)

    def test_ipv4(self):
        for peer in REFUSED_IPV4.values():
            self.refused(peer)
        for peer in ALLOWED_IPV4.values():
            self.let_in(peer)

    def test_ipv4_inside_ipv6(self):
        for make in FORMS.values():
            for peer in REFUSED_IPV4.values():
                self.refused(make(peer))
            for peer in ALLOWED_IPV4.values():
                self.let_in(make(peer))

    def test_nat64_of_the_site_is_internal(self):
        for peer in (*REFUSED_IPV4.values(), *ALLOWED_IPV4.values()):
            self.refused(LOCAL_NAT64(peer))

    def test_both_addresses_of_two_tunnels_count(self):
        self.refused("2002:a01:203:7:0:5efe:c000:201")
        self.refused("2002:c000:201:7:0:5efe:a01:203")

    def test_scopes(self):
        for peer in ("::", "::1", *SCOPES):
            self.refused(peer)

    def test_ranges_hold_what_is_between_their_ends(self):
        for peer in LEAKED + ENDS:
            self.refused(peer)

    def test_legitimate_peers(self):
        for peer in LEGITIMATE:
            self.let_in(peer)

    def test_channels(self):
        client = self.peers.clients[6]
        for number, peer in enumerate((FORMS["mapped"]("127.0.0.1"), FORMS["6to4"]("10.1.2.3"),
                                       "fe80::1", LEAKED[0])):
            with self.subTest(peer=peer):
                code = client.channel_bind(0x4000 + number, (peer, 9)).code
                self.assertEqual(code, FORBIDDEN)
        self.assertEqual(client.channel_bind(0x4100, (FORMS["mapped"]("192.0.2.1"), 9)).code, 0)

    def test_connections(self):
        for peer in (FORMS["mapped"]("127.0.0.1"), FORMS["NAT64"]("10.1.2.3"), "fd00::1"):
            with self.subTest(peer=peer):
                code = connect_code(self.place_server, self.peers.credential, (peer, 9))
                self.assertEqual(code, FORBIDDEN)

    def test_one_refused_peer_refuses_the_request(self):
        client = self.peers.clients[6]
        answer = client.create_permission(("2600::1", 9), (FORMS["mapped"]("127.0.0.1"), 9))
        self.assertEqual(answer.code, FORBIDDEN)


class NoModule(Table, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if server.patched() is None:
            raise unittest.SkipTest("no patched turnserver: set TURNSERVER or COTURN_DIR")
        cls.place = cls.place_server = server.Server(server.patched(), USERS + LINES)
        cls.place.__enter__()
        cls.peers = Peers(cls.place, ALICE)

    def test_the_log_names_what_was_internal(self):
        self.refused("fd00::77")
        self.assertIn("A peer IP fd00::77 denied: internal scope", self.place.log())


class WithTurncred(Table, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        reason = patched.missing()
        if reason:
            raise unittest.SkipTest(reason)
        cls.place = patched.Place(LINES, realm="example.org")
        try:
            realm = cls.place.realm("example.org")
            cls.place.start()
            cls.place_server = cls.place.server
            cls.peers = Peers(cls.place.server, realm.derived("alice"))
        except BaseException:
            cls.place.stop()
            raise


class WithRules(Table, unittest.TestCase):
    """A module that denies an address, which the configuration allows."""

    @classmethod
    def setUpClass(cls):
        cls.place = cls.place_server = abi_support.ModuleServer(
            "rules", f"deny-peer={MODULE_DENIES} alice:password=wonderland",
            LINES + [f"allowed-peer-ip={MODULE_DENIES}", "allowed-peer-ip=64:ff9b:1:7::-64:ff9b:1:7:ff::"]
        )
        cls.place.__enter__()
        cls.peers = Peers(cls.place, ALICE)

    def test_the_list_of_the_module(self):
        for peer in (MODULE_DENIES, *(make(MODULE_DENIES) for make in FORMS.values())):
            self.refused(peer)
        self.refused(LOCAL_NAT64(MODULE_DENIES))
        self.let_in("198.51.100.6")

    def test_nat64_of_the_site_is_internal(self):
        """Opened here: the IPv4 address inside still counts."""
        for peer in REFUSED_IPV4.values():
            self.refused(LOCAL_NAT64(peer))
        for peer in ALLOWED_IPV4.values():
            self.let_in(LOCAL_NAT64(peer))
        self.refused("64:ff9b:1:8::1")

    def test_refusals_are_logged_at_a_capped_rate(self):
        start = time.monotonic()
        for _ in range(400):
            self.assertEqual(self.peers.permission(FORMS["NAT64"](MODULE_DENIES)), FORBIDDEN)
        seconds = time.monotonic() - start
        line = f"A peer IP {FORMS['NAT64'](MODULE_DENIES)} denied by the authentication module"
        log = pathlib.Path(self.place.folder, "turnserver.log").read_text()
        # 100 at once, 50 a second, and the one of the other test
        self.assertIn(line, log)
        self.assertLessEqual(log.count(line), 102 + 50 * seconds)


class Stock(unittest.TestCase):
    """The same peers with unpatched coturn: a fact that no longer holds means another base."""

    @classmethod
    def setUpClass(cls):
        if server.stock() is None:
            raise unittest.SkipTest("no unpatched turnserver: set TURNSERVER_STOCK")
        cls.place = server.Server(server.stock(), USERS + LINES)
        cls.place.__enter__()
        cls.peers = Peers(cls.place, ALICE)

    @classmethod
    def tearDownClass(cls):
        cls.peers.close()
        cls.place.__exit__()

    def test_ipv4(self):
        """The control: the lists do work."""
        for name, peer in {**REFUSED_IPV4, **ALLOWED_IPV4}.items():
            with self.subTest(peer=peer):
                code = FORBIDDEN if name in STOCK_REFUSES else 0
                self.assertEqual(self.peers.permission(peer), code)

    def test_ipv4_inside_ipv6_is_let_in(self):
        for make in (*FORMS.values(), LOCAL_NAT64):
            for peer in (*REFUSED_IPV4.values(), *ALLOWED_IPV4.values()):
                with self.subTest(peer=make(peer)):
                    self.assertEqual(self.peers.permission(make(peer)), 0)

    def test_internal_scopes_are_let_in(self):
        for peer in SCOPES:
            with self.subTest(peer=peer):
                self.assertEqual(self.peers.permission(peer), 0)
        for peer in ("::", "::1"):
            self.assertEqual(self.peers.permission(peer), FORBIDDEN)

    def test_ranges_leak(self):
        for peer in LEAKED:
            with self.subTest(peer=peer):
                self.assertEqual(self.peers.permission(peer), 0)
        for peer in ENDS:
            self.assertEqual(self.peers.permission(peer), FORBIDDEN)

    def test_connections_are_begun(self):
        code = connect_code(self.place, ALICE, (FORMS["mapped"]("127.0.0.1"), 9))
        self.assertNotEqual(code, FORBIDDEN)


class Opened(unittest.TestCase):
    """allowed-peer-ip opens what is denied by default, and nothing beside it."""

    OPENED = [
        "allow-loopback-peers=no",
        "relay-ip=::1",
        "denied-peer-ip=10.0.0.0-10.255.255.255",
        "allowed-peer-ip=fd00::-fd00::ffff",
        "allowed-peer-ip=fe80::5",
        "allowed-peer-ip=169.254.1.0-169.254.1.255",
        "allowed-peer-ip=2000::-2fff:ffff::",
    ]

    def test_opened(self):
        with server.Server(server.patched(), USERS + self.OPENED) as place:
            peers = Peers(place, ALICE)
            self.addCleanup(peers.close)
            expected = {
                "fd00::1": 0, "fd00::ffff": 0, "fd00::1:0": FORBIDDEN, "fc00::1": FORBIDDEN,
                "fe80::5": 0, "fe80::6": FORBIDDEN,
                "169.254.1.1": 0, "169.254.169.254": FORBIDDEN,
                FORMS["mapped"]("169.254.1.1"): 0,
                FORMS["mapped"]("169.254.169.254"): FORBIDDEN,
                # a range of IPv6 addresses says nothing about the IPv4 addresses in them
                FORMS["6to4"]("192.0.2.1"): 0, FORMS["6to4"]("10.1.2.3"): FORBIDDEN,
                FORMS["6to4"]("127.0.0.1"): FORBIDDEN,
            }
            for peer, code in expected.items():
                with self.subTest(peer=peer):
                    self.assertEqual(peers.permission(peer), code)

    def in_both(self, lines, peers, wanted_stock, wanted_patched):
        for program, wanted in ((server.stock(), wanted_stock), (server.patched(), wanted_patched)):
            with server.Server(program, USERS + ["relay-ip=::1"] + lines) as place:
                asked = Peers(place, ALICE)
                self.addCleanup(asked.close)
                self.assertEqual([asked.permission(peer) for peer in peers], wanted)

    def test_a_range_from_unspecified_is_of_its_own_family(self):
        lines = ["denied-peer-ip=0.0.0.0-255.255.255.255", "allowed-peer-ip=::-fbff::"]
        peers = ["192.0.2.1", "2600::1"]
        self.in_both(lines, peers, [0, 0], [FORBIDDEN, 0])

    def test_an_unspecified_address_alone_is_every_address(self):
        self.in_both(["denied-peer-ip=0.0.0.0"], ["192.0.2.1", "2600::1"], *[[FORBIDDEN] * 2] * 2)

    def test_loopback_in_every_form_with_allow_loopback_peers(self):
        peers = ["127.0.0.1", "::1", *(make("127.0.0.1") for make in FORMS.values())]
        self.in_both([], peers, *[[0] * len(peers)] * 2)

    def test_the_private_address_behind_external_ip(self):
        """A call between two clients of the same server goes by its private address."""
        lines = ["external-ip=2600::7/fd00::7", "allow-loopback-peers=no"]
        self.in_both(lines, ["2600::7", "fd00::7", "fd00::8"], [0, 0, 0], [0, 0, FORBIDDEN])


class Data(unittest.TestCase):
    """Octets, both ways, on the loopback interface."""

    def relayed(self, program, lines, ip):
        """The answer to CreatePermission, and whether data arrive there and back."""
        with server.Server(program, USERS + ["relay-ip=::1"] + lines) as place:
            client = place.client("tcp", ALICE)
            self.addCleanup(client.close)
            turnclient.need("allocate", client.allocate(extra=IPV6 if ":" in ip else []))
            peer = turnclient.Peer(ip)
            self.addCleanup(peer.close)
            code = client.create_permission(peer.address).code
            by_send = turnclient.relay_once(client, peer)
            bound = client.channel_bind(0x4001, peer.address).code
            by_channel = not bound and turnclient.relay_once(client, peer, 0x4001)
            return code, by_send, by_channel

    def test_legitimate_peers_are_relayed_to(self):
        lines = ["denied-peer-ip=10.0.0.0-10.255.255.255", "denied-peer-ip=::2-::ffff"]
        for ip in ("127.0.0.1", "::1"):
            with self.subTest(ip=ip):
                self.assertEqual(self.relayed(server.patched(), lines, ip), (0, True, True))

    def test_a_leaking_range_leaks_data(self):
        lines = ["denied-peer-ip=::1-::1:0"]
        self.assertEqual(self.relayed(server.stock(), lines, "::1"), (0, True, True))
        self.assertEqual(self.relayed(server.patched(), lines, "::1"), (FORBIDDEN, False, False))

    def test_a_connection_to_a_legitimate_peer(self):
        with server.Server(server.patched(), USERS + ["relay-ip=::1"]) as place:
            with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
                peer = listener.getsockname()[:2]
                self.assertEqual(connect_code(place, ALICE, peer), 0)


class Malformed(unittest.TestCase):
    """A list with a hole in it does not go into service."""

    VALUES = ["10.0.0.0/8", "10.0.0.9-10.0.0.1", "fd00::2-fd00::1", "10.0.0.1-::1", "10.0.0.1-",
              "-10.0.0.1", "10.1", "10.0.0.010", "10.0.0.0-10.1", "10.0.0.256", "fd00::/8"]
    GOOD = ["10.0.0.1", "10.0.0.0-10.255.255.255", "fe80::-febf:ffff::", "::1", "0.0.0.0",
            "0.0.0.0-0.255.255.255", "::ffff:0:0-::ffff:255.255.255.255", "localhost"]

    def start(self, option, value):
        """(exit code, output) of a server that is to end by itself."""
        with tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "turnserver.conf")
            with open(config, "w") as file:
                file.write(f"listening-ip=127.0.0.1\nlistening-port={server.free_port()}\n")
                file.write(f"no-cli\nno-tls\nno-dtls\nlog-file=stdout\nuserdb={folder}/db\n")
                file.write(f"pidfile={folder}/pid\n{option}={value}\n")
            done = subprocess.run([server.patched(), "-c", config], stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, timeout=30)
            return done.returncode, done.stdout + done.stderr

    def test_malformed_values_are_refused(self):
        for option in ("denied-peer-ip", "allowed-peer-ip"):
            for value in self.VALUES:
                with self.subTest(option=option, value=value):
                    code, output = self.start(option, value)
                    self.assertNotEqual(code, 0)
                    self.assertIn(f"CONFIG ERROR: {option}={value}: neither an address", output)

    def test_an_empty_value_on_the_command_line(self):
        done = subprocess.run([server.patched(), "-n", "--no-cli", "--listening-ip=127.0.0.1",
                               f"--listening-port={server.free_port()}", "--allowed-peer-ip="],
                              capture_output=True, text=True, timeout=30)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("CONFIG ERROR: allowed-peer-ip=: neither an address", done.stdout + done.stderr)

    def test_good_values_are_taken(self):
        lines = [f"allowed-peer-ip={value}" for value in self.GOOD]
        with server.Server(server.patched(), USERS + lines) as place:
            for value in self.GOOD:
                self.assertIn(f"White listing: {value}\n", place.log())

    def test_stock_starts_without_them(self):
        lines = [f"denied-peer-ip={value}" for value in self.VALUES]
        with server.Server(server.stock(), USERS + lines) as place:
            self.assertNotIn("Black listing: 10.0.0.0/8", place.log())


# --- in one process, against Python's ipaddress --------------------------------------------------


class Oracle:
    """peer_oracle.c with the address code of a coturn tree and the module's list."""

    def __init__(self, folder, tree):
        ours = self.source(server.patched())
        self.program = os.path.join(folder, "oracle-" + tree.parent.name)
        includes = [tree / "src" / "client", tree / "src"]
        includes += [ours / "src" / name for name in ("apps/relay", "apps/common", "server")]
        subprocess.run(
            [os.environ.get("CC", "cc"), "-O1", "-w", "-o", self.program, HERE / "peer_oracle.c"]
            + [tree / "src/client/ns_turn_ioaddr.c", ours / "src/apps/relay/auth_peers.c"]
            + [f"-I{include}" for include in includes],
            check=True,
        )

    @staticmethod
    def source(program):
        """The tree that a turnserver of scripts/build-coturn was built from."""
        tree = pathlib.Path(program).resolve().parents[1] / "src"
        if not (tree / "src" / "client" / "ns_turn_ioaddr.c").exists():
            raise unittest.SkipTest(f"{program} was not built by scripts/build-coturn")
        return tree

    def ask(self, lines):
        done = subprocess.run([self.program], input="\n".join(lines) + "\n", capture_output=True,
                              text=True)
        if done.returncode:
            raise RuntimeError(done.stderr)
        return [int(line) for line in done.stdout.split()]


class Property(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.patched = Oracle(cls.folder.name, Oracle.source(server.patched()))
        cls.stock = Oracle(cls.folder.name, Oracle.source(server.stock()))

    def setUp(self):
        self.seed = random.randrange(2**32)
        self.random = random.Random(self.seed)

    def number(self, kind):
        """A random address whose octets are often 0 or 255."""
        octets = [self.random.choice((0, 0, 1, 0x7F, 0xFF, self.random.randrange(256)))
                  for _ in range(kind.packed_length)]
        return int.from_bytes(bytes(octets), "big")

    def cases(self, kind, ranges):
        """(min, max, address): near the ends, between them, anywhere, of the other family."""
        top = 2 ** (8 * kind.packed_length) - 1
        other = KINDS[0] if kind is KINDS[1] else KINDS[1]
        for _ in range(ranges):
            low, high = sorted((self.number(kind), self.number(kind)))
            if self.random.random() < 0.5:  # a narrow one
                high = min(top, low + self.random.randrange(2 ** self.random.randrange(8 * kind.packed_length)))
            for n in (low - 1, low, low + 1, high - 1, high, high + 1,
                      self.random.randint(low, high), self.number(kind)):
                if 0 <= n <= top:
                    yield kind.address(low), kind.address(high), kind.address(n)
            yield kind.address(low), kind.address(high), other.address(self.number(other))

    def differences(self, oracle, cases):
        said = oracle.ask([f"range {low} {high} {address}" for low, high, address in cases])
        self.assertEqual(len(said), len(cases))
        return [case for case, answer in zip(cases, said) if answer != expected(*case)]

    def test_ranges(self):
        for kind in KINDS:
            cases = list(self.cases(kind, 3000))
            self.assertEqual(self.differences(self.patched, cases)[:10], [], f"seed {self.seed}")

    def test_stock_ranges_leak(self):
        """And only IPv6 ranges do."""
        self.assertEqual(self.differences(self.stock, list(self.cases(KINDS[0], 1000)))[:10], [])
        self.assertNotEqual(self.differences(self.stock, list(self.cases(KINDS[1], 1000))), [])

    def module_list(self, oracle):
        """The module's list, with the address code of either tree."""
        denied = ["10.77.1.2", "2001:db8:5::1", "::ffff:10.77.1.3", "203.0.113.255"]
        plain = ["10.77.1.2", "10.77.1.3", "203.0.113.255"]
        near = ["10.77.1.4", "10.77.0.2", "2.1.77.10", "0.0.0.0"]
        wanted = [(peer, 1) for peer in denied + plain] + [("2001:db8:5::2", 0), ("::", 0), ("::1", 0)]
        for make in (*FORMS.values(), LOCAL_NAT64):
            wanted += [(make(peer), 1) for peer in plain] + [(make(peer), 0) for peer in near]
        for _ in range(3000):
            peer = KINDS[1].address(self.number(KINDS[1]))
            wanted.append((peer, 0))
        said = oracle.ask([f"deny {peer}" for peer in denied] + [f"peer {p}" for p, _ in wanted])
        self.assertEqual(said[:len(denied)], [1] * len(denied))
        wrong = [pair for pair, answer in zip(wanted, said[len(denied):]) if pair[1] != answer]
        self.assertEqual(wrong[:10], [], f"seed {self.seed}")

    def test_module_list_with_the_security_series(self):
        self.module_list(self.patched)

    def test_module_list_without_the_security_series(self):
        self.module_list(self.stock)


class Kind:
    def __init__(self, address, packed_length):
        self.address, self.packed_length = address, packed_length


KINDS = (Kind(ipaddress.IPv4Address, 4), Kind(ipaddress.IPv6Address, 16))


def expected(low, high, address):
    """1 if the address is in the range; an unspecified address bounds nothing."""
    if int(low) == int(high) == 0:
        return 1
    if address.version != low.version:
        return 0
    return int(low <= address and (address <= high or int(high) == 0))


def load_tests(loader, tests, _):
    """A machine without IPv6 cannot be asked to relay to it: the comparison with Python's ipaddress remains."""
    return tests if server.has_ipv6() else loader.loadTestsFromTestCase(Property)


def setUpModule():
    if server.patched() is None or server.stock() is None:
        raise unittest.SkipTest("wants a patched and an unpatched turnserver: scripts/build-coturn")


if __name__ == "__main__":
    unittest.main(verbosity=2)
