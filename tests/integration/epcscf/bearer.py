# SPDX-License-Identifier: BSD-3-Clause
"""The steps of bearer.bats: one function each, called by phones_step."""

import os
import re
import subprocess
import sys
import time

from phone import asking, digest
from phones import DIR, by_then, phone, plain, probe, refused, run_step, sql

PORTAL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../turncredd/portal.py")


def token(*changes):
    """An access token of the portal's; the user is alice unless a change says otherwise"""
    done = subprocess.run([sys.executable, PORTAL, "token", str(DIR / "jwt"), *changes], capture_output=True, text=True, check=True)
    return done.stdout.strip()


async def register(p, proof, ask="derived", expires=600, headers=(), **more):
    """REGISTER with this token"""
    return await p.send("REGISTER", f"sip:{p.domain}", [*headers, f"Authorization: Bearer {proof}", f"Expires: {expires}", *asking(ask)],
                        **more)


def seen(answer, what):
    return (answer.get("X-Seen-" + what) or "").replace("<null>", "")


async def registered_by_token():
    """A right token is the authentication: credentials of both kinds, calls, and an end as with a password."""
    async with phone("alice") as p:
        for ask in "derived", "pushed":
            answer = await register(p, token(), ask)
            assert answer.status == 200 and answer.get("Contact"), answer.headers
            got = answer.credential()
            assert got["kind"] == ask and got["user-id"] == "alice", got
            probe(got)
        # kept until half of its life is over
        assert (await register(p, token(), "pushed")).credential()["password"] == got["password"]
        assert not (await register(p, token(), None)).all("Turn-Credential")
        assert (await register(p, token(), "token")).why() == "unsupported-kind"
        assert (await p.options("derived")).credential()["user-id"] == "alice"
        assert (await register(p, token(), None, expires=0)).status == 200
        await refused(got)
        assert (await p.options("derived")).why() == "not-registered"
        assert (await register(p, token(), None, headers=["Require: turncred"])).credential()["kind"] == "derived"
    # whom no password is known of
    async with phone("dora", password="x") as p:
        got = (await register(p, token("sub=dora"))).credential()
        assert got["user-id"] == "dora"
        probe(got)
        answer = await p.register("derived")
        assert answer.status == 401, answer


def invalid(answer):
    wanted = [value for value in answer.all("WWW-Authenticate") if value.startswith("Bearer ")]
    assert answer.status == 401 and len(wanted) == 1 and not answer.all("Turn-Credential"), (answer, answer.headers)
    assert wanted[0].endswith('authz_server="https://portal.test", error="invalid_token"'), wanted


async def wrong_tokens():
    """Signature, times, audience, issuer, form: each is refused, and leaves no registration."""
    right = token()
    head, body, signature = right.split(".")
    wrong = [token("key=rsa2"), token("exp=-60", "iat=-90"), token("nbf=600", "exp=900"), token("aud=https://else.test"),
             token("iss=https://evil.test"), token("typ=JWT"), token("nonce=x"), token("alg=none"), token("alg=HS256"), token("sub="),
             f"{head}.{body}.", f"{head}.{body}", f"{head}.{body[:-4]}AAAA.{signature}", "opaque", right + "=", f"{right} {right}",
             f'"{right}"', "", "x" * 6001]
    async with phone("alice") as p:
        for one in wrong:
            invalid(await register(p, one))
            assert (await p.options("derived")).status == 403, one
        assert (await register(p, right)).status == 200
        # a wrong one later takes nothing away
        invalid(await register(p, wrong[0]))
        assert (await p.options("derived")).status == 200


async def of_another_user():
    """The name in To and From is the token's user, in each spelling of it, and no other."""
    async with phone("alice") as p:
        for sub in ("bob", "Alice", "alice@ims.test", "sip:alice@ims.test", "alice ", "*", "alic"):
            invalid(await register(p, token(f"sub={sub}")))
        answer = await register(p, token(), sender="sip:bob@ims.test")
        assert answer.status == 403 and not answer.all("Turn-Credential"), answer
        answer = await register(p, token("sub=bob"), sender="sip:bob@ims.test")
        assert answer.status == 403, answer
        invalid(await register(p, token(), sender="sip:bob@ims.test", to="sip:bob@ims.test"))
        answer = await register(p, token(), headers=["P-Asserted-Identity: <sip:bob@ims.test>", "P-Preferred-Identity: <sip:bob@ims.test>"])
        assert answer.credential() and answer.credential()["user-id"] == "alice", (answer, answer.headers)
        # the connection is alice's now
        answer = await register(p, token("sub=bob"), sender="sip:bob@ims.test", to="sip:bob@ims.test")
        assert answer.status == 403, answer


async def of_this_user_in_another_spelling():
    """One name has many spellings."""
    async with phone("alice") as p:
        answer = await register(p, token(), sender="sip:%61lice@IMS.test", to="sip:%61lice@ims.test.")
        assert answer.credential()["user-id"] == "alice", answer


async def contacts_that_cannot_be_saved():
    """What is wrong with a registration is told as with a password."""
    many = [f"<sip:alice@{i}.invalid;transport=ws>" for i in range(11)]
    async with phone("alice") as p:
        proof = token()
        for contact in ("*", "* , " + many[0], "broken <"):
            answers = (await register(p, proof, contact=contact)).status, (await p.register("derived", contact=contact)).status
            assert answers == (400, 400), (contact, answers)
        assert (await register(p, proof, contact=", ".join(many[:10]))).status == 200
        answers = (await register(p, proof, contact=many[10])).status, (await p.register("derived", contact=many[10])).status
        assert answers == (503, 503), answers
        assert (await register(p, proof, contact="*", expires=0)).status == 200


async def copies():
    """Copies of a REGISTER are one question to turncredd, and not counted (ASKING_MAX is 5): whether the token is right or wrong, or the
    copies have passwords of their own."""
    async with phone("alice") as p:
        for sub, status in ("bob", 401), ("alice", 200):
            answer = await register(p, token(f"sub={sub}"))
            assert answer.status == status, answer
            for _ in range(10):
                await p.write(p.last_sent)
        assert (await register(p, token())).credential()
    async with phone("alice") as p:
        asked, uri = [], "sip:ims.test"
        for _ in range(10):
            challenge = next(value for value in (await p.send("REGISTER", uri)).all("WWW-Authenticate") if value.startswith("Digest"))
            asked.append(digest(challenge, "REGISTER", uri, p.user, p.password))
        answer = await p.send("REGISTER", uri, [f"Authorization: {asked[0]}", *asking("derived")])
        assert answer.credential(), answer.headers
        for proof in asked[1:]:
            await p.write(p.last_sent.replace(asked[0], proof))
        assert (await p.register("derived")).credential()


async def two_proofs():
    """What says two things about who it is is refused."""
    async with phone("alice") as p:
        challenge = next(value for value in (await p.send("REGISTER", "sip:ims.test")).all("WWW-Authenticate") if value.startswith("Digest"))
        proof = digest(challenge, "REGISTER", "sip:ims.test", "alice", p.password)
        for both in ([f"Authorization: Bearer {token()}", f"Authorization: {proof}"],
                     [f"Authorization: {proof}", f"Authorization: bearer  {token()}"],
                     [f"Authorization: Bearer {token()}, {proof}"], [f"Authorization: {proof}, Bearer {token()}"],
                     [f"Authorization: Bearer {token()}"] * 2, [f"Authorization: Bearer {token()},Bearer {token()}"],
                     ["Authorization:\r\n Bearer\r\n " + token(), f"Authorization: {proof}"]):
            answer = await p.send("REGISTER", "sip:ims.test", both)
            assert answer.status == 400, (answer, both)
            assert (await p.options("derived")).status == 403
        # one token, written as SIP allows
        answer = await p.send("REGISTER", "sip:ims.test", ["authorization :\r\n bEARER\r\n\t " + token(), "Expires: 60"])
        assert answer.status == 200, answer


async def without_tls():
    """A token that everybody could read is not taken."""
    async with phone("alice", url=plain()) as p:
        before = sql("SELECT count(*) FROM turncred.issue_log")
        answer = await register(p, token())
        assert answer.status == 403 and not answer.all("Turn-Credential"), answer
        assert (await p.options("derived")).status != 200 or not (await p.options("derived")).credential()
        assert sql("SELECT count(*) FROM turncred.issue_log") == before
        answer = await p.register("derived")
        assert answer.status == 200 and answer.why() == "not-secure", answer


async def passwords_as_before():
    """Who shows nothing is asked for a password first, or a token; passwords do."""
    async with phone("alice") as p:
        answer = await p.send("REGISTER", "sip:ims.test")
        kinds = [re.match(r"\w+", value)[0] for value in answer.all("WWW-Authenticate")]
        assert answer.status == 401 and kinds == ["Digest", "Bearer"], answer.headers
        assert answer.all("WWW-Authenticate")[1] == 'Bearer realm="ims.test", scope="sip", authz_server="https://portal.test"'
        assert (await p.register("derived")).credential()["user-id"] == "alice"
        # and one after the other over one connection
        assert (await register(p, token())).credential()["user-id"] == "alice"
        assert (await p.register("derived", password="wrong")).status == 401


async def uri_as_user():
    """alice of ims.test and alice of other.test share a realm, and no token."""
    async with phone("alice", "other.test") as p:
        invalid(await register(p, token("sub=alice")))
        invalid(await register(p, token("sub=sip:alice@ims.test")))
        got = (await register(p, token("sub=sip:alice@other.test"))).credential()
        assert got["user-id"] == "sip:alice@other.test"
        probe(got)


async def no_tokens_here():
    """Without TOKEN_AUTHORITY a token is no proof, and nobody is asked for one."""
    async with phone("alice") as p:
        answer = await register(p, token())
        assert answer.status == 401 and len(answer.all("WWW-Authenticate")) == 1, answer.headers
        assert answer.get("WWW-Authenticate").startswith("Digest") and (await p.options("derived")).status == 403


async def nobody_checks():
    """A token that nobody can check registers nobody, soon; passwords do."""
    async with phone("alice") as p:
        for _ in range(2):
            begin = time.monotonic()
            answer = await register(p, token())
            assert answer.status == 503 and int(answer.get("Retry-After")) > 0, answer
            assert time.monotonic() - begin < 6
            assert (await p.options("derived")).status == 403
        assert (await p.register()).status == 200


async def checked_again():
    """As soon as turncredd is asked again, tokens register."""
    async with phone("alice") as p:
        async def taken():
            answer = await register(p, token())
            assert answer.status in (200, 503), answer
            return answer.credential()

        probe(await by_then(taken, 15))


async def vouched_for():
    """The registrar hears from its edge who it is, and sees no token."""
    async with phone("alice") as p:
        for ask in "derived", "pushed":
            answer = await register(p, token(), ask)
            assert answer.status == 200, answer.headers
            assert seen(answer, "Authorization") == ('Digest username="alice@ims.test", realm="ims.test", nonce="", uri="sip:ims.test", '
                                                     'response="", integrity-protected="auth-done"'), answer.headers
            assert seen(answer, "Visited") == '"visited.test"' and seen(answer, "Path")
            got = answer.credential()
            assert got["user-id"] == "alice" and got["kind"] == ask
            probe(got)
        assert (await p.options("derived")).credential()
        assert (await register(p, token(), None, expires=0)).status == 200
        await refused(got)
        assert (await p.options("derived")).status == 403
    # a client cannot vouch for itself
    async with phone("bob") as p:
        for claim in ('Digest username="bob@ims.test", realm="ims.test", nonce="", uri="sip:ims.test", response="", '
                      'integrity-protected="auth-done"', 'Digest username="bob@ims.test", integrity-protected=auth-done'):
            answer = await p.send("REGISTER", "sip:ims.test", [f"Authorization: {claim}", *asking("derived")])
            assert answer.status == 401 and not answer.all("Turn-Credential"), answer.headers
        assert (await p.register("derived")).credential()["user-id"] == "bob"


async def not_trusted():
    """The registrar does not take the edge's word: no registration, no credential."""
    async with phone("alice") as p:
        answer = await register(p, token())
        assert answer.status == 401 and not answer.all("Turn-Credential"), answer.headers
        assert (await p.options("derived")).status == 403
        assert (await p.register("derived")).credential()


async def not_vouched_for():
    """Without EDGE_TRUSTED_NODE the registrar decides about each Authorization, and this one knows no tokens."""
    async with phone("alice") as p:
        answer = await register(p, token())
        assert answer.status == 401 and not answer.all("Turn-Credential"), answer.headers
        assert (await p.options("derived")).status == 403


if __name__ == "__main__":
    run_step(globals())
