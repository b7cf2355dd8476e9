# SPDX-License-Identifier: BSD-3-Clause
"""The steps of usage.bats: one function each, called by turn_step."""

import hashlib
import os
import re
import subprocess
import urllib.request

from support import client, derived, run_step, token, turnclient, wait_until
from transport import Counting


def sql(text):
    return subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", text], check=True,
                          stdout=subprocess.PIPE).stdout.decode().strip()


def awaited(text, wanted, seconds=10):
    got = []

    def same():
        got[:] = [sql(text)]
        return got[0] == wanted

    wait_until(same, seconds)
    assert got[0] == wanted, got[0]


def begin(credential, kind="udp"):
    c = client(credential, kind=kind) if kind != "udp" else client(credential)
    c.transport = Counting(c.transport)
    turnclient.need("allocate", c.allocate())
    return c


def relay(c, times, size=100):
    peer = turnclient.Peer()
    turnclient.need("permission", c.create_permission(peer.address))
    for _ in range(times):
        c.send(peer.address, bytes(size))
        source, octets = peer.receive()
        peer.send(source, octets)
        assert c.receive() is not None


def call(user, times=3):
    """A whole call. Returns its transport, which has counted it."""
    c = begin(derived(user))
    relay(c, int(times))
    turnclient.need("refresh 0", c.refresh(0))
    return c.transport


def exact():
    t = call("exact", 10)
    awaited("SELECT received_octets, sent_octets, received_packets, sent_packets, peer_received_octets, peer_sent_octets,"
            " peer_received_packets, peer_sent_packets FROM turncred.session_log WHERE subject = 'exact'",
            f"{t.sent}|{t.received}|{t.messages_sent}|{t.messages_received}|1000|1000|10|10")
    awaited("SELECT realm, mechanism, kid, transport, client_address, why, instance, ended_at > started_at"
            " FROM turncred.session_log WHERE subject = 'exact'", "turn.test|derived|d1|udp||client|main|t")
    assert sql("SELECT sum(sessions), sum(received_octets) FROM turncred.usage_daily WHERE subject = 'exact'") == f"1|{t.sent}"


def refused():
    before = sql("SELECT count(*) FROM turncred.session_log")
    assert client(derived("refused", k=bytes(32))).allocate().code == 401
    try:
        sql("UPDATE turncred.realm SET user_quota = 1")
        wait_until(quota_holds, 10)
        first = begin(derived("quota"))
        assert client(derived("quota")).allocate().code == 486
        turnclient.need("refresh 0", first.refresh(0))
        awaited("SELECT count(*) FROM turncred.session_log WHERE subject = 'quota'", "1")
        assert sql("SELECT count(*) FROM turncred.session_log WHERE subject = 'refused'") == "0"
    finally:
        sql("UPDATE turncred.realm SET user_quota = 0")
    awaited("SELECT count(*) FROM turncred.session_live WHERE subject = 'probe-quota'", "0")
    assert int(sql("SELECT count(*) FROM turncred.session_log")) >= int(before) + 1


def quota_holds():
    one, two = client(derived("probe-quota")), client(derived("probe-quota"))
    if not one.allocate().ok:
        return False  # coturn gives back what the last try was charged up to a second after its REFRESH
    code = two.allocate().code
    one.refresh(0)
    if not code:
        two.refresh(0)
    return code == 486


def level(name):
    xid = sql(f"WITH u AS (UPDATE turncred.realm SET usage = '{name}' RETURNING 1) SELECT pg_current_xact_id() FROM u")
    awaited(f"SELECT bool_and(progress > '{xid}') FROM turncred.instance WHERE last_seen > now() - interval '3 s'", "t")


def levels():
    level("totals")
    try:
        of_nobody()
    finally:
        level("address")
    try:
        of_an_address()
    finally:
        level("user")


def of_nobody():
    c = begin(derived("nobody"))
    awaited("SELECT subject IS NULL, length(subject_hash), client_address IS NULL FROM turncred.session_live"
            " WHERE instance = 'main'", "t|32|t")
    assert sql("SELECT subject_hash FROM turncred.session_live") == sql(
        "SELECT left(encode(sha256(usage_salt || 'nobody'), 'hex'), 32) FROM turncred.realm")
    turnclient.need("refresh 0", c.refresh(0))
    awaited("SELECT count(*) FROM turncred.session_log WHERE subject IS NULL", "1")
    folder = os.path.join(os.environ["TC_DIR"], "servers/main/usage")
    assert not any(b"nobody" in open(os.path.join(folder, f), "rb").read() for f in os.listdir(folder))


def of_an_address():
    c = begin(derived("somewhere"))
    awaited("SELECT client_address, relayed_address ~ '^127.0.0.1:5[78][0-9]*$' FROM turncred.session_live",
            f"127.0.0.1:{c.transport.local[1]}|t")
    turnclient.need("refresh 0", c.refresh(0))
    awaited("SELECT client_address FROM turncred.session_log WHERE subject = 'somewhere'",
            f"127.0.0.1:{c.transport.local[1]}")


def token_subject():
    credential = token("k1")
    mark = hashlib.sha256(credential.token).hexdigest()[:32]
    sql("INSERT INTO turncred.issue_log (realm, kind, kid, fingerprint, subject, expiry)"
        f" VALUES ('turn.test', 'token', 'k1', '{mark}', 'carol', now() + interval '1 hour')")
    c = begin(credential)
    awaited("SELECT subject FROM turncred.session_live WHERE mechanism = 'token'", "carol")
    turnclient.need("refresh 0", c.refresh(0))
    awaited("SELECT subject, kid FROM turncred.session_log WHERE mechanism = 'token'", "carol|k1")


def why():
    begin(token("k1", lifetime=2, age=4))  # its deadline is in 3 s
    awaited("SELECT subject, why FROM turncred.session_log WHERE mechanism = 'token' AND subject IS NULL", "|expired", 20)
    begin(derived("bad"))
    awaited("SELECT count(*) FROM turncred.session_live WHERE subject = 'bad'", "1")
    sql("SELECT turncred.revoke('user', 'turn.test', 'bad')")
    awaited("SELECT why FROM turncred.session_log WHERE subject = 'bad'", "revoked")


def operator():
    one, other = begin(derived("ended")), begin(derived("ended"))
    awaited("SELECT count(*) FROM turncred.session_live_list WHERE subject = 'ended'", "2")
    ctl = [os.path.join(os.environ["TC_BUILD"], "turncredctl"), "session"]
    database = ["--database", f"host={os.environ['PGHOST']} dbname=turncred user=postgres"]
    name = sql("SELECT session FROM turncred.session_live_list WHERE client_address IS NULL AND subject = 'ended'"
               " ORDER BY session LIMIT 1")
    listed = subprocess.run(ctl + ["list", "turn.test", "--user", "ended", "--csv"] + database, check=True,
                            stdout=subprocess.PIPE).stdout.decode()
    assert len(listed.splitlines()) == 3 and f'"{name}"' in listed, listed
    done = subprocess.run(ctl + ["end", name, "--wait", "10s"] + database, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    awaited("SELECT why FROM turncred.session_log WHERE subject = 'ended'", "operator")
    codes = sorted(c.refresh(600).code for c in (one, other))
    assert codes[0] == 0 and codes[1], codes
    for c in (one, other):
        c.refresh(0)
    begin(derived("ended")).refresh(0)
    gone = subprocess.run(ctl + ["end", name] + database, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert gone.returncode == 1, gone


def metrics():
    conf = open(os.path.join(os.environ["TC_DIR"], "servers/main/module.conf")).read()
    address = re.search(r"prometheus = (\S+)", conf)[1]

    def value(name):
        text = urllib.request.urlopen(f"http://{address}/metrics", timeout=5).read().decode()
        return int(re.search(rf"^turncred_{name} (\d+)$", text, re.M)[1])

    of_realm = r'\{realm="turn.test"\}'
    wait_until(lambda: value("realm_live_sessions" + of_realm) == 0, 10)  # the sessions of other tests have ended
    before, ended = value("realm_received_octets_total" + of_realm), value("realm_sessions_total" + of_realm)
    live = value("realm_live_sessions" + of_realm)
    c = begin(derived("metrics"))
    assert value("realm_live_sessions" + of_realm) == live + 1
    relay(c, 5)
    turnclient.need("refresh 0", c.refresh(0))
    awaited("SELECT count(*) FROM turncred.session_log WHERE subject = 'metrics'", "1")
    assert value("realm_sessions_total" + of_realm) == ended + 1
    assert value("realm_received_octets_total" + of_realm) == before + c.transport.sent
    wait_until(lambda: value("usage_journal_entries") == 0, 5)
    assert value("usage_delivered_total") > 0 and value("usage_lost_total") == 0


def leave_one(user):
    relay(begin(derived(user)), 10)


def many(count):
    for i in range(int(count)):
        call(f"many-{i}", 1)


run_step(globals())
