# SPDX-License-Identifier: BSD-3-Clause
"""The steps of sessions.bats: one function each, called by turn_step."""

import hashlib
import os
import subprocess
import threading
import time
import urllib.request

from support import (Attribute, client, credentials, derived, expect, login, password, run_step, stun, token, turnclient,
                     wait_until, within_a_second)


def poisoned(c):
    """Sends requests with another name and no valid integrity, before the client's Allocate and after it; True if its
    own request is then refused."""
    bad = credentials.Credential("mallory:4102444800", password="x")

    def spoof(method, *attributes):
        for nonce in c.nonce, "0000000000000000":
            keep, c.nonce = c.nonce, nonce
            c.exchange(c.build(method, list(attributes), bad))
            c.nonce = keep

    assert c.challenge().code == 401
    spoof("ALLOCATE", Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP)))
    if not c.allocate().ok:
        return True
    spoof("REFRESH")
    return not c.refresh(600).ok


def sql(text):
    return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", text], check=True,
                          stdout=subprocess.PIPE).stdout.decode().strip()


def fingerprint(credential):
    return hashlib.sha256(credential.token).hexdigest()[:32]


def ended_by(credential, statement, also=()):
    """Seconds from the commit until the live allocation is gone; those of also have to stay."""
    peer = turnclient.Peer()
    c, others = client(credential), [client(x) for x in also]
    for x in [c, *others]:
        turnclient.need("allocate", x.allocate(600))
        turnclient.need("permission", x.create_permission(peer.address))
    assert turnclient.relay_once(c, peer)
    sql(statement)
    took = wait_until(lambda: not turnclient.relay_once(c, peer, seconds=0.05), 3, 0)
    for x in others:
        assert turnclient.relay_once(x, peer), x.credential.username
    assert c.refresh(600).code in (401, 437)
    assert login(credential) == 401
    return took


def check(credential, statement, also=()):
    print(statement)
    within_a_second(ended_by(credential, statement, also))


def capped(deadline, request):
    """The answer to request(), whose lifetime is what was left until the deadline when it was made."""
    before = time.time()
    r = turnclient.need("request", request())
    after = time.time()
    assert deadline - after - 2 <= r.number("LIFETIME") <= deadline - before + 1, (deadline - before, r.number("LIFETIME"))
    return r


def strict_token():
    """Lifetimes are capped by what is left of the token, and the allocation ends at the deadline."""
    end = time.time() + 6
    c = client(token(lifetime=4, age=3))  # ends 4 + 5 - 3 = 6 s from now
    capped(end, lambda: c.allocate(600))
    time.sleep(1.2)
    capped(end, lambda: c.refresh(600))
    wait_until(lambda: time.time() > end + 0.1, 10)
    r = c.refresh(600)
    assert r.code in (401, 437), r.code
    assert c.create_permission(("127.0.0.1", 9)).code in (401, 437)
    # credentials that are valid again: the allocation itself is gone
    wait_until(lambda: time.time() > end + 3, 10)
    r = c.renew(token(lifetime=600))
    assert r.code == 437, r.code


def allocate():
    """A call outlives its credential; a new allocation does not."""
    expiry = int(time.time()) + 4
    good = derived(expiry=expiry)
    c = client(good)
    r = turnclient.need("allocate", c.allocate(600))
    assert r.number("LIFETIME") == 600
    peer = turnclient.Peer()
    wait_until(lambda: time.time() > expiry + 1, 10)
    turnclient.need("permission", c.create_permission(peer.address))
    turnclient.need("refresh", c.refresh(600))
    assert turnclient.relay_once(c, peer)
    expect(401, good)


def strict_derived():
    """Lifetimes are capped by what is left of a derived credential."""
    end = int(time.time()) + 6
    c = client(derived(expiry=end, kid="gd", realm="grace.test"))
    capped(end, lambda: c.allocate(600))
    later = end + 60
    capped(later, lambda: c.renew(derived(expiry=later, kid="gd", realm="grace.test"), 600))
    wait_until(lambda: time.time() > end + 1, 10)
    turnclient.need("refresh", c.refresh(600))


def renewal_of_the_same_subject():
    """A new token of the same subject moves the deadline, and the old key is over."""
    tag = os.urandom(4)
    first = token(lifetime=20, mac_key=tag + os.urandom(16))
    c = client(first)
    r = turnclient.need("allocate", c.allocate(600))
    assert r.number("LIFETIME") <= 25
    second = token(lifetime=500, mac_key=tag + os.urandom(16))
    r = turnclient.need("renew", c.renew(second, 600))
    assert 490 <= r.number("LIFETIME") <= 506, r.number("LIFETIME")
    r = c.refresh(600, credential=first)
    assert r.code == 401, r.code
    # another kid, same subject tag
    third = token("k2", lifetime=550, mac_key=tag + os.urandom(16))
    r = turnclient.need("renew", c.renew(third, 600))
    assert r.number("LIFETIME") >= 545


def renewal_of_another_subject():
    """Another subject gets 441 after its request has authenticated, and changes nothing."""
    mine = token(mac_key=b"aaaa" + os.urandom(16))
    c = client(mine)
    turnclient.need("allocate", c.allocate())
    for other in token(mac_key=b"bbbb" + os.urandom(16)), derived("mallory"):
        r = c.refresh(600, credential=other, token=True)
        assert r.code == 441, (other.username, r.code)
        turnclient.need("refresh", c.refresh(600))
    wrong = token(mac_key=b"bbbb" + os.urandom(16), k=os.urandom(32))
    assert c.refresh(600, credential=wrong, token=True).code == 401
    turnclient.need("refresh", c.refresh(600))

    c = client(derived("alice", left=100))
    turnclient.need("allocate", c.allocate())
    assert c.refresh(600, credential=derived("bob")).code == 441
    turnclient.need("renew", c.renew(derived("alice", left=900)))


def spoofed_packet():
    """One spoofed packet does not harm a session of the patched server."""
    assert not poisoned(client(derived()))


def spoofed_packet_at_stock():
    """One spoofed packet harms a session of unpatched coturn."""
    assert poisoned(client(password("alice", "secret")))


def quota():
    """Quota counts the user id without its time, and a token's subject."""

    def codes(make):
        clients, result = [], []
        for i in range(3):
            c = client(make(i))
            clients.append(c)
            result.append(c.allocate().code)
        for c in clients:
            c.refresh(0)
        print(result)
        return result

    assert codes(lambda i: derived("4915112345678", left=100 + i, kid="qd", realm="quota.test")) == [0, 0, 486]
    assert codes(lambda i: derived(f"user{i}", kid="qd", realm="quota.test")) == [0, 0, 0]
    assert codes(lambda i: token("q1", realm="quota.test", mac_key=b"tag1" + os.urandom(16))) == [0, 0, 486]
    assert codes(lambda i: token("q1", realm="quota.test", mac_key=b"sub%d" % i + os.urandom(16))) == [0, 0, 0]


def revoked_user():
    """Revoking a user ends its live allocations within a second, and nobody else's."""
    check(derived("alice"), "SELECT turncred.revoke('user', 'turn.test', 'alice')", [derived("bob"), token()])
    assert login(derived("alice", left=900)) == 401


def lifted_revocation():
    """Lifting a revocation does not revive what was issued before."""
    old = derived("ivan", left=1000)
    expect(0, old)
    check(old, "SELECT turncred.revoke('user', 'turn.test', 'ivan')")
    sql("SELECT turncred.lift('user', 'turn.test', 'ivan')")
    time.sleep(1.2)
    assert login(old) == 401
    # the longest a credential of this realm may live proves that it is new
    expect(0, derived("ivan", left=86400 + 30))


def revoked_tokens():
    """Revoking a token, and a user with all the tokens that issue_log knows."""
    t = token()
    check(t, f"SELECT turncred.revoke('token', 'turn.test', '{fingerprint(t)}')", [token()])
    mine, other = token(), token()
    sql(f"SELECT turncred.issue_record('turn.test', 'token', 'judy', now() + interval '1 hour', 'k1', '{fingerprint(mine)}')")
    check(mine, "SELECT turncred.revoke('user', 'turn.test', 'judy')", [other])


def revoked_pushed():
    """Revoking the user of a pushed credential."""
    check(password("kim", "0123456789abcdef-kim"), "SELECT turncred.revoke('user', 'turn.test', 'kim')", [derived("bob")])
    sql("SELECT turncred.lift('user', 'turn.test', 'kim')")


def disabled_and_revoked_keys():
    """Disabling a key and revoking a kid end the sessions that it let in."""
    check(token("k3"), "SELECT turncred.key_set_state('turn.test', 'k3', 'disabled')", [token("k1"), derived("bob")])
    check(derived("bob", kid="d3"), "SELECT turncred.key_set_state('turn.test', 'd3', 'disabled')", [derived("bob")])
    check(token("k4"), "SELECT turncred.revoke('kid', 'turn.test', 'k4')", [token("k1")])


def revoked_realm():
    """Revoking a realm ends everything in it."""
    one = client(token("x1", realm="doomed.test"))
    turnclient.need("allocate", one.allocate())
    check(derived("bob", kid="xd", realm="doomed.test"), "SELECT turncred.revoke('realm', 'doomed.test')")
    wait_until(lambda: one.refresh(600).code in (401, 437), 2)


def race():
    """No allocation survives a revocation, however close to it the grant was."""
    for round in range(8):
        user = f"racer{round}"
        good, live, stop = derived(user, left=900), [], threading.Event()

        def allocate():
            while not stop.is_set():
                c = client(good)
                c.rto = 0.1
                if c.allocate(600).ok:
                    live.append(c)
                else:
                    c.close()

        threads = [threading.Thread(target=allocate) for _ in range(4)]
        for t in threads:
            t.start()
        wait_until(lambda: live)
        sql(f"SELECT turncred.revoke('user', 'turn.test', '{user}')")
        wait_until(lambda: login(good) == 401)  # the threads go on until after that
        stop.set()
        for t in threads:
            t.join()
        for c in live:
            wait_until(lambda: c.refresh(600).code in (401, 437), 1)
            c.close()
    print("raced")


def live_sessions(port):
    """The module's list of live sessions, by its metrics on that port, ends empty."""

    def live():
        text = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
        return int(text.split("\nturncred_live_sessions ")[1].split("\n")[0])

    clients = [client(token() if i % 2 else derived("zoe"), "tcp" if i % 3 else "udp") for i in range(30)]
    for c in clients:
        turnclient.need("allocate", c.allocate())
    assert live() == 30, live()
    for c in clients[:20]:
        turnclient.need("delete", c.refresh(0))
    for c in clients:
        c.close()
    wait_until(lambda: live() == 3, 10, 0.2)  # udp ones that were not deleted stay until their lifetime ends


if __name__ == "__main__":
    run_step(globals())
