# SPDX-License-Identifier: BSD-3-Clause
"""The sessions of signed-in users, in memory: a restart signs every user out."""

import hashlib
import secrets
import threading
import time

COOKIE = "__Host-session"
MOST = 10000


class Sessions:
    def __init__(self, seconds):
        self.seconds = seconds
        self.lock = threading.Lock()
        self.users = {}  # hash of the cookie's value: user, end

    @staticmethod
    def name(value):
        return hashlib.sha256(value.encode()).digest()

    def begin(self, user):
        value = secrets.token_urlsafe(32)
        now = time.monotonic()
        with self.lock:
            if len(self.users) >= MOST:
                self.users = {k: v for k, v in self.users.items() if v[1] > now}
            while len(self.users) >= MOST:
                self.users.pop(next(iter(self.users)))
            self.users[self.name(value)] = user, now + self.seconds
        return value

    def user(self, value):
        with self.lock:
            user, end = self.users.get(self.name(value), (None, 0))
        return user if time.monotonic() < end else None

    def end(self, value):
        with self.lock:
            self.users.pop(self.name(value), None)

    def cookie(self, value):
        age = self.seconds if value else 0
        return f"{COOKIE}={value}; Path=/; Max-Age={age}; Secure; HttpOnly; SameSite=Strict"


class Tries:
    """Recent failed sign-ins, by name and address and by address alone, so that guessing is slow."""

    WINDOW, ONE, ALL, MOST = 300, 5, 50, 10000

    def __init__(self, clock=time.monotonic):
        self.clock = clock
        self.lock = threading.Lock()
        self.failed = {}

    def keys(self, address, user):
        return ((address, hashlib.sha256(user.encode()).digest()), self.ONE), ((address,), self.ALL)

    def wait(self, address, user):
        """Seconds until the address may try again; 0: now."""
        now, longest = self.clock(), 0
        with self.lock:
            for key, most in self.keys(address, user):
                times = [t for t in self.failed.get(key, ()) if now - t < self.WINDOW]
                if len(times) >= most:
                    longest = max(longest, int(self.WINDOW - (now - times[-most])) + 1)
        return longest

    def fail(self, address, user):
        now = self.clock()
        with self.lock:
            for key, most in self.keys(address, user):
                self.failed[key] = [*self.failed.pop(key, ()), now][-most:]
            while len(self.failed) > self.MOST:
                self.failed.pop(next(iter(self.failed)))

    def succeed(self, address, user):
        with self.lock:
            self.failed.pop(self.keys(address, user)[0][0], None)
