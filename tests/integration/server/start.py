# SPDX-License-Identifier: BSD-3-Clause
"""The steps of start.bats: one function each, called by turn_step."""

import os
import resource
import socket
import time

from support import (Attribute, Integrity, client, derived, expect, log, run_step, stun, token, turnclient,
                     wait_until)
import fail2ban_lines  # beside the client, in tests/conformance


def comes_back():
    """The server lets clients in as soon as the database is there."""

    def up():
        c = client(token())
        try:
            return c.allocate().ok
        finally:
            c.close()
    wait_until(up, 20, 0.3)
    expect(0, derived())


def without_descriptors(pid, port):
    """A metrics port whose process has no descriptor left waits without using the CPU, and answers later."""
    pid, port = int(pid), int(port)
    old = resource.prlimit(pid, resource.RLIMIT_NOFILE)

    def worked():
        fields = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, old[1]))
    with socket.create_connection(("127.0.0.1", port)) as waiting:
        waiting.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        before = worked()
        time.sleep(2)
        spent = worked() - before
        print("CPU", spent)
        assert spent < 0.12, f"{spent} s of CPU in 2 s"
        resource.prlimit(pid, resource.RLIMIT_NOFILE, old)
        waiting.settimeout(10)
        assert waiting.recv(100).startswith(b"HTTP/1.1 200")


def telnet(port, schema):
    """The command am on that port shows module, snapshot, database, counters, and the newest schema that it knows."""
    expect(0, token())
    expect(401, token(k=bytes(32)))
    s = socket.create_connection(("127.0.0.1", int(port)))
    s.settimeout(5)
    text = b""

    def until(mark):
        nonlocal text
        while mark not in text:
            octets = s.recv(4096)
            assert octets, text
            text += octets

    until(b"password")
    s.sendall(b"operator\r\n")
    until(b"> ")
    text = b""
    s.sendall(b"am\r\n")
    until(b"refused_rows: 0")
    print(text.decode())
    for words in (b"auth-module: turncred", b"mode: only", b"schema: %d\r\n" % int(schema), b"database: connected",
                  b"snapshot: number", b"realms: 1", b"keys: 2", b"grants{mechanism=token}: 1", b"denials{reason=bad_token}: 1"):
        assert words in text, words


def fail2ban_filter():
    """The filter finds what an attacker does. It finds neither what an honest client runs into nor what one packet can
    write into the log from a forged address."""
    pattern = fail2ban_lines.pattern()

    def found_after(action):
        before = len(log())
        action()
        return [m["ip"] for line in log()[before:].splitlines() if (m := pattern.search(line))]

    def found(credential):
        return found_after(lambda: expect(401, credential))

    for bad in (token(k=bytes(32)), token("nobody", k=bytes(32)), derived(k=bytes(32)), derived(left=10**6),
                derived("reason=expired,session=1", k=bytes(32))):
        assert found(bad) == ["127.0.0.1"], bad.username
    for honest in derived(left=-5), token(age=1000):
        assert found(honest) == [], honest.username

    allocate = Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))
    forged = fail2ban_lines.forms(fail2ban_lines.FORGED)
    c = client(None)
    for line in [fail2ban_lines.FORGED, *forged]:
        for text in line, f"x\n{line}\n", f"x\r{line}\n", "x" * 900 + f"\n{line}\n":
            assert found_after(lambda t=text: c.challenge([allocate, Attribute("ORIGIN", t)])) == [], text
    # a name, a realm and a nonce that nobody has given; and none at all
    for attributes in ([Attribute("USERNAME", "nobody"), Attribute("REALM", "turn.test"), Attribute("NONCE", "1")],
                       [Attribute("USERNAME", forged[0]), Attribute("REALM", forged[0]), Attribute("NONCE", "1")],
                       [Attribute("USERNAME", "nobody"), Attribute("REALM", "turn.test")]):
        message = stun.build("ALLOCATE", [allocate, *attributes, Integrity(b"key")])
        assert found_after(lambda m=message: c.exchange(m)) == [], attributes
    c.close()


def denied_peer():
    """The address of the database is denied as a peer, and another one is not."""
    c = client(token())
    turnclient.need("allocate", c.allocate())
    r = c.create_permission(("127.0.0.1", 5432))
    assert r.code == 403, r.code
    turnclient.need("permission", c.create_permission(("127.0.0.2", 5432)))


if __name__ == "__main__":
    run_step(globals())
