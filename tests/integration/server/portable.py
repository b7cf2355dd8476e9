# SPDX-License-Identifier: BSD-3-Clause
"""The steps of portable.bats: one function each, called by turn_step."""

import os
import subprocess

from support import client, derived, expect, login, run_step, token, turnclient, wait_until


def what_crosses_the_abi():
    """Grants with keys of 16 and 20 octets, relaying, renewal, the end, and refusals."""
    tag = os.urandom(4)
    for kind in "udp", "tcp":
        for make in (lambda left: token(mac_key=tag + os.urandom(16), lifetime=left),
                     lambda left: derived("alice", left=left)):
            c = client(make(600), kind)
            turnclient.need("allocate", c.allocate())
            peer = turnclient.Peer()
            turnclient.need("permission", c.create_permission(peer.address))
            assert turnclient.relay_once(c, peer)
            turnclient.need("channel", c.channel_bind(0x4000, peer.address))
            assert turnclient.relay_once(c, peer, 0x4000)
            turnclient.need("renewal", c.renew(make(900)))
            turnclient.need("refresh", c.refresh())
            turnclient.need("delete", c.refresh(0))
    expect(401, token(lifetime=86400 * 365))
    expect(401, token(age=86400))
    expect(401, derived(left=-5))


def session_that_the_module_ends():
    """A revocation ends one session, and not the other."""
    user = "user-" + os.environ["TC_SERVER"]
    c, other = client(derived(user)), client(derived("other"))
    for x in c, other:
        turnclient.need("allocate", x.allocate())
    subprocess.run(["psql", "-XqAtc", f"SELECT turncred.revoke('user', 'turn.test', '{user}')"], check=True)
    wait_until(lambda: c.refresh().code in (401, 437), 5)
    assert login(derived(user)) == 401
    turnclient.need("the other's", other.refresh(0))


if __name__ == "__main__":
    run_step(globals())
