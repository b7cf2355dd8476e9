#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: Firefox, by puppeteer-core from npm
"""The client page in Firefox, headless, with a real portal, turncredd and patched turnserver. Screenshots stay in
build/screenshots."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import place  # noqa: E402
import both  # noqa: E402
import browser  # noqa: E402
import firefox  # noqa: E402

PLACE = None
AUDIT = (pathlib.Path(__file__).resolve().parent / "audit.js").read_text()


def setUpModule():
    global PLACE
    reason = place.missing() or firefox.missing()
    if reason:
        raise unittest.SkipTest(reason)
    PLACE = place.Place(ip=browser.address())


def tearDownModule():
    if PLACE:
        PLACE.stop()


class Firefox(both.Both, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = PLACE
        cls.page = firefox.Page(PLACE.portal, place.PASSWORDS)

    @classmethod
    def tearDownClass(cls):
        cls.page.quit()

    def test_revoked_in_mid_call(self):
        PLACE.set_password("mallory", "this is mallory")
        place.PASSWORDS["mallory"] = "this is mallory"
        self.page.ready("mallory")
        self.page.call("udp")
        self.connected()
        PLACE.revoke("mallory")
        self.page.until(lambda: "may have been revoked" in self.page.text("runs-out"), 60)
        self.page.until(lambda: self.page.shown("call-error"), 120)
        self.assertIn("revoked", self.page.text("call-error"))
        self.assertFalse(self.page.shown("result"))
        self.page.call("udp")
        self.page.until(lambda: "401" in self.page.text("call-error"))


class Looks(unittest.TestCase):
    def test_light_and_dark_narrow_and_wide(self):
        folder = firefox.BUILD / "screenshots"
        folder.mkdir(parents=True, exist_ok=True)
        for scheme in ("light", "dark"):
            page = firefox.Page(PLACE.portal, place.PASSWORDS, scheme)
            try:
                page.ready()
                page.js("() => document.getElementById('get-token').click()")
                page.until(lambda page=page: page.shown("token"))
                page.call()
                page.until(lambda page=page: "ms" in page.text("round-trip"))
                for width in (360, 1280):
                    page.look(width)
                    page.screenshot(folder / f"firefox-{width}-{scheme}.png")
                    with self.subTest(width=width, scheme=scheme):
                        self.assertEqual(page.js(f"() => {{ {AUDIT} }}"), [])
                self.assertEqual(page.console(), [])
            finally:
                page.quit()


if __name__ == "__main__":
    unittest.main(verbosity=2)
