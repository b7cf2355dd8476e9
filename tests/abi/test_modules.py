#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The two example modules and the patched turnserver: accepted and refused logins, and with which
key octets. turnutils_uclient and the conformance tests' client are the clients."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from abi_support import Case, password  # noqa: E402
from credentials import Credential  # noqa: E402

KEY20 = bytes(range(1, 21))
KEY64 = bytes(range(64))


def uclient(running, user, secret, *options):
    """Exit code and output of coturn's own client, which relays data to itself (-y)."""
    program = os.path.join(os.path.dirname(running.program), "turnutils_uclient")
    result = subprocess.run(
        [program, "-y", "-c", "-n", "3", "-m", "1", "-p", str(running.port), "-u", user, "-w", secret]
        + [*options, "127.0.0.1"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    return result.returncode, result.stdout + result.stderr


class Modules:
    """Both example modules pass the same tests."""

    def users(self, text):
        return self.serve(self.module, self.prefix + text)

    def test_uclient_is_let_in(self):
        running = self.users("alice:wonderland")
        for options in ((), ("-t",)):
            code, text = uclient(running, "alice", "wonderland", *options)
            self.assertEqual(code, 0, text)
            self.assertIn("Total lost packets 0 ", text)

    def test_uclient_with_a_wrong_password_is_refused(self):
        running = self.users("alice:wonderland")
        code, text = uclient(running, "alice", "looking-glass")
        self.assertNotEqual(code, 0, text)
        running.wait_log("refused client=127.0.0.1 .*user=\"alice\" .*reason=integrity_mismatch")
        code, text = uclient(running, "bob", "wonderland")
        self.assertNotEqual(code, 0, text)
        running.wait_log("refused client=127.0.0.1 .*user=\"bob\" .*code=401 reason=unknown_user")

    def test_whole_keys_verify_both_ways(self):
        running = self.users(f"kid20:0x{KEY20.hex()} kid64:0x{KEY64.hex()}")
        client = self.client(running, Credential("kid20", mac_key=KEY20))
        self.assertTrue(client.allocate().ok)  # raises if the response does not verify
        self.assertTrue(client.refresh(600).ok)
        self.assertTrue(client.create_permission(("127.0.0.1", 9)).ok)
        short = self.client(running, Credential("kid20", mac_key=KEY20, key_octets=16))
        self.assertEqual(short.allocate().code, 401)

        class Whole(Credential):
            def key(self, realm):
                return self.mac_key

        client = self.client(running, Whole("kid64", mac_key=KEY64), kind="tcp")
        self.assertTrue(client.allocate().ok)


class Instant(Modules, Case):
    module, prefix = "instant", ""


class Later(Modules, Case):
    module, prefix = "later", "delay:30 "

    def test_retransmissions_coalesce(self):
        running = self.serve("later", "delay:300 alice:wonderland")
        client = self.client(running, password("alice", "wonderland"))
        client.challenge()
        raw = client.build("ALLOCATE", [self.udp_transport()])
        for _ in range(5):
            client.transport.send(raw)
        self.assertTrue(client.exchange(raw, client.key()).ok)

    @staticmethod
    def udp_transport():
        import stun

        return stun.Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))


if __name__ == "__main__":
    unittest.main()
