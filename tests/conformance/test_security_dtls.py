#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Attacks on coturn 4.6.1 before a login, by DTLS records and by lengths in TCP frames:
unpatched it has the fault, with patches/4.6.1/security it has not."""

import contextlib
import functools
import itertools
import os
import pathlib
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import credentials  # noqa: E402
import patched  # noqa: E402
import probes  # noqa: E402
import server  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402

LINES = ["lt-cred-mech", "realm=example.org", "user=alice:wonderland", "relay-threads=2"]
ALICE = credentials.Credential("alice", password="wonderland")
SOURCES = 3000
GROWTH = 10 << 10  # kB; a session is 19 kB and more, so unpatched it is three times that and more
ENGINES = (1, 2, 3)  # a socket for each session, for each endpoint, for each thread
HANDSHAKE = 0x16
CLIENT_HELLO, SERVER_HELLO, HELLO_VERIFY = 1, 2, 3


def setUpModule():
    if None in (server.stock(), server.patched()):
        raise unittest.SkipTest("needs unpatched and patched turnserver")


class Hello:
    """A ClientHello whose fragments and records the test can cut."""

    CIPHERS = bytes.fromhex("c02bc02fc00ac014")
    EXTENSIONS = bytes.fromhex("000a00080006001d00170018000b00020100000d000a00080403040108040501")

    def __init__(self, cookie=b""):
        self.random = bytes(range(32))
        self.cookie = cookie

    def body(self):
        return (
            b"\xfe\xfd" + self.random + b"\0" + bytes([len(self.cookie)]) + self.cookie
            + struct.pack("!H", len(self.CIPHERS)) + self.CIPHERS + b"\x01\0"
            + struct.pack("!H", len(self.EXTENSIONS)) + self.EXTENSIONS
        )  # fmt: skip

    def records(self, *cuts, version=0xFEFF, msg_type=CLIENT_HELLO):
        """One record for each part of the body between the cuts."""
        body, number = self.body(), 1 if self.cookie else 0
        ends = [*cuts, len(body)]
        for at, (start, end) in enumerate(zip([0, *cuts], ends)):
            fragment = (
                bytes([msg_type]) + len(body).to_bytes(3, "big") + struct.pack("!H", number)
                + start.to_bytes(3, "big") + (end - start).to_bytes(3, "big") + body[start:end]
            )  # fmt: skip
            yield record(HANDSHAKE, fragment, number + at, version)


def record(kind, payload, number=0, version=0xFEFF):
    return struct.pack("!BHHIHH", kind, version, 0, 0, number, len(payload)) + payload


def addresses():
    """A port that no test used before: the server may still have a session with a used port."""
    for number in itertools.count():
        yield f"127.{2 + number // 40000}.{1 + number // 200 % 200}.{1 + number % 200}"


ADDRESSES = addresses()


class Source:
    """One source address of datagrams."""

    def __init__(self, address, ip=None):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((ip or next(ADDRESSES), 0))
        self.socket.connect(address)
        self.socket.settimeout(5)  # long: a late answer to one question would be taken for that to the next

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self, *datagrams):
        """Type and body of the handshake message that comes back first; None if nothing does."""
        for _ in range(2):
            for datagram in datagrams:
                self.socket.send(datagram)
            with contextlib.suppress(TimeoutError):
                octets = self.socket.recv(4096)
                return (octets[13], octets[25:]) if octets[0] == HANDSHAKE else None
        return None

    def silent(self, *datagrams):
        for datagram in datagrams:
            self.socket.send(datagram)
        self.socket.settimeout(0.5)
        with contextlib.suppress(TimeoutError):
            return self.socket.recv(4096)
        return None

    def cookie(self):
        kind, body = self.ask(*Hello().records())
        assert kind == HELLO_VERIFY, kind
        return body[3 : 3 + body[2]]


def resident(place):
    with open(f"/proc/{place.process.pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def growth_by_hellos(place):
    """kB of memory that ClientHellos without a cookie cost. Each is answered before the next one comes."""
    before = resident(place)
    hello = b"".join(Hello().records())
    for number in range(SOURCES):
        with Source(place.tls_address) as source:
            kind, _ = source.ask(hello)
            assert kind == HELLO_VERIFY, kind
    return resident(place) - before


JUNK = (
    record(0x14, b"\x01"),
    record(0x15, b"\x02\x28"),
    record(0x17, bytes(40)),
    record(HANDSHAKE, bytes(60)),
    record(HANDSHAKE, b"", version=0xFEFD),
    b"".join(Hello().records(version=0xFEFD))[:40],  # longer than the datagram
    b"".join(Hello().records(msg_type=16)),
    b"".join(list(Hello().records(30))[1:]),  # not the first fragment
    bytes.fromhex("16feff00"),
)


def growth_by_junk(place):
    before = resident(place)
    for number in range(SOURCES):
        with Source(place.tls_address) as source:
            source.socket.send(JUNK[number % len(JUNK)])
        if number % 20 == 0:  # not faster than the server reads
            with Source(place.tls_address) as source:
                source.cookie()
    return resident(place) - before


class NoSession(unittest.TestCase):
    """CVE-2026-73214: a session for each forged source that sends one datagram."""

    def growth(self, program, measure, engine=3):
        with server.Server(program, LINES + [f"ne={engine}"], tls=True) as place:
            grown = measure(place)
            self.assertIsNone(place.process.poll(), place.log()[-800:])
            self.assertEqual(probes.login(place, ALICE, "dtls"), "ok")
            self.assertEqual(probes.login(place, ALICE, "udp"), "ok")
        return grown

    def test_hello_without_cookie(self):
        self.assertGreater(self.growth(server.stock(), growth_by_hellos), 2 * GROWTH)
        for engine in ENGINES:
            with self.subTest(engine=engine):
                self.assertLess(self.growth(server.patched(), growth_by_hellos, engine), GROWTH)

    def test_junk(self):
        self.assertGreater(self.growth(server.stock(), growth_by_junk), 2 * GROWTH)
        for engine in ENGINES:
            with self.subTest(engine=engine):
                self.assertLess(self.growth(server.patched(), growth_by_junk, engine), GROWTH)

    def test_no_sockets_either(self):
        """Engine 1 gave each source a descriptor too."""
        opened = []
        for program in (server.stock(), server.patched()):
            with server.Server(program, LINES + ["ne=1"], tls=True) as place:
                folder = f"/proc/{place.process.pid}/fd"
                before = len(os.listdir(folder))
                for number in range(50):
                    with Source(place.tls_address) as source:
                        source.cookie()
                opened.append(len(os.listdir(folder)) - before)
        self.assertGreater(opened[0], 40)
        self.assertLess(opened[1], 10)


def on_each_engine(test):
    """The test is called with a patched server of each engine."""

    @functools.wraps(test)
    def wrapper(self):
        for engine, place in self.places.items():
            with self.subTest(engine=engine):
                test(self, place)
                self.assertIsNone(place.process.poll(), place.log()[-800:])

    return wrapper


class Engines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.places = {}
        for engine in ENGINES:
            place = server.Server(server.patched(), LINES + [f"ne={engine}"], tls=True)
            cls.enterClassContext(place)
            cls.places[engine] = place


class Cookie(Engines):
    def source(self, place, ip=None, address=None):
        source = Source(address or place.tls_address, ip)
        self.addCleanup(source.socket.close)
        return source

    @on_each_engine
    def test_a_valid_one_starts_the_handshake(self, place):
        source = self.source(place)
        cookie = source.cookie()
        self.assertGreaterEqual(len(cookie), 16)
        self.assertEqual(source.ask(*Hello(cookie).records())[0], SERVER_HELLO)

    @on_each_engine
    def test_the_record_version_may_change_on_the_way(self, place):
        for first, second in ((0xFEFF, 0xFEFD), (0xFEFD, 0xFEFF), (0xFEFD, 0xFEFD)):
            source = self.source(place)
            kind, body = source.ask(*Hello().records(version=first))
            self.assertEqual(kind, HELLO_VERIFY)
            hello = Hello(body[3 : 3 + body[2]])
            self.assertEqual(source.ask(*hello.records(version=second))[0], SERVER_HELLO)

    @on_each_engine
    def test_another_sources_is_none(self, place):
        source = self.source(place)
        cookie = source.cookie()
        ip = source.socket.getsockname()[0]
        for other in (self.source(place, ip), self.source(place)):
            self.assertEqual(other.ask(*Hello(cookie).records())[0], HELLO_VERIFY)

    @on_each_engine
    def test_damaged_ones_are_none(self, place):
        source = self.source(place)
        cookie = source.cookie()
        for wrong in (cookie[:-1], cookie + b"\0", bytes(len(cookie)), b"\1" * 255):
            self.assertEqual(source.ask(*Hello(wrong).records())[0], HELLO_VERIFY)
        self.assertEqual(source.ask(*Hello(cookie).records())[0], SERVER_HELLO)

    def test_another_process_has_another_secret(self):
        with contextlib.ExitStack() as stack:
            source = self.source(self.places[3])
            cookie = source.cookie()
            name = source.socket.getsockname()
            source.socket.close()
            place = stack.enter_context(server.Server(server.patched(), LINES, tls=True))
            other = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            other.bind(name)
            other.connect(place.tls_address)
            other.settimeout(5)
            other.send(b"".join(Hello(cookie).records()))
            self.assertEqual(other.recv(4096)[13], HELLO_VERIFY)

    @on_each_engine
    def test_the_answer_is_no_amplifier(self, place):
        hello = b"".join(Hello().records())
        self.assertLess(len(self.source(place).silent(hello)), len(hello))

    @on_each_engine
    def test_junk_is_not_answered(self, place):
        for octets in JUNK:
            self.assertIsNone(self.source(place).silent(octets), octets)

    @on_each_engine
    def test_fragments_in_records_of_their_own(self, place):
        source = self.source(place)
        hello = list(Hello(source.cookie()).records(75, 90))
        self.assertEqual(source.ask(*hello)[0], SERVER_HELLO)

    @on_each_engine
    def test_fragments_in_one_datagram(self, place):
        source = self.source(place)
        hello = b"".join(Hello(source.cookie()).records(75, 90))
        source.socket.send(hello)  # not again: the first one must do
        source.socket.settimeout(5)
        self.assertEqual(source.socket.recv(4096)[13], SERVER_HELLO)

    @on_each_engine
    def test_repeated_hello(self, place):
        """The network may double a datagram at any step."""
        source = self.source(place)
        hello = b"".join(Hello(source.cookie()).records())
        self.assertEqual(source.ask(hello, hello)[0], SERVER_HELLO)

    @on_each_engine
    def test_dtls_on_the_plain_port(self, place):
        source = self.source(place, address=place.address)
        cookie = source.cookie()
        self.assertEqual(source.ask(*Hello(cookie).records())[0], SERVER_HELLO)


class Clients(Engines):
    """Well-behaved clients still work."""

    @on_each_engine
    def test_relay(self, place):
        for kind in ("dtls", "udp", "dtls"):
            client = place.client(kind, ALICE)
            self.addCleanup(client.close)
            turnclient.need("allocate", client.allocate())
            peer = turnclient.Peer()
            self.addCleanup(peer.close)
            turnclient.need("permission", client.create_permission(peer.address))
            self.assertTrue(turnclient.relay_once(client, peer))

    @on_each_engine
    def test_plain_udp_on_the_dtls_port(self, place):
        local = (next(ADDRESSES), 0)
        client = turnclient.Client(transport.connect("udp", place.tls_address, local=local), ALICE)
        self.addCleanup(client.close)
        self.assertEqual(probes.outcome(client.allocate), "ok")

    if server.has_ipv6():  # where the machine has it

        def test_ipv6(self):
            for engine in ENGINES:
                with server.Server(server.patched(), LINES + [f"ne={engine}"], True, "::1") as place:
                    client = turnclient.Client(transport.connect("dtls", place.tls_address), ALICE)
                    self.addCleanup(client.close)
                    self.assertTrue(client.binding().ok)

    @on_each_engine
    def test_certificates_are_read_again_on_the_way(self, place):
        source = Source(place.tls_address)
        self.addCleanup(source.socket.close)
        hello = Hello(source.cookie())
        place.process.send_signal(signal.SIGUSR2)
        end = time.monotonic() + 10
        while "Reloading TLS certificates" not in place.log() and time.monotonic() < end:
            time.sleep(0.05)
        self.assertIn("Reloading TLS certificates", place.log())
        self.assertEqual(source.ask(*hello.records())[0], SERVER_HELLO)
        self.assertEqual(probes.login(place, ALICE, "dtls"), "ok")

    def openssl(self, place, *options):
        host, port = place.tls_address
        return subprocess.run(
            ["openssl", "s_client", "-connect", f"{host}:{port}"]
            + ["-bind", f"{next(ADDRESSES)}:0", *options],
            input=b"",
            capture_output=True,
            timeout=30,
        ).stdout.decode(errors="replace")

    @on_each_engine
    def test_openssl(self, place):
        for options in (["-dtls"], ["-dtls1_2"], ["-dtls1_2", "-mtu", "256"]):
            # a long name, so that a small MTU cuts the ClientHello in pieces
            output = self.openssl(place, *options, "-alpn", "a" * 200 + "," + "b" * 200)
            self.assertRegex(output, "Cipher is ECDHE|Cipher    : ECDHE", options)

    @on_each_engine
    def test_turncredctl(self, place):
        if not patched.ctl():
            self.skipTest("no turncredctl: set top_builddir")
        with tempfile.NamedTemporaryFile("w") as password:
            password.write("wonderland\n")
            password.flush()
            address = "%s:%d" % place.tls_address
            command = [patched.ctl(), "probe", "--transport", "dtls", "--insecure"]
            command += ["--server", address, "--local-address", next(ADDRESSES)]
            command += ["--user", "alice", "--password-file", password.name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


COOKIE = 0x2112A442
BINDING = struct.pack("!HHI", 1, 0, COOKIE) + b"smuggled one"
ROOM = 65507  # coturn's buffer for one message


def long_frames():
    """Frames that never fit, as (what, header, where a wrapped length ends)."""
    for length in range(0xFFD4, 0x10000, 4):
        header = struct.pack("!HHI", 1, length, COOKIE) + bytes(8)
        yield f"STUN {length:#x}", header, length + 20 & 0xFFFF
    for length in range(0xFFE0, 0x10000):
        header = struct.pack("!HH", 0x4000, length)
        yield f"ChannelData {length:#x}", header, (length + 4 & 0xFFFF) + 3 & ~3


class Frames(unittest.TestCase):
    """CVE-2026-68552 and similar faults: the octets inside one message are not read as another message."""

    def answered(self, place, header, at, kind, seconds):
        """Whether the server answers a Binding request inside a frame."""
        carrier = transport.connect(kind, place.tls_address if kind == "tls" else place.address)
        self.addCleanup(carrier.close)
        carrier.send(header[:at].ljust(at, b"\0") + BINDING)
        answer = carrier.recv(seconds)
        return answer is not None and answer[8:20] == BINDING[8:20]

    def test_nothing_is_smuggled(self):
        # a wrapped length that leaves the header whole
        frames = [f for f in long_frames() if 4 <= f[2] <= len(f[1]) and f[1][2:4] > b"\xff\xf0"]
        self.assertGreaterEqual(len(frames), 6)
        with server.Server(server.stock(), LINES) as place:
            for what, header, at in frames:
                self.assertTrue(self.answered(place, header, at, "tcp", 10), what)
        with server.Server(server.patched(), LINES, tls=True) as place:
            for kind in ("tcp", "tls"):
                for what, header, at in frames:
                    self.assertFalse(self.answered(place, header, at, kind, 0.4), (kind, what))

    def ends(self, place, header, kind, total=ROOM + 100):
        """Does a frame that is sent in whole end its connection?"""
        carrier = transport.connect(kind, place.tls_address if kind == "tls" else place.address)
        self.addCleanup(carrier.close)
        try:
            carrier.send(header.ljust(total, b"\0"))
            carrier.recv(0.7)
        except transport.Gone:
            return True
        return False

    def test_too_long_a_frame_ends_its_connection(self):
        with server.Server(server.stock(), LINES) as place:
            for _, header, _ in (next(long_frames()), *list(long_frames())[11:12]):
                self.assertFalse(self.ends(place, header, "tcp"), header[:4])
        with server.Server(server.patched(), LINES, tls=True) as place:
            for kind in ("tcp", "tls"):
                for what, header, _ in long_frames():
                    self.assertTrue(self.ends(place, header, kind), (kind, what))
            self.assertEqual(probes.login(place, ALICE, "tcp"), "ok")

    def test_the_longest_that_fit(self):
        """The server skips the whole frames, and the connection goes on; in one piece and octet by octet at the end."""
        with server.Server(server.patched(), LINES, tls=True) as place:
            for kind in ("tcp", "tls"):
                for header, total in (
                    (struct.pack("!HHI", 0xFFF, 65484, COOKIE) + bytes(12), 65504),
                    (struct.pack("!HH", 0x4000, 65500), 65504),
                    (struct.pack("!HH", 0x4000, 65497), 65504),
                    (struct.pack("!HH", 0x4000, 0), 4),
                    (struct.pack("!HH", 0x4000, 1), 8),
                ):
                    address = place.tls_address if kind == "tls" else place.address
                    carrier = transport.connect(kind, address)
                    self.addCleanup(carrier.close)
                    frame = header.ljust(total, b"\0") + BINDING
                    carrier.send(frame[:-23])
                    for at in range(23, 0, -1):
                        carrier.send(frame[-at:][:1])
                    answer = carrier.recv(5)
                    while answer and answer[8:20] != BINDING[8:20]:
                        answer = carrier.recv(5)
                    self.assertTrue(answer, (kind, header[:4]))


class Library(unittest.TestCase):
    """coturn's message functions by themselves, built from the source that the server was built from."""

    HERE = pathlib.Path(__file__).resolve().parent

    def run_with(self, program, test, *flags):
        tree = pathlib.Path(program).parents[1] / "src" / "src"
        if not (tree / "client" / "ns_turn_msg.c").exists():
            self.skipTest(f"no source beside {program}")
        with tempfile.TemporaryDirectory() as folder:
            command = [os.environ.get("CC", "cc"), "-w", "-O1", "-g", *flags, f"-I{tree}", f"-I{tree}/apps/common"]
            command += ["-o", f"{folder}/test", str(self.HERE / test)]
            command += [str(tree / "client" / f"ns_turn_{name}.c") for name in ("msg", "msg_addr", "ioaddr")]
            subprocess.run(command + ["-lcrypto", "-lssl", "-lpthread"], check=True)
            return subprocess.run([f"{folder}/test"], capture_output=True, text=True, timeout=120)

    def test_every_length(self):
        self.assertEqual(self.run_with(server.stock(), "security_lengths.c").returncode, 1)
        done = self.run_with(server.patched(), "security_lengths.c")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_no_misaligned_load(self):
        """CVE-2026-40613, as UBSan sees it on any machine."""
        test, flag = "security_alignment.c", "-fsanitize=alignment"
        done = self.run_with(server.stock(), test, flag)
        self.assertIn("load of misaligned address", done.stderr)
        done = self.run_with(server.patched(), test, flag)
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main(verbosity=2)
