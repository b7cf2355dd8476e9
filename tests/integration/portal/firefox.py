# SPDX-License-Identifier: BSD-3-Clause
"""Hands and eyes on the client page in Firefox, by firefox/firefox.mjs."""

import json
import os
import pathlib
import shutil
import subprocess
import time

HERE = pathlib.Path(__file__).resolve().parent / "firefox"
BUILD = pathlib.Path(os.environ.get("top_builddir") or os.environ.get("BUILDDIR") or HERE.parents[3] / "build")
MODULES = BUILD / "npm-firefox"


def missing():
    """Why there is no Firefox to be driven; None if there is one. npm ci checks the integrity of what it installs."""
    for program, path in (("firefox-esr", "/usr/bin/firefox-esr"), ("node", None), ("npm", None)):
        if not (os.access(path, os.X_OK) if path else shutil.which(program)):
            return f"{program} is not installed"
    MODULES.mkdir(parents=True, exist_ok=True)
    wanted = [(HERE / name).read_bytes() for name in ("package.json", "package-lock.json")]
    stamp = MODULES / "installed"
    if stamp.exists() and stamp.read_bytes() == b"".join(wanted):
        return None
    for name, octets in zip(("package.json", "package-lock.json"), wanted):
        (MODULES / name).write_bytes(octets)
    try:
        done = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=MODULES, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        return "npm cannot fetch puppeteer-core: no answer"
    if done.returncode:
        return f"npm cannot fetch puppeteer-core: {done.stderr.strip()[:300]}"
    stamp.write_bytes(b"".join(wanted))
    return None


class Page:
    """The same names as page.Page, as far as the tests in both browsers need them."""

    browser = "firefox"

    def __init__(self, url, passwords, scheme="light"):
        self.url, self.passwords = url, passwords
        self.process = subprocess.Popen(
            ["node", str(HERE / "firefox.mjs"), str(MODULES), scheme],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )

    def tell(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline() or '{"error": "Firefox has ended"}')
        if "error" in answer:
            raise AssertionError(f"{command}: {answer['error']}")
        return answer["value"]

    def js(self, function, *arguments):
        return self.tell(js=function, args=arguments)

    def text(self, name):
        return self.js("(id) => document.getElementById(id).textContent", name)

    def shown(self, name):
        return self.js("(id) => document.getElementById(id).checkVisibility()", name)

    def click(self, name):
        self.js("(id) => document.getElementById(id).click()", name)

    def set(self, name, value):
        self.js("(id, value) => { document.getElementById(id).value = value; }", name, value)

    def console(self):
        return self.tell(console=True)

    def until(self, what, seconds=60, every=0.1):
        end = time.monotonic() + seconds
        while True:
            got = what()
            if got:
                return got
            if time.monotonic() > end:
                raise AssertionError(f"not within {seconds} s; the page says:\n{self.js('() => document.body.innerText')}")
            time.sleep(every)

    def open(self):
        """Signed out, and without what an earlier test left."""
        self.tell(go=self.url + "/healthz")
        self.js(
            """() => fetch('/api/session/end', {
              method: 'POST', headers: {'Content-Type': 'application/json'}, body: '{}'}).then(() => null)"""
        )
        self.tell(go=self.url + "/")
        self.until(lambda: self.shown("sign-in"))

    def ready(self, user="alice"):
        """Signed in, with a credential over HTTPS."""
        self.open()
        self.set("user", user)
        self.set("password", self.passwords[user])
        self.js("() => document.querySelector('#sign-in button').click()")
        self.until(lambda: self.shown("get-https"))
        self.click("get-https")
        self.until(lambda: self.shown("https"))

    def call(self, transport=""):
        self.set("transport", transport)
        self.click("start")

    def look(self, width):
        return self.tell(look=width)

    def screenshot(self, path):
        self.tell(shot=str(path))

    def quit(self):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
