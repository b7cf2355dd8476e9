#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Rules of a patched server with turncred.so, one packet at a time. Where unpatched coturn is
wrong, test_stock.py has its answer to the same probe."""

import json
import os
import pathlib
import socket
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import credentials  # noqa: E402
import patched  # noqa: E402
import probes  # noqa: E402
import server  # noqa: E402
import stun  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute, Integrity  # noqa: E402

PLACE = None
VECTORS = json.loads((HERE / "vectors.json").read_text())
TOKEN = stun.ATTRIBUTES["ACCESS-TOKEN"]


def setUpModule():
    global PLACE
    lines = ["mobility", "no-software-attribute", "listening-ip=127.0.0.2", "relay-ip=127.0.0.2"]
    if server.has_ipv6():
        lines += ["listening-ip=::1", "relay-ip=::1"]
    PLACE = patched.place_of_module(lines, realm="main.example")
    PLACE.realm("main.example", max_ttl=3600, default_ttl=600)
    PLACE.realm("plain.example", origins=["https://plain.example"], mechanisms=["derived", "pushed"])
    PLACE.realm("address.example", listen_addresses=["127.0.0.2"])
    other = PLACE.realm("other.example", origins=["https://other.example"])
    PLACE.realm("guest.example", origins=["https://guest.example"],
                guest_kids=[f"other.example/{other.kid}"])  # fmt: skip
    PLACE.realm("quota.example", origins=["https://quota.example"], user_quota=1)
    PLACE.realm("rotated.example", origins=["https://rotated.example"])
    PLACE.realm("untagged.example", origins=["https://untagged.example"], subject_tag=False)
    PLACE.realm("total.example", origins=["https://total.example"], total_quota=1)
    PLACE.realm("bound.example", origins=["https://bound.example"], bind_address=True)
    PLACE.realm("slow.example", origins=["https://slow.example"], max_bps=3000)
    PLACE.start()


class Case(unittest.TestCase):
    realm_name = "main.example"

    def setUp(self):
        self.realm = PLACE.realms[self.realm_name]
        self.server = PLACE.server

    def client(self, credential=None, kind="udp", realm=None, **options):
        name = realm or self.realm_name
        if name != "main.example":
            options.setdefault("origin", f"https://{name}")
        client = self.server.client(kind, credential, **options)
        self.addCleanup(client.close)
        return client

    def allocated(self, credential, kind="udp", **options):
        allocate = {n: options.pop(n) for n in ("lifetime", "mobility", "protocol") if n in options}
        client = self.client(credential, kind, **options)
        turnclient.need("allocate", client.allocate(**allocate))
        return client

    def login(self, credential, **options):
        client = self.client(credential, **options)
        word = probes.outcome(client.allocate)
        if word == "ok":
            client.refresh(0)
        return word

    def assert_relays(self, client):
        peer = turnclient.Peer()
        self.addCleanup(peer.close)
        turnclient.need("permission", client.create_permission(peer.address))
        self.assertTrue(turnclient.relay_once(client, peer), "data does not flow")


class Tokens(Case):
    """RFC 7635."""

    def test_whole_session_key_is_let_in(self):
        """4.3: all 20 octets of mac_key; the answer verifies with all of them."""
        client = self.allocated(self.realm.token())
        self.assert_relays(client)
        self.assertEqual(probes.outcome(client.refresh), "ok")

    def test_sixteen_octets_are_refused(self):
        self.assertEqual(self.login(self.realm.token(key_octets=16)), "401")

    def test_session_key_of_32_octets(self):
        """Appendix B: HMAC-SHA1 takes SHA1(mac_key)."""
        mac_key = self.realm.subject_tag("alice") + os.urandom(28)
        self.assertEqual(self.login(self.realm.token(mac_key=mac_key)), "ok")

    def test_future_dated_is_refused(self):
        """7: lifetime + Delta > abs(RDnew - TS)."""
        self.assertEqual(self.login(self.realm.token(age=-86400)), "401")

    def test_lifetime_0_is_refused(self):
        self.assertEqual(self.login(self.realm.token(lifetime=0)), "401")

    def test_longer_than_the_realm_allows_is_refused(self):
        self.assertEqual(self.login(self.realm.token(lifetime=3601)), "401")
        self.assertEqual(self.login(self.realm.token(lifetime=3600)), "ok")

    def test_expired_is_refused(self):
        self.assertEqual(self.login(self.realm.token(age=606, lifetime=600)), "401")

    def test_refresh_ends_with_the_token(self):
        """9: no refresh beyond it."""
        now = int(time.time())
        token = self.realm.token(now=now - 10, lifetime=8)
        word = probes.refresh_after_expiry(self.server, token, now + 3)
        self.assertEqual(word, "401")

    def test_token_after_integrity_does_not_count(self):
        """RFC 8489 14.5."""
        word = probes.login_token_after_integrity(self.server, self.realm.token())
        self.assertEqual(word, "401")

    def test_unknown_kid(self):
        self.assertEqual(self.login(self.realm.token(kid="nobody")), "401")

    def test_wrong_key(self):
        self.assertEqual(self.login(self.realm.token(k=os.urandom(32))), "401")

    def test_wrong_server_name(self):
        self.assertEqual(self.login(self.realm.token(server_name="turn.elsewhere")), "401")

    def test_kid_of_another_realm(self):
        other = PLACE.realms["other.example"]
        self.assertEqual(self.login(other.token()), "401")
        self.assertEqual(self.login(other.token(server_name=self.realm.server_name)), "401")

    def test_guest_kid(self):
        guest, other = PLACE.realms["guest.example"], PLACE.realms["other.example"]
        token = other.token(server_name=guest.server_name)
        self.assertEqual(self.login(token, realm="guest.example"), "ok")
        self.assertEqual(self.login(other.token(), realm="guest.example"), "401")

    def test_algorithms_and_derivations(self):
        for algorithm in credentials.KEY_LENGTHS:
            for derivation in ("none", "hkdf-sha256"):
                with self.subTest(algorithm=algorithm, derivation=derivation):
                    kid = f"{algorithm}-{derivation}-{os.urandom(3).hex()}"
                    k = self.realm.add_key(kid, "token", algorithm, derivation)
                    PLACE.synced()
                    names = {"algorithm": algorithm, "derivation": derivation}
                    token = self.realm.token(kid=kid, k=k, **names)
                    self.assertEqual(self.login(token), "ok")
                    if algorithm == "A256CBC-HS512":
                        token = self.realm.token(kid=kid, k=k, nonce=b"", **names)
                        self.assertEqual(self.login(token), "401", "the zero IV is not allowed here")

    def test_zero_iv_where_the_row_allows_it(self):
        kid = f"zero-iv-{os.urandom(3).hex()}"
        k = self.realm.add_key(kid, "token", "A256CBC-HS512")
        PLACE.database.sql(f"UPDATE turncred.key SET allow_zero_iv = true WHERE kid = '{kid}'")
        PLACE.synced()
        token = self.realm.token(kid=kid, k=k, algorithm="A256CBC-HS512", nonce=b"")
        self.assertEqual(self.login(token), "ok")

    def test_truncated_at_every_length(self):
        client = self.client(self.realm.token())
        client.challenge()
        whole = client.credential.token
        for size in range(len(whole)):
            client.credential.token = whole[:size]
            with self.subTest(size=size):
                self.assertEqual(probes.outcome(client.allocate, follow=False), "401")
        client.credential.token = whole
        self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_every_bit_flipped(self):
        client = self.client(self.realm.token())
        client.challenge()
        whole = client.credential.token
        for bit in range(8 * len(whole)):
            damaged = bytearray(whole)
            damaged[bit // 8] ^= 1 << bit % 8
            client.credential.token = bytes(damaged)
            self.assertEqual(probes.outcome(client.allocate, follow=False), "401", f"bit {bit}")
        client.credential.token = whole
        self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_refused_vectors(self):
        for number, entry in enumerate(VECTORS["tokens_refused"]):
            with self.subTest(why=entry["why"]):
                kid = f"refused-{number}-{os.urandom(3).hex()}"
                k = bytes.fromhex(entry["K"])
                with_same_k = PLACE.database.sql(
                    f"SELECT kid FROM turncred.key WHERE realm = '{self.realm.name}'"
                    f" AND plain = {patched.quote(k)}"
                )
                if with_same_k:
                    kid = with_same_k.splitlines()[0]
                else:
                    self.realm.add_key(kid, "token", entry["algorithm"], entry["derivation"], k=k)
                    PLACE.synced()
                token = credentials.Credential(
                    kid, mac_key=bytes(20), token=bytes.fromhex(entry["token"])
                )
                self.assertEqual(self.login(token), "401")

    def test_oversized(self):
        client = self.client(self.realm.token())
        client.challenge()
        whole = client.credential.token
        for size in (200, 256, 300, 512, 993, 1000, 1200):
            # nonce_length says that nearly the whole token is the nonce: this overran unpatched coturn
            token = (size - 2).to_bytes(2, "big") + os.urandom(size - 2)
            client.credential.token = token
            word = probes.outcome(client.allocate, follow=False)
            self.assertIn(word, ("401", "400"), f"{size} octets")
        client.credential.token = whole
        self.assertEqual(probes.outcome(client.allocate), "ok")


class Offers(Case):
    """Which clients get an offer of tokens, and the answers to clients with a token (RFC 7635 section 6.1)."""

    def test_challenge_names_the_server(self):
        answer = self.client().challenge()
        self.assertEqual(answer.code, 401)
        self.assertEqual(answer.challenge["server_name"], self.realm.server_name)
        self.assertEqual(answer.challenge["realm"], "main.example")

    def test_realm_without_tokens_does_not_offer_them(self):
        answer = self.client(realm="plain.example").challenge()
        self.assertEqual(answer.challenge["realm"], "plain.example")
        self.assertIsNone(answer.challenge["server_name"])

    def test_420_only_where_there_are_no_tokens(self):
        answer = self.client(self.realm.token(), realm="plain.example").allocate()
        self.assertEqual(answer.code, 420)
        self.assertEqual(answer.unknown_attributes(), [TOKEN])
        # and by the realm, not by the memory of the session: the same client goes on
        client = self.client(self.realm.token(), realm="plain.example")
        client.allocate()
        client.credential = PLACE.realms["plain.example"].derived()
        self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_token_without_integrity_gets_the_ordinary_challenge(self):
        token = self.realm.token()
        client = self.client(token)
        answer = client.exchange(
            stun.build(
                "ALLOCATE",
                [
                    probes.TRANSPORT,
                    Attribute("USERNAME", token.username),
                    Attribute("ACCESS-TOKEN", token.token),
                ],
            )
        )
        self.assertEqual(answer.code, 401)
        self.assertEqual(answer.challenge["server_name"], self.realm.server_name)
        self.assertIsNotNone(answer.challenge["nonce"])
        client.take_challenge(answer)
        self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_eager_token_with_integrity_but_no_nonce(self):
        """RFC 8489 9.2.4: without REALM and NONCE it is 400 or a challenge; then it goes on."""
        token = self.realm.token()
        client = self.client(token)
        answer = client.exchange(
            stun.build(
                "ALLOCATE",
                [
                    probes.TRANSPORT,
                    Attribute("USERNAME", token.username),
                    Attribute("ACCESS-TOKEN", token.token),
                    Integrity(token.mac_key),
                ],
            )
        )
        self.assertIn(answer.code, (400, 401))
        self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_token_with_a_challenge_from_before(self):
        """Fetched beforehand and sent at once in the first authenticated request."""
        client = self.client(self.realm.token())
        client.challenge()
        self.assertEqual(probes.outcome(client.allocate, follow=False), "ok")

    def test_client_shows_that_it_can_do_tokens(self):
        """THIRD-PARTY-AUTHORIZATION in a request (the 3GPP flow) is answered."""
        for said in ("", self.realm.server_name):
            with self.subTest(said=said):
                answer = self.client(wants_token=said).challenge()
                self.assertEqual(answer.code, 401)
                self.assertEqual(answer.challenge["server_name"], self.realm.server_name)
        client = self.client(self.realm.token(), wants_token="")
        self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_the_same_where_there_are_no_tokens(self):
        """The attribute is comprehension-optional: no 420."""
        answer = self.client(realm="plain.example", wants_token="").challenge()
        self.assertEqual(answer.code, 401)
        self.assertIsNone(answer.challenge["server_name"])

    def test_realm_by_origin(self):
        for name in ("other.example", "quota.example"):
            answer = self.client(realm=name).challenge()
            self.assertEqual(answer.challenge["realm"], name)
            self.assertEqual(answer.challenge["server_name"], f"turn.{name}")
            self.assertEqual(self.login(PLACE.realms[name].token(name), realm=name), "ok")

    def test_unknown_origin_gets_the_default_realm(self):
        answer = self.client(origin="https://nowhere.example").challenge()
        self.assertEqual(answer.challenge["realm"], "main.example")

    def test_realm_by_listening_address(self):
        realm = PLACE.realms["address.example"]
        for credential in (realm.token(), realm.derived()):
            client = turnclient.Client(
                transport.connect("udp", ("127.0.0.2", self.server.port)), credential
            )
            self.addCleanup(client.close)
            self.assertEqual(client.challenge().challenge["realm"], "address.example")
            self.assertEqual(client.server_name, realm.server_name)
            self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_credential_of_another_realm(self):
        other = PLACE.realms["other.example"]
        self.assertEqual(self.login(other.derived()), "401")
        self.assertEqual(self.login(self.realm.derived(), realm="other.example"), "401")

    def test_claimed_realm_must_be_the_challenged_one(self):
        client = self.client(self.realm.derived())
        client.challenge()
        client.realm = "other.example"
        client.credential = PLACE.realms["other.example"].derived()
        self.assertNotEqual(probes.outcome(client.allocate, follow=False), "ok")


class Ipv6(Case):
    """RFC 8656: the same over IPv6, where this machine has it."""

    def test_login(self):
        if not server.has_ipv6():
            print("no IPv6 on this machine: nothing to see")
            return
        for make in (self.realm.token, self.realm.derived):
            client = turnclient.Client(
                transport.connect("udp", ("::1", self.server.port)), make("alice")
            )
            self.addCleanup(client.close)
            family = Attribute("REQUESTED-ADDRESS-FAMILY", b"\x02\0\0\0")
            self.assertEqual(probes.outcome(client.allocate, extra=[family]), "ok")
            peer = turnclient.Peer("::1")
            self.addCleanup(peer.close)
            turnclient.need("permission", client.create_permission(peer.address))
            self.assertTrue(turnclient.relay_once(client, peer))
            self.assertEqual(probes.outcome(client.refresh), "ok")

    def test_address_of_a_pushed_credential(self):
        if not server.has_ipv6():
            print("no IPv6 on this machine: nothing to see")
            return
        for bound, word in (("::1", "ok"), ("::2", "401"), ("127.0.0.1", "401")):
            credential = self.realm.pushed(f"six-{word}", address=bound)
            client = turnclient.Client(
                transport.connect("udp", ("::1", self.server.port)), credential
            )
            self.addCleanup(client.close)
            family = Attribute("REQUESTED-ADDRESS-FAMILY", b"\x02\0\0\0")
            self.assertEqual(probes.outcome(client.allocate, extra=[family]), word, bound)


class Names(Case):
    """USERNAME = user-id:timestamp, whatever the user id looks like."""

    def test_user_ids(self):
        for user in ("alice", "491711234567", "310150123456789", "1000000000", "a:b:c",
                     "sip:bob@ims.example", "tel:+358-555-1234567", "zo\u00eb", "x" * 450):  # fmt: skip
            with self.subTest(user=user[:30]):
                self.assertEqual(self.login(self.realm.derived(user)), "ok")
                self.assertEqual(self.login(self.realm.derived(user, left=-5)), "401")

    def test_refused_names(self):
        for name in VECTORS["derived_usernames_refused"]:
            with self.subTest(name=name):
                client = self.client(credentials.Credential(name, password="whatever"))
                self.assertIn(probes.outcome(client.allocate), ("400", "401"))

    def test_junk_and_modulo(self):
        later = int(time.time()) + 600
        for name in (f"alice:{later}junk", f"alice:{later + 2**32}", f"alice:0{later}"):
            with self.subTest(name=name):
                password = credentials.derived_password(
                    self.realm.k_derived, "alice", self.realm.name, later
                )
                self.assertIn(self.login(credentials.Credential(name, password=password)),
                              ("400", "401"))  # fmt: skip

    def test_too_far_ahead(self):
        self.assertEqual(self.login(self.realm.derived(left=3600 + 290)), "ok")
        self.assertEqual(self.login(self.realm.derived(left=3600 + 320)), "401")

    def test_realm_is_in_the_password(self):
        """The same K in another realm is another password: a credential cannot be carried over."""
        expiry = int(time.time()) + 600
        password = credentials.derived_password(
            self.realm.k_derived, "alice", "other.example", expiry
        )
        name = f"alice:{expiry}"
        self.assertEqual(self.login(credentials.Credential(name, password=password)), "401")

    def test_rest(self):
        self.assertEqual(self.login(self.realm.rest()), "ok")
        self.assertEqual(self.login(self.realm.rest(left=-5)), "401")
        # one secret never serves both orders
        later = int(time.time()) + 600
        wrong = credentials.make_rest_credential(
            self.realm.k_rest, "alice", later, "user-id:timestamp"
        )
        self.assertEqual(self.login(wrong), "401")

    def test_rest_hashes(self):
        for digest in credentials.HASHES:
            for order in ("timestamp:user-id", "user-id:timestamp"):
                with self.subTest(digest=digest, order=order):
                    name = f"rest-{digest}-{order[0]}.example"
                    origin = f"https://{name}"
                    realm = PLACE.realm(name, origins=[origin], mechanisms=["rest"])
                    PLACE.database.sql(f"DELETE FROM turncred.key WHERE realm = '{name}'")
                    k = realm.add_key("r", "rest", digest, "none", order)
                    PLACE.synced()
                    later = int(time.time()) + 600
                    made = credentials.make_rest_credential(k, "4917112345", later, order, digest)
                    self.assertEqual(self.login(made, realm=name), "ok")
                    made.password = made.password[1:] + made.password[0]
                    self.assertEqual(self.login(made, realm=name), "401")

    def test_mechanism_that_is_not_listed(self):
        plain = PLACE.realms["plain.example"]
        self.assertEqual(self.login(plain.rest(), realm="plain.example"), "401")
        self.assertEqual(self.login(plain.derived(), realm="plain.example"), "ok")

    def test_pushed(self):
        self.assertEqual(self.login(self.realm.pushed("pat")), "ok")
        self.assertEqual(self.login(self.realm.pushed("pat", expiry=0)), "ok")
        wrong = credentials.Credential("pat", password="wrong")
        self.assertEqual(self.login(wrong), "401")

    def test_derived_for_one_address(self):
        """In a realm with bind_address the user id is USER|ADDRESS."""
        realm = PLACE.realms["bound.example"]
        for user, word in (
            ("alice|127.0.0.1", "ok"),
            ("a|b|127.0.0.1", "ok"),
            ("alice|127.0.0.9", "401"),
            ("alice|::1", "401"),
            ("alice|", "401"),
            ("|127.0.0.1", "401"),
            ("alice", "401"),
        ):
            with self.subTest(user=user):
                self.assertEqual(self.login(realm.derived(user), realm="bound.example"), word)
        # elsewhere it is a user id like any other
        self.assertEqual(self.login(self.realm.derived("alice|192.0.2.1")), "ok")

    def test_pushed_for_one_address(self):
        credential = self.realm.pushed("bound", address="127.0.0.1")
        self.assertEqual(self.login(credential), "ok")
        credential = self.realm.pushed("bound", address="192.0.2.7")
        self.assertEqual(self.login(credential), "401")


class Sessions(Case):
    """A request that fails verification changes nothing."""

    def test_one_packet_does_not_poison_a_login(self):
        for make in (self.realm.token, self.realm.derived):
            self.assertEqual(probes.poison_before_login(self.server, make()), "ok")

    def test_one_packet_does_not_poison_an_allocation(self):
        for make in (self.realm.token, self.realm.derived):
            self.assertEqual(probes.poison_established(self.server, make()), "ok")

    def test_wrong_integrity_changes_nothing(self):
        for make in (self.realm.token, self.realm.derived):
            self.assertEqual(probes.broken_refresh(self.server, make()), ("401", "ok"))

    def test_another_user_is_441_after_it_has_authenticated(self):
        alice, bob = self.realm.derived("alice"), self.realm.derived("bob")
        self.assertEqual(probes.other_user(self.server, alice, bob, b"wrong key"), "401")
        self.assertEqual(probes.other_user(self.server, alice, bob), "441")
        alice, bob = self.realm.token("alice"), self.realm.token("bob")
        self.assertEqual(probes.other_user(self.server, alice, bob, b"wrong key"), "401")
        self.assertEqual(probes.other_user(self.server, alice, bob), "441")

    def test_after_441_the_session_is_its_owners(self):
        client = self.allocated(self.realm.derived("alice"))
        answer = client.refresh(credential=self.realm.derived("bob"))
        self.assertEqual(answer.code, 441)
        self.assertEqual(probes.outcome(client.refresh), "ok")
        self.assert_relays(client)

    def test_stale_nonce(self):
        client = self.allocated(self.realm.derived())
        client.nonce = "0123456789abcdef"
        answer = client.request("REFRESH", follow=False)
        self.assertEqual(answer.code, 438)
        self.assertIsNotNone(answer.challenge["nonce"])
        self.assertEqual(probes.outcome(client.refresh), "ok")

    def test_retransmission(self):
        """RFC 8656 7.2: the same transaction id gets the same answer."""
        for credential in (self.realm.token(), self.realm.derived()):
            client = self.client(credential)
            client.challenge()
            raw = client.build("ALLOCATE", [probes.TRANSPORT])
            first, second = client.exchange(raw), client.exchange(raw)
            self.assertTrue(first.ok)
            self.assertEqual(
                first.address("XOR-RELAYED-ADDRESS"), second.address("XOR-RELAYED-ADDRESS")
            )

    def test_missing_attributes_are_400(self):
        client = self.client(self.realm.derived())
        client.challenge()
        tail = client.authentication()
        for left_out in (0, 1, 2):
            attributes = [a for number, a in enumerate(tail) if number != left_out]
            answer = client.exchange(stun.build("ALLOCATE", [probes.TRANSPORT] + attributes))
            self.assertEqual(answer.code, 400, f"without attribute {left_out}")
        self.assertEqual(probes.outcome(client.allocate), "ok")

    def test_lifetime_is_capped_for_those_who_ask_for_more(self):
        """RFC 7635 9."""
        client = self.client(self.realm.token(lifetime=100))
        answer = client.allocate(lifetime=3600)
        self.assertTrue(answer.ok)
        self.assertLessEqual(answer.number("LIFETIME"), 105)
        self.assertGreater(answer.number("LIFETIME"), 95)
        for lifetime in (None, 3600, 800):
            answer = client.refresh(lifetime)
            self.assertTrue(answer.ok)
            self.assertLessEqual(answer.number("LIFETIME"), 105)

    def test_token_in_a_permission_request_changes_nothing(self):
        client = self.allocated(self.realm.token("alice"))
        peer = turnclient.Peer()
        self.addCleanup(peer.close)
        raw = client.build(
            "CREATE-PERMISSION",
            [turnclient.PeerAddress(peer.address), Attribute("ACCESS-TOKEN", b"rubbish")],
            token=False,
        )
        self.assertIn(probes.outcome(client.exchange, raw), ("ok", "420", "400"))
        self.assertEqual(probes.outcome(client.refresh), "ok")
        self.assert_relays(client)

    def test_quota_counts_the_user(self):
        realm = PLACE.realms["quota.example"]
        for make in (
            lambda left, user="alice": realm.derived(user, left=left),
            lambda left, user="491711234567": realm.derived(user, left=left),
            lambda left, user="sip:bob@ims.example": realm.derived(user, left=left),
            lambda left, user="carol": realm.token(user, lifetime=left),
        ):
            first = self.allocated(make(500), realm="quota.example")
            second = self.client(make(600), realm="quota.example")
            self.assertEqual(probes.outcome(second.allocate), "486", first.credential.username)
            other = self.client(make(600, "dave"), realm="quota.example")
            self.assertEqual(probes.outcome(other.allocate), "ok")
            other.refresh(0)
            first.refresh(0)
            end = time.monotonic() + 4
            word = "486"
            while word == "486" and time.monotonic() < end:
                time.sleep(0.2)
                word = probes.outcome(self.client(make(700), realm="quota.example").allocate)
            self.assertEqual(word, "ok", "the quota is not given back")
            # wait for dave's and the last one's end before the next kind
            time.sleep(0)


    def test_total_quota_of_the_realm(self):
        realm = PLACE.realms["total.example"]
        first = self.allocated(realm.derived("alice"), realm="total.example")
        self.assertEqual(self.login(realm.derived("bob"), realm="total.example"), "486")
        self.assertEqual(self.login(self.realm.derived("bob")), "ok", "another realm")
        first.refresh(0)

    def test_bandwidth_of_a_session(self):
        realm = PLACE.realms["slow.example"]
        through = {}
        for name, who in (("slow.example", realm), ("main.example", self.realm)):
            client = self.allocated(who.derived("alice"), realm=name)
            peer = turnclient.Peer()
            self.addCleanup(peer.close)
            turnclient.need("permission", client.create_permission(peer.address))
            end = time.monotonic() + 0.7
            through[name] = 0
            while time.monotonic() < end and through[name] < 30:
                client.send(peer.address, bytes(1000))
                through[name] += peer.receive(0.02) is not None
        self.assertEqual(through["main.example"], 30)
        self.assertLess(through["slow.example"], 10)


class Renewal(Case):
    """RFC 7635 9; RFC 8656 8.2 (441)."""

    def renew(self, first, second, word="ok"):
        client = self.allocated(first)
        self.assertEqual(probes.outcome(client.renew, second), word)
        if word != "ok":
            self.assertEqual(probes.outcome(client.refresh), "ok", "the first one still holds")
        self.assert_relays(client)
        return client

    def test_same_subject_other_token(self):
        self.renew(self.realm.token("alice"), self.realm.token("alice", lifetime=900))

    def test_same_subject_other_kid(self):
        kid = f"second-{os.urandom(3).hex()}"
        k = self.realm.add_key(kid, "token", "A128GCM")
        PLACE.synced()
        # a subject has the same tag under every key: otherwise no client could renew after a rotation
        new = self.realm.token(kid=kid, k=k, algorithm="A128GCM", lifetime=900)
        self.renew(self.realm.token("alice"), new)
        other = self.realm.token("bob", kid=kid, k=k, algorithm="A128GCM", lifetime=900)
        self.renew(self.realm.token("alice"), other, "441")

    @unittest.skipUnless(patched.ctl(), "turncredctl is not built")
    def test_issued_before_and_after_a_rotation(self):
        ctl, realm = PLACE.database.ctl, "rotated.example"

        def issue(user):
            made = ctl("token", "issue", realm, user)
            return credentials.Credential.from_json(json.dumps(made))

        first = issue("alice")
        client = self.allocated(first, realm=realm)
        rotated = ctl("key", "rotate", realm, "--wait", "20s")
        self.assertTrue(rotated["complete"])
        second = issue("alice")
        self.assertNotEqual(first.username, second.username)
        self.assertEqual(probes.outcome(client.renew, issue("bob")), "441")
        self.assertEqual(probes.outcome(client.renew, second), "ok")
        self.assert_relays(client)
        client.refresh(0)

    def test_other_subject(self):
        self.renew(self.realm.token("alice"), self.realm.token("bob"), "441")

    def test_token_to_password_and_back(self):
        self.renew(self.realm.token("alice"), self.realm.derived("bob"), "441")
        self.renew(self.realm.derived("alice"), self.realm.token("bob"), "441")

    def test_derived(self):
        client = self.renew(self.realm.derived("alice"), self.realm.derived("alice", left=900))
        # the names of permissions and channels are the new ones
        self.assert_relays(client)

    def test_derived_of_another_user(self):
        self.renew(self.realm.derived("alice"), self.realm.derived("bob", left=900), "441")

    def test_untagged_tokens_renew_by_kid(self):
        realm = PLACE.realms["untagged.example"]
        options = {"realm": "untagged.example"}
        client = self.allocated(realm.token(mac_key=os.urandom(20)), **options)
        again = realm.token(mac_key=os.urandom(20), lifetime=900)
        self.assertEqual(probes.outcome(client.renew, again), "ok")
        kid = f"third-{os.urandom(3).hex()}"
        k = realm.add_key(kid, "token", "A256GCM")
        PLACE.synced()
        other = realm.token(kid=kid, k=k, mac_key=os.urandom(20))
        self.assertEqual(probes.outcome(client.renew, other), "441")

    def test_old_key_ends_with_the_first_use_of_the_new_one(self):
        old, new = self.realm.token("alice"), self.realm.token("alice", lifetime=900)
        client = self.renew(old, new)
        # without its token, the old session key opens nothing any more
        raw = client.build("REFRESH", [], old, token=False)
        self.assertEqual(probes.outcome(client.exchange, raw), "401")
        self.assertEqual(probes.outcome(client.refresh), "ok")

    def test_renewal_that_fails_leaves_the_first_one(self):
        bad = self.realm.token("alice")
        bad.token = bad.token[:-1] + bytes([bad.token[-1] ^ 1])
        self.renew(self.realm.token("alice"), bad, "401")

    def test_retransmitted_renewal(self):
        client = self.allocated(self.realm.token("alice"))
        new = self.realm.token("alice", lifetime=900)
        raw = client.build("REFRESH", [], new)
        key = new.key(client.realm)
        self.assertEqual(probes.outcome(client.exchange, raw, key), "ok")
        self.assertEqual(probes.outcome(client.exchange, raw, key), "ok")


class Tcp(Case):
    """RFC 6062."""

    def tcp_call(self, credential):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        listener.settimeout(5)
        client = self.allocated(credential, "tcp", protocol=stun.TCP)
        turnclient.need("permission", client.create_permission(listener.getsockname()))
        answer, identifier = client.connect(listener.getsockname())
        turnclient.need("connect", answer)
        far, _ = listener.accept()
        self.addCleanup(far.close)
        far.settimeout(3)
        return client, far, identifier

    def bind(self, client, identifier, credential=None, realm=None):
        other = transport.connect("tcp", client.transport.server)
        self.addCleanup(other.close)
        if realm:
            client.realm, kept = realm, client.realm
        try:
            response, data = client.data_connection(identifier, credential, other)
            return "ok" if response.ok else str(response.code), data
        except transport.Gone:
            return "gone", None
        except turnclient.NoAnswer:
            return "silent", None
        except turnclient.Unverified:
            return "unverified", None
        finally:
            if realm:
                client.realm = kept

    def test_data_connection(self):
        for credential in (self.realm.token(), self.realm.derived()):
            client, far, identifier = self.tcp_call(credential)
            word, data = self.bind(client, identifier)
            self.assertEqual(word, "ok")
            data.send(b"there")
            self.assertEqual(far.recv(100), b"there")
            far.sendall(b"and back")
            self.assertEqual(data.recv_octets(3), b"and back")

    def still_bound(self, client, far, identifier):
        """What was refused has spent nothing."""
        word, data = self.bind(client, identifier)
        self.assertEqual(word, "ok")
        far.sendall(b"still")
        self.assertEqual(data.recv_octets(3), b"still")

    def test_wrong_key(self):
        client, far, identifier = self.tcp_call(self.realm.derived("alice"))
        wrong = credentials.Credential(client.credential.username, password="wrong")
        word, _ = self.bind(client, identifier, wrong)
        self.assertEqual(word, "401")
        self.still_bound(client, far, identifier)

    def test_another_user(self):
        client, far, identifier = self.tcp_call(self.realm.derived("alice"))
        word, _ = self.bind(client, identifier, self.realm.derived("mallory"))
        self.assertEqual(word, "441")
        word, _ = self.bind(client, identifier, credentials.Credential("nobody:at:all", password="x"))
        self.assertEqual(word, "401")
        self.still_bound(client, far, identifier)

    def test_another_realm(self):
        """The realm is compared, not assigned."""
        client, far, identifier = self.tcp_call(self.realm.derived("alice"))
        other = PLACE.realms["other.example"].derived("alice")
        word, _ = self.bind(client, identifier, other, "other.example")
        self.assertEqual(word, "401")
        self.still_bound(client, far, identifier)


class Mobility(Case):
    """RFC 8016."""

    def moved(self, first, second):
        """(outcome, old client, new client) of resuming first's allocation with second."""
        old = self.allocated(first, mobility=True)
        self.assertTrue(old.ticket, "no MOBILITY-TICKET")
        new = self.client(second)
        new.challenge()
        word = probes.outcome(new.refresh, ticket=old.ticket)
        new.relayed = old.relayed
        return word, old, new

    def test_same_identity(self):
        for make in (self.realm.token, self.realm.derived):
            credential = make("alice")
            word, _, new = self.moved(credential, credential)
            self.assertEqual(word, "ok")
            self.assert_relays(new)

    def test_another_identity(self):
        for make in (self.realm.token, self.realm.derived):
            word, old, _ = self.moved(make("alice"), make("mallory"))
            self.assertNotEqual(word, "ok")
            self.assertEqual(probes.outcome(old.refresh), "ok", "the owner lost its allocation")
            self.assert_relays(old)

    def test_wrong_key(self):
        credential = self.realm.derived("alice")
        wrong = credentials.Credential(credential.username, password="wrong")
        word, old, _ = self.moved(credential, wrong)
        self.assertNotEqual(word, "ok")
        self.assertEqual(probes.outcome(old.refresh), "ok")


if __name__ == "__main__":
    unittest.main(verbosity=2)
