# SPDX-License-Identifier: BSD-3-Clause
"""Runs the test on stdin, Python with top-level await, with phones at the eP-CSCF TC_EDGE."""
import ast
import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from phone import *  # noqa: F403 pylint: disable=wildcard-import
from phone import Phone, UdpPhone, for_probe

DIR = Path(os.environ["TC_DIR"])
EDGE = DIR / "edges" / os.environ["TC_EDGE"]
CTL = os.environ["TC_CTL"]


def password_of(user, domain="ims.test"):
    return (DIR / "passwords" / f"{user}@{domain}").read_text().strip()


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


names = dict(globals())
code = compile(sys.stdin.read(), "test", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


async def test():
    result = eval(code, names)  # pylint: disable=eval-used
    if asyncio.iscoroutine(result):
        await result


asyncio.run(test())
