#!/usr/bin/env bats
# Rules of a session that is under way: deadlines, renewal, identity, revocation.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test "mechanisms='{token,derived,pushed}'"
  key_add turn.test k1
  key_add turn.test k2
  key_add turn.test untagged token A256GCM none 'subject_tag=false'
  key_add turn.test d1 derived
  realm_add grace.test "mechanisms='{token,derived}'" "expiry_token='grace'" "expiry_derived='strict'" grace_seconds=3
  key_add grace.test g1
  key_add grace.test gd derived
  server_start main
  server_start grace -realm realm=grace.test
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

@test "strict: lifetimes are capped by what is left, and the allocation ends at the deadline" {
  turn main <<'PY'
start = time.time()
c = client(token(lifetime=4, age=3))  # ends 4 + 5 - 3 = 6 s from now
r = turnclient.need("allocate", c.allocate(600))
assert 3 <= r.number("LIFETIME") <= 6, r.number("LIFETIME")
time.sleep(1.2)
r = turnclient.need("refresh", c.refresh(600))
assert 1 <= r.number("LIFETIME") <= 5, r.number("LIFETIME")
wait_until(lambda: time.time() > start + 6.1, 10)
r = c.refresh(600)
assert r.code in (401, 437), r.code
assert c.create_permission(("127.0.0.1", 9)).code in (401, 437)
# credentials that are valid again: the allocation itself is gone
wait_until(lambda: time.time() > start + 9, 10)
r = c.renew(token(lifetime=600))
assert r.code == 437, r.code
PY
}

@test "grace: so many seconds later" {
  turn grace <<'PY'
c = client(token("g1", lifetime=3, age=4, realm="grace.test"))  # deadline in 4 s, grace 3 s
r = turnclient.need("allocate", c.allocate(600))
assert 5 <= r.number("LIFETIME") <= 7, r.number("LIFETIME")
PY
}

@test "allocate: a call outlives its credential; a new allocation does not" {
  turn main <<'PY'
good = derived(left=2)
c = client(good)
r = turnclient.need("allocate", c.allocate(600))
assert r.number("LIFETIME") == 600
peer = turnclient.Peer()
time.sleep(3)
turnclient.need("permission", c.create_permission(peer.address))
turnclient.need("refresh", c.refresh(600))
assert turnclient.relay_once(c, peer)
expect(401, good)
PY
}

@test "strict for derived: the same, by realm" {
  turn grace <<'PY'
start = time.time()
c = client(derived(left=3, kid="gd", realm="grace.test"))
r = turnclient.need("allocate", c.allocate(600))
assert r.number("LIFETIME") <= 3
r = turnclient.need("renew", c.renew(derived(left=60, kid="gd", realm="grace.test"), 600))
assert 55 <= r.number("LIFETIME") <= 60, r.number("LIFETIME")
wait_until(lambda: time.time() > start + 4, 6)
turnclient.need("refresh", c.refresh(600))
PY
}

@test "renewal: a new token of the same subject moves the deadline, and the old key is over" {
  turn main <<'PY'
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
PY
}

@test "renewal: another subject gets 441 after its request has authenticated, and changes nothing" {
  turn main <<'PY'
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
PY
}

@test "renewal: tokens without a subject tag renew by their kid" {
  turn main <<'PY'
c = client(token("untagged"))
turnclient.need("allocate", c.allocate())
turnclient.need("renew", c.renew(token("untagged")))
assert c.refresh(600, credential=token("k1"), token=True).code == 441
PY
}

@test "one spoofed packet does not poison a session (it does on stock coturn)" {
  cat >"$TC_DIR/poison.py" <<'PY'
def poisoned(c):
    """Sends one request with another name and no valid integrity; True if the session then fails."""
    turnclient.need("allocate", c.allocate())
    bad = credentials.Credential("mallory:4102444800", password="x")
    for nonce in c.nonce, "0000000000000000":
        keep, c.nonce = c.nonce, nonce
        c.exchange(c.build("REFRESH", [], bad))
        c.nonce = keep
    r = c.refresh(600)
    return not r.ok
PY
  turn main <<'PY'
exec((DIR / "poison.py").read_text())
assert not poisoned(client(derived()))
PY
  turncred_need "$TC_STOCK"
  server_start_plain "$TC_STOCK" stock user=alice:secret
  turn stock <<'PY'
exec((DIR / "poison.py").read_text())
print("stock coturn poisoned:", poisoned(client(password("alice", "secret"))))
PY
}

@test "quota counts the user id without its time, and a token's subject" {
  realm_add quota.test "mechanisms='{token,derived}'" user_quota=2
  key_add quota.test q1 token
  key_add quota.test qd derived
  server_start quota -realm realm=quota.test
  turn quota <<'PY'
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
PY
}

# --- revocation ---------------------------------------------------------------------------------

revoke_helpers() {
  cat >"$TC_DIR/revoke.py" <<'PY'
import hashlib
import subprocess


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
    took = ended_by(credential, statement, also)
    print(f"{statement}: {took:.3f} s")
    assert took < 1.0, took
PY
}

@test "revoking a user ends its live allocations within a second, and nobody else's" {
  revoke_helpers
  turn main <<'PY'
exec((DIR / "revoke.py").read_text())
check(derived("alice"), "SELECT turncred.revoke('user', 'turn.test', 'alice')", [derived("bob"), token()])
assert login(derived("alice", left=900)) == 401
PY
  log_has main 'reason=revoked'
}

@test "lifting a revocation does not revive what was issued before" {
  revoke_helpers
  turn main <<'PY'
exec((DIR / "revoke.py").read_text())
old = derived("ivan", left=1000)
expect(0, old)
check(old, "SELECT turncred.revoke('user', 'turn.test', 'ivan')")
sql("SELECT turncred.lift('user', 'turn.test', 'ivan')")
time.sleep(1.2)
assert login(old) == 401
# the longest a credential of this realm may live proves that it is new
expect(0, derived("ivan", left=86400 + 30))
PY
}

@test "revoking a token, and a user with all its tokens through issue_log" {
  revoke_helpers
  turn main <<'PY'
exec((DIR / "revoke.py").read_text())
t = token()
check(t, f"SELECT turncred.revoke('token', 'turn.test', '{fingerprint(t)}')", [token()])
mine, other = token(), token()
sql(f"SELECT turncred.issue_record('turn.test', 'token', 'judy', now() + interval '1 hour', 'k1', '{fingerprint(mine)}')")
check(mine, "SELECT turncred.revoke('user', 'turn.test', 'judy')", [other])
PY
}

@test "revoking a pushed credential's user" {
  revoke_helpers
  credential_push turn.test kim 0123456789abcdef-kim
  synced
  turn main <<'PY'
exec((DIR / "revoke.py").read_text())
check(password("kim", "0123456789abcdef-kim"), "SELECT turncred.revoke('user', 'turn.test', 'kim')", [derived("bob")])
sql("SELECT turncred.lift('user', 'turn.test', 'kim')")
PY
  sleep 1.1
  credential_push turn.test kim 0123456789abcdef-new
  synced
  turn main <<'PY'
expect(0, password("kim", "0123456789abcdef-new"))
PY
}

@test "disabling a key and revoking a kid end the sessions that it let in" {
  revoke_helpers
  key_add turn.test k3
  key_add turn.test d3 derived
  key_add turn.test k4
  synced
  turn main <<'PY'
exec((DIR / "revoke.py").read_text())
check(token("k3"), "SELECT turncred.key_set_state('turn.test', 'k3', 'disabled')", [token("k1"), derived("bob")])
check(derived("bob", kid="d3"), "SELECT turncred.key_set_state('turn.test', 'd3', 'disabled')", [derived("bob")])
check(token("k4"), "SELECT turncred.revoke('kid', 'turn.test', 'k4')", [token("k1")])
PY
}

@test "revoking a realm ends everything in it, and nothing elsewhere" {
  revoke_helpers
  realm_add doomed.test "mechanisms='{token,derived}'"
  key_add doomed.test x1
  key_add doomed.test xd derived
  server_start doomed -realm realm=doomed.test
  turn doomed <<'PY'
exec((DIR / "revoke.py").read_text())
one = client(token("x1", realm="doomed.test"))
turnclient.need("allocate", one.allocate())
check(derived("bob", kid="xd", realm="doomed.test"), "SELECT turncred.revoke('realm', 'doomed.test')")
wait_until(lambda: one.refresh(600).code in (401, 437), 2)
PY
  turn main <<'PY'
expect(0, derived("bob"))
PY
}

@test "a grant that races a revocation loses: no allocation survives, however close" {
  revoke_helpers
  turn main <<'PY'
exec((DIR / "revoke.py").read_text())
import threading

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
    time.sleep(0.15)
    sql(f"SELECT turncred.revoke('user', 'turn.test', '{user}')")
    time.sleep(0.6)
    stop.set()
    for t in threads:
        t.join()
    assert live
    time.sleep(0.3)
    for c in live:
        assert c.refresh(600).code in (401, 437), len(live)
        c.close()
print("raced")
PY
}

@test "the module's list of live sessions ends empty" {
  local port
  port=$(free_port)
  server_start counted "module:prometheus = 127.0.0.1:$port"
  turn counted "$port" <<'PY'
import urllib.request


def live():
    text = urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/metrics", timeout=5).read().decode()
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
PY
}
