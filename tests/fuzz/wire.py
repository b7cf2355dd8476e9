#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""wire.py SECONDS [--seed N] [--transports udp,tcp,tls,dtls]

Sends STUN messages that a generator makes and damages to a patched turnserver with turncred.so, over UDP, TCP, TLS and
DTLS, with credentials of every kind in two realms: most of them verify, so that the messages come behind the login. The
server is meant to be built with sanitizers (tests/fuzz/run, tests/integration/sanitize); their reports are read at the
end. Exit 1 if the server ended, no longer lets a right credential in, or a report is not one of coturn's known ones.

Environment: TURNSERVER or COTURN_DIR, TURNCRED_MODULE or BUILDDIR. The seed is printed; it repeats the messages, not the
threads of the server.
"""
import argparse
import collections
import os
import pathlib
import random
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(TOP / "tests/conformance"), str(TOP / "tests/integration")]

import patched  # noqa: E402
import reports  # noqa: E402
import stun  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute, Fingerprint, Integrity  # noqa: E402

REALMS = ("a.example", "b.example")
MESSAGES_A_CONNECTION = 40
METHODS = sorted(stun.METHODS) + [0x00F, 0xFFF]


class Generator:
    """Makes messages for one connection."""

    def __init__(self, rng, place, credentials):
        self.rng, self.place, self.credentials = rng, place, credentials
        self.tickets = [b""]

    def some(self, *values):
        return self.rng.choice(values)

    def octets(self, most=40):
        return self.rng.randbytes(self.rng.choice((0, 1, 3, 4, 8, 20, self.rng.randrange(most + 1))))

    def address(self, txid):
        ip = self.some("127.0.0.1", "127.0.0.2", "192.0.2.1", "::1", "0.0.0.0", "255.255.255.255")
        return stun.xor_address((ip, self.rng.randrange(65536)), txid)

    def attribute(self, txid):
        rng = self.rng
        name = rng.choice(sorted(stun.ATTRIBUTES))
        value = {
            "REQUESTED-TRANSPORT": lambda: stun.requested_transport(self.some(17, 6, 0, 255)),
            "LIFETIME": lambda: stun.u32(self.some(0, 1, 600, 3600, 2**31, 2**32 - 1)),
            "XOR-PEER-ADDRESS": lambda: self.address(txid),
            "CHANNEL-NUMBER": lambda: stun.channel_number(self.some(0x4000, 0x4001, 0x7FFF, 0x3FFF, 0xFFFF)),
            "MOBILITY-TICKET": lambda: rng.choice(self.tickets),
            "DATA": lambda: self.octets(1200),
            "EVEN-PORT": lambda: bytes([self.some(0, 0x80, 0xFF)]),
            "RESERVATION-TOKEN": lambda: rng.randbytes(8),
            "REQUESTED-ADDRESS-FAMILY": lambda: bytes([self.some(1, 2, 0, 3), 0, 0, 0]),
            "CONNECTION-ID": lambda: rng.randbytes(4),
            "ORIGIN": lambda: self.some(b"https://a.example", b"null", b"x auth-module: refused\n", self.octets(300)),
        }.get(name, self.octets)()
        length = None if rng.random() < 0.95 else rng.randrange(70)
        return Attribute(name if rng.random() < 0.97 else rng.randrange(65536), value, length)

    def tail(self, client, credential):
        """USERNAME to FINGERPRINT; one in four has something wrong."""
        rng = self.rng
        wrong = rng.random() < 0.25
        name = self.octets(600) if wrong and rng.random() < 0.3 else credential.username
        realm = self.octets(200) if wrong and rng.random() < 0.3 else client.realm or ""
        nonce = self.octets(64) if wrong and rng.random() < 0.3 else client.nonce or ""
        out = [Attribute("USERNAME", name), Attribute("REALM", realm), Attribute("NONCE", nonce)]
        if credential.token is not None and rng.random() < 0.9:
            token = credential.token
            if wrong:
                token = self.damaged(token)
            out.append(Attribute("ACCESS-TOKEN", token))
        if wrong and rng.random() < 0.3:
            rng.shuffle(out)
            del out[rng.randrange(len(out))]
        key = credential.key(client.realm or "")
        options = {"key_octets": 16} if wrong and rng.random() < 0.2 else {}
        if wrong and rng.random() < 0.2:
            options["length"] = 1 + rng.randrange(32)
        if wrong and rng.random() < 0.2:
            options["digest"] = "sha256"
        out.append(Integrity(key, flip=wrong and rng.random() < 0.3, **options))
        if rng.random() < 0.2:
            out.append(self.attribute(bytes(12)))
        if rng.random() < 0.4:
            out.append(Fingerprint(flip=rng.random() < 0.1))
        return out

    def damaged(self, raw):
        rng, raw = self.rng, bytearray(raw)
        for _ in range(self.some(1, 1, 2, 5)):
            at = rng.randrange(len(raw) + 1)
            what = rng.randrange(5)
            if what == 0 and at < len(raw):
                raw[at] ^= 1 << rng.randrange(8)
            elif what == 1 and at < len(raw):
                raw[at] = self.some(0, 255, 127, 128)
            elif what == 2:
                raw[at:at] = rng.randbytes(self.some(1, 2, 4, 20))
            elif what == 3:
                del raw[at:at + self.some(1, 2, 4, 20)]
            else:
                del raw[at:]
        return bytes(raw)

    def message(self, client, credential):
        rng = self.rng
        if rng.random() < 0.03:
            return stun.channel_data(self.some(0x4000, 0x4001, 0x4FFF), self.octets(600), client.transport.stream)
        txid = rng.randbytes(12)
        method = self.some("ALLOCATE", "REFRESH", "CREATE-PERMISSION", "CHANNEL-BIND", rng.choice(METHODS))
        attributes = []
        if method == "ALLOCATE" and rng.random() < 0.9:
            attributes.append(Attribute("REQUESTED-TRANSPORT", stun.requested_transport(self.some(17, 17, 6))))
            if rng.random() < 0.3:
                attributes.append(Attribute("MOBILITY-TICKET"))
        elif method in ("CREATE-PERMISSION", "CHANNEL-BIND") and rng.random() < 0.9:
            attributes.append(Attribute("XOR-PEER-ADDRESS", self.address(txid)))
        attributes += [self.attribute(txid) for _ in range(self.some(0, 0, 1, 2, 6))]
        if rng.random() < 0.85:
            attributes += self.tail(client, credential)
        cls = stun.REQUEST if rng.random() < 0.93 else rng.randrange(4)
        raw = stun.build(method, attributes, cls, txid, None if rng.random() < 0.97 else rng.randrange(65536))
        return self.damaged(raw) if rng.random() < 0.2 else raw

    def take(self, client, raw):
        """What an answer teaches: nonce, realm, ticket."""
        try:
            message = stun.Message(raw)
        except (stun.Malformed, IndexError):
            return
        if message.text("NONCE"):
            client.nonce = message.text("NONCE")
        if message.get("MOBILITY-TICKET"):
            self.tickets = self.tickets[-8:] + [message.get("MOBILITY-TICKET")]


def talk(place, kind, generator, counts):
    """One connection with some messages on it."""
    rng = generator.rng
    realm, credential = rng.choice(generator.credentials)
    client = place.server.client(kind, credential)
    counts["connections"] += 1
    try:
        client.origin = f"https://{realm}"
        client.challenge()
        for _ in range(MESSAGES_A_CONNECTION):
            client.transport.send(generator.message(client, credential if rng.random() < 0.95 else rng.choice(generator.credentials)[1]))
            counts[kind] += 1
            while (raw := client.transport.recv(0.0005)) is not None:
                counts["answers"] += 1
                generator.take(client, raw)
    except (transport.Gone, turnclient.NoAnswer, turnclient.Unverified, OSError, stun.Malformed):
        counts["ended by the server"] += 1
    finally:
        client.close()


def credentials_of(place):
    """As many as live for an hour; the server sees them again and again."""
    out = []
    for name in REALMS:
        realm = place.realms[name]
        out += [(name, c) for c in (realm.token(lifetime=3600), realm.derived(left=3600), realm.rest(left=3600), realm.pushed(left=3600))]
        out += [(name, realm.token(user="bob", lifetime=3600)), (name, realm.derived(user="bob", left=3600))]
    return out


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--transports", default="udp,tcp,tls,dtls")
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    rng, counts = random.Random(seed), collections.Counter()
    said = tempfile.mkdtemp(prefix="turncred-wire-")
    os.chmod(said, 0o777)
    for name, more in (("ASAN", "detect_leaks=0"), ("UBSAN", "print_stacktrace=1"), ("TSAN", "report_thread_leaks=0")):
        os.environ[f"{name}_OPTIONS"] = f"log_path={said}/report:{more}"  # of the server, which inherits them
    place = patched.Place(["mobility", "user-quota=50", "total-quota=1000"], tls=True, realm=REALMS[0], take_away=("verbose",))
    try:
        for name in REALMS:
            place.realm(name, max_ttl=7200, origins=[f"https://{name}"])
        place.start()
        generator = Generator(rng, place, credentials_of(place))
        kinds = options.transports.split(",")
        end = time.monotonic() + options.seconds
        while time.monotonic() < end and place.server.process.poll() is None:
            talk(place, rng.choice(kinds), generator, counts)
        alive = place.server.process.poll() is None and lets_in(place, kinds)
        log = place.server.log()[-3000:]
    finally:
        place.stop()
    bad = reports.judge(sorted(pathlib.Path(said).iterdir()))
    sent = sum(counts[k] for k in kinds)
    print(f"wire: {sent} messages ({', '.join(f'{k} {counts[k]}' for k in kinds)}), {counts['answers']} answers,"
          f" {counts['connections']} connections, seed {seed}; {len(bad)} reports that are not known")
    if not alive:
        print(f"the server ended, or lets nobody in any more:\n{log}")
    for text in bad:
        print(text)
    sys.exit(bool(bad) or not alive or not counts["answers"])


def lets_in(place, kinds):
    """Each transport still lets a right credential in. Sessions of the fuzzer may hold the quota: 486 will do."""
    for kind in kinds:
        client = place.server.client(kind, place.realms[REALMS[0]].derived(user="last"))
        client.origin = f"https://{REALMS[0]}"
        try:
            if client.allocate().code not in (0, 486, 508):
                return False
        finally:
            client.close()
    return True


if __name__ == "__main__":
    main()
