# SPDX-License-Identifier: BSD-3-Clause
"""The steps of service.bats: one function each, called by turn_step."""

import hashlib
import json
import statistics
import subprocess
import time

from support import client, derived, login, password, run_step, seal_credential, token, turnclient, wait_until, within_a_second


def judge_load(path, what, wanted):
    """What turnload wrote into that file: nearly as many logins as wanted, and not one wrong answer."""
    with open(path) as file:
        r = json.load(file)
    print(f"{what}: {r['completed']} logins, {r['refused']} wrong keys refused, call rtt {r['calls']['rtt_us']}")
    assert r["completed"] + r["refused"] >= 0.9 * int(wanted), r
    assert not r.get("lost") and not r.get("accepted_wrong") and not r.get("bad_integrity") and not r.get("unexpected"), r


def change_reaches_both(rounds):
    """A change reaches both servers within a second, in so many rounds."""
    psql = subprocess.Popen(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def sql(text):
        psql.stdin.write(text + ";\n\\echo done\n")
        psql.stdin.flush()
        while psql.stdout.readline() not in ("done\n", ""):
            pass

    times = []
    who = password("lea", "0123456789abcdef-lea")
    sealed = seal_credential("turn.test", "lea", who.password, 0, "").hex()
    for i in range(int(rounds)):
        for statement, code in ((f"SELECT turncred.credential_push('turn.test', 'lea', '\\x{sealed}', 'main')", 0),
                                ("SELECT turncred.credential_remove('turn.test', 'lea')", 401)):
            sql(statement)
            start = time.monotonic()
            for name in "one", "two":
                wait_until(lambda: login(who, name=name) == code, 3, 0.002)
            times.append(time.monotonic() - start)
    print(f"{len(times)} changes seen by both: median {1000 * statistics.median(times):.0f} ms, worst {1000 * max(times):.0f} ms")
    within_a_second(max(times))


def revoked_on_both():
    """A revocation ends credentials and sessions on both servers within a second."""
    SERVERS = "one", "two"

    def sql(text):
        subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", text], check=True, stdout=subprocess.DEVNULL)

    def held(credential):
        clients = [client(credential, name=name) for name in SERVERS]
        for c in clients:
            turnclient.need("allocate", c.allocate(600))
            turnclient.need("permission", c.create_permission(peer.address))
            assert turnclient.relay_once(c, peer)
        return clients

    def ends(credential, statement):
        clients = held(credential)
        sql(statement)
        start = time.monotonic()
        wait_until(lambda: not any(turnclient.relay_once(c, peer, seconds=0.02) for c in clients), 5, 0)
        took = time.monotonic() - start
        print(statement)
        within_a_second(took)
        for c, name in zip(clients, SERVERS):
            assert c.refresh(600).code in (401, 437), name
            assert login(credential, name=name) == 401, name
            c.close()

    peer = turnclient.Peer()
    others = held(token()) + held(derived("bob"))
    mine = token()
    fingerprint = lambda t: hashlib.sha256(t.token).hexdigest()[:32]
    sql(f"SELECT turncred.issue_record('turn.test', 'token', 'judy', now() + interval '1 hour', 'k1', '{fingerprint(mine)}')")
    ends(mine, "SELECT turncred.revoke('user', 'turn.test', 'judy')")
    ends(derived("alice"), "SELECT turncred.revoke('user', 'turn.test', 'alice')")
    ends(password("kim", "0123456789abcdef-kim"), "SELECT turncred.revoke('user', 'turn.test', 'kim')")
    one = token()
    ends(one, f"SELECT turncred.revoke('token', 'turn.test', '{fingerprint(one)}')")
    ends(token("gone"), "SELECT turncred.revoke('kid', 'turn.test', 'gone')")
    ends(derived("bob", kid="off"), "SELECT turncred.key_set_state('turn.test', 'off', 'disabled')")
    for c in others:
        assert turnclient.relay_once(c, peer), c.credential.username
    ends(derived("carol"), "SELECT turncred.revoke('realm', 'turn.test')")
    for c in others:
        assert c.refresh(600).code in (401, 437), c.credential.username
        c.close()


if __name__ == "__main__":
    run_step(globals())
