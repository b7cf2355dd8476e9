#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# Foreign: Chromium; SIP.js and JsSIP, by npm
"""Whole calls between two WebSocket clients, SIP.js and JsSIP in Chromium, through the eP-CSCF: each registers, gets its
TURN credential there, and media crosses the relay alone; ACK and BYE reach the other side, whoever hangs up."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "portal"))

import place  # noqa: E402
import browser  # noqa: E402

BUILD = pathlib.Path(os.environ.get("top_builddir") or os.environ.get("BUILDDIR") or HERE.parents[2] / "build")
MODULES = BUILD / "npm" / "epcscf"
# what Kamailio logs of a request that finds no way, and of anything that it did not expect
AMISS = re.compile(r"ERROR|CRITICAL|BUG|could not resolve")
PLACE = None
PAGE = None


def no_modules():
    """Why the page cannot be made: npm has not what clients/package-lock.json names; None if it has"""
    if not shutil.which("node"):
        return "node is not installed"
    done = subprocess.run(
        [HERE.parents[2] / "scripts" / "npm-modules", HERE / "clients", MODULES],
        stdin=subprocess.DEVNULL, capture_output=True, text=True,
    )
    return f"npm cannot fetch SIP.js and JsSIP: {done.stdout} {done.stderr}".strip() if done.returncode else None


def setUpModule():
    start()


def start():
    global PLACE, PAGE
    reason = place.missing() or place.no_edge() or browser.missing() or no_modules()
    if reason:
        raise unittest.SkipTest(reason)
    try:
        PLACE = place.Place(ip=browser.address(), edge=True)
        PAGE = Page(PLACE.folder / "page", PLACE.spki())
    except BaseException:
        tearDownModule()
        raise


def tearDownModule():
    if PAGE:
        PAGE.driver.quit()
    if PLACE:
        PLACE.stop()


class Page:
    """clients/call.mjs in Chromium; call() calls a function of its window.calls."""

    def __init__(self, folder, key):
        folder.mkdir()
        subprocess.run(
            ["node", MODULES / "node_modules/esbuild-wasm/bin/esbuild", HERE / "clients/call.mjs", "--bundle", "--log-level=error",
             f"--outfile={folder}/call.js"],
            env={**os.environ, "NODE_PATH": str(MODULES / "node_modules")}, check=True, timeout=300, stdin=subprocess.DEVNULL,
        )
        (folder / "index.html").write_text('<!doctype html><meta charset="utf-8"><script src="call.js"></script>')
        self.driver = browser.launch(
            folder, f"ignore-certificate-errors-spki-list={key}", "use-fake-device-for-media-stream", "use-fake-ui-for-media-stream"
        )
        self.driver.get(f"file://{folder}/index.html")

    def call(self, function, *arguments):
        value, error = self.driver.execute_async_script(
            """const [name, given, done] = arguments;
            Promise.resolve().then(() => calls[name](...given)).then((v) => done([v ?? null, null]), (e) => done([null, `${e}`]));""",
            function, arguments,
        )
        if error:
            raise AssertionError(f"{function}{arguments}: {error}")
        return value

    def until(self, what, condition, seconds=30, who=("alice", "bob")):
        """The states of these users once condition is true of all"""
        end = time.monotonic() + seconds
        while True:
            states = [self.call("state", user) for user in who]
            if all(state and condition(state) for state in states):
                return states
            if time.monotonic() > end:
                console = [entry["message"] for entry in self.driver.get_log("browser")]
                raise AssertionError(f"not {what} within {seconds} s: {states}\n" + "\n".join([*summary(self.messages()), *console]))
            time.sleep(0.1)

    def messages(self):
        return self.call("messages")


def summary(messages):
    """A line for each message"""
    return [f"{user} {way} {text.splitlines()[0]} ({cseq(text)})" for user, way, text in messages if text.strip()]


def cseq(text):
    found = re.search(r"^CSeq: *(.*?)\s*$", text, re.M | re.I)
    return found[1] if found else ""


class Call(unittest.TestCase):
    def calls(self, caller, callee):
        """alice with the stack caller calls bob with the stack callee: twice, and each hangs up once."""
        try:
            for user, stack in (("alice", caller), ("bob", callee)):
                given = {"server": PLACE.edge, "realm": place.REALM, "user": user, "password": place.SIP_PASSWORDS[user]}
                PAGE.call("register", stack, given)
            for ends, other in (("bob", "alice"), ("alice", "bob")):
                with self.subTest(ends=ends):
                    self.whole_call(ends, other)
        finally:
            PAGE.call("stop")

    def whole_call(self, ends, other):
        logged = len(PLACE.log("edge"))
        PAGE.call("call", "alice", "bob")
        PAGE.until("established", lambda state: state["established"])
        before = PAGE.until("RTP both ways", lambda state: state["sent"] and state["got"])
        # 50 packets are a second, in which a 200 that got no ACK would have been sent again
        now = PAGE.until("more RTP", lambda state: all(state[way] >= max(s[way] for s in before) + 50 for way in ("sent", "got")))
        self.assertEqual([state["pair"] for state in now], [["relay", "relay"]] * 2)
        self.assertEqual([state["ended"] for state in now], [None, None])
        PAGE.call("hangUp", ends)
        PAGE.until("ended", lambda state: state["ended"])
        self.assertEqual(PAGE.call("state", ends)["ended"], "local")
        self.assertEqual(PAGE.call("state", other)["ended"], "remote")
        self.dialog(ends, other)
        self.assertEqual([line for line in PLACE.log("edge")[logged:].splitlines() if AMISS.search(line)], [])

    def dialog(self, ends, other):
        """What crossed the WebSockets"""
        self.answered(ends)
        lines = summary(PAGE.messages())

        def places(start, method):
            return [i for i, line in enumerate(lines) if line.startswith(start) and line.endswith(f" {method})")]

        shown = "\n".join(lines)
        ok, ack = places("bob sent SIP/2.0 200", "INVITE"), places("bob got ACK", "ACK")
        self.assertTrue(ok and ack, shown)
        self.assertLess(ok[-1], ack[0], f"200 again after its ACK:\n{shown}")
        for start, method in ((f"{ends} sent BYE", "BYE"), (f"{other} got BYE", "BYE"), (f"{other} sent SIP/2.0 200", "BYE"),
                              (f"{ends} got SIP/2.0 200", "BYE")):
            self.assertEqual(len(places(start, method)), 1, f"{start}:\n{shown}")
        self.assertEqual(places(f"{other} sent BYE", "BYE"), [], shown)
        self.assertEqual([line for line in lines if re.search(r"SIP/2\.0 [3-6]", line)], [], shown)

    def answered(self, ends):
        """Until the answer to BYE is there"""
        end = time.monotonic() + 10
        while not any(re.match(f"{ends} got SIP/2.0 .* BYE\\)", line) for line in summary(PAGE.messages())):
            self.assertLess(time.monotonic(), end, "no answer to BYE:\n" + "\n".join(summary(PAGE.messages())))
            time.sleep(0.05)

    def test_sipjs_calls_jssip(self):
        self.calls("SIP.js", "JsSIP")

    def test_jssip_calls_sipjs(self):
        self.calls("JsSIP", "SIP.js")

    def test_sipjs_calls_sipjs(self):
        self.calls("SIP.js", "SIP.js")

    def test_jssip_calls_jssip(self):
        self.calls("JsSIP", "JsSIP")


if __name__ == "__main__":
    unittest.main(verbosity=2)
