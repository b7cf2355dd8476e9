# SPDX-License-Identifier: BSD-3-Clause
"""The users who may sign in: a file with lines NAME:scrypt$LOG2N$R$P$SALT$HASH."""

import base64
import contextlib
import fcntl
import hashlib
import hmac
import os
import re
import threading

from .settings import Wrong, secret

LOG2N, R, P = 15, 8, 1  # 32 MiB and about 0.1 s a try
PASSWORD_MIN, PASSWORD_MAX = 8, 256
FILE_MAX = 1 << 24  # a hundred thousand users and more
# each try takes 32 MiB: this number of tries at once, other tries wait
TURNS = threading.BoundedSemaphore(2)


class Busy(Exception):
    """Too many sign-ins at once."""


@contextlib.contextmanager
def turn():
    """One of the tries at once; raises Busy if none comes free."""
    if not TURNS.acquire(timeout=5):
        raise Busy()
    try:
        yield
    finally:
        TURNS.release()


def check_name(name):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}", name):
        raise Wrong(f"user {name!r}: up to 64 letters, digits and . _ @ + - only")


def scrypt(password, salt, log2n=LOG2N, r=R, p=P):
    return hashlib.scrypt(
        password.encode(), salt=salt, n=1 << log2n, r=r, p=p, maxmem=(130 * r << log2n) + (1 << 20), dklen=32
    )


def hashed(password):
    salt = os.urandom(16)
    parts = (salt, scrypt(password, salt))
    return "$".join(("scrypt", str(LOG2N), str(R), str(P), *(base64.b64encode(b).decode() for b in parts)))


def parse(text, where):
    try:
        kind, log2n, r, p, salt, key = text.split("$")
        numbers = int(log2n), int(r), int(p)
        octets = base64.b64decode(salt, validate=True), base64.b64decode(key, validate=True)
        if kind == "scrypt" and 14 <= numbers[0] <= 18 and numbers[1:] == (R, P) and len(octets[1]) == 32:
            return octets + (numbers[0],)
    except ValueError:
        pass
    raise Wrong(f"{where}: not a line that 'portal user NAME' makes")


def load(path):
    users = {}
    try:
        text = secret(path, "users", FILE_MAX).decode()
    except UnicodeDecodeError:
        raise Wrong(f"users: {path} is no text") from None
    for number, line in enumerate(text.splitlines(), 1):
        if line and not line.startswith("#"):
            name, _, rest = line.partition(":")
            users[name] = parse(rest, f"{path}, line {number}")
    return users


class Users:
    """Reads the file again when it has changed, so that a removed user is signed out at once."""

    def __init__(self, path):
        self.path = path
        self.lock = threading.Lock()
        self.seen = None
        self.stranger = parse(hashed(os.urandom(16).hex()), path)
        self.look()

    def look(self):
        with self.lock:
            try:
                now = os.stat(self.path)
                now = now.st_mtime_ns, now.st_ino, now.st_size
                if now != self.seen:
                    self.users = load(self.path)
                    self.seen = now
            except OSError as wrong:
                raise Wrong(f"users: {wrong}") from None
            return self.users

    def entry(self, name):
        """What the file has of a user; another one after each new password. None: there is no such user."""
        return self.look().get(name)

    def verify(self, name, password):
        """The user's entry if the password is right, else None. An unknown name takes as long as a known one. The caller
        has a turn()."""
        entry = self.entry(name)
        salt, key, log2n = entry or self.stranger
        if len(password) > PASSWORD_MAX:
            return None
        return entry if hmac.compare_digest(scrypt(password, salt, log2n), key) and entry else None


def rewrite(path, name, line):
    """Replaces the user's line in one step. Two calls at once wait for each other."""
    while True:
        file = open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        status = os.fstat(file.fileno())
        if os.path.samestat(status, os.stat(path)):
            break
        file.close()  # another process has put a new file in the place of this one
    with file:
        lines = [old for old in file.read().splitlines() if old.partition(":")[0] != name]
        new = f"{path}.new"
        # root may do this in a folder of the portal's user, whose symbolic link would lead root elsewhere
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
            os.fchmod(out.fileno(), status.st_mode & 0o7770)
            if os.geteuid() == 0:
                os.fchown(out.fileno(), status.st_uid, status.st_gid)
            out.writelines(text + "\n" for text in lines + ([line] if line else []))
            out.flush()
            os.fsync(out.fileno())
        os.replace(new, path)


def set_password(path, name, password):
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise Wrong(f"password: {PASSWORD_MIN} to {PASSWORD_MAX} characters")
    rewrite(path, name, f"{name}:{hashed(password)}")


def remove(path, name):
    if name not in load(path):
        raise Wrong(f"there is no user {name!r}")
    rewrite(path, name, None)
