# SPDX-License-Identifier: BSD-3-Clause
"""Functions for the tests of this folder: the patched turnserver with one of the example modules."""

import os
import re
import shutil
import signal
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.environ.get("top_srcdir") or os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("top_builddir") or os.environ.get("BUILDDIR") or os.path.join(TOP, "build")
os.environ.setdefault("COTURN_DIR", os.path.join(BUILD, "coturn-patched"))
sys.path[:0] = [os.path.join(TOP, "tests", folder) for folder in ("conformance", "versions")]

import differences  # noqa: E402
import server  # noqa: E402
from credentials import Credential  # noqa: E402

EXPIRED, NOT_YET_VALID, INTEGRITY_MISMATCH, REVOKED = 1, 2, 3, 8
REALM = "example.org"
# exit codes of a server that SIGTERM ends: by the signal, from 4.6.2 by itself
ENDED = (-signal.SIGTERM, 0)
# an awaited event comes at once; the limit only ends a failed test, and is long because machines are busy
PATIENCE = float(os.environ.get("PATIENCE", "4"))


def module_file(name):
    """The built module of that name."""
    for folder in (f"plugin/examples/{name}", "tests/abi", "."):
        for libs in (".libs", ""):
            path = os.path.join(BUILD, folder, libs, name + ".so")
            if os.path.exists(path):
                return path
    raise unittest.SkipTest(f"module {name} is not built: make check TESTS=")


class ModuleServer(server.Server):
    """The patched turnserver with a module. The module's file is copied to a folder that only this user can write."""

    def __init__(self, module, config="", lines=(), **options):
        program = server.patched()
        if not program:
            raise unittest.SkipTest("no patched turnserver: scripts/build-coturn, or COTURN_DIR")
        lines = ["lt-cred-mech", f"realm={REALM}", *lines]
        if module:
            lines += [f"auth-module=@FOLDER@/{module}.so"]
            if config:
                lines += [f"auth-module-config={config}"]
        super().__init__(program, lines, **options)
        if module:
            shutil.copy(module_file(module), self.folder)
            os.chmod(os.path.join(self.folder, module + ".so"), 0o755)

    def signal(self, number, pid=None, seconds=10):
        """Sends a signal as soon as the server catches it: that begins after its first answers."""
        pid = pid or self.process.pid
        end = time.monotonic() + PATIENCE * seconds
        while time.monotonic() < end:
            with open(f"/proc/{pid}/status") as file:
                caught = int(re.search(r"SigCgt:\s*([0-9a-f]+)", file.read()).group(1), 16)
            if caught >> (number - 1) & 1:
                os.kill(pid, number)
                return
            time.sleep(0.02)
        raise AssertionError(f"the server does not catch signal {number}")

    def wait_log(self, pattern, seconds=5):
        """The match of a regular expression in the log, as soon as it is there, within PATIENCE times these seconds."""
        end = time.monotonic() + PATIENCE * seconds
        while time.monotonic() < end:
            found = re.search(pattern, self.log())
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"the log never said {pattern!r}:\n{self.log()}")


def password(name, secret):
    return Credential(name, password=secret)


def token(name, key, properties):
    """A token of the module rules: its octets name the grant."""
    text = f"key={key.hex()}" + (f",{properties}" if properties else "")
    return Credential(name, mac_key=key, token=text.encode())


def needs(check):
    """Marks a test of what not every version of coturn has: `check` is the name of its rows in
    differences.ABSENT, which says which versions have nothing to test. of_this_version() leaves it out there."""

    def mark(test):
        test.needs = check
        return test

    return mark


def of_this_version(loader, tests, pattern):
    """For the name load_tests of a file of tests: all of them but those of what the version of the patched server
    has not. Where differences.py is wrong about a version, scripts/try-versions is red."""
    program = server.patched()
    if not program:
        return tests  # each says by itself that there is no server
    number = ".".join(map(str, server.version(program)))
    absent = {row.check for row in differences.of_version(differences.ABSENT, number)}

    def kept(part):
        if isinstance(part, unittest.TestSuite):
            return type(part)(one for one in map(kept, part) if one is not None)
        method = getattr(part, part.id().rpartition(".")[2])
        return None if getattr(method, "needs", None) in absent else part

    return kept(tests)


class Case(unittest.TestCase):
    def serve(self, *args, **options):
        running = ModuleServer(*args, **options)
        self.addCleanup(running.__exit__)
        running.start()
        return running

    def client(self, running, credential=None, kind="udp", **options):
        client = running.client(kind, credential, **options)
        self.addCleanup(client.close)
        return client
