# SPDX-License-Identifier: BSD-3-Clause
"""A patched turnserver with turncred.so, a PostgreSQL of its own and realms to try.

Keys and credentials are put in through the SQL contract alone (realms with at_rest plain), so that
nothing of the project but the module and the schema takes part.

Environment: TURNSERVER or COTURN_DIR (patched), TURNCRED_MODULE or top_builddir or BUILDDIR.
"""

import hashlib
import hmac
import json
import os
import pathlib
import shlex
import subprocess
import tempfile
import threading
import time
import shutil
import unittest

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

import credentials
import server

TOP = pathlib.Path(os.environ.get("top_srcdir", pathlib.Path(__file__).resolve().parents[2]))


def module():
    """Path of the built module, or None."""
    path = os.environ.get("TURNCRED_MODULE")
    if path is None:
        build = os.environ.get("top_builddir") or os.environ.get("BUILDDIR") or TOP / "build"
        path = os.path.join(build, ".libs", "turncred.so")
    return path if os.access(path, os.R_OK) else None


def missing():
    """The name of a missing program for the patched server; None if nothing is missing."""
    if server.patched() is None:
        return "no patched turnserver: set TURNSERVER or COTURN_DIR"
    if module() is None:
        return "no turncred.so: set TURNCRED_MODULE or top_builddir"
    return None


def ctl():
    """Path of the built turncredctl, or None."""
    build = os.environ.get("top_builddir") or os.environ.get("BUILDDIR") or TOP / "build"
    path = os.path.join(build, "turncredctl")
    return path if os.access(path, os.X_OK) else None


def quote(value):
    """An SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'::bytea"
    if isinstance(value, (list, tuple)):
        return quote("{" + ",".join(f'"{item}"' for item in value) + "}")
    return "'" + value.replace("'", "''") + "'"


class Database:
    """A PostgreSQL cluster in a folder, reached by unix socket, with the schema in it."""

    def __init__(self, folder):
        self.folder = folder
        self.lock = threading.Lock()
        me = subprocess.run(["id", "-un"], capture_output=True, text=True, check=True)
        self.shell(f"pg_start {shlex.quote(folder)} {me.stdout.strip()}=turn1")
        try:
            self.environment = dict(os.environ, PGHOST=f"{folder}/run", PGUSER="postgres")
            self.environment["PGOPTIONS"] = "-c client_min_messages=warning"
            self.sql("CREATE DATABASE turncred", "postgres")
            for file in sorted((TOP / "plugin" / "schema").glob("[0-9]*.sql")):
                self.psql(["-1", "-f", str(file)])
            self.sql("CREATE ROLE turn1 LOGIN IN ROLE turncred_server")
        except BaseException:
            self.stop()
            raise
        self.conninfo = f"host={folder}/run dbname=turncred user=turn1"

    def shell(self, command):
        script = f". {shlex.quote(str(TOP / 'scripts' / 'lib.sh'))} && {command}"
        subprocess.run(["bash", "-c", script], check=True, stdin=subprocess.DEVNULL)

    def psql(self, arguments, database="turncred"):
        done = subprocess.run(
            ["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", database] + arguments,
            env=self.environment,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def sql(self, statement, database="turncred"):
        return self.psql(["-c", statement], database)

    def ctl(self, *arguments):
        """The JSON output of turncredctl."""
        done = subprocess.run(
            [ctl(), *arguments, "--json"],
            env=dict(self.environment, PGDATABASE="turncred", TURNCRED_CONFIG="/dev/null"),
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)

    def call(self, function, *arguments):
        return self.sql(f"SELECT turncred.{function}({', '.join(quote(a) for a in arguments)})")

    def stop(self):
        self.shell(f"pg_stop {shlex.quote(self.folder)}")


class Realm:
    """A realm with one key of each use, and the credentials that a client of it may hold."""

    def __init__(self, place, name, **columns):
        self.place, self.name = place, name
        self.server_name = columns.setdefault("server_name", f"turn.{name}")
        columns = {"name": name, "at_rest": "plain", **columns}
        columns.setdefault("mechanisms", ["token", "derived", "rest", "pushed"])
        self.columns = columns
        names, values = ", ".join(columns), ", ".join(quote(v) for v in columns.values())
        place.database.sql(f"INSERT INTO turncred.realm ({names}) VALUES ({values})")
        self.kid = f"{name}-token"
        self.k_token = self.add_key(self.kid, "token", "A256GCM")
        self.k_derived = self.add_key(f"{name}-derived", "derived", "sha256")
        self.k_tag = os.urandom(32)  # no server needs it
        place.database.sql(
            f"SELECT turncred.tag_key_add({quote(name)}, NULL, NULL, {quote(self.k_tag)})"
        )
        self.k_rest = self.add_key(f"{name}-rest", "rest", "sha1", "none", "timestamp:user-id")

    def add_key(self, kid, use, alg, derivation="none", username_format="user-id:timestamp", k=None):
        if k is None:
            size = 32 if derivation != "none" else credentials.KEY_LENGTHS.get(alg, 32)
            k = os.urandom(size)
        self.place.database.call(
            "key_add_plain", self.name, kid, use, alg, k, derivation, username_format
        )
        return k

    def subject_tag(self, user):
        """4 octets that let the server tell users apart under any kid (in front of mac_key)."""
        key = HKDF(hashes.SHA256(), 32, None, b"turncred-subject-tag-v1").derive(self.k_tag)
        return hmac.new(key, user.encode(), "sha256").digest()[:4]

    def token(self, user="alice", age=0, lifetime=600, kid=None, k=None, now=None, **options):
        k = self.k_token if k is None else k
        options.setdefault("mac_key", self.subject_tag(user) + os.urandom(16))
        server_name = options.pop("server_name", self.server_name)
        now = time.time() if now is None else now
        return credentials.make_token_credential(
            self.kid if kid is None else kid, k, server_name, now - age, lifetime, **options
        )

    def derived(self, user="alice", expiry=None, left=600):
        expiry = int(time.time()) + left if expiry is None else expiry
        return credentials.make_derived_credential(self.k_derived, user, self.name, expiry)

    def rest(self, user="alice", expiry=None, left=600):
        expiry = int(time.time()) + left if expiry is None else expiry
        return credentials.make_rest_credential(self.k_rest, user, expiry)

    def pushed(self, user="alice", expiry=None, left=600, address=""):
        """Pushes a new password; waits until the server has it."""
        expiry = int(time.time()) + left if expiry is None else expiry
        password = os.urandom(16).hex()
        when = f"to_timestamp({expiry})" if expiry else "NULL"
        xid = self.place.database.sql(
            "SELECT turncred.credential_push_password("
            f"{quote(self.name)}, {quote(user)}, {quote(password)}, {when}, {quote(address)})"
        )
        self.place.synced(xid)
        return credentials.Credential(user, password=password)

    def make(self, kind, user, deadline):
        """A credential of a kind that the server takes until deadline (UTC seconds)."""
        deadline = int(deadline)
        if kind == "token":
            # good until timestamp + lifetime + 5 (RFC 7635 section 7)
            stamp = min(int(time.time()), deadline - 6)
            return self.token(user, now=stamp, lifetime=deadline - 5 - stamp)
        return getattr(self, kind)(user, expiry=deadline)

    def revoke(self, kind, user, credential):
        """Revokes a user; for a token, which has no user, the token itself."""
        if kind == "token":
            fingerprint = hashlib.sha256(credential.token).hexdigest()[:32]
            return self.place.database.call("revoke", "token", self.name, fingerprint)
        return self.place.database.call("revoke", "user", self.name, user)


class Place:
    """Database, key encryption key and one server; realms are added while it runs or before."""

    def __init__(
        self, lines=(), tls=False, module_lines=(), realm=None, take_away=(), ip="127.0.0.1"
    ):
        self.ip = ip
        self.folder = tempfile.mkdtemp(prefix="turncred-conformance-")
        os.chmod(self.folder, 0o755)
        self.realms = {}
        self.server = None
        self.database = None
        try:
            self.database = Database(os.path.join(self.folder, "pg"))
            kek = os.path.join(self.folder, "main")
            with open(os.open(kek, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as file:
                file.write(os.urandom(32))
            # coturn requires that no other user can write the module's folder and file
            library = os.path.join(self.folder, "lib")
            os.mkdir(library, 0o755)
            shutil.copy(module(), library)
            os.chmod(os.path.join(library, "turncred.so"), 0o755)
            settings = os.path.join(self.folder, "module.conf")
            with open(settings, "w") as file:
                file.write(f"database = {self.database.conninfo}\nkek = {kek}\n")
                file.write("instance = conformance\npoll_interval = 1s\n")
                file.writelines(line + "\n" for line in module_lines)
            self.lines = [
                "lt-cred-mech",
                f"auth-module={library}/turncred.so",
                f"auth-module-config={settings}",
                "auth-module-only",
            ] + list(lines)
            if realm:
                self.lines.append(f"realm={realm}")
            self.lines = [line for line in self.lines if line not in take_away]
            self.tls = tls
        except BaseException:
            self.stop()
            raise

    def realm(self, name, **columns):
        self.realms[name] = Realm(self, name, **columns)
        return self.realms[name]

    def start(self):
        self.server = server.Server(server.patched(), self.lines, self.tls, self.ip)
        self.server.start()
        self.synced()

    def sibling(self, uris):
        """A second server on the same database, which advertises uris (text with {ip} and {port}) of itself; the caller
        ends it."""
        settings = os.path.join(self.folder, "sibling.conf")
        lines = [line if not line.startswith("auth-module-config=") else f"auth-module-config={settings}"
                 for line in self.lines]
        other = server.Server(server.patched(), lines, self.tls, self.ip)
        with open(os.path.join(self.folder, "module.conf")) as file:
            text = file.read().replace("instance = conformance\n", "instance = sibling\n")
        with open(settings, "w") as file:
            file.write(text + "uris = " + uris.format(ip=self.ip, port=other.port) + "\n")
        other.start()
        self.synced()
        return other

    def synced(self, xid=None, seconds=30):
        """Until the server has the changes of that transaction (else of the last that has any)."""
        if self.server is None:
            return
        if xid is None:
            # servers report applied changes at once, and other values only sometimes
            xid = self.database.sql("SELECT xid FROM turncred.change ORDER BY id DESC LIMIT 1")
        end = time.monotonic() + seconds
        while self.database.sql(f"SELECT count(*) FROM turncred.behind('{xid}', '1 minute')") != "0":
            if time.monotonic() > end:
                raise RuntimeError(f"not in force after {seconds} s: {self.server.log()[-2000:]}")
            time.sleep(0.05)

    def stop(self):
        if self.server:
            self.server.__exit__()
        if self.database:
            self.database.stop()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def place_of_module(*args, **options):
    """For setUpModule(): a Place with these arguments that is not started yet and ends with the module's tests, also
    if what follows in setUpModule() fails. Skips the module's tests where something is missing."""
    reason = missing()
    if reason:
        raise unittest.SkipTest(reason)
    place = Place(*args, **options)
    unittest.addModuleCleanup(place.stop)
    return place
