#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Chromium, headless: two RTCPeerConnections with iceTransportPolicy "relay" exchange data through
the server with derived and pushed credentials; a wrong password gets none.

Browsers gather nothing on loopback, so the test makes itself a network namespace with a pair of
interfaces; where that is not allowed (in a container) it uses the container's own address.
"""

import ctypes
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import patched  # noqa: E402

try:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service
except ImportError:
    webdriver = None

REALM = "browser.example"
CLONE_NEWNET = 0x40000000
PLACE = None
BROWSER = None

# Sends 20 messages each way; answers with what both ends saw and the candidates in use.
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


def address():
    """A non-loopback address of a network that nobody else is on; else this container's own."""
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0:
        for command in (
            "link set lo up",
            "link add turn0 type veth peer name turn1",
            "addr add 10.213.7.1/24 dev turn0",
            "link set turn0 up",
            "link set turn1 up",
        ):
            subprocess.run(["ip", *command.split()], check=True)
        return "10.213.7.1"
    shown = subprocess.run(
        ["ip", "-json", "-4", "addr", "show", "scope", "global"],
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(shown.stdout)[0]["addr_info"][0]["local"]


def setUpModule():
    global PLACE, BROWSER
    reason = patched.missing()
    if webdriver is None or not shutil.which("chromedriver") or not shutil.which("chromium"):
        reason = "chromium, chromium-driver or python3-selenium is not installed"
    if reason:
        raise unittest.SkipTest(reason)
    try:
        PLACE = patched.Place(realm=REALM, ip=address())
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
        options = webdriver.ChromeOptions()
        for flag in (
            "headless=new",
            "no-sandbox",
            "disable-gpu",
            "disable-quic",
            "no-first-run",
            "disable-dev-shm-usage",
            "disable-background-networking",
            "disable-component-update",
            "disable-sync",
            f"user-data-dir={self.folder}/profile",
        ):
            options.add_argument("--" + flag)
        options.binary_location = shutil.which("chromium")
        self.driver = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
        self.driver.set_script_timeout(60)
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
