#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: aioice, gnutls-cli
"""Clients that know nothing of this project log in and relay data: aioice (an ICE library of others) with derived, rest
and pushed credentials. GnuTLS completes a DTLS handshake."""

import asyncio
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import credentials  # noqa: E402
import patched  # noqa: E402
import server  # noqa: E402

try:
    import aioice.turn
except ImportError:
    aioice = None  # tests/versions only reads the names of the tests

PLACE = None
REALM = "clients.example"


def setUpModule():
    global PLACE
    PLACE = patched.place_of_module(tls=True, realm=REALM)
    PLACE.realm(REALM)
    PLACE.start()


class Receiver(asyncio.DatagramProtocol):
    """Puts each arriving datagram into a queue; with echo also sends it back."""

    def __init__(self, echo=False):
        self.echo = echo
        self.queue = asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        if self.echo:
            self.transport.sendto(data, address)
        self.queue.put_nowait((data, address))


async def aioice_call(address, credential, kind):
    """Allocates with aioice, sends to an echoing peer and returns what came back."""
    loop = asyncio.get_running_loop()
    echo, peer = await loop.create_datagram_endpoint(
        lambda: Receiver(True), local_addr=("127.0.0.1", 0)
    )
    try:
        relay, protocol = await asyncio.wait_for(
            aioice.turn.create_turn_endpoint(
                Receiver,
                server_addr=address,
                username=credential.username,
                password=credential.password,
                lifetime=600,
                ssl=kind == "tls",
                transport="udp" if kind == "udp" else "tcp",
            ),
            10,
        )
        try:
            sent = os.urandom(100)
            relay.sendto(sent, echo.get_extra_info("sockname"))
            got, _ = await asyncio.wait_for(protocol.queue.get(), 5)
            _, source = await asyncio.wait_for(peer.queue.get(), 5)
            return got == sent and source == relay.get_extra_info("sockname")
        finally:
            relay.close()
            await asyncio.sleep(0.1)
    finally:
        echo.close()


class Aioice(unittest.TestCase):
    def call(self, credential, kind="udp"):
        return asyncio.run(aioice_call(PLACE.server.address, credential, kind))

    def test_derived(self):
        for user in ("alice", "491711234567", "sip:bob@ims.example"):
            for kind in ("udp", "tcp"):
                with self.subTest(user=user, transport=kind):
                    self.assertTrue(self.call(PLACE.realms[REALM].derived(user), kind))

    def test_pushed(self):
        for kind in ("udp", "tcp"):
            with self.subTest(transport=kind):
                self.assertTrue(self.call(PLACE.realms[REALM].pushed(f"pat-{kind}"), kind))

    def test_rest(self):
        self.assertTrue(self.call(PLACE.realms[REALM].rest("carol")))

    def test_refused(self):
        """The control: aioice does notice a refusal."""
        derived = PLACE.realms[REALM].derived("alice", left=-10)
        wrong = credentials.Credential("alice:9999999999", password="wrong")
        for credential in (derived, wrong):
            with self.assertRaises(aioice.stun.TransactionFailed) as caught:
                self.call(credential)
            self.assertEqual(caught.exception.response.attributes["ERROR-CODE"][0], 401)


class GnuTls(unittest.TestCase):
    """GnuTLS completes a DTLS handshake with each network engine, whose cookies the security series adds."""

    def test_handshake(self):
        for engine in (1, 2, 3):
            lines = ["lt-cred-mech", "realm=example.org", "user=alice:wonderland", f"ne={engine}"]
            with self.subTest(engine=engine), server.Server(server.patched(), lines, tls=True) as place:
                host, port = place.tls_address
                done = subprocess.run(
                    ["gnutls-cli", "--udp", "--insecure", "-p", str(port), host],
                    input=b"",
                    capture_output=True,
                    timeout=30,
                )
                self.assertIn(b"Handshake was completed", done.stdout, done.stderr)
                self.assertIsNone(place.process.poll(), place.log()[-800:])


if __name__ == "__main__":
    unittest.main(verbosity=2)
