# SPDX-License-Identifier: BSD-3-Clause
"""The steps of memory.bats: which keys are where in a process."""

import hashlib
import hmac
import pathlib
import re
import subprocess

import support
from support import DIR, client, credentials, derived, password, rest, run_step, token, turnclient


def hkdf(k, info, length=32):
    prk = hmac.digest(bytes(32), k, hashlib.sha256)
    return hmac.digest(prk, info + b"\1", hashlib.sha256)[:length]


def secrets():
    """Every key of a run by name: key encryption key, keys, what is derived from them, pushed keys, session keys."""
    found = {"kek": (DIR / "kek" / "main").read_bytes()}
    for path in (DIR / "keys").glob("*/*"):
        realm, kid = path.parent.name, path.name
        found[f"{realm}/{kid}"] = k = path.read_bytes()
        found[f"{realm}/{kid} AS-RS"] = hkdf(k, b"AS-RS key")
        found[f"{realm}/{kid} AUTH"] = hkdf(k, b"AUTH key")
    found["pushed md5"] = credentials.long_term_md5("pushed", "turn.test", PASSWORD)
    found["pushed sha256"] = credentials.long_term_sha256("pushed", "turn.test", PASSWORD)
    found["pushed password"] = PASSWORD.encode()
    return found


PASSWORD = "a pushed password of 128 bits"


def mappings(pid):
    """(begin, end, rights, name, flags) of the process."""
    entry = None
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if m := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+\s*(.*)", line):
            entry = [int(m[1], 16), int(m[2], 16), m[3], m[4]]
        elif line.startswith("VmFlags:"):
            yield *entry, line.split()[1:]


def copies(pid, only_of_core):
    """{name of a secret: where it stands} in what a core of the process would have, or in all its memory."""
    found = {}
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for begin, end, rights, name, flags in mappings(pid):
            if "r" not in rights or name in ("[vvar]", "[vsyscall]") or (only_of_core and "dd" in flags):
                continue
            memory.seek(begin)
            try:
                octets = memory.read(end - begin)
            except (OSError, ValueError):
                continue
            for what, value in secrets().items():
                if value in octets:
                    found.setdefault(what, set()).add(name or "anonymous")
    return found


def no_key_in_a_core(pid):
    """While sessions of every kind live, no key stands where a core has it. They are in the process, so the search finds
    what it is to find."""
    clients = [client(credential) for credential in (token(), derived(), rest(order="user-id:timestamp"), password("pushed", PASSWORD))]
    for c in clients:
        turnclient.need("allocate", c.allocate())
        turnclient.need("refresh", c.refresh())

    def hidden():
        print(found := copies(pid, True))
        return not found

    everywhere = copies(pid, False)
    print("in the process:", everywhere)
    for name in "kek", "turn.test/k1", "turn.test/d1", "turn.test/r1", "pushed md5":
        assert name in everywhere, name
    support.wait_until(hidden, 5, 0.5)  # the heap is looked at every second
    core = pathlib.Path(DIR / "core")
    try:
        subprocess.run(["gcore", "-o", str(core), str(pid)], check=True, capture_output=True, timeout=60)
    except FileNotFoundError:
        print("gcore is not there")
        return
    written = pathlib.Path(f"{core}.{pid}").read_bytes()
    assert len(written) > 100000
    assert not [name for name, value in secrets().items() if value in written]


def no_key_in_sight(pid):
    """No key in argv, environment, log and status files of the process."""
    for path in [pathlib.Path(f"/proc/{pid}/{name}") for name in ("cmdline", "environ", "status", "maps", "comm")] + [
            p for p in (DIR / "servers").glob("*/*") if p.is_file()]:
        octets = path.read_bytes()
        for name, value in secrets().items():
            for form in value, value.hex().encode(), value.hex().upper().encode():
                assert form not in octets, (name, path)


def locked(pid, wanted):
    """Whether the pages with keys are locked."""
    kek = secrets()["kek"]
    state = set()
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for begin, end, rights, name, flags in mappings(pid):
            if rights.startswith("rw") and "dd" in flags and not name:
                memory.seek(begin)
                if kek in memory.read(end - begin) and end - begin <= 1 << 20:
                    state.add("lo" in flags)
    assert state == {wanted == "yes"}, state


if __name__ == "__main__":
    run_step(globals())
