# SPDX-License-Identifier: BSD-3-Clause
"""The steps of decisions.bats: one function each, called by turn_step."""

import hashlib
import os
import subprocess
import time

from support import derived, DIR, password, rest, run_step, token


def ask(*requests):
    """requests: (realm, credential[, repeat]); a list of dictionaries of the answers."""
    text = ""
    for realm, c, *repeat in requests:
        words = [str(*repeat) if repeat else "1", realm, c.username, c.key(realm).hex()]
        text += " ".join(words + ([c.token.hex()] if c.token else [])) + "\n"
    done = subprocess.run([os.environ["TC_BUILD"] + "/tests/integration/module_host",
                           str(DIR / "lib" / "turncred.so"), str(DIR / "servers/host/module.conf")],
                          input=text.encode(), stdout=subprocess.PIPE, check=True, timeout=60)
    answers = []
    for line in done.stdout.decode().splitlines():
        verdict, *words = line.split(" ")
        answers.append(dict(w.split("=", 1) for w in words) | {"verdict": verdict})
    return answers


def names_identity_deadline():
    """Names, identity and deadline of every kind of credential."""
    now = int(time.time())
    tag = bytes.fromhex("a1b2c3d4")
    t1, t2 = (token(k, mac_key=tag + os.urandom(16), lifetime=600) for k in ("k1", "k2"))
    u1, u2 = token("untagged"), token("untagged")
    d1 = derived("alice", expiry=now + 500)
    d2 = derived("alice", expiry=now + 900, kid="d2")
    b = password("bob", "0123456789abcdef-bob")
    a = ask(*(("turn.test", c) for c in (t1, t2, u1, u2, d1, d2, rest("alice"), b)))
    for x in a:
        assert x["verdict"] == "granted" and x["integrity"] == "1" and x["bound"] == "none", x
        assert x["user_quota"] == "5" and x["max_bps"] == "123456", x
        assert len(x["identity"]) == 64
    short = hashlib.sha256(t1.token).hexdigest()[:12]
    assert a[0]["quota"] == "a1b2c3d4" and a[0]["display"] == "k1/" + short, a[0]
    assert a[0]["key_len"] == "20" and now + 604 <= int(a[0]["expires"]) <= now + 607 and a[0]["policy"] == "0", a[0]
    assert a[0]["identity"] == a[1]["identity"]  # the same subject, another key
    assert a[2]["identity"] == a[3]["identity"] != a[0]["identity"]
    assert a[2]["quota"] == hashlib.sha256(u1.token).hexdigest()[:32] != a[3]["quota"]
    assert a[4]["quota"] == a[4]["display"] == "alice" and a[4]["key_len"] == "16"
    assert a[4]["expires"] == str(now + 500) and a[4]["policy"] == "1" and a[4]["grace"] == "77", a[4]
    # the mechanism is pinned to the session: another one of the same user is another identity
    assert a[4]["identity"] == a[5]["identity"] != a[6]["identity"] != a[7]["identity"]
    assert a[6]["policy"] == "2" and a[7]["expires"] == "0" and a[7]["quota"] == "bob"


def reasons():
    """Each way to be wrong is refused with the most telling reason."""
    r = "turn.test"
    cases = [
        (token(k=bytes(32)), "bad_token"),
        (token("nobody", k=bytes(32)), "unknown_key"),
        (token("d1"), "unknown_key"),
        (token(age=1000), "expired"),
        (token(age=-1000), "not_yet_valid"),
        (token(lifetime=0), "lifetime_refused"),
        (token(lifetime=86401), "lifetime_refused"),
        (derived(left=-1), "expired"),
        (derived(left=86400 + 500), "too_far_ahead"),
        (password("nobody", "x"), "unknown_user"),
        (password("x:", "x"), "unknown_user"),
    ]
    answers = ask(*((r, c) for c, _ in cases))
    for (c, reason), x in zip(cases, answers):
        assert x["verdict"] == "denied" and x["code"] == "401" and x["reason"] == reason, (c.username, reason, x)
    a = ask(("unknown.test", derived()), ("other.test", derived()))
    assert a[0]["verdict"] == "declined" and a[1]["verdict"] == "denied" and a[1]["reason"] == "unknown_key", a


def counter_of_the_host():
    """A counter whose name a newer host has taken costs that counter, and no login."""
    done = subprocess.run([os.environ["TC_BUILD"] + "/tests/integration/module_host", str(DIR / "lib" / "turncred.so"),
                           str(DIR / "servers/host/module.conf")], env=os.environ | {"HOST_COUNTER": "grants"},
                          input=b"status\n", capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert b"database: connected" in done.stdout, done.stdout
    assert done.stderr.count(b"the host does not show every counter of the module") == 1, done.stderr


def allocations_and_time():
    """A warm decision allocates nothing, OpenSSL's hashes aside; prints what it takes."""
    n = 20000
    kinds = {
        "token": token(), "token refused": token(k=bytes(32)), "derived": derived(), "derived, second key": derived(kid="d2"),
        "derived refused": derived(left=-5), "rest": rest(), "pushed": password("bob", "0123456789abcdef-bob"),
        "unknown user": password("nobody", "x"),
    }
    warm = [("turn.test", c) for c in kinds.values()]
    answers = ask(*warm, *(("turn.test", c, n) for c in kinds.values()))[len(warm):]
    for name, x in zip(kinds, answers):
        print(f"{name:20} {x['verdict']:8} {x['ns']:>6} ns  {x['allocations']} allocations in {n}")
    assert all(x["allocations"] == "0" for x in answers)


def four_threads():
    """Four threads decide while users, keys and credentials change under them."""
    # one session that is there already: a new one takes its time while four threads spin
    psql = subprocess.Popen(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def sql(text):
        psql.stdin.write((text + ";\n\\echo done\n").encode())
        psql.stdin.flush()
        line = psql.stdout.readline()
        while line != b"done\n":
            assert line, text
            line = psql.stdout.readline()

    sql("SELECT 1")
    host = subprocess.Popen([os.environ["TC_BUILD"] + "/tests/integration/module_host", str(DIR / "lib" / "turncred.so"),
                             str(DIR / "servers/host/module.conf")], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    for c, change in ((derived("racer"), "SELECT turncred.revoke('user', 'turn.test', 'racer')"),
                      (token("k2"), "SELECT turncred.key_set_state('turn.test', 'k2', 'disabled')"),
                      (password("bob", "0123456789abcdef-bob"), "SELECT turncred.revoke('user', 'turn.test', 'bob')")):
        words = ["1", "turn.test", c.username, c.key("turn.test").hex()] + ([c.token.hex()] if c.token else [])
        host.stdin.write((" ".join(words) + "\nstress 4 3000\n").encode())
        host.stdin.flush()
        first = host.stdout.readline().decode()
        while not first.startswith(("granted", "denied")):
            first = host.stdout.readline().decode()
        assert first.startswith("granted"), first
        for i in range(8):
            sql(f"UPDATE turncred.realm SET user_quota = {i} WHERE name = 'other.test'")
        sql(change)
        line = ""
        closed = 0
        while not line.startswith("stress"):
            line = host.stdout.readline().decode()
            assert line, "the host ended"
            closed += line.startswith("close")
        done = {k: int(v) for k, v in (w.split("=") for w in line.split()[1:])}
        print(c.username, done, "closed", closed)
        assert done["granted"] > 100 and done["denied"] > 100, done
        assert done["bound"] + done["refused"] == done["granted"], done
        assert closed > 0
    psql.communicate()
    out, _ = host.communicate(b"status\n", timeout=20)
    assert host.returncode == 0
    text = out.decode()
    assert "live_sessions: 3\n" in text, text  # of the three first requests, which nobody ended
    assert "database: connected" in text, text


if __name__ == "__main__":
    run_step(globals())
