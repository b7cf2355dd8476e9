#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""One allocation kept for longer than three lifetimes of its credential, renewed before each ends,
with data both ways all the time: nothing lost, no refresh refused. And one that is not renewed and
ends on time."""

import concurrent.futures
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import patched  # noqa: E402
import turnclient  # noqa: E402

PLACE = None
TTL = 9  # seconds
LIFETIMES = 3.5
KINDS = ("token", "derived", "rest")


def setUpModule():
    global PLACE
    PLACE = patched.place_of_module(tls=True, realm="strict.example")
    PLACE.realm("strict.example", **{f"expiry_{kind}": "strict" for kind in KINDS})
    PLACE.start()


def call(kind, carrier, renewals):
    """(datagrams sent, datagrams back, renewals that succeeded, when data last came back, the
    deadline of the last credential)."""
    realm = PLACE.realms["strict.example"]
    user = f"{kind}-{carrier}-{renewals}"
    deadline = int(time.time()) + TTL
    client = PLACE.server.client(carrier, realm.make(kind, user, deadline))
    peer = turnclient.Peer()
    try:
        turnclient.need("allocate", client.allocate())
        turnclient.need("permission", client.create_permission(peer.address))
        turnclient.need("channel", client.channel_bind(0x4000, peer.address))
        sent = back = renewed = 0
        last = 0.0
        end = time.time() + TTL * LIFETIMES
        while time.time() < end:
            if renewed < renewals and time.time() > deadline - 4:
                deadline = int(time.time()) + TTL
                response = client.renew(realm.make(kind, user, deadline))
                turnclient.need(f"renewal {renewed + 1}", response)
                renewed += 1
            if renewed == renewals == 0 and time.time() > deadline + 5:
                break
            sent += 1
            try:
                good = turnclient.relay_once(client, peer, 0x4000 if sent % 2 else None, 2 if renewals else 0.5)
            except ConnectionError:
                break
            if good:
                back += 1
                last = time.time()
            time.sleep(0.05)
        return sent, back, renewed, last, deadline
    finally:
        client.close()
        peer.close()


class LongCall(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        wanted = [(kind, carrier, 100) for kind in KINDS for carrier in ("udp", "tls")]
        wanted += [(kind, "udp", 0) for kind in KINDS]
        with concurrent.futures.ThreadPoolExecutor(len(wanted)) as pool:
            cls.results = {w: pool.submit(call, *w) for w in wanted}

    def test_renewed(self):
        for kind in KINDS:
            for carrier in ("udp", "tls"):
                with self.subTest(kind=kind, transport=carrier):
                    sent, back, renewed, _, _ = self.results[kind, carrier, 100].result()
                    print(f"{kind} {carrier}: {back} of {sent} round trips, {renewed} renewals")
                    self.assertGreaterEqual(renewed, 3)
                    self.assertGreater(sent, 100)
                    self.assertEqual(back, sent)

    def test_not_renewed(self):
        for kind in KINDS:
            with self.subTest(kind=kind):
                _, _, _, last, deadline = self.results[kind, "udp", 0].result()
                late = last - deadline
                print(f"{kind}: the last data came {late:+.2f} s after the deadline")
                self.assertLess(late, 2.5)
                self.assertGreater(late, -2)


if __name__ == "__main__":
    unittest.main(verbosity=2)
