# SPDX-License-Identifier: BSD-3-Clause
"""The steps of kinds.bats: one function each, called by turn_step."""

import os
import subprocess

from support import (
    client,
    derived,
    expect,
    key,
    log,
    login,
    password,
    rest,
    run_step,
    token,
    turnclient,
    wait_until,
    within_a_second,
)


def algorithms_and_derivations():
    """Tokens of every algorithm and derivation, with 20 and 32 octets of session key."""
    for alg in "A256GCM", "A128GCM", "A256CBC-HS512":
        for derivation in "none", "hkdf-sha256":
            kid = f"{alg}-{derivation}"
            how = {"algorithm": alg, "derivation": derivation}
            expect(0, token(kid, **how))
            expect(0, token(kid, mac_key=os.urandom(32), **how))
            expect(401, token(kid, k=os.urandom(len(key(kid))), **how))
            if derivation == "none" and alg != "A256CBC-HS512":
                continue
            if len(key(kid)) == 32:
                expect(401, token(kid, algorithm="A256GCM", derivation="none"))


def literal_cbc_form():
    """RFC 7635's literal CBC form is taken only for a key row that allows it."""
    how = {"algorithm": "A256CBC-HS512"}
    expect(0, token("literal", nonce=b"", **how))
    expect(0, token("literal", **how))
    expect(401, token("A256CBC-HS512-none", nonce=b"", **how))
    expect(401, token("A256CBC-HS512-hkdf-sha256", nonce=b"", derivation="hkdf-sha256", **how))


def rest_form(kid, order, digest):
    """One form of TURN REST usernames and one hash are taken, and no other."""
    other = "timestamp:user-id" if order == "user-id:timestamp" else "user-id:timestamp"
    expect(0, rest("alice", kid=kid, order=order, digest=digest))
    expect(401, rest("alice", kid=kid, order=other, digest=digest))
    expect(401, rest("alice", kid=kid, order=order, digest="sha256" if digest == "sha1" else "sha1"))
    expect(401, rest("alice", left=-1, kid=kid, order=order, digest=digest))
    expect(401, rest("alice", left=86400 * 30, kid=kid, order=order, digest=digest))
    # an all-digit user id is no expiry
    expect(0, rest("4102444800", kid=kid, order=order, digest=digest))


def pushed_credentials():
    """A pushed credential is good for its own name and password, within its time, from its address."""
    expect(0, password("bob", "0123456789abcdef-bob"))
    expect(0, password("sip:carol@ims.example", "0123456789abcdef-carol"))
    expect(0, password("here", "0123456789abcdef-here"))
    expect(0, password("mapped", "0123456789abcdef-mapped"))
    expect(0, password("dave:4102444800", "0123456789abcdef-dave"))
    for name, text in (("bob", "0123456789abcdef-carol"), ("Bob", "0123456789abcdef-bob"), ("gone", "0123456789abcdef-gone"),
                       ("there", "0123456789abcdef-there"), ("nobody", "x")):
        expect(401, password(name, text))


def pushed_within_a_second():
    """A pushed credential works within a second of its commit, and is gone within a second of its removal."""

    def sql(text):
        subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-c", text], check=True, stdout=subprocess.DEVNULL)

    def code():
        return login(password("erin", "0123456789abcdef-erin"))

    times = []
    for i in range(5):
        subprocess.run("/usr/bin/python3 $TC_TOP/tests/integration/support.py credential turn.test erin"
                       " 0123456789abcdef-erin 0 '' | psql -XqAt -v ON_ERROR_STOP=1 >/dev/null", shell=True, check=True)
        times.append(wait_until(lambda: code() == 0, 3))
        sql("SELECT turncred.credential_remove('turn.test', 'erin')")
        times.append(wait_until(lambda: code() == 401, 3))
    within_a_second(*times)


def bound_to_the_address():
    """Derived credentials that are bound to the client's address."""

    def bound(user, **options):
        return derived(user, kid="b1", realm="bound.test", **options)

    expect(0, bound("alice|127.0.0.1"))
    for spelling in ("::ffff:127.0.0.1", "::FFFF:7f00:1"):  # an IPv4 client of a dual-stack issuer
        expect(0, bound(f"dual{len(spelling)}|{spelling}"))
    expect(0, bound("sip:a|b@ims.example|127.0.0.1"))
    for user in ("alice", "alice|", "|127.0.0.1", "alice|127.0.0.2", "alice|127.0.0.1|192.0.2.1", "alice|::1", "alice|127.1",
                 "alice|localhost", "alice|127.0.0.1/32", "alice|::ffff:127.0.0.2", "alice|" + "1" * 60):
        expect(401, bound(user))
    # quota, names and revocation know the user without the address
    c = client(bound("carol|127.0.0.1"))
    turnclient.need("allocate", c.allocate())
    assert client(bound("carol|127.0.0.1", left=700)).allocate().code == 486
    assert "username=<carol>" in log()
    turnclient.need("renew", c.renew(bound("carol|127.0.0.1", left=800)))


if __name__ == "__main__":
    run_step(globals())
