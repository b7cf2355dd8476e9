#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: Chromium
"""Chromium, headless: two RTCPeerConnections with iceTransportPolicy "relay" exchange data through
the server with derived and pushed credentials; a wrong password gets none.

Browsers gather nothing on loopback, so the test makes itself a network namespace with a pair of
interfaces; where that is not allowed (in a container) it uses the container's own address.
"""

import os
import pathlib
import shutil
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import browser  # noqa: E402
import patched  # noqa: E402

REALM = "browser.example"
PLACE = None
BROWSER = None

# Sends 20 messages each way; answers with the counts of both ends and the candidates in use.
SCRIPT = """
const [server, done] = arguments;
const config = {iceServers: [server], iceTransportPolicy: 'relay'};
const a = new RTCPeerConnection(config), b = new RTCPeerConnection(config);
const seen = {candidates: [], errors: [], echoed: 0, pair: null};
const end = why => { a.close(); b.close(); clearTimeout(timer); done({...seen, why}); };
const timer = setTimeout(() => end('nothing within 20 s'), 20000);
for (const [from, to] of [[a, b], [b, a]]) {
  from.onicecandidate = e => {
    if (e.candidate && e.candidate.candidate) {
      seen.candidates.push(e.candidate.type);
      to.addIceCandidate(e.candidate);
    }
  };
  from.onicecandidateerror = e => {
    seen.errors.push(e.errorCode);
    if (seen.errors.length == 2) end('refused');
  };
}
b.ondatachannel = e => { e.channel.onmessage = m => e.channel.send('echo ' + m.data); };
const channel = a.createDataChannel('test');
channel.onopen = () => { for (let i = 0; i < 20; i++) channel.send('message ' + i); };
channel.onmessage = async m => {
  if (m.data == 'echo message ' + seen.echoed && ++seen.echoed == 20) {
    const stats = await a.getStats();
    stats.forEach(s => {
      if (s.type == 'candidate-pair' && s.nominated && s.state == 'succeeded')
        seen.pair = [stats.get(s.localCandidateId), stats.get(s.remoteCandidateId)]
          .map(c => c.candidateType + ' ' + c.address + (c.relayProtocol ? ' ' + c.relayProtocol : ''));
    });
    end('echoed');
  }
};
(async () => {
  await a.setLocalDescription(await a.createOffer());
  await b.setRemoteDescription(a.localDescription);
  await b.setLocalDescription(await b.createAnswer());
  await a.setRemoteDescription(b.localDescription);
})();
"""


def setUpModule():
    global PLACE, BROWSER
    reason = patched.missing() or browser.missing()
    if reason:
        raise unittest.SkipTest(reason)
    try:
        PLACE = patched.Place(realm=REALM, ip=browser.address())
        PLACE.realm(REALM)
        PLACE.start()
        BROWSER = Browser()
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if BROWSER:
        BROWSER.quit()
    if PLACE:
        PLACE.stop()


class Browser:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="turncred-browser-")
        page = os.path.join(self.folder, "page.html")
        with open(page, "w") as file:
            file.write("<!doctype html><title>relay</title>")
        self.driver = browser.launch(self.folder)
        self.driver.get("file://" + page)

    def call(self, credential, transport="udp", password=None):
        ip, port = PLACE.server.address
        return self.driver.execute_async_script(
            SCRIPT,
            {
                "urls": f"turn:{ip}:{port}?transport={transport}",
                "username": credential.username,
                "credential": password or credential.password,
            },
        )

    def quit(self):
        self.driver.quit()
        shutil.rmtree(self.folder, ignore_errors=True)


class Chromium(unittest.TestCase):
    def relayed(self, seen):
        self.assertEqual(seen["why"], "echoed", seen)
        self.assertEqual(seen["echoed"], 20)
        self.assertEqual(set(seen["candidates"]), {"relay"})
        self.assertTrue(all(end.startswith("relay ") for end in seen["pair"]), seen["pair"])

    def test_data_channel_with_a_derived_credential(self):
        for transport in ("udp", "tcp"):
            with self.subTest(transport=transport):
                made = PLACE.realms[REALM].derived("sip:alice@ims.example")
                seen = BROWSER.call(made, transport)
                self.relayed(seen)
                self.assertTrue(seen["pair"][0].endswith(transport), seen["pair"])

    def test_data_channel_with_a_pushed_credential(self):
        self.relayed(BROWSER.call(PLACE.realms[REALM].pushed("bob")))

    def test_a_drained_server_sends_the_browser_to_its_sibling(self):
        """Chromium follows ALTERNATE-SERVER of a 300 (RFC 8489 10) with the same credential."""
        sibling = PLACE.sibling("turn:{ip}:{port}")
        try:
            PLACE.database.ctl("server", "drain", "conformance")
            for transport in ("udp", "tcp"):
                with self.subTest(transport=transport):
                    self.relayed(BROWSER.call(PLACE.realms[REALM].derived("dora"), transport))
                    self.assertIn("session", sibling.log())
            self.assertIn("ALLOCATE", sibling.log())
        finally:
            PLACE.database.ctl("server", "undrain", "conformance")
            sibling.__exit__()
            # from 4.6.2 it is killed before it has said that it ends, and would count as behind for a minute
            PLACE.database.ctl("server", "forget", "sibling")

    def test_wrong_password_gets_no_candidate(self):
        seen = BROWSER.call(PLACE.realms[REALM].derived("carol"), password="wrong" * 8)
        self.assertEqual(seen["why"], "refused", seen)
        self.assertEqual(set(seen["errors"]), {401})
        self.assertEqual(seen["candidates"], [])

    def test_expired_credential_gets_no_candidate(self):
        seen = BROWSER.call(PLACE.realms[REALM].derived("carol", left=-10))
        self.assertEqual(seen["why"], "refused", seen)
        self.assertEqual(seen["candidates"], [])


if __name__ == "__main__":
    unittest.main(verbosity=2)
