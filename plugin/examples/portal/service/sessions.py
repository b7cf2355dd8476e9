# SPDX-License-Identifier: BSD-3-Clause
"""The sessions of signed-in users, in memory: a restart signs every user out."""

import hashlib
import ipaddress
import secrets
import threading
import time

COOKIE = "__Host-session"
MOST = 10000


class Sessions:
    def __init__(self, seconds):
        self.seconds = seconds
        self.lock = threading.Lock()
        self.users = {}  # hash of the cookie's value: user, the user's entry, end

    @staticmethod
    def name(value):
        return hashlib.sha256(value.encode()).digest()

    def begin(self, user, entry):
        value = secrets.token_urlsafe(32)
        now = time.monotonic()
        with self.lock:
            if len(self.users) >= MOST:
                self.users = {k: v for k, v in self.users.items() if v[2] > now}
            while len(self.users) >= MOST:
                self.users.pop(next(iter(self.users)))
            self.users[self.name(value)] = user, entry, now + self.seconds
        return value

    def user(self, value):
        """The user, and the user's entry when the session began; None, None: there is no such session."""
        with self.lock:
            user, entry, end = self.users.get(self.name(value), (None, None, 0))
        return (user, entry) if time.monotonic() < end else (None, None)

    def end(self, value):
        with self.lock:
            self.users.pop(self.name(value), None)

    def cookie(self, value):
        age = self.seconds if value else 0
        return f"{COOKIE}={value}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Strict"


def network(address):
    """The client that an address stands for. One client has all addresses of an IPv6 /64."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    return address if ip.version == 4 or ip.ipv4_mapped else str(ipaddress.ip_network((ip, 64), strict=False))


class Tries:
    """Recent failed sign-ins, by name and client and by client alone, so that guessing is slow."""

    WINDOW, ONE, ALL, MOST = 300, 5, 50, 10000

    def __init__(self, clock=time.monotonic):
        self.clock = clock
        self.lock = threading.Lock()
        self.failed = {}

    def keys(self, address, user):
        client = network(address)
        return ((client, hashlib.sha256(user.encode()).digest()), self.ONE), ((client,), self.ALL)

    def begin(self, address, user):
        """Counts a try as failed until succeed(), so that tries at once are counted, too. Returns 0, or the seconds until
        the client may try again."""
        now, longest = self.clock(), 0
        with self.lock:
            for key, most in self.keys(address, user):
                times = [t for t in self.failed.get(key, ()) if now - t < self.WINDOW]
                if len(times) >= most:
                    longest = max(longest, int(self.WINDOW - (now - times[-most])) + 1)
            for key, most in () if longest else self.keys(address, user):
                self.failed[key] = [*self.failed.pop(key, ()), now][-most:]
            while len(self.failed) > self.MOST:
                self.failed.pop(next(iter(self.failed)))
        return longest

    def succeed(self, address, user):
        (name, _), (client, _) = self.keys(address, user)
        with self.lock:
            self.failed.pop(name, None)
            times = self.failed.pop(client, [])[:-1]
            if times:
                self.failed[client] = times
