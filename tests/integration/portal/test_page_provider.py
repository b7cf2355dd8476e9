#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: Chromium and Firefox, and a real OpenID Connect provider: npm's oidc-provider
"""The client page whose users sign in at a provider, with turncredd and a patched turnserver: data crosses the relay with
nothing but the user's own access token."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import place  # noqa: E402
import browser  # noqa: E402
import firefox  # noqa: E402
import page as chromium  # noqa: E402

PLACE = None


def setUpModule():
    global PLACE
    reason = place.missing() or place.no_provider()
    if reason:
        raise unittest.SkipTest(reason)
    firefox.missing()  # installs its modules; behind browser.address() there is no network
    PLACE = place.Place(ip=browser.address(), provider=True)


def tearDownModule():
    if PLACE:
        PLACE.stop()


# Fills in and sends what the provider's page asks for: a name, then consent.
ANSWER = """(user) => {
  const form = document.querySelector('form');
  if (!form || form.dataset.sent) return;
  form.dataset.sent = true;
  const name = form.querySelector('[name=login]');
  if (name) {
    name.value = user;
    form.querySelector('[name=password]').value = 'anything';
  }
  form.querySelector('[type=submit]').click();
}"""


# Where the browser is, and what the page says of the sign-in.
STATE = """() => {
  const error = document.getElementById('sign-in-error');
  return [location.href, document.getElementById('who')?.textContent || (error?.hidden ? '' : error?.textContent) || ''];
}"""


class Both:
    """self.page, and go(url)."""

    def tearDown(self):
        self.page.console()

    def click(self, name):
        self.page.js("(id) => document.getElementById(id).click()", name)

    def at(self):
        return self.page.js("() => location.href")

    def open(self, path="/"):
        self.go(PLACE.portal + "/")
        self.page.js("() => sessionStorage.clear()")
        self.go(PLACE.portal + path)
        self.page.until(lambda: self.page.shown("provider-sign-in"))

    def sign_in(self, user="alice"):
        """Goes to the provider and comes back."""
        self.click("provider-sign-in")

        def back():
            try:
                at, said = self.page.js(STATE)
                if at.startswith(PLACE.provider):
                    self.page.js(ANSWER, user)
                return at.startswith(PLACE.portal) and said
            except Exception:  # noqa: BLE001 - the browser is between two pages
                return False

        self.page.until(back)
        self.assertFalse(self.page.shown("sign-in-error"), self.page.text("sign-in-error"))

    def ask(self, user="alice"):
        """Signs in and asks for a credential; again while turncredd lacks the keys that the provider has made at its last
        start: it fetches them once in ten seconds. Returns the page's error, or ""."""

        def asked():
            if self.page.shown("provider-sign-in"):
                self.sign_in(user)
            self.click("get-https")
            self.page.until(lambda: self.page.shown("https") or self.page.shown("https-error") or self.page.shown("sign-in-error"))
            if self.page.shown("https"):
                return "none"
            error = self.page.text("sign-in-error") or self.page.text("https-error")
            return "" if "its key is not" in error else error

        return self.page.until(asked, every=0.5).removeprefix("none")

    def axe(self):
        """What axe-core finds in the page as it is."""
        source = (place.MODULES / "node_modules/axe-core/axe.min.js").read_text()
        self.page.js(f"() => {{ {source} }}")
        self.page.js("() => { window.found = null; axe.run().then((r) => { window.found = r; }); }")
        self.page.until(lambda: self.page.js("() => window.found !== null"))
        found = self.page.js("() => [window.found.passes.length, window.found.violations.map((v) => [v.id, v.nodes.map((n) => n.html)])]")
        self.assertGreater(found[0], 10)
        self.assertEqual(found[1], [])

    def test_signs_in_at_the_provider_and_calls_with_the_users_token_alone(self):
        page = self.page
        self.open()
        self.assertFalse(page.shown("sign-in"))
        self.assertEqual(page.text("provider-name"), PLACE.provider.split("//")[1])
        self.axe()
        self.sign_in()
        self.assertEqual(page.text("who"), "alice")
        self.assertEqual(self.at(), PLACE.portal + "/")  # no code in the address
        self.assertEqual(page.js("() => sessionStorage.length + localStorage.length + document.cookie.length"), 0)
        self.assertFalse(page.shown("card-token"))
        self.axe()
        self.assertEqual(self.ask(), "")
        page.console()  # the browser tells of each answer 503
        self.assertRegex(page.js("() => document.querySelector('#https code').textContent"), r"^alice:\d+$")
        self.click("start")
        page.until(lambda: "both ways" in page.text("call-state") or page.shown("call-error"))
        self.assertFalse(page.shown("call-error"), page.text("call-error"))
        page.until(lambda: all(int(page.text(way).split()[0]) >= 5 for way in ("a-to-b", "b-to-a")))
        for end in "AB":
            page.until(lambda end=end: PLACE.ip in page.text(f"relay-{end}"))
        self.axe()
        self.assertIn("alice", PLACE.turn.server.log())
        self.click("hang-up")
        page.until(lambda: page.text("call-state") == "Call ended.")
        page.until(lambda: ("derived", "alice", "") in PLACE.issued())
        # the portal has served files, and no more
        self.assertNotIn("POST", PLACE.log("portal"))
        self.click("sign-out")
        page.until(lambda: page.shown("provider-sign-in"))
        self.assertFalse(page.shown("step-2"))
        self.assertEqual(page.console(), [])

    def test_a_token_of_new_keys_that_then_runs_out(self):
        PLACE.processes.pop("provider").stop()
        PLACE.run_provider(lifetime=1)
        try:
            self.open()

            def refused():
                if self.page.shown("https"):
                    self.click("get-https")  # it has not run out yet
                    return self.page.text("sign-in-error")
                return self.ask()

            self.assertRegex(self.page.until(refused, 180, 0.5), r"not accepted any more: .*it has expired \(exp\).* Sign in again\.")
            self.assertTrue(self.page.shown("provider-sign-in"))
        finally:
            PLACE.processes.pop("provider").stop()
            PLACE.run_provider()

    def test_a_refusal_is_told_in_the_providers_words(self):
        self.open()
        for answer, said in (
            ("error=access_denied&error_description=She+said+no", "The provider refuses: She said no."),
            ("error=access_denied", "The provider refuses: access_denied."),
            ("code=old", "The provider refuses: grant request is invalid."),  # its token endpoint says so
        ):
            self.page.js("() => sessionStorage.setItem('sign-in', JSON.stringify({ verifier: 'v'.repeat(43), state: 's' }))")
            self.go(f"{PLACE.portal}/?{answer}&state=s&iss={PLACE.provider}")
            self.page.until(lambda: self.page.shown("sign-in-error"))
            self.assertEqual(self.page.text("sign-in-error").lower(), said.lower())
            self.page.console()  # the browser tells of each answer 400

    def test_an_answer_that_nobody_asked_for(self):
        self.open("/?code=stolen&state=guessed")
        self.page.until(lambda: self.page.shown("sign-in-error"))
        self.assertIn("did not ask for", self.page.text("sign-in-error"))
        self.assertEqual(self.at(), PLACE.portal + "/")
        self.assertFalse(self.page.shown("step-2"))


class Chromium(Both, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if browser.missing():
            raise unittest.SkipTest(browser.missing())
        cls.page = chromium.Page(PLACE.portal, [PLACE.spki()], {}, {})

    @classmethod
    def tearDownClass(cls):
        cls.page.quit()

    def go(self, url):
        self.page.driver.get(url)


class Firefox(Both, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if firefox.missing():
            raise unittest.SkipTest(firefox.missing())
        cls.page = firefox.Page(PLACE.portal, {})

    @classmethod
    def tearDownClass(cls):
        cls.page.quit()

    def go(self, url):
        self.page.tell(go=url)


if __name__ == "__main__":
    unittest.main()
