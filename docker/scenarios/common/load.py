# SPDX-License-Identifier: BSD-3-Clause
"""Logins and calls for checks in Python: credentials from turncredd as a portal gets them, load by
tests/bench/turnload, which verifies every answer.

  load = Load(lambda: [issuer.token() for _ in range(20)])
  load.start() ... load.end()         logins all the while, a tenth of them with a wrong key
  check.expect("fresh credentials", *load.verdict())
"""

import base64
import collections
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import urllib.parse

SERVER = "turn.example.org"
PORT = 3478
HANDED = "/var/lib/handed-over"


class Broken(RuntimeError):
    """The set-up is broken; this says nothing about the product."""


def handed(name):
    with open(f"{HANDED}/{name}", encoding="utf-8") as file:
        return json.load(file)


class Issuer:
    """A client of turncredd, as a portal is one: over HTTPS with a bearer key."""

    def __init__(self, host, key_file, caller="portal", authority="/secrets/tls/ca.pem"):
        with open(key_file, encoding="utf-8") as file:
            self.key = file.read().strip()
        self.host, self.caller, self.connection = host, caller, None
        self.tls = ssl.create_default_context(cafile=authority)
        self.users = 0

    def post(self, path, headers, body):
        for again in (True, False):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPSConnection(self.host, 8443, context=self.tls, timeout=20)
                self.connection.request("POST", path, body, headers)
                answer = self.connection.getresponse()
                text = answer.read()
                break
            except (http.client.HTTPException, ConnectionError, ssl.SSLEOFError):
                self.connection = None  # it was idle for too long
                if not again:
                    raise
        if answer.status not in (200, 201):
            raise Refused(f"{path}: {answer.status} {text.decode(errors='replace')[:200]}")
        return json.loads(text)

    def user(self):
        self.users += 1
        return f"user{self.users}"

    def token(self, user=None):
        """An RFC 7635 token, by RFC 6749 client credentials."""
        proof = base64.b64encode(f"{self.caller}:{self.key}".encode()).decode()
        form = {"grant_type": "client_credentials", "audience": SERVER, "scope": "stun"}
        form["subject"] = user or self.user()
        headers = {"Authorization": f"Basic {proof}", "Content-Type": "application/x-www-form-urlencoded"}
        return self.post("/oauth2/token", headers, urllib.parse.urlencode(form))

    def derived(self, ttl, user=None):
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        body = json.dumps({"user": user or self.user(), "ttl": ttl})
        return self.post("/v1/realms/example.org/credentials", headers, body)


class Refused(RuntimeError):
    """The issuer refused to issue."""


# --- load: tests/bench/turnload, which verifies every answer -----------------------------------------


def command(credentials, options):
    """turnload's command line; the credentials are in a file that the container's end removes."""
    with tempfile.NamedTemporaryFile("w", dir="/tmp", delete=False) as file:
        for credential in credentials:
            print(json.dumps(credential), file=file)
    server = f"{socket.gethostbyname(SERVER)}:{PORT}"
    return ["turnload", "--server", server, "--list", file.name, "--json", *map(str, options)]


def finished(process):
    out, err = process.communicate()
    os.unlink(process.args[process.args.index("--list") + 1])
    if process.returncode not in (0, 1):
        raise Broken(f"turnload: {err.strip() or process.returncode}")
    return json.loads(out)


def turnload(credentials, *options):
    """Waits for the end of a run. Returns turnload's result."""
    return finished(start(credentials, *options))


def start(credentials, *options):
    return subprocess.Popen(
        command(credentials, options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


class Tally:
    """The results of several runs, added up."""

    def __init__(self):
        self.n = collections.Counter()
        self.codes = collections.Counter()
        self.worst_ms = 0

    def add(self, result):
        for name in ("completed", "refused", "accepted_wrong", "lost", "bad_integrity", "malformed"):
            self.n[name] += result[name]
        self.codes.update(result["unexpected"])
        for code, n in result["expected"].items():
            # coturn keeps a 5-tuple for a second, so a port that the kernel gives out again does not count
            if code == "challenge 437":
                self.n["port held"] += n
            else:
                self.codes[code] += n
        self.worst_ms = max(self.worst_ms, result["login_us"]["max"] / 1000)
        if result["not_started"] or result["too_long"]:
            raise Broken("turnload could not make all its requests")

    @property
    def failed(self):
        return sum(self.codes.values()) + self.n["bad_integrity"] + self.n["malformed"] + self.n["lost"]

    def text(self):
        wrong = ", ".join(f"{code} {n}" for code, n in self.codes.items())
        seen = f"{self.n['completed']} logins, {self.failed} failed{f' ({wrong})' if wrong else ''}"
        if self.n["lost"]:
            seen += f", {self.n['lost']} of them unanswered"
        if self.n["refused"] or self.n["accepted_wrong"]:
            seen += f"; wrong: {self.n['refused']} refused, {self.n['accepted_wrong']} let in"
        return seen + f"; slowest {self.worst_ms:.0f} ms"

    def verdict(self, least=1):
        """Returns (verdict, text): all valid logins were accepted, and no other login."""
        good = self.failed == 0 and self.n["accepted_wrong"] == 0 and self.n["completed"] >= least
        return good, self.text()


class Load(threading.Thread):
    """Logs in all the time: takes credentials from supply() and tries each, a tenth with a wrong key."""

    def __init__(self, supply, *options):
        super().__init__(daemon=True)
        self.supply, self.options = supply, options or ("--rate", 80, "--wrong", 0.1)
        self.tally, self.lock, self.trouble = Tally(), threading.Lock(), []
        self.over = threading.Event()
        self.seen = collections.Counter()  # by kid: number of logins

    def run(self):
        while not self.over.is_set() and not self.trouble:
            try:
                credentials = self.supply()
                if credentials:
                    self.try_all(credentials)
                else:
                    self.over.wait(0.1)
            except Exception as error:  # pylint: disable=broad-except
                self.trouble.append(error)

    def try_all(self, credentials):
        result = turnload(credentials, "--count", len(credentials), "--expect", 437, *self.options)
        with self.lock:
            self.tally.add(result)
            if result["ok"]:
                self.seen.update(c.get("kid", "") for c in credentials)

    def take(self):
        """The tally since the last call."""
        with self.lock:
            tally, self.tally = self.tally, Tally()
        return tally

    def end(self):
        self.over.set()
        self.join()
        if self.trouble and not isinstance(self.trouble[0], Refused):
            raise Broken("the load broke off") from self.trouble[0]

    def verdict(self, least=1):
        """The tally of the runs that take() has not returned yet."""
        if self.trouble:
            return False, f"the issuer refused: {self.trouble[0]}"
        return self.take().verdict(least)


class Calls:
    """Calls that relay a datagram every 20 ms to a peer and back until end()."""

    def __init__(self, credentials, number=3):
        self.process = start(credentials, "--calls", number, "--count", 0, "--seconds", 600)
        self.number = number

    def end(self):
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGTERM)
        return finished(self.process)

    def verdict(self):
        return call_verdict(self.end(), self.number)


def call_verdict(result, number):
    """Returns (verdict, text) of the calls that turnload made."""
    calls, ms = result["calls"], {k: v / 1000 for k, v in result["calls"]["rtt_us"].items()}
    lost, broken = calls["sent"] - calls["received"], calls["failed"] + calls["silent"]
    # a busy machine loses a datagram now and then
    good = calls["established"] == number and not broken and lost <= calls["sent"] * 0.01
    seen = f"{number} calls, {broken} broken; {calls['sent']} datagrams, {lost} lost; ms there and back: "
    return good, seen + f"median {ms['p50']:.2f}, 99 % {ms['p99']:.1f}, worst {ms['max']:.0f}"
