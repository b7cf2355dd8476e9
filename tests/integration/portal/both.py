# SPDX-License-Identifier: BSD-3-Clause
"""What the page does in every browser: test_page.py runs it in Chromium, test_page_firefox.py in Firefox."""

import re
import time

import place

LIFE = 36  # seconds of a credential, in the test of a long call


class Both:
    """self.page: page.Page or firefox.Page; self.place."""

    def connected(self):
        page = self.page
        page.until(lambda: "both ways" in page.text("call-state") or page.shown("call-error"))
        self.assertFalse(page.shown("call-error"), page.text("call-error"))
        page.until(lambda: "ms" in page.text("round-trip"))

    def cells(self):
        return self.page.js("() => [...document.querySelectorAll('#candidates tr')].map((r) => [...r.cells].map((c) => c.textContent))")

    def test_nothing_is_blank(self):
        """The way of each candidate is there, and the ends are in order."""
        for way in ("udp", "tcp"):
            with self.subTest(way):
                self.page.ready()
                self.page.call(way)
                self.connected()
                for end in "AB":
                    pattern = rf"^{self.place.ip}:\d+ over {way.upper()}$"
                    self.page.until(lambda end=end: "over" in self.page.text(f"relay-{end}"))
                    self.assertRegex(self.page.text(f"relay-{end}"), pattern)
                self.page.until(lambda: {row[0] for row in self.cells()} == {"A", "B"})
                rows = self.cells()
                self.assertEqual([row[0] for row in rows], sorted(row[0] for row in rows))
                for row in rows:
                    self.assertEqual([row[1], row[3]], ["relay", way.upper()], rows)
                self.page.js("() => document.getElementById('hang-up').click()")
                self.page.until(lambda: self.page.text("call-state") == "Call ended.")
                self.assertFalse(self.page.shown("result"))

    def test_a_drained_server_sends_the_call_to_its_sibling(self):
        """The page was told of the first server alone; that answers 300, and the call goes through its sibling."""
        self.page.ready()
        turn = self.place.turn
        other = turn.sibling("turn:{ip}:{port}")
        try:
            self.place.ctl("server", "drain", "conformance")
            for way in ("udp", "tcp"):
                with self.subTest(way):
                    made, sent = other.log().count(": new, realm="), turn.server.log().count("reason=draining")
                    self.page.call(way)
                    self.connected()
                    self.assertGreaterEqual(other.log().count(": new, realm="), made + 2, "one for each end of the call")
                    self.assertGreaterEqual(turn.server.log().count("reason=draining"), sent + 2)
                    self.page.js("() => document.getElementById('hang-up').click()")
                    self.page.until(lambda: self.page.text("call-state") == "Call ended.")
        finally:
            self.place.ctl("server", "undrain", "conformance")
            other.__exit__()
            self.place.ctl("server", "forget", "sibling")

    def test_values_can_be_copied(self):
        """Each button puts the whole value into the clipboard."""
        self.page.ready()
        self.page.js("() => document.getElementById('get-token').click()")
        self.page.until(lambda: self.page.shown("token"))
        # what is written is looked at instead of read back, for which browsers ask the user
        self.page.js(
            "() => { window.copied = []; navigator.clipboard.writeText = async (text) => { window.copied.push(text); }; }"
        )
        shown = self.page.js(
            """() => [...document.querySelectorAll('#https dd, #token dd')].map((dd) => {
              const show = [...dd.querySelectorAll('button')].find((b) => b.textContent === 'Show');
              const copy = [...dd.querySelectorAll('button')].find((b) => b.textContent === 'Copy');
              show?.click();
              copy?.click();
              return copy ? [copy.getAttribute('aria-label'), dd.querySelector('code').textContent] : null;
            }).filter(Boolean)"""
        )
        self.assertEqual([name for name, _ in shown], [
            f"Copy the {name}" for name in ("username", "password", "key id (username)", "access token", "session key")
        ])
        self.assertEqual(self.page.js("() => window.copied"), [text for _, text in shown])
        self.page.until(lambda: self.page.js("() => [...document.querySelectorAll('button')].some((b) => b.textContent === 'Copied')"))

    def refusals(self):
        # whole lines: the server may be writing one
        return set(re.findall(r"^.*auth-module: refused .*(?=\n)", self.place.turn.server.log(), re.M))

    def long_call(self, policy):
        """A call lives over more than two lives of its credential; data comes all the time, the server refuses nothing."""
        self.place.ctl("realm", "set", place.REALM, "--default-ttl", f"{LIFE}s", "--expiry-derived", policy)
        try:
            def short():
                self.page.ready()
                return "in 1 h" not in self.page.text("https-left") and "min" not in self.page.text("https-left")

            self.page.until(short)
            before = self.refusals()
            self.page.call("udp")
            self.connected()
            self.page.until(lambda: all("over" in self.page.text(f"relay-{end}") for end in "AB"))
            first = [self.page.text(f"relay-{end}") for end in "AB"]
            begin = time.monotonic()
            names, counted, longest, last = set(), 0, 0, time.monotonic()
            while time.monotonic() - begin < 2.2 * LIFE:
                self.assertFalse(self.page.shown("call-error"), self.page.text("call-error"))
                self.assertIn("both ways", self.page.text("call-state"))
                names.add(self.page.js("() => document.querySelector('#https code').textContent"))
                now = int(self.page.text("a-to-b").split()[0])
                if now > counted:
                    counted, last = now, time.monotonic()
                longest = max(longest, time.monotonic() - last)
                time.sleep(0.2)
            # the name has the time in it, so each one is another credential
            self.assertGreaterEqual(len(names), 4, names)
            self.assertLess(longest, 4)
            self.assertGreater(counted, 2 * LIFE)
            self.assertNotEqual([self.page.text(f"relay-{end}") for end in "AB"], first)
            self.assertRegex(self.page.text("runs-out"), r"^in \d+ s")
            # what is left of the relay addresses that nobody uses any more may be refused its Refresh, and nothing else
            refused = {re.search(r" method=(\w+) .*reason=(\w+)", line).groups() for line in self.refusals() - before}
            self.assertLessEqual(refused, {("REFRESH", "expired")})
            self.page.js("() => document.getElementById('hang-up').click()")
        finally:
            self.place.ctl("realm", "set", place.REALM, "--default-ttl", "1h", "--expiry-derived", "allocate")

    def test_a_call_outlives_its_credentials_under_strict(self):
        self.long_call("strict")

    def test_a_call_outlives_its_credentials_under_allocate(self):
        self.long_call("allocate")
