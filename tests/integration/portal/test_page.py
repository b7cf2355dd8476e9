#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: Chromium
"""The client page in Chromium, headless, with a real portal, turncredd, patched turnserver and eP-CSCF:
data crosses the relay with credentials over HTTPS and over SIP, and what fails is said. Screenshots stay
in build/screenshots."""

import json
import os
import pathlib
import re
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import place  # noqa: E402
import both  # noqa: E402
import browser  # noqa: E402
import page  # noqa: E402

try:
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
except ImportError:
    pass

PLACE = None
PAGE = None
AUDIT = (pathlib.Path(__file__).resolve().parent / "audit.js").read_text()
BUILD = pathlib.Path(os.environ.get("top_builddir") or os.environ.get("BUILDDIR") or place.TOP / "build")


def setUpModule():
    global PLACE, PAGE
    reason = place.missing() or browser.missing()
    if reason:
        raise unittest.SkipTest(reason)
    try:
        PLACE = place.Place(ip=browser.address(), edge=place.no_edge() is None)
        PAGE = page.Page(PLACE.portal, [PLACE.spki()], place.PASSWORDS, place.SIP_PASSWORDS)
    except BaseException:
        tearDownModule()
        raise


def screenshot(name):
    folder = BUILD / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    PAGE.screenshot(folder / f"{name}.png")


def tearDownModule():
    if PAGE:
        PAGE.quit()
    if PLACE:
        PLACE.stop()


# Answers of the portal about credentials come when release() is called.
HOLD = """() => {
  const go = new Promise((resolve) => { window.release = resolve; });
  const real = window.fetch;
  window.fetch = async (...a) => { const answer = await real(...a); if (a[0] === 'api/credential') await go; return answer; };
}"""
# The page's WebSocket sends nothing until release() is called.
HOLD_SOCKET = """() => {
  const [held, real] = [[], WebSocket.prototype.send];
  window.held = held;
  WebSocket.prototype.send = function send(text) { held.push([this, text]); };
  window.release = () => { WebSocket.prototype.send = real; for (const [socket, text] of held) real.call(socket, text); };
}"""
# The page is told that its credentials are this short.
SHORT = """(ttl) => {
  const real = window.fetch;
  window.fetch = async (...a) => {
    const answer = await real(...a);
    if (a[0] !== 'api/credential' || !answer.ok) return answer;
    return new Response(JSON.stringify({ ...await answer.json(), ttl, expires_at: Math.floor(Date.now() / 1000) + ttl }));
  };
}"""
# Signs in as another tab would.
SIGN_IN = """(user, password) => fetch('/api/session', {
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ user, password }),
}).then(({ ok }) => ok)"""
CLOCK = "(seconds) => { const now = Date.now.bind(Date); Date.now = () => now() + 1000 * seconds; }"


class Case(unittest.TestCase):
    def setUp(self):
        PAGE.console()

    def tearDown(self):
        PAGE.unlook()

    def connected(self):
        PAGE.until(lambda: "both ways" in PAGE.text("call-state") or PAGE.shown("call-error"))
        self.assertFalse(PAGE.shown("call-error"), PAGE.text("call-error"))
        PAGE.until(lambda: "ms" in PAGE.text("round-trip"))
        PAGE.until(lambda: all(int(PAGE.text(way).split()[0]) >= 12 for way in ("a-to-b", "b-to-a")))

    def no_call(self):
        PAGE.until(lambda: PAGE.shown("call-error"))
        self.assertEqual(PAGE.text("call-state"), "No call.")
        return PAGE.text("call-error")


class InBothBrowsers(both.Both, unittest.TestCase):
    """The same in Firefox: test_page_firefox.py."""

    def setUp(self):
        self.page, self.place = PAGE, PLACE


class SignIn(Case):
    def test_wrong_password(self):
        PAGE.open()
        PAGE.sign_in("alice", "not her password")
        PAGE.until(lambda: PAGE.shown("sign-in-error"))
        self.assertEqual(PAGE.text("sign-in-error"), "User or password is wrong.")
        self.assertFalse(PAGE.shown("step-2"))
        self.assertEqual(PAGE.driver.switch_to.active_element.get_attribute("id"), "password")
        self.assertEqual(PAGE.id("password").get_attribute("value"), "")

    def test_another_tab_signs_in_as_somebody_else(self):
        """What the page shows as alice's is not bob's."""
        PAGE.ready()
        shown = PAGE.text("https")
        PAGE.js(SIGN_IN, "bob", place.PASSWORDS["bob"])
        for button in ("get-https", "get-token"):
            PAGE.id(button).click()
            PAGE.until(lambda: PAGE.shown("sign-in") or PAGE.text("https") != shown or PAGE.shown("token"))
            self.assertTrue(PAGE.shown("sign-in"), PAGE.text("https") + PAGE.text("token"))
            self.assertIn("signed out", PAGE.text("sign-in-error"))
            PAGE.sign_in()
            PAGE.until(lambda: PAGE.shown("get-https"))
            shown = PAGE.text("https")
            PAGE.js(SIGN_IN, "bob", place.PASSWORDS["bob"])

    def test_stays_signed_in_and_signs_out(self):
        PAGE.open()
        PAGE.sign_in()
        PAGE.until(lambda: PAGE.shown("step-2"))
        cookies = PAGE.driver.get_cookies()
        self.assertEqual([c["name"] for c in cookies], ["__Host-session"])
        self.assertTrue(cookies[0]["httpOnly"] and cookies[0]["secure"])
        self.assertEqual(cookies[0]["sameSite"], "Strict")
        self.assertEqual(PAGE.driver.execute_script("return document.cookie"), "")
        PAGE.driver.refresh()
        PAGE.until(lambda: PAGE.shown("step-2"))
        self.assertEqual(PAGE.text("who"), "alice")
        PAGE.id("sign-out").click()
        PAGE.until(lambda: PAGE.shown("sign-in"))
        self.assertFalse(PAGE.shown("step-2"))
        PAGE.driver.refresh()
        PAGE.until(lambda: PAGE.shown("sign-in"))
        self.assertFalse(PAGE.shown("step-2"))

    def test_a_session_that_ended_is_said(self):
        PAGE.open()
        PAGE.sign_in()
        PAGE.until(lambda: PAGE.shown("step-2"))
        PAGE.driver.delete_all_cookies()
        PAGE.id("get-token").click()
        PAGE.until(lambda: PAGE.shown("sign-in"))
        self.assertIn("signed out", PAGE.text("sign-in-error"))
        PAGE.sign_in("bob")
        PAGE.until(lambda: PAGE.shown("step-2"))
        self.assertFalse(PAGE.shown("sign-in-error"))
        self.assertFalse(PAGE.shown("token-error"))


    def test_a_form_without_its_script_shows_no_password(self):
        """Where the script has not come, or is too new for the browser, the form sends nothing into the address."""
        PAGE.driver.execute_cdp_cmd("Network.enable", {})
        PAGE.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*/page.mjs"]})
        try:
            PAGE.open()
            PAGE.sign_in()
            PAGE.until(lambda: "form-action" in json.dumps(PAGE.console()) or "?" in PAGE.driver.current_url)
            self.assertEqual(PAGE.driver.current_url, PLACE.portal + "/")
            methods = PAGE.js("() => [...document.forms].filter((f) => f.querySelector('[type=password]')).map((f) => f.method)")
            self.assertEqual(methods, ["post", "post"])  # for browsers that do not know form-action
        finally:
            PAGE.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})

    def test_what_comes_after_sign_out_is_nobodys(self):
        PAGE.open()
        PAGE.sign_in()
        PAGE.until(lambda: PAGE.shown("get-https"))
        PAGE.js(HOLD)
        PAGE.id("get-https").click()
        PAGE.id("sign-out").click()
        PAGE.until(lambda: PAGE.shown("sign-in"))
        PAGE.js("() => window.release()")
        PAGE.until(lambda: PAGE.id("get-https").is_enabled())
        PAGE.sign_in("bob")
        PAGE.until(lambda: PAGE.text("who") == "bob")
        self.assertFalse(PAGE.shown("https") or PAGE.shown("https-error"))
        self.assertNotIn("alice", PAGE.text("step-2"))
        self.assertEqual(PAGE.text("call-state"), "Get a credential first.")


class Calls(Case):
    def test_a_clock_that_is_wrong(self):
        for wrong in (-7200, 7200):
            with self.subTest(wrong):
                PAGE.open()
                PAGE.sign_in()
                PAGE.until(lambda: PAGE.shown("get-https"))
                PAGE.js(CLOCK, wrong)
                PAGE.id("get-https").click()
                PAGE.until(lambda: PAGE.shown("https"))
                self.assertRegex(PAGE.text("https-left"), "^in (1 h 0|59) min ")

    def test_a_call_outlives_the_session(self):
        """The page cannot get the next credential, says so, and lets the call go on as long as it can."""
        PAGE.open()
        PAGE.sign_in()
        PAGE.until(lambda: PAGE.shown("get-https"))
        PAGE.js(SHORT, 16)
        PAGE.id("get-https").click()
        PAGE.until(lambda: PAGE.shown("https"))
        PAGE.call("udp")
        self.connected()
        PAGE.driver.delete_all_cookies()
        PAGE.until(lambda: PAGE.shown("call-error") or PAGE.shown("sign-in"))
        self.assertEqual(PAGE.text("call-error"), "The call needs a new credential and got none: sign in first.")
        self.assertIn("both ways", PAGE.text("call-state"))
        self.assertTrue(PAGE.shown("hang-up"))
        PAGE.id("hang-up").click()
        PAGE.id("get-https").click()
        PAGE.until(lambda: PAGE.shown("sign-in"))
        self.assertIn("signed out", PAGE.text("sign-in-error"))

    def test_data_crosses_the_relay(self):
        PAGE.ready()
        PAGE.id("get-token").click()
        PAGE.until(lambda: PAGE.shown("token"))
        PAGE.call()
        self.connected()
        for end in "AB":
            self.assertRegex(PAGE.text(f"relay-{end}"), rf"^{PLACE.ip}:\d+ over UDP$")
        self.assertRegex(PAGE.text("runs-out"), r"^in (1 h|59 min)")
        rows = PAGE.driver.find_elements(By.CSS_SELECTOR, "#candidates tr")
        self.assertGreaterEqual(len(rows), 2)
        self.assertEqual({row.text.split()[1] for row in rows}, {"relay"})
        # the server saw what the page says
        self.assertIn("alice", PLACE.turn.server.log())
        for width, scheme in ((1280, "light"), (1280, "dark"), (360, "light"), (360, "dark")):
            PAGE.look(width, scheme)
            with self.subTest(width=width, scheme=scheme):
                self.assertEqual(PAGE.driver.execute_script(AUDIT), [])
            screenshot(f"call-{width}-{scheme}")
        PAGE.unlook()
        PAGE.id("hang-up").click()
        PAGE.until(lambda: PAGE.text("call-state") == "Call ended.")
        self.assertFalse(PAGE.shown("call-error"))
        self.assertFalse(PAGE.shown("result"))
        self.assertEqual(PAGE.console(), [])
        # both are on record for the user, asked for by the portal
        PAGE.until(lambda: {("token", "alice", "portal"), ("derived", "alice", "portal")} <= set(PLACE.issued()))

    def test_over_tcp(self):
        PAGE.ready("bob")
        PAGE.call("tcp")
        self.connected()
        for end in "AB":
            self.assertTrue(PAGE.text(f"relay-{end}").endswith("over TCP"), PAGE.text(f"relay-{end}"))
        PAGE.id("hang-up").click()

    def test_no_server_for_the_way(self):
        PAGE.ready()
        PAGE.call("tls")
        PAGE.until(lambda: PAGE.shown("call-error"))
        self.assertIn("names no server", PAGE.text("call-error"))

    def test_token_is_for_others(self):
        PAGE.ready()
        PAGE.id("get-token").click()
        PAGE.until(lambda: PAGE.shown("token"))
        self.assertIn(f"{place.REALM}-token", PAGE.id("token").text)
        self.assertIn("Browsers cannot use tokens", PAGE.text("step-2"))
        self.assertEqual(PAGE.driver.find_elements(By.CSS_SELECTOR, "input[name=use][value=token]"), [])

    def test_a_credential_that_runs_out(self):
        PLACE.ctl("realm", "set", place.REALM, "--default-ttl", "4s")
        try:
            # turncredd obeys the new ttl as soon as its credentials are that short
            def short():
                PAGE.ready()
                return "in 1 h" not in PAGE.text("https-left") and "min" not in PAGE.text("https-left")

            PAGE.until(short)
        finally:
            PLACE.ctl("realm", "set", place.REALM, "--default-ttl", "1h")
        PAGE.until(lambda: PAGE.text("https-left") == "has run out")
        PAGE.call("udp")
        error = self.no_call()
        self.assertIn("401", error)
        self.assertIn("has run out. Get a new one", error)
        PAGE.look(360, "light")
        self.assertEqual(PAGE.driver.execute_script(AUDIT), [])
        screenshot("expired-360-light")

    def test_revoked_in_mid_call(self):
        PLACE.set_password("mallory", "this is mallory")
        place.PASSWORDS["mallory"] = "this is mallory"
        PAGE.ready("mallory")
        PAGE.call("udp")
        self.connected()
        PLACE.revoke("mallory")
        PAGE.until(lambda: PAGE.shown("call-error"), 120)
        self.assertEqual(PAGE.text("call-state"), "The call was cut off.")
        self.assertIn("revoked", PAGE.text("call-error"))
        # nor is there a new call with the old one, nor another credential
        PAGE.call("udp")
        PAGE.until(lambda: PAGE.text("call-state") == "No call.")
        self.assertIn("401", self.no_call())
        PAGE.id("get-https").click()
        PAGE.until(lambda: PAGE.shown("https-error"))
        self.assertIn("revoked", PAGE.text("https-error"))

    def test_issuer_is_away(self):
        PAGE.ready()
        PLACE.processes.pop("turncredd").stop()
        try:
            PAGE.id("get-https").click()
            PAGE.until(lambda: PAGE.shown("https-error"))
            self.assertEqual(PAGE.text("https-error"), "Turncredd does not answer.")
            # credentials from before still work
            PAGE.call()
            self.connected()
            PAGE.id("hang-up").click()
        finally:
            PLACE.run_issuer()
        PAGE.id("get-https").click()
        PAGE.until(lambda: not PAGE.shown("https-error"))


class Sip(Case):
    def setUp(self):
        super().setUp()
        if place.no_edge():
            self.skipTest(place.no_edge())

    def registered(self, *arguments, **options):
        PAGE.register(*arguments, **options)
        PAGE.until(lambda: PAGE.shown("sip") or PAGE.shown("sip-error"))
        self.assertFalse(PAGE.shown("sip-error"), PAGE.text("sip-error"))
        return PAGE.credential("sip")

    def test_derived(self):
        shown = self.registered()
        self.assertEqual(PAGE.text("sip-state"), f"Registered as sip:alice@{place.REALM}.")
        self.assertEqual((shown["Kind"], shown["Realm"]), ("derived", place.REALM))
        self.assertRegex(shown["Username"], r"^alice:\d+$")
        self.assertEqual(PAGE.id("sip-password").get_attribute("value"), "")
        PAGE.call()
        self.connected()
        for width, scheme in ((1200, "light"), (360, "light")):
            PAGE.look(width, scheme)
            with self.subTest(width=width):
                self.assertEqual(PAGE.driver.execute_script(AUDIT), [])
            screenshot(f"sip-{width}-{scheme}")
        PAGE.unlook()
        PAGE.id("hang-up").click()
        # another one, asked for with OPTIONS in the same flow; in a later second, so with another username
        made = int(shown["Username"].split(":")[1]) - 3600
        PAGE.until(lambda: time.time() >= made + 1)
        PAGE.id("another").click()
        PAGE.until(lambda: PAGE.credential("sip")["Username"] != shown["Username"])
        PAGE.call("tcp")
        self.connected()
        PAGE.id("unregister").click()
        PAGE.until(lambda: PAGE.text("sip-state") == "Not registered any more.")
        self.assertTrue(PAGE.shown("register"))
        self.assertFalse(PAGE.shown("sip"))
        PAGE.id("hang-up").click()
        self.assertEqual(PAGE.console(), [])
        PAGE.until(lambda: ("derived", "alice", "edge") in PLACE.issued())

    def test_a_call_gets_the_next_credential(self):
        name = self.registered()["Username"]  # has the second in it: another one in each credential
        PAGE.call("udp")
        self.connected()
        PAGE.js(CLOCK, 3500)
        PAGE.until(lambda: PAGE.shown("call-error") or PAGE.credential("sip")["Username"] != name)
        self.assertFalse(PAGE.shown("call-error"), PAGE.text("call-error"))
        PAGE.until(lambda: re.match("in (1 h|59)", PAGE.text("runs-out")))
        PAGE.id("hang-up").click()

    def test_a_registration_after_sign_out_is_nobodys(self):
        PAGE.open()
        PAGE.sign_in()
        PAGE.until(lambda: PAGE.shown("register"))
        PAGE.js(HOLD_SOCKET)
        PAGE.id("sip-password").send_keys(place.SIP_PASSWORDS["alice"], Keys.ENTER)
        PAGE.until(lambda: PAGE.js("() => window.held.length"))
        PAGE.id("sign-out").click()
        PAGE.until(lambda: PAGE.shown("sign-in"))
        PAGE.js("() => window.release()")
        PAGE.until(lambda: PAGE.js("() => !document.querySelector('#register button').disabled"))
        PAGE.sign_in("bob")
        PAGE.until(lambda: PAGE.shown("register") or PAGE.shown("registered"))
        self.assertFalse(PAGE.shown("registered") or PAGE.shown("sip") or PAGE.shown("sip-error"))
        self.assertNotIn("Registered", PAGE.text("sip-state"))

    def test_what_is_left_is_chosen(self):
        """The registration ends, and its credential with it: the other one is chosen, and calls."""
        self.registered()
        PAGE.id("get-https").click()
        PAGE.until(lambda: PAGE.shown("https"))
        PAGE.driver.find_element(By.CSS_SELECTOR, "input[name=use][value=sip]").click()
        PAGE.id("unregister").click()
        PAGE.until(lambda: PAGE.text("sip-state") == "Not registered any more.")
        self.assertTrue(PAGE.driver.find_element(By.CSS_SELECTOR, "input[name=use][value=https]").is_selected())
        self.assertEqual(PAGE.text("call-state"), "Ready to call.")
        self.assertFalse(PAGE.shown("result"))
        PAGE.call()
        self.connected()
        PAGE.id("hang-up").click()

    def test_pushed_and_taken_back(self):
        shown = self.registered("bob", ask="pushed")
        self.assertEqual(shown["Kind"], "pushed")
        self.assertRegex(shown["Username"], "^bob~[0-9a-f]{16}$")  # bob's credential on this device
        PAGE.call("udp")
        self.connected()
        PAGE.id("hang-up").click()
        # a copy of the credential that outlives the registration is worth nothing
        servers = [{"urls": PLACE.uris[0], "username": shown["Username"], "credential": shown["Password"]}]
        PAGE.id("unregister").click()
        PAGE.until(lambda: PAGE.text("sip-state") == "Not registered any more.")
        PAGE.until(lambda: self.error_of(servers) == 401)

    def error_of(self, servers):
        """The code with which gathering fails; None: it does not."""
        return PAGE.driver.execute_async_script(
            """const [iceServers, done] = arguments;
            const peer = new RTCPeerConnection({iceServers, iceTransportPolicy: 'relay'});
            const end = (code) => { peer.close(); done(code); };
            peer.onicecandidateerror = (e) => end(e.errorCode);
            peer.onicecandidate = (e) => end(null);
            peer.createDataChannel('x');
            peer.createOffer().then((o) => peer.setLocalDescription(o));""",
            servers,
        )

    def test_wrong_password(self):
        PAGE.register(password="wrong")
        PAGE.until(lambda: PAGE.shown("sip-error"))
        self.assertIn("Wrong address or password", PAGE.text("sip-error"))
        self.assertFalse(PAGE.shown("registered"))

    def test_without_turncredd_it_registers_and_says_so(self):
        PLACE.processes.pop("turncredd").stop()
        try:
            PAGE.register()
            PAGE.until(lambda: PAGE.shown("sip-error"))
            self.assertIn("the SIP edge gave no credential", PAGE.text("sip-error"))
            self.assertTrue(PAGE.shown("registered"))
        finally:
            PLACE.run_issuer()

        # the edge does not ask again for a few seconds
        def again():
            PAGE.id("another").click()
            PAGE.until(lambda: PAGE.id("another").is_enabled())
            return PAGE.shown("sip")

        PAGE.until(again, every=1)
        self.assertFalse(PAGE.shown("sip-error"))

    def test_edge_goes_and_comes_back(self):
        self.registered()
        PLACE.processes.pop("edge").stop()
        try:
            PAGE.until(lambda: PAGE.shown("sip-error"))
            self.assertIn("closed the connection", PAGE.text("sip-error"))
            PAGE.register()
            PAGE.until(lambda: PAGE.shown("sip-error"))
            self.assertIn("No connection to the SIP edge", PAGE.text("sip-error"))
        finally:
            PLACE.run_edge()
        self.registered()


class Access(Case):
    """The basics of accessibility that a program can check; see audit.js."""

    def test_signed_out(self):
        PAGE.open()
        for width, scheme in ((1200, "light"), (360, "dark")):
            PAGE.look(width, scheme)
            with self.subTest(width=width, scheme=scheme):
                self.assertEqual(PAGE.driver.execute_script(AUDIT), [])
            screenshot(f"sign-in-{width}-{scheme}")

    def test_the_audit_can_fail(self):
        PAGE.open()
        PAGE.driver.execute_script(
            "document.documentElement.lang = ''; document.querySelector('label').remove();"
            "document.querySelector('.lead').style.color = '#aaa'; document.querySelector('h2').outerHTML = '<h4>x</h4>'"
        )
        found = "\n".join(PAGE.driver.execute_script(AUDIT))
        for word in ("lang", "has no name", "contrast", "level 4 after 1"):
            self.assertIn(word, found)

    def test_with_the_keyboard_alone(self):
        PAGE.open()
        self.press(Keys.TAB)
        self.assertEqual(self.focus().text, "Skip to the content")
        self.press(Keys.TAB, "alice", Keys.TAB, place.PASSWORDS["alice"], Keys.TAB, Keys.ENTER)
        PAGE.until(lambda: self.focus().get_attribute("id") == "title-2")
        self.tab_to("get-https")
        self.press(Keys.ENTER)
        PAGE.until(lambda: PAGE.shown("https"))
        self.tab_to("start")
        self.press(Keys.ENTER)
        PAGE.until(lambda: self.focus().get_attribute("id") == "hang-up")
        self.connected()
        self.press(Keys.ENTER)
        PAGE.until(lambda: PAGE.text("call-state") == "Call ended.")
        self.assertEqual(self.focus().get_attribute("id"), "start")

    def focus(self):
        return PAGE.driver.switch_to.active_element

    def press(self, *keys):
        for key in keys:
            self.focus().send_keys(key)

    def tab_to(self, name):
        for _ in range(40):
            if self.focus().get_attribute("id") == name:
                return
            self.press(Keys.TAB)
        self.fail(f"{name} is not reached")


class Secrets(Case):
    def test_no_secret_in_log_or_page(self):
        PAGE.ready()
        shown = PAGE.credential()
        self.assertGreater(len(shown["Password"]), 30)
        key = (PLACE.folder / "caller-key").read_text().strip()
        logs = PLACE.log("portal") + PLACE.log("turncredd")
        for secret in (shown["Password"], key, *place.PASSWORDS.values()):
            self.assertNotIn(secret, logs)
        self.assertNotIn(key, PAGE.driver.page_source)
        self.assertNotIn("session=", logs)

    def test_scripts_from_elsewhere_do_not_run(self):
        PAGE.open()
        PAGE.driver.execute_script(
            "const s = document.createElement('script'); s.textContent = 'window.injected = 1'; document.body.append(s)"
        )
        self.assertIsNone(PAGE.driver.execute_script("return window.injected ?? null"))
        self.assertIn("Content Security Policy", json.dumps(PAGE.console()))


if __name__ == "__main__":
    unittest.main(verbosity=2)
