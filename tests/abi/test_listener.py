#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Requests of sources that have shown nothing yet. From 4.17 coturn answers those over UDP in its listener, and
no session is made for them, with a module neither: its realm and its tokens are in the answer, and the
answer equals a session's answer. Over TCP, and in older versions, sessions answer all requests."""

import os
import signal
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import abi_support  # noqa: E402, F401  (sets the path)
import server  # noqa: E402
import stun  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402
from abi_support import REALM, Case, password, token  # noqa: E402
from stun import Attribute, Fingerprint, Integrity  # noqa: E402

ALICE = "alice:password=wonderland"
LISTENER_CHALLENGES = (4, 17)  # the first version whose listener does so by default
TRANSPORT = Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))
FORGED = Integrity(b"x" * 16)
CHANGING = [stun.ATTRIBUTES[name] for name in ("NONCE", "FINGERPRINT")]


def credentials(*without, realm=REALM):
    """Forged ones, complete but for these."""
    values = {"USERNAME": "alice", "REALM": realm, "NONCE": "0123456789abcdef"}
    return [Attribute(n, v) for n, v in values.items() if n not in without] + [FORGED]


# name: (code with rules' own challenge, method, attributes)
REQUESTS = {
    "allocate": (401, "ALLOCATE", [TRANSPORT]),
    "allocate with an origin": (401, "ALLOCATE", [TRANSPORT, Attribute("ORIGIN", "https://two.test")]),
    "allocate with two origins": (401, "ALLOCATE", [Attribute("ORIGIN", "HTTPS://One.test/x"),
                                                    Attribute("ORIGIN", "https://two.test")]),
    "refresh with an origin": (401, "REFRESH", [Attribute("ORIGIN", "https://two.test")]),
    "refresh": (401, "REFRESH", [Attribute("LIFETIME", stun.u32(0))]),
    "permission": (401, "CREATE-PERMISSION", []),
    "channel": (401, "CHANNEL-BIND", [Attribute("CHANNEL-NUMBER", stun.channel_number(0x4000))]),
    "connect": (401, "CONNECT", []),
    "fingerprint": (401, "ALLOCATE", [TRANSPORT, Fingerprint()]),
    "wants a token": (401, "ALLOCATE", [TRANSPORT, Attribute("THIRD-PARTY-AUTHORIZATION", "turn.test")]),
    "token": (401, "ALLOCATE", [TRANSPORT, Attribute("ACCESS-TOKEN", b"key=00")]),
    "token behind integrity": (438, "ALLOCATE", [TRANSPORT, *credentials(), Attribute("ACCESS-TOKEN", b"x")]),
    "integrity of another length": (401, "ALLOCATE", [TRANSPORT, Attribute("MESSAGE-INTEGRITY", bytes(32))]),
    "forged": (438, "ALLOCATE", [TRANSPORT, *credentials()]),
    "forged refresh": (438, "REFRESH", credentials()),
    "forged, of another realm": (438, "ALLOCATE", [TRANSPORT, *credentials(realm="elsewhere.test")]),
    "forged, with a token": (438, "ALLOCATE", [TRANSPORT, Attribute("ACCESS-TOKEN", b"key=00"), *credentials()]),
    "no username": (400, "ALLOCATE", [TRANSPORT, *credentials("USERNAME")]),
    "no realm": (400, "ALLOCATE", [TRANSPORT, *credentials("REALM")]),
    "no nonce": (400, "ALLOCATE", [TRANSPORT, *credentials("NONCE")]),
    "empty nonce": (438, "ALLOCATE", [TRANSPORT, Attribute("NONCE", ""), *credentials("NONCE")]),
    "bad username": (400, "ALLOCATE", [TRANSPORT, Attribute("USERNAME", "a b"), *credentials("USERNAME")]),
    "username behind integrity": (400, "ALLOCATE", [*credentials("USERNAME"), Attribute("USERNAME", "alice")]),
}


class Unproven(Case):
    def ask(self, running, name, kind="udp"):
        """The answer to one of the requests, sent from an address and port of its own."""
        _, method, attributes = REQUESTS[name]
        return self.client(running, kind=kind).exchange(stun.build(method, attributes))

    @staticmethod
    def shown(response, reason=True):
        """An answer without the parts that differ each time."""
        shown = [(number, None if number in CHANGING else value) for number, value, _ in response.attributes]
        if not reason:
            shown = [(n, value[:4] if n == stun.ATTRIBUTES["ERROR-CODE"] else value) for n, value in shown]
        return response.cls, response.method, shown

    def alike(self, running, **codes):
        """UDP, where the listener may answer, and TCP, where a session does."""
        answers = {}
        for name, (code, _, _) in REQUESTS.items():
            with self.subTest(name):
                answer = answers[name] = self.ask(running, name)
                self.assertEqual(answer.code, codes.get("every") or codes.get(name.partition(" ")[0]) or code)
                self.assertEqual(self.shown(answer), self.shown(self.ask(running, name, "tcp")))
        return answers

    def count(self, running):
        """The counters when it has stopped."""
        running.signal(signal.SIGTERM)
        running.process.wait(20)
        words = [line.split("rules: counted ")[1].split() for line in running.log().splitlines()
                 if "rules: counted " in line]
        return {word[-2]: int(word[-1]) for word in words}


class Answers(Unproven):
    def test_the_module_names_the_realm_and_offers_tokens(self):
        running = self.serve("rules", f"realm=one.test realm.https://two.test:443=two.test server=turn.test {ALICE}")
        answers = self.alike(running)
        for name, answer in answers.items():
            challenge = answer.challenge
            realm = "two.test" if name.startswith("allocate with ") else "one.test"
            if answer.code in (401, 438):
                self.assertEqual((challenge["realm"], challenge["server_name"]), (realm, "turn.test"), name)
                self.assertGreaterEqual(len(challenge["nonce"] or ""), 16, name)
            else:
                self.assertEqual(set(challenge.values()), {None}, name)
        self.assertIsNotNone(answers["fingerprint"].check_fingerprint())

    def test_the_origins_that_coturn_knows(self):
        """Nothing of the module's: the last origin counts as for a session."""
        running = self.serve("rules", f"realm.https://one.test:443=first.test realm.https://two.test:443=two.test {ALICE}")
        answers = self.alike(running)
        self.assertEqual(answers["allocate with two origins"].challenge["realm"], "two.test")
        self.assertEqual(answers["refresh with an origin"].challenge["realm"], REALM)

    def test_by_listener(self):
        port = server.free_port()
        running = self.serve("rules", f"realm.{port}=three.test {ALICE}", [f"aux-server=127.0.0.1:{port}"])
        for address, realm in ((running.address, REALM), (("127.0.0.1", port), "three.test")):
            client = turnclient.Client(transport.connect("udp", address))
            self.addCleanup(client.close)
            challenge = client.challenge().challenge
            self.assertEqual((challenge["realm"], challenge["server_name"]), (realm, None))

    def test_420_where_no_tokens_are_accepted(self):
        running = self.serve("rules", f"tokens=0 {ALICE}")
        expected = {"token": 420, "forged, with a token": 420}
        for name in ("token", "token behind integrity", "forged, with a token"):
            answer = self.ask(running, name)
            self.assertEqual(answer.code, expected.get(name, 438))
            self.assertEqual(self.shown(answer), self.shown(self.ask(running, name, "tcp")))
            self.assertEqual(answer.unknown_attributes(), [0x001B] if answer.code == 420 else [])
        running.wait_log("code=420 reason=token_not_offered")

    def test_nothing_can_be_decided_now(self):
        running = self.serve("rules", f"challenge=2 {ALICE}")
        self.alike(running, every=500)
        running.wait_log("method=ALLOCATE code=500 reason=store_unavailable")
        self.assertGreaterEqual(self.count(running)["store_unavailable"], len(REQUESTS))

    def test_the_module_declines(self):
        """coturn itself challenges a request without MESSAGE-INTEGRITY; with MESSAGE-INTEGRITY it would ask the module."""
        running = self.serve("rules", f"challenge=0 decline=1 {ALICE}", ["user=own:secret"])
        for answer in self.alike(running).values():
            if answer.code in (401, 438):
                self.assertEqual((answer.challenge["realm"], answer.challenge["server_name"]), (REALM, None))
        for credential in (password("own", "secret"), password("alice", "wonderland")):
            self.assertTrue(self.client(running, credential).allocate().ok)

    def test_the_module_declines_and_nobody_else_is_asked(self):
        running = self.serve("rules", f"challenge=0 {ALICE}", ["auth-module-only"])
        for answer in self.alike(running).values():
            if answer.code in (401, 438):
                self.assertEqual((answer.challenge["realm"], answer.challenge["server_name"]), (REALM, None))
        self.assertTrue(self.client(running, password("alice", "wonderland")).allocate().ok)

    def test_observed_is_unchanged(self):
        lines = ["lt-cred-mech", f"realm={REALM}", "user=own:secret"]
        running = self.serve("rules", "realm=one.test server=turn.test", [*lines[2:], "auth-module-observe"])
        program = server.patched()
        with server.Server(program, lines) as alone:
            for name in REQUESTS:
                with self.subTest(name):
                    # the reason is left out: an observed session has a nonce already, so it is stale, not wrong
                    self.assertEqual(*(self.shown(self.ask(each, name), reason=False) for each in (running, alone)))
        self.assertTrue(self.client(running, password("own", "secret")).allocate().ok)

    def test_counters(self):
        running = self.serve("rules", f"server=turn.test {ALICE}")
        wanted = {}
        for name, (code, _, _) in REQUESTS.items():
            self.ask(running, name)
            wanted[code] = wanted.get(code, 0) + 1
        counted = self.count(running)
        self.assertEqual(counted["challenges"], wanted[401] + wanted[438])
        self.assertEqual(counted["stale_nonce"], wanted[438])
        self.assertEqual(counted["malformed"] + counted["bad_username"], wanted[400])


class Logins(Unproven):
    def test_who_has_a_nonce_comes_in(self):
        running = self.serve("rules", f"server=turn.test {ALICE}")
        for credential in (password("alice", "wonderland"), token("kid", b"k" * 20, "expires=+60")):
            client = self.client(running, credential)
            self.assertEqual(client.challenge().code, 401)
            time.sleep(1.2)  # a nonce of another second
            self.assertTrue(client.allocate(follow=False).ok)
            self.assertTrue(client.refresh(60, follow=False).ok)

    def test_a_nonce_of_somebody_else(self):
        running = self.serve("rules", ALICE)
        first = self.client(running, password("alice", "wonderland"))
        first.challenge()
        second = self.client(running, password("alice", "wonderland"))
        second.realm, second.nonce = first.realm, first.nonce
        self.assertEqual(second.allocate(follow=False).code, 438)
        self.assertTrue(second.allocate().ok)


class Sessions(Unproven):
    """The number of new sessions: the difference between the numbers of a session before and a session after."""

    def number(self, running, user):
        self.assertTrue(self.client(running, password(user, "p")).allocate().ok)
        return int(running.wait_log(rf"session (\d+): new, realm=<{REALM}>, username=<{user}>").group(1))

    def made(self, running, kind, names):
        before = self.number(running, f"{kind}1")
        for name in names:
            self.ask(running, name, kind)
        return self.number(running, f"{kind}2") - before - 1

    def test_nothing_is_kept_of_who_has_shown_nothing(self):
        users = " ".join(f"{kind}{n}:password=p" for kind in ("udp", "tcp") for n in (1, 2))
        for config in ("server=turn.test", "tokens=0"):
            with self.subTest(config):
                running = self.serve("rules", f"{config} {users}", ["relay-threads=1"])
                listener = server.version(running.program) >= LISTENER_CHALLENGES
                self.assertEqual(self.made(running, "udp", REQUESTS), 0 if listener else len(REQUESTS))
                self.assertEqual(self.made(running, "tcp", REQUESTS), len(REQUESTS))


if __name__ == "__main__":
    unittest.main()
