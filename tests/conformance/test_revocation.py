#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Changes that end live sessions, and changes that must not. The tests use SQL alone, as a foreign
provisioning component would do it."""

import hashlib
import os
import pathlib
import socket
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import patched  # noqa: E402
import probes  # noqa: E402
import stun  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402

PLACE = None
LIMIT = 4.0  # seconds from the commit to the end of the call; the design says one, machines are busy


def setUpModule():
    global PLACE
    PLACE = patched.place_of_module(["mobility", "no-software-attribute"], realm="main.example")
    PLACE.realm("main.example", max_ttl=3600)
    PLACE.start()


def fingerprint(credential):
    return hashlib.sha256(credential.token).hexdigest()[:32]


class Case(unittest.TestCase):
    def setUp(self):
        self.realm = PLACE.realms["main.example"]
        self.sql = PLACE.database.sql
        self.user = f"user-{os.urandom(4).hex()}"

    def client(self, credential, kind="udp", **allocate):
        client = PLACE.server.client(kind, credential)
        self.addCleanup(client.close)
        turnclient.need("allocate", client.allocate(**allocate))
        return client

    def call(self, credential, kind="udp", **allocate):
        client = self.client(credential, kind, **allocate)
        peer = turnclient.Peer()
        self.addCleanup(peer.close)
        turnclient.need("permission", client.create_permission(peer.address))
        client.peer = peer
        self.assertTrue(turnclient.relay_once(client, peer))
        return client

    def login(self, credential):
        return probes.login(PLACE.server, credential)

    def flows(self, client, seconds=0.4):
        try:
            return turnclient.relay_once(client, client.peer, seconds=seconds)
        except transport.Gone:
            return False

    def ends(self, client):
        """Seconds until no data comes through any more, in neither direction."""
        start = time.monotonic()
        while self.flows(client):
            took = time.monotonic() - start
            self.assertLess(took, LIMIT + 2, "the call goes on")
        took = max(0, time.monotonic() - start - 0.3)
        self.assertLess(took, LIMIT)
        # nor from the peer to the client
        client.peer.send(client.relayed, b"too late")
        try:
            self.assertIsNone(client.receive(0.3))
        except transport.Gone:
            pass
        return took

    def goes_on(self, client, seconds=1.5):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.assertTrue(self.flows(client, 3), "the call ended")
            time.sleep(0.1)
        self.assertEqual(probes.outcome(client.refresh), "ok")


class Revocation(Case):
    def test_user_with_all_kinds(self):
        for kind in ("derived", "rest", "pushed"):
            with self.subTest(kind=kind):
                user = f"{kind}-{self.user}"
                credential = getattr(self.realm, kind)(user)
                call = self.call(credential)
                other = self.call(self.realm.derived("bystander"))
                PLACE.database.call("revoke", "user", self.realm.name, user)
                self.ends(call)
                self.assertEqual(self.login(credential), "401")
                self.goes_on(other, 0.5)

    def test_user_covers_its_tokens(self):
        """Servers do not see the user of a token; issue_log does."""
        token = self.realm.token(self.user)
        PLACE.database.sql(
            f"SELECT turncred.issue_record('{self.realm.name}', 'token', '{self.user}',"
            f" now() + interval '600 s', '{self.realm.kid}', '{fingerprint(token)}')"
        )
        call, other = self.call(token), self.call(self.realm.token("bystander"))
        PLACE.database.call("revoke", "user", self.realm.name, self.user)
        self.ends(call)
        self.assertEqual(self.login(token), "401")
        self.goes_on(other, 0.5)

    def test_single_token(self):
        token, twin = self.realm.token(self.user), self.realm.token(self.user)
        call, other = self.call(token), self.call(twin)
        PLACE.database.call("revoke", "token", self.realm.name, fingerprint(token))
        self.ends(call)
        self.assertEqual(self.login(token), "401")
        self.goes_on(other, 0.5)
        self.assertEqual(self.login(twin), "ok")

    def test_token_that_was_renewed_away(self):
        """After a renewal the session is the new token's: revoking the old one ends nothing."""
        old, new = self.realm.token(self.user), self.realm.token(self.user, lifetime=900)
        call = self.call(old)
        self.assertEqual(probes.outcome(call.renew, new), "ok")
        PLACE.database.call("revoke", "token", self.realm.name, fingerprint(old))
        self.goes_on(call)
        PLACE.database.call("revoke", "token", self.realm.name, fingerprint(new))
        self.ends(call)

    def test_key(self):
        for how in ("revoke", "disable"):
            with self.subTest(how=how):
                kid = f"{how}-{self.user}"
                k = self.realm.add_key(kid, "token", "A256GCM")
                PLACE.synced()
                token = self.realm.token(self.user, kid=kid, k=k)
                call, other = self.call(token), self.call(self.realm.token("bystander"))
                if how == "revoke":
                    PLACE.database.call("revoke", "kid", self.realm.name, kid)
                else:
                    PLACE.database.call("key_set_state", self.realm.name, kid, "disabled")
                self.ends(call)
                self.assertEqual(self.login(token), "401")
                self.goes_on(other, 0.5)

    def test_realm(self):
        gone = PLACE.realm(f"gone-{self.user}.example", listen_addresses=["127.0.0.1"])
        self.addCleanup(PLACE.synced)
        self.addCleanup(self.sql, f"DELETE FROM turncred.realm WHERE name = '{gone.name}'")
        PLACE.synced()
        call = self.call(gone.derived(self.user))
        PLACE.database.call("revoke", "realm", gone.name)
        self.ends(call)
        self.assertEqual(self.login(gone.derived(self.user)), "401")

    def test_pushed_credential_that_is_removed(self):
        credential = self.realm.pushed(self.user)
        self.assertEqual(self.login(credential), "ok")
        PLACE.database.call("credential_remove", self.realm.name, self.user)
        end = time.monotonic() + LIMIT
        while (word := self.login(credential)) == "ok" and time.monotonic() < end:
            time.sleep(0.05)
        self.assertEqual(word, "401")

    def test_lifting_does_not_revive(self):
        old = self.realm.pushed(self.user)
        PLACE.database.call("revoke", "user", self.realm.name, self.user)
        PLACE.synced()
        self.assertEqual(self.login(old), "401")
        PLACE.database.call("lift", "user", self.realm.name, self.user)
        PLACE.synced()
        self.assertEqual(self.login(old), "401")
        time.sleep(1.1)  # times in the table are whole seconds
        self.assertEqual(self.login(self.realm.pushed(self.user)), "ok")
        # the longest that the realm issues can only have been made after the lifting
        self.assertEqual(self.login(self.realm.derived(self.user, left=3600)), "ok")

    def test_token_after_lifting(self):
        kid = f"lifted-{self.user}"
        k = self.realm.add_key(kid, "token", "A256GCM")
        PLACE.database.call("revoke", "kid", self.realm.name, kid)
        PLACE.synced()
        old = self.realm.token(self.user, kid=kid, k=k)
        self.assertEqual(self.login(old), "401")
        PLACE.database.call("lift", "kid", self.realm.name, kid)
        PLACE.synced()
        self.assertEqual(self.login(old), "401")
        time.sleep(1.1)
        self.assertEqual(self.login(self.realm.token(self.user, kid=kid, k=k)), "ok")

    def test_mobile_allocation(self):
        for moved in (False, True):
            with self.subTest(moved=moved):
                user = f"{self.user}-{moved}"
                call = self.call(self.realm.derived(user), mobility=True)
                if moved:
                    there = PLACE.server.client("udp", call.credential)
                    self.addCleanup(there.close)
                    there.challenge()
                    self.assertEqual(probes.outcome(there.refresh, ticket=call.ticket), "ok")
                    there.relayed, there.peer = call.relayed, call.peer
                    call = there
                    self.assertTrue(self.flows(call))
                PLACE.database.call("revoke", "user", self.realm.name, user)
                self.ends(call)

    def test_mobile_allocation_is_gone_for_good(self):
        call = self.call(self.realm.derived(self.user), mobility=True)
        PLACE.database.call("revoke", "user", self.realm.name, self.user)
        self.ends(call)
        there = PLACE.server.client("udp", self.realm.derived("somebody"))
        self.addCleanup(there.close)
        there.challenge()
        self.assertNotEqual(probes.outcome(there.refresh, ticket=call.ticket), "ok")


class DataConnections(Case):
    """RFC 6062: they end with the allocation."""

    def data_connection(self, credential):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        listener.settimeout(5)
        client = self.client(credential, "tcp", protocol=stun.TCP)
        turnclient.need("permission", client.create_permission(listener.getsockname()))
        answer, identifier = client.connect(listener.getsockname())
        turnclient.need("connect", answer)
        far, _ = listener.accept()
        self.addCleanup(far.close)
        far.settimeout(3)
        answer, data = client.data_connection(identifier)
        self.addCleanup(data.close)
        turnclient.need("bind", answer)
        data.send(b"x")
        self.assertEqual(far.recv(1), b"x")
        return client, data, far

    def closed(self, data, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                data.send(b"x")
                data.recv_octets(0.1)
            except transport.Gone:
                return True
        return False

    def test_revoked(self):
        for make in (self.realm.derived, self.realm.token):
            credential = make(self.user)
            _, data, far = self.data_connection(credential)
            kind = "derived" if credential.token is None else "token"
            self.realm.revoke(kind, self.user, credential)
            self.assertTrue(self.closed(data, LIMIT), f"{kind}: the data connection goes on")
            with self.assertRaises((ConnectionError, EOFError)):
                while True:
                    if not far.recv(100):
                        raise EOFError

    def test_expired(self):
        """strict: they do not outlive the credential."""
        deadline = int(time.time()) + 7
        credential = self.realm.make("token", self.user, deadline)
        _, data, _ = self.data_connection(credential)
        time.sleep(max(0, deadline - time.time() - 2))
        self.assertFalse(self.closed(data, 0.2), "it ended before the deadline")
        self.assertTrue(self.closed(data, 2 + 4), "it goes on after the deadline")


class NotRevoked(Case):
    """Changes that must not end a call."""

    def test_call_outlives_its_expired_and_purged_credential(self):
        """Policy allocate: housekeeping removes the row of a call that goes on."""
        call = self.call(self.realm.pushed(self.user, left=3))
        time.sleep(4)
        self.sql("SELECT turncred.purge_expired()")
        self.assertEqual(
            self.sql(f"SELECT count(*) FROM turncred.credential WHERE username = '{self.user}'"), "0"
        )
        PLACE.synced()
        self.goes_on(call)

    def test_retired_key(self):
        kid = f"retired-{self.user}"
        k = self.realm.add_key(kid, "token", "A256GCM")
        PLACE.synced()
        token = self.realm.token(self.user, kid=kid, k=k)
        call = self.call(token)
        PLACE.database.call("key_set_state", self.realm.name, kid, "retired")
        PLACE.synced()
        self.goes_on(call, 0.5)
        self.assertEqual(self.login(token), "ok", "retired keys are accepted until accept_until")

    def test_key_after_accept_until(self):
        kid = f"windows-{self.user}"
        k = self.realm.add_key(kid, "token", "A256GCM")
        PLACE.synced()
        token = self.realm.token(self.user, kid=kid, k=k)
        self.assertEqual(self.login(token), "ok")
        self.sql(
            "UPDATE turncred.key SET sign_until = now() - interval '2 s',"
            f" accept_until = now() - interval '1 s' WHERE kid = '{kid}'"
        )
        PLACE.synced()
        self.assertEqual(self.login(token), "401")

    def test_key_before_not_before(self):
        kid = f"early-{self.user}"
        k = self.realm.add_key(kid, "token", "A256GCM")
        self.sql(
            f"UPDATE turncred.key SET not_before = now() + interval '1 hour' WHERE kid = '{kid}'"
        )
        PLACE.synced()
        self.assertEqual(self.login(self.realm.token(self.user, kid=kid, k=k)), "401")

    def test_changes_elsewhere(self):
        call = self.call(self.realm.token(self.user))
        other = PLACE.realm(f"elsewhere-{self.user}.example")
        PLACE.database.call("revoke", "user", other.name, self.user)
        PLACE.database.call("revoke", "realm", other.name)
        PLACE.synced()
        self.goes_on(call, 0.5)

    def test_expired_revocation(self):
        """until: the server accepts credentials that are issued later."""
        self.sql(
            f"SELECT turncred.revoke('user', '{self.realm.name}', '{self.user}', 'a while',"
            " now() + interval '1 s')"
        )
        PLACE.synced()
        self.assertEqual(self.login(self.realm.derived(self.user, left=3600)), "401")
        # the table rounds to whole seconds, and a derived credential counts as issued in one
        until = self.sql(f"SELECT extract(epoch FROM until) FROM turncred.revocation WHERE name = '{self.user}'")
        time.sleep(max(0, float(until) + 1 - time.time()))
        self.assertEqual(self.login(self.realm.derived(self.user, left=3600)), "ok")


if __name__ == "__main__":
    unittest.main(verbosity=2)
