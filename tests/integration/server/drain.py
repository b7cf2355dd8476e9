# SPDX-License-Identifier: BSD-3-Clause
"""The steps of drain.bats: one function each, called by turn_step."""

import os
import subprocess
import time

import transport
import turnclient
from support import DIR, client, derived, login, password, rest, run_step, token, wait_until

import stun

HERE = os.environ["TC_SERVER"]


def all_kinds():
    return [token(), derived("ada"), rest("rob", order="user-id:timestamp"), password("pia", "a-password-of-128-bits")]


def all_get_in():
    for credential in all_kinds():
        assert login(credential) == 0, credential.username


def alternate(response):
    """Address, port and name of the answer, which is a 300 with MESSAGE-INTEGRITY."""
    assert response.code == 300, response.code
    assert response.integrity is True, response.integrity
    value = response.message.get("ALTERNATE-SERVER")
    family, port = value[1], int.from_bytes(value[2:4], "big")
    assert family == 1 and len(value) == 8, value
    return ".".join(str(octet) for octet in value[4:]), port, response.message.text("ALTERNATE-DOMAIN") or ""


def all_are_sent_to(sibling):
    for credential in all_kinds():
        c = client(credential)
        ip, port, domain = alternate(c.allocate())
        assert (ip, port, domain) == ("127.0.0.1", int((DIR / "servers" / sibling / "port").read_text()), ""), (ip, port, domain)
        # the client follows with the same credential (RFC 8489 10)
        again = turnclient.Client(transport.connect("udp", (ip, port)), credential)
        turnclient.need("allocate at the sibling", again.allocate())
        again.refresh(0)
        again.close()
        c.close()


def browsers_follow_to(sibling):
    """libwebrtc goes on with realm and nonce, and gives a server up that answers its Allocate 438 or 401."""
    for kind in ("udp", "tcp"):
        c = client(derived("bo"), kind)
        response = c.allocate()
        ip, port, _ = alternate(response)
        there = turnclient.Client(transport.connect(kind, (ip, port)), c.credential)
        there.realm, there.nonce = c.realm, response.message.text("NONCE")
        first = there.request("ALLOCATE", [stun.Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))],
                              follow=False)
        assert first.ok, (kind, first.code)
        turnclient.need("refresh", there.refresh(600, follow=False))
        there.refresh(0)
        # another nonce, of the same form, is stale there
        other = turnclient.Client(transport.connect(kind, (ip, port)), c.credential)
        other.realm, other.nonce = c.realm, "0123456789abcdef"
        assert other.request("ALLOCATE", [stun.Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))],
                             follow=False).code == 438


def still_challenges():
    assert client().challenge().code == 401
    assert login(password("pia", "another-password-of-128-bits")) == 401


def sent_over(kind, sibling, port_file, name):
    port = int((DIR / "servers" / HERE / ("tls" if kind == "tls" else "port")).read_text())
    c = turnclient.Client(transport.connect(kind, ("127.0.0.1", port)), derived("tessa"))
    _, to, domain = alternate(c.allocate())
    assert to == int((DIR / "servers" / sibling / port_file).read_text()), to
    assert domain == name, domain


def ctl(program, *words):
    return subprocess.run([program, *words, "--json"], check=True, stdout=subprocess.PIPE).stdout.decode()


def sessions(program):
    import json
    return next(row["sessions"] for row in json.loads(ctl(program, "server", "list")) if row["id"] == HERE)


def call_outlives_drain(program):
    c = client(derived("cleo"))
    turnclient.need("allocate", c.allocate())
    peer = turnclient.Peer()
    turnclient.need("permission", c.create_permission(peer.address))
    ctl(program, "server", "drain", HERE)
    assert login(derived("late")) == 300
    # refresh, a new permission, a channel, data both ways
    turnclient.need("refresh", c.refresh(600))
    other = turnclient.Peer()
    turnclient.need("permission", c.create_permission(other.address))
    turnclient.need("channel", c.channel_bind(0x4001, peer.address))
    turnclient.relay_once(c, peer)
    wait_until(lambda: sessions(program) == 1, 15)
    turnclient.need("refresh 0", c.refresh(0))
    c.close()


def nowhere_to_go():
    # the goodbye of a sibling is heard within a second
    wait_until(lambda: login(derived("first")) == 508, 1)
    for credential in all_kinds():
        c = client(credential)
        response = c.allocate()
        assert response.code == 508, response.code
        assert response.integrity is True, response.integrity
        assert response.message.get("ALTERNATE-SERVER") is None
        c.close()


def drained_within(limit_ms, program):
    """From the end of the command, which has waited for the servers, no client gets in; and it does not wait long."""
    begin = time.monotonic()
    ctl(program, "server", "drain", HERE)
    took = (time.monotonic() - begin) * 1000
    # 508 as long as this server has not heard that its restarted sibling lives
    assert login(derived("late")) in (300, 508)
    wait_until(lambda: login(derived("late")) == 300, 15)
    print(f"# server drain took {took:.0f} ms with the program's start")
    assert took < 5 * int(limit_ms), took


def cut_short(program):
    c = client(derived("cutshort"))
    turnclient.need("allocate", c.allocate())
    ctl(program, "server", "drain", HERE)


def coturns_own():
    c = client(password("bob", "not-a-secret"))
    response = c.request("ALLOCATE", [stun.Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))])
    assert response.ok, response.code


if __name__ == "__main__":
    run_step(globals())
