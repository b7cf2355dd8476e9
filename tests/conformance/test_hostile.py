#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Hostile packets, and the log after them, which must not contain secrets or forged lines."""

import base64
import contextlib
import os
import pathlib
import random
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import credentials  # noqa: E402
import patched  # noqa: E402
import probes  # noqa: E402
import stun  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute, Fingerprint, Integrity  # noqa: E402

PLACE = None
SECRETS = []  # octets and texts that the server must never write down


def setUpModule():
    global PLACE
    lines = ["stale-nonce=2", "secure-stun", "mobility", "no-software-attribute"]
    PLACE = patched.place_of_module(lines, realm="main.example")
    realm = PLACE.realm("main.example", max_ttl=3600)
    SECRETS.extend((realm.k_token, realm.k_derived, realm.k_rest))
    PLACE.start()


class Case(unittest.TestCase):
    def setUp(self):
        self.realm = PLACE.realms["main.example"]

    def tearDown(self):
        self.assertIsNone(PLACE.server.process.poll(), "the server died: " + PLACE.server.log()[-800:])

    def client(self, credential=None, kind="udp", **options):
        client = PLACE.server.client(kind, credential, **options)
        self.addCleanup(client.close)
        if credential is not None:
            SECRETS.extend(s for s in (credential.password, credential.mac_key, credential.token) if s)
        return client

    def works(self):
        """The server goes on for everybody else."""
        client = self.client(self.realm.token())
        self.assertEqual(probes.outcome(client.allocate), "ok")
        client.refresh(0)


class Names(Case):
    NAMES = [
        b"",
        b"\0",
        b"alice\0:9999999999",
        b"alice:9999999999\0",
        b"%s%n%s%n%x",
        b"a\nERROR: forged line",
        b"a\r\n0: : session 1: forged",
        b"\x1b[31mred\x1b[0m",
        b"\xff\xfe\xfd",
        b"\xc3\x28",
        b"' OR 1=1 --",
        b'"; DROP TABLE turncred.key; --',
        b"union select",
        b"x" * 508,
        b"x" * 513,
        b"x" * 763,
        b"../../etc/passwd",
        "\u202egnp.exe".encode(),
        b":" * 200,
        b"alice:999999999999999",
        b"999999999999999:alice",
    ]

    def test_usernames(self):
        client = self.client(credentials.Credential("nobody", password="a-wrong-password"))
        client.challenge()
        for name in self.NAMES:
            for extra in ([], [Attribute("ACCESS-TOKEN", os.urandom(62))]):
                with self.subTest(name=name[:30], token=bool(extra)):
                    tail = [
                        Attribute("USERNAME", name),
                        Attribute("REALM", client.realm),
                        Attribute("NONCE", client.nonce),
                    ]
                    raw = stun.build(
                        "ALLOCATE", [probes.TRANSPORT] + tail + extra + [Integrity(b"wrong key")]
                    )
                    answer = client.exchange(raw)
                    if answer.code in (401, 438):
                        client.take_challenge(answer)
                    self.assertIn(answer.code, (400, 401, 438))
        self.works()

    def test_log_lines_are_ours(self):
        """Text from a client can neither begin a line of the log nor colour it."""
        self.test_usernames()
        log = PLACE.server.log()
        self.assertNotRegex(log, r"(?m)^(ERROR: forged|0: : session 1: forged)")
        self.assertNotIn("\x1b", log)
        self.assertNotIn("\0", log)

    def test_realms(self):
        client = self.client(self.realm.derived())
        client.challenge()
        for realm in (b"", b"\0", b"x" * 127, b"x" * 128, b"x" * 763, b"other.example", b"%n%n", b"a\nb"):
            with self.subTest(realm=realm[:20]):
                tail = client.authentication()
                tail[1] = Attribute("REALM", realm)
                raw = stun.build("ALLOCATE", [probes.TRANSPORT] + tail)
                self.assertNotEqual(probes.outcome(client.exchange, raw), "ok")
        self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_origins(self):
        for origin in ("x" * 600, "https://" + "a" * 126, "%s%n", "https://a/\r\nb", "://", "\x01"):
            with self.subTest(origin=origin[:20]):
                client = self.client(self.realm.derived(), origin=origin)
                self.assertIn(probes.outcome(client.allocate), ("ok", "400"))


class Packets(Case):
    def test_attributes_twice(self):
        """RFC 8489 14: only the first of several counts."""
        good, bad = self.realm.token(), self.realm.token()
        for first, second, word in ((good.token, os.urandom(62), "ok"), (os.urandom(62), bad.token, "401")):
            client = self.client(good if word == "ok" else bad)
            client.challenge()
            tail = client.authentication(token=False)
            tail[3:3] = [Attribute("ACCESS-TOKEN", first), Attribute("ACCESS-TOKEN", second)]
            raw = stun.build("ALLOCATE", [probes.TRANSPORT] + tail)
            self.assertEqual(probes.outcome(client.exchange, raw), word)

    def test_username_behind_integrity(self):
        """Attributes after MESSAGE-INTEGRITY do not count."""
        client = self.client(self.realm.derived("alice"))
        client.challenge()
        tail = client.authentication()
        raw = stun.build("ALLOCATE", [probes.TRANSPORT] + tail + [Attribute("USERNAME", "mallory:1")])
        self.assertEqual(probes.outcome(client.exchange, raw, client.key()), "ok")

    def test_credentials_behind_integrity(self):
        for number in range(3):
            client = self.client(self.realm.derived("alice"))
            client.challenge()
            tail = client.authentication()
            moved = tail.pop(number)
            raw = stun.build("ALLOCATE", [probes.TRANSPORT] + tail + [moved])
            self.assertNotEqual(probes.outcome(client.exchange, raw), "ok", f"attribute {number}")

    def test_additions_behind_integrity(self):
        """An attacker on the path can add attributes without a key: the server obeys none of them."""
        peer, stranger = turnclient.Peer(), turnclient.Peer()
        self.addCleanup(peer.close)
        self.addCleanup(stranger.close)
        for credential in (self.realm.token(), self.realm.derived()):
            client = self.client(credential)
            client.challenge()
            def added(method, own, *additions, token=False, client=client):
                for _ in range(3):  # the nonce of this server is soon stale
                    tail = client.authentication(token=token)
                    answer = client.exchange(stun.build(method, [*own, *tail, *additions]), client.key())
                    if answer.code != 438:
                        break
                    client.take_challenge(answer)
                return answer

            self.assertEqual(added("ALLOCATE", [], probes.TRANSPORT, token=True).code, 400)
            turnclient.need("allocate", client.allocate())

            one, other = turnclient.PeerAddress(peer.address), turnclient.PeerAddress(("127.0.0.2", 9))
            channel = Attribute("CHANNEL-NUMBER", stun.channel_number(0x4000))
            self.assertEqual(added("CREATE-PERMISSION", [], one).code, 400)
            self.assertEqual(added("CHANNEL-BIND", [channel], one).code, 400)
            self.assertEqual(added("CHANNEL-BIND", [], channel, one).code, 400)
            # the server obeys the address inside, and not the one after MESSAGE-INTEGRITY: it relays no datagram from there
            self.assertEqual(added("CREATE-PERMISSION", [other], one, Fingerprint()).code, 0)
            client.send(peer.address, b"x")
            self.assertIsNone(peer.receive(0.3))
            answer = added("REFRESH", [], Attribute("LIFETIME", stun.u32(0)))
            self.assertEqual(answer.code, 0)
            self.assertGreater(answer.message.number("LIFETIME"), 0)
            self.assertEqual(added("REFRESH", [], Attribute(0x7F00, b"unknown")).code, 0)
            client.create_permission(peer.address)
            self.assertTrue(turnclient.relay_once(client, peer))
            client.refresh(0)

    def test_additions_behind_integrity_when_moving(self):
        """RFC 8016: the Refresh that moves an allocation is refused if somebody has added to it."""
        first = self.client(self.realm.derived())
        turnclient.need("allocate", first.allocate(mobility=True))
        second = self.client(first.credential)
        second.challenge()

        def move(addition):
            ticket = Attribute("MOBILITY-TICKET", first.ticket)
            for _ in range(3):  # the nonce of this server is soon stale
                raw = stun.build("REFRESH", [ticket, *second.authentication(), addition])
                answer = second.exchange(raw, second.key())
                if answer.code != 438:
                    break
                second.take_challenge(answer)
            return answer.code

        self.assertEqual(move(Attribute("LIFETIME", stun.u32(0))), 400)
        self.assertEqual(move(Fingerprint()), 0)

    def test_integrity_of_other_lengths(self):
        client = self.client(self.realm.derived())
        client.challenge()
        for length in (0, 4, 12, 16):
            tail = client.authentication()
            tail[-1] = Integrity(client.key(), length=length)
            raw = stun.build("ALLOCATE", [probes.TRANSPORT] + tail)
            self.assertIn(probes.outcome(client.exchange, raw), ("400", "401"))
        self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_empty_token(self):
        client = self.client(self.realm.token())
        client.challenge()
        client.credential.token = b""
        self.assertEqual(probes.outcome(client.allocate, follow=False), "401")

    def test_password_user_with_a_token(self):
        """ACCESS-TOKEN means token and nothing else."""
        credential = self.realm.derived()
        client = self.client(credential)
        client.challenge()
        credential.token = os.urandom(62)
        self.assertEqual(probes.outcome(client.allocate, follow=False), "401")
        credential.token = None
        self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_kid_without_a_token(self):
        token = self.realm.token()
        client = self.client(token)
        client.challenge()
        self.assertEqual(probes.outcome(client.allocate, token=False, follow=False), "401")

    def test_poisoning_with_the_right_nonce(self):
        """Somebody on the path knows the nonce, but has no key."""
        for credential in (self.realm.token(), self.realm.derived()):
            for method in ("ALLOCATE", "REFRESH", "CREATE-PERMISSION"):
                client = self.client(credential, share_port=True)
                client.challenge()
                for _ in range(3):
                    tail = [
                        Attribute("USERNAME", "mallory:9999999999"),
                        Attribute("REALM", client.realm),
                        Attribute("NONCE", client.nonce),
                        Attribute("ACCESS-TOKEN", os.urandom(62)),
                        Integrity(b"no key"),
                    ]
                    probes.spoof(client, [probes.TRANSPORT] + tail, method)
                self.assertEqual(probes.outcome(client.allocate), "ok")
                for _ in range(3):
                    tail[2] = Attribute("NONCE", client.nonce)
                    probes.spoof(client, tail, method)
                self.assertEqual(probes.outcome(client.refresh), "ok")
                client.refresh(0)

    def test_poisoning_with_anothers_valid_credential(self):
        """Mallory has a good credential of her own and the victim's address and nonce."""
        for make in (self.realm.token, self.realm.derived):
            client = self.client(make("alice"), share_port=True)
            turnclient.need("allocate", client.allocate())
            mallory = make("mallory")
            spoofed = client.authentication(mallory)
            answer = probes.spoof(client, spoofed, "REFRESH")
            self.assertEqual(answer.error[0], 441)
            answer = probes.spoof(client, [Attribute("LIFETIME", stun.u32(0))] + spoofed, "REFRESH")
            self.assertEqual(answer.error[0], 441)
            self.assertEqual(probes.outcome(client.refresh), "ok")

    def test_second_allocation_with_anothers_credential(self):
        client = self.client(self.realm.derived("alice"))
        turnclient.need("allocate", client.allocate())
        other = self.realm.derived("mallory")
        self.assertIn(probes.outcome(client.allocate, credential=other), ("437", "441"))
        self.assertEqual(probes.outcome(client.refresh), "ok")

    def test_noise(self):
        """Damaged copies of a good request: no answer that lets anybody in, and no harm."""
        generator = random.Random(7635)
        client = self.client(self.realm.token())
        client.challenge()
        good = client.build("ALLOCATE", [probes.TRANSPORT])
        other = transport.connect("udp", PLACE.server.address)
        self.addCleanup(other.close)
        for _ in range(2000):
            damaged = bytearray(good)
            for _ in range(generator.randint(1, 6)):
                damaged[generator.randrange(len(damaged))] ^= generator.randrange(1, 256)
            if generator.random() < 0.3:
                damaged = damaged[: generator.randrange(len(damaged))]
            if damaged == good:  # two changes of one octet that cancel
                continue
            with contextlib.suppress(transport.Gone):
                other.send(bytes(damaged))
        successes = 0
        with contextlib.suppress(transport.Gone):
            while (octets := other.recv(0.3)) is not None:
                with contextlib.suppress(stun.Malformed):
                    message = stun.Message(octets)
                    successes += message.cls == stun.SUCCESS and message.method != 1
        self.assertEqual(successes, 0)
        self.works()

    def test_noise_over_tcp(self):
        generator = random.Random(6062)
        for _ in range(60):
            try:
                other = transport.connect("tcp", PLACE.server.address)
                other.send(b"\0\3" + generator.randbytes(generator.randint(1, 300)))
                other.close()
            except transport.Gone:
                pass
        self.works()


class Mechanisms(Case):
    """The mechanism is pinned to the session."""

    def test_token_session_is_not_renewed_by_password(self):
        client = self.client(self.realm.token("alice"))
        turnclient.need("allocate", client.allocate())
        answer = client.refresh(credential=self.realm.derived("alice"))
        self.assertEqual(answer.code, 441)

    def test_derived_session_is_not_renewed_by_rest_or_pushed(self):
        client = self.client(self.realm.derived("alice"))
        turnclient.need("allocate", client.allocate())
        for other in (self.realm.rest("alice"), self.realm.pushed("alice")):
            self.assertEqual(client.refresh(credential=other).code, 441, other.username)
        self.assertEqual(probes.outcome(client.refresh), "ok")


class Options(Case):
    """Options of coturn's own that take part in authentication."""

    def test_stale_nonce(self):
        """Nonces of this server last 2 s: each renewal of a nonce gives one 438, and no client is cut off."""
        for credential in (self.realm.token(), self.realm.derived()):
            client = self.client(credential)
            peer = turnclient.Peer()
            self.addCleanup(peer.close)
            turnclient.need("allocate", client.allocate())
            turnclient.need("permission", client.create_permission(peer.address))
            seen = {client.nonce}
            end = time.monotonic() + 7.5
            while time.monotonic() < end:
                self.assertEqual(probes.outcome(client.refresh), "ok")
                self.assertTrue(turnclient.relay_once(client, peer))
                seen.add(client.nonce)
                time.sleep(0.4)
            self.assertGreaterEqual(len(seen), 3)

    def test_binding_with_credentials(self):
        """secure-stun: Binding needs a login too; the module decides it like any other."""
        client = self.client()
        self.assertEqual(client.binding().code, 401)
        for credential, word in (
            (self.realm.derived(), "ok"),
            (self.realm.derived(left=-5), "401"),
            (credentials.Credential(f"alice:{int(time.time()) + 600}", password="wrong"), "401"),
        ):
            client = self.client(credential)
            self.assertEqual(probes.outcome(client.request, "BINDING"), word)

    def test_fingerprint(self):
        client = self.client(self.realm.token(), fingerprint=True)
        answer = client.allocate()
        self.assertTrue(answer.ok)
        self.assertIs(answer.message.check_fingerprint(), True)
        # a packet with a wrong one is no STUN message
        client.rc = 2
        raw = stun.build("REFRESH", client.authentication(token=False) + [Fingerprint(flip=True)])
        self.assertIn(probes.outcome(client.exchange, raw), ("silent", "400"))


class ZLog(Case):
    """Runs last: nothing secret in the log, whatever the tests above have done."""

    def test_no_secret_in_the_log(self):
        log = PLACE.server.log()
        octets = log.encode("utf-8", "surrogateescape")
        self.assertGreater(len(SECRETS), 20)
        for secret in SECRETS:
            raw = secret.encode() if isinstance(secret, str) else secret
            forms = {raw, raw.hex().encode(), raw.hex().upper().encode(), base64.b64encode(raw)}
            forms.add(base64.urlsafe_b64encode(raw).rstrip(b"="))
            for form in forms:
                if len(form) >= 12:
                    self.assertNotIn(form, octets)

    def test_refusals_are_explained(self):
        """One reason code and the client's address in a line."""
        log = PLACE.server.log()
        for reason in ("unknown_key", "integrity_mismatch", "bad_token", "expired"):
            self.assertTrue(
                re.search(rf"127\.0\.0\.1.*\b{reason}\b|\b{reason}\b.*127\.0\.0\.1", log), reason
            )


if __name__ == "__main__":
    unittest.main(verbosity=2)
