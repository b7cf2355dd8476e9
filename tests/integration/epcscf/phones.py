# SPDX-License-Identifier: BSD-3-Clause
"""Phones at the eP-CSCF TC_EDGE, and what tests do beside them.

As a program it runs the test on stdin, Python with top-level await and these names.
"""
import ast
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from phone import Message, Phone, UdpPhone, for_probe  # noqa: F401

DIR = Path(os.environ["TC_DIR"])
EDGE = DIR / "edges" / os.environ["TC_EDGE"]
CTL = os.environ["TC_CTL"]


def password_of(user, domain="ims.test"):
    return (DIR / "passwords" / f"{user.replace('/', '_')}@{domain}").read_text().strip()


def phone(user, domain="ims.test", url=None, password=None):
    password = password or password_of(user, domain)
    url = url or f"wss://127.0.0.1:{(EDGE / 'port').read_text().strip()}"
    return Phone(url, user, domain, password, str(DIR / "tls/ca.pem"))


def plain(scheme="ws"):
    """Where the eP-CSCF listens without TLS, if it does"""
    return f"{scheme}://127.0.0.1:{(EDGE / 'plain').read_text().strip()}"


def udp_phone(user, domain="ims.test"):
    return UdpPhone(plain("udp"), user, domain, password_of(user, domain))


def sql(statement):
    done = subprocess.run(["psql", "-XqAt", "-c", statement], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def ctl(*words):
    subprocess.run([CTL, *words, "--json"], check=True, capture_output=True, timeout=60)


def probe(credential, error=None, transport="udp"):
    """turncredctl probe at the patched server; error: the code that it must be refused with"""
    command = [CTL, "probe", "--server", f"127.0.0.1:{os.environ['TC_PROBE_PORT']}", "--credential", "-",
               "--transport", transport]
    if error:
        command += ["--expect-error", str(error)]
    done = subprocess.run(command, input=json.dumps(for_probe(credential)), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


async def refused(credential, error=401, limit=10):
    """Until the credential is refused, for so many seconds"""
    end = time.monotonic() + limit
    while True:
        try:
            return await asyncio.to_thread(probe, credential, error)
        except AssertionError:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.1)


async def until(condition, limit=10):
    """condition() within so many seconds"""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.1)


async def by_then(get, limit=10):
    """What get() answers, as soon as that is something, within so many seconds"""
    end = time.monotonic() + limit
    while not (got := await get()):
        assert time.monotonic() < end, "waited in vain"
        await asyncio.sleep(0.1)
    return got


def run_step(names):
    """For a file of steps (phones_step in epcscf.bash): calls the function that the command line names, of these
    names, with the words behind it."""
    asyncio.run(names[sys.argv[1]](*sys.argv[2:]))


async def test(code):
    result = eval(code, globals())  # pylint: disable=eval-used
    if asyncio.iscoroutine(result):
        await result


if __name__ == "__main__":
    asyncio.run(test(compile(sys.stdin.read(), "test", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)))
