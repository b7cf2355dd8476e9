# SPDX-License-Identifier: BSD-3-Clause
"""The steps of credential.bats: one function each, called by phones_step."""

import asyncio
import re
import time

from phone import asking, digest
from phones import by_then, ctl, password_of, phone, plain, probe, refused, run_step, sql, udp_phone, until


async def derived_allocates():
    """REGISTER asks for a derived credential; it allocates over UDP and TCP."""
    async with phone("alice") as p:
        answer = await p.register("derived")
        assert answer.status == 200 and answer.get("Contact")
        got = answer.credential()
        assert got["kind"] == "derived" and got["user-id"] == "alice" and got["realm"] == "turn.test"
        assert got["username"] == f"alice:{got['timestamp']}"
        assert abs(int(got["timestamp"]) - time.time() - int(got["expires"])) < 5
        assert got["uris"] == "turn:turn.test:3478?transport=udp turn:turn.test:3478?transport=tcp"
        probe(got)
        probe(got, transport="tcp")
        probe(dict(got, username=f"bob:{got['timestamp']}"), 401)


async def pushed_allocates_until_unregistered():
    """A pushed credential allocates; after unregistering it fails, and its row is gone."""
    async with phone("bob") as p:
        got = (await p.register("pushed")).credential()
        assert got["kind"] == "pushed" and got["user-id"] == "bob" and re.fullmatch("bob~[0-9a-f]{16}", got["username"]), got
        probe(got)
        assert (await p.register(expires=0)).status == 200
        await refused(got)
        assert sql("SELECT count(*) FROM turncred.credential WHERE user_id = 'bob'") == "0"


async def many_credentials(count):
    """So many questions to turncredd"""
    async with phone("crowd-9") as p:
        await p.register()
        for _ in range(int(count)):
            assert (await p.options("derived;new")).credential()
        await p.register(expires=0)


async def option_tag():
    """The option tag turncred asks for the kind that the domain prefers."""
    async with phone("alice") as p:
        got = (await p.register("supported")).credential()
        assert got["kind"] == "derived"
        assert not (await p.register(headers=["Supported: path, turncredit, noturncred"])).credential()
        got = (await p.register(headers=["k: gruu", "k: TURNCRED"])).credential()
        assert got["kind"] == "derived"


async def not_asked_for():
    """A phone that did not ask gets no credential, nor one that asks for an unknown kind."""
    async with phone("alice") as p:
        for ask in (None, "token", "rest", "derived-not", "", ";new", '"'):
            answer = await p.register(ask)
            assert answer.status == 200, ask
            assert not answer.credential(), ask
        # parameters that we do not know are none of our business
        for ask in ("derived;realm=elsewhere.test", "Derived ; x=y", "derived;new"):
            assert (await p.register(ask)).credential()["realm"] == "turn.test", ask


async def kinds_that_the_domain_has_not():
    """A kind that the domain does not have is not handed out."""
    async with phone("alice") as p:
        assert not (await p.register("derived")).credential()
        assert (await p.register("pushed")).credential()["kind"] == "pushed"
        assert (await p.register("supported")).credential()["kind"] == "pushed"
        await p.register(expires=0)


async def kinds_with_blanks():
    """An operator may write the list of kinds as it likes."""
    async with phone("alice") as p:
        for ask, kind in (("pushed", "pushed"), ("derived", "derived"), ("supported", "derived")):
            got = (await p.register(ask)).credential()
            assert got and got["kind"] == kind, (ask, got)
        await p.register(expires=0)


async def first_of_several_kinds():
    """Of the kinds in a request the first that there is, its own parameters with it."""
    async with phone("alice") as p:
        for ask, kind in (("pushed, derived", "pushed"), ("derived,pushed", "derived"), ("token;new, ,Pushed ;x=y", "pushed"),
                          ('token;x="a,pushed;b"; new,derived', "derived"), ('token;x="\\", pushed", derived', "derived")):
            assert (await p.register(ask)).credential()["kind"] == kind, ask
            assert (await p.options(ask)).credential()["kind"] == kind, ask
        two = ["Turn-Credential-Request: token", "Turn-Credential-Request: pushed", "Turn-Credential-Request: derived"]
        assert (await p.register(headers=two)).credential()["kind"] == "pushed"
        # "new" counts for the kind beside it, and not in quotes
        first = (await p.register("pushed")).credential()["password"]
        for ask in ("pushed, derived;new", "token;new, pushed", 'pushed;x=";new"'):
            assert (await p.register(ask)).credential()["password"] == first, ask
        assert (await p.register("pushed;new, derived")).credential()["password"] != first
        # what is no list of kinds, and a kind that stands too far behind
        for ask in ('"derived', 'x="derived', 'pushed"', ",", "derived pushed", ", ".join(["token"] * 8 + ["derived"]),
                    "derived;x=" + "y" * 9000):
            answer = await p.register(ask)
            assert answer.status == 200 and not answer.credential() and answer.why() == "unsupported-kind", ask
        await p.register(expires=0)


async def first_that_the_domain_has():
    """Where the domain has one kind alone, it is this one."""
    async with phone("alice") as p:
        assert (await p.register("derived;new, pushed")).credential()["kind"] == "pushed"
        await p.register(expires=0)


async def reasons():
    """Each reason for which there is no credential; a client cannot write one itself."""
    forged = ["Turn-Credential: error=forged"]
    async with phone("alice") as p:
        answer = await p.options("derived", headers=forged)
        assert answer.status == 403 and answer.why() == "not-registered", answer.headers
        assert (await p.register("derived", headers=forged)).credential()
        for ask in ("pushed", "token"):
            for answer in (await p.register(ask, headers=forged), await p.options(ask, headers=forged)):
                assert answer.status == 200 and answer.why() == "unsupported-kind", answer.headers
        for answer in (await p.register(headers=forged), await p.options(headers=forged), await p.register("derived", contact=False),
                       await p.register("token", expires=0), await p.register("derived", expires=0)):
            assert answer.status == 200 and answer.turn_credential() is None, answer.headers
        answer = await p.register("derived", password="wrong")
        assert answer.status == 401 and answer.turn_credential() is None
    # a user of its own: later credentials of a user who was revoked live longer
    async with phone("crowd-48") as p:
        ctl("revoke", "user", "turn.test", "crowd-48")

        async def refused_user():
            return (await p.register("derived;new")).why() == "forbidden"

        await by_then(refused_user)
    for phone_ in (phone("bob", url=plain()), udp_phone("bob")):
        async with phone_ as p:
            for ask in ("derived", "supported"):
                answer = await p.register(ask)
                assert answer.status == 200 and answer.why() == "not-secure", answer.headers
            answer = await p.register(headers=["Require: turncred"])
            assert answer.status == 420 and answer.why() == "not-secure", answer.headers


async def refusals():
    """401, wrong passwords and other refusals carry no credential."""
    async with phone("alice") as p:
        answer = await p.send("REGISTER", "sip:ims.test", ["Turn-Credential-Request: derived"])
        assert answer.status == 401 and not answer.credential()
        answer = await p.register("derived", password="wrong")
        assert answer.status == 401 and not answer.credential()
        assert (await p.options("derived")).status == 403
        # an answer to a challenge counts once
        challenge = (await p.send("REGISTER", "sip:ims.test")).get("WWW-Authenticate")
        proof = "Authorization: " + digest(challenge, "REGISTER", "sip:ims.test", "alice", p.password)
        for status in (200, 401):
            answer = await p.send("REGISTER", "sip:ims.test", [proof, "Turn-Credential-Request: derived", "Expires: 60"])
            assert answer.status == status and bool(answer.credential()) == (status == 200), answer
        # right password, but the registrar refuses
        p.cseq = 0
        answer = await p.register("derived", headers=["Contact: <sip:alice@x.invalid>;expires=99999999999999999999"], contact=False)
        assert not answer.credential() or answer.status == 200
        answer = await p.register("derived", contact="<sip:alice@")
        assert answer.status >= 400 and not answer.credential(), answer
        other = phone("alice")
        other.call_id, other.cseq = p.call_id, 0
        async with other:
            await p.register()
            other.host, p.cseq = p.host, 100
            await p.register()
            answer = await other.register("derived")
            assert answer.status >= 400 and not answer.credential(), answer
    async with phone("alice", "nowhere.test", password="x") as p:
        assert (await p.register("derived")).status == 404


async def identity_is_the_password():
    """A phone gets the credential of the subscriber whose password it has, and of no other."""
    async with phone("alice") as p:
        answer = await p.register("derived", user="bob", password=password_of("bob"))
        assert answer.status == 403 and not answer.credential()
        answer = await p.register("derived", sender="sip:bob@ims.test")
        assert answer.status == 403 and not answer.credential()
        answer = await p.register("derived", to="sip:bob@ims.test", sender="sip:bob@ims.test")
        assert answer.status == 403 and not answer.credential()
        # the same name in another domain is somebody else
        answer = await p.register("derived", to="sip:alice@other.test", sender="sip:alice@other.test")
        assert answer.status == 401 and not answer.credential()
        for header in ("P-Asserted-Identity: <sip:bob@ims.test>", "P-Preferred-Identity: <sip:bob@ims.test>"):
            got = (await p.register("derived", headers=[header])).credential()
            assert got["user-id"] == "alice"


async def unregistering_and_queries():
    """expires=0, queries and unregistering in other spellings carry no credential."""
    async with phone("alice") as p:
        assert not (await p.register("derived", contact=False)).credential()
        assert (await p.register("derived")).credential()
        assert not (await p.register("derived", contact=False)).credential()
        assert not (await p.register("derived", expires=0)).credential()
        assert (await p.register("derived")).credential()
        assert not (await p.register("derived", contact=p.contact_value() + ";expires=0")).credential()
        assert (await p.register("derived")).credential()
        assert not (await p.register("derived", expires=0, contact="*")).credential()
        assert (await p.options("derived")).status == 403


async def options_in_its_flow_alone():
    """OPTIONS brings a credential in the flow that was registered, and in no other."""
    async with phone("alice") as p, phone("bob") as q, phone("alice") as again:
        assert (await p.options("derived")).status == 403
        assert (await p.options("supported")).status == 403
        answer = await p.options()
        assert answer.status == 200 and not answer.credential() and "turncred" in answer.get("Supported")
        await p.register()
        got = (await p.options("derived")).credential()
        probe(got)
        assert not (await p.options()).credential()
        answer = await p.send("OPTIONS", "sip:alice@ims.test", asking("derived"), contact=False, call_id="own")
        assert answer.credential()["user-id"] == "alice"
        # bob's flow, alice's name; and a connection of alice's own that did not register
        await q.register()
        assert (await q.options("derived")).credential()["user-id"] == "bob"
        answer = await q.options("derived", sender="sip:alice@ims.test")
        assert answer.status == 403 and not answer.credential()
        answer = await p.options("derived", sender="sip:alice@other.test")
        assert answer.status == 403 and not answer.credential()
        answer = await again.options("derived")
        assert answer.status == 403 and not answer.credential()
        await p.register(expires=0)
        assert (await p.options("derived")).status == 403


async def without_tls():
    """Without TLS a phone registers over ws and UDP, and gets no credential."""
    for phone_ in (phone("alice", url=plain()), udp_phone("alice")):
        async with phone_ as p:
            for ask in ("derived", "pushed", "supported"):
                answer = await p.register(ask)
                assert answer.status == 200 and not answer.credential(), ask
                answer = await p.options(ask)
                assert answer.status == 200 and not answer.credential(), ask
    async with phone("alice") as p:
        assert (await p.register("derived")).credential()


async def copies_of_the_header():
    """Copies of the header from outside go no further, in requests and in answers."""
    forged = 'kind=derived; user-id="mallory"; password="x"'
    spellings = [f"Turn-Credential: {forged}", f"turn-credential : {forged}", f"TURN-CREDENTIAL:{forged}\r\n\tfolded"]
    async with phone("alice") as p, phone("bob") as q:
        await q.register()
        for spelling in spellings:
            # to the registrar
            answer = await p.register("derived", headers=[spelling])
            assert answer.credential()["user-id"] == "alice"
            assert not (await p.register(headers=[spelling])).all("Turn-Credential")
            assert not (await p.options(headers=[spelling])).all("Turn-Credential")
        # to another phone, and back
        for method in ("INVITE", "MESSAGE", "OPTIONS"):
            asked = asyncio.create_task(p.send(method, "sip:bob@ims.test", [*spellings, "Turn-Credential-Request: derived", "X-Kept: 1"],
                                               to="sip:bob@ims.test", call_id=method))
            request = await asyncio.wait_for(q.requests.get(), 10)
            assert request.method == method and request.get("X-Kept") == "1"
            assert not any("turn-credential" in name.lower() for name, _ in request.headers), request.headers
            await q.answer(request, 180, [*spellings, "X-Kept: 1"]) if method == "INVITE" else None
            await q.answer(request, 486 if method == "INVITE" else 200, [*spellings, "Turn-Credential-Request: pushed", "X-Kept: 1"])
            answer = await asked
            assert answer.get("X-Kept") == "1"
            for message in (answer, *p.provisional):
                assert not any("turn-credential" in name.lower() for name, _ in message.headers), message.headers
            if method == "INVITE":
                assert (await asyncio.wait_for(q.requests.get(), 10)).method == "ACK"


async def calls_of_registered_flows():
    """Calls come from registered flows alone."""
    async with phone("alice") as p, phone("bob") as q:
        await q.register()
        assert (await p.send("MESSAGE", "sip:bob@ims.test", to="sip:bob@ims.test")).status == 403
        await p.register()
        answer = await p.send("MESSAGE", "sip:bob@ims.test", to="sip:bob@ims.test", sender="sip:bob@ims.test")
        assert answer.status == 403 or q.requests.empty() is False
        assert (await p.send("MESSAGE", "sip:carol@ims.test", to="sip:carol@ims.test")).status == 480
        assert (await p.send("MESSAGE", "sip:x@elsewhere.test", to="sip:x@elsewhere.test")).status == 404


async def new_at_every_registration():
    """Without keeping, every registration brings a new credential."""
    async with phone("carol") as p:
        first = (await p.register("pushed")).credential()
        assert (await p.register("pushed")).credential()["password"] == first["password"]
        another = (await p.register("pushed;new")).credential()
        assert another["password"] != first["password"]
        probe(another)
        await refused(first)
        first = (await p.register("derived")).credential()
        await until(lambda: time.time() > int(first["timestamp"]) - int(first["expires"]) + 1)
        assert (await p.register("derived")).credential()["timestamp"] > first["timestamp"]
        await p.register(expires=0)


async def kept_for_a_part_of_its_life():
    """With keeping, the credential stays the same until a part of its life is over."""
    async with phone("carol") as p:
        first = (await p.register("derived")).credential()
        assert int(first["expires"]) <= 8
        seen = set()
        while True:
            got = (await (p.register if len(seen) % 2 else p.options)("derived")).credential()
            left = int(got["expires"])
            if got["timestamp"] != first["timestamp"]:
                break
            seen.add(left)
            assert left >= 3, "kept for too long"
            await asyncio.sleep(0.2)
        assert min(seen) <= 5 and 3 <= len(seen), seen
        assert left >= 7


async def uris_as_user_ids():
    """A domain whose user ids are URIs."""
    async with phone("alice", "other.test") as p:
        got = (await p.register("derived")).credential()
        assert got["user-id"] == "sip:alice@other.test" and got["username"].startswith("sip:alice@other.test:")
        probe(got)
        got = (await p.register("pushed")).credential()
        assert got["username"].startswith("sip:alice@other.test~")
        probe(got)
        await p.register(expires=0)
        await refused(got)


async def revoked_subscriber():
    """What a revoked subscriber was given fails; registration goes on without a credential."""
    async with phone("carol") as p:
        derived, pushed = (await p.register("derived")).credential(), (await p.register("pushed")).credential()
        probe(derived)
        probe(pushed)
        ctl("revoke", "user", "turn.test", "carol")
        await refused(derived)
        await refused(pushed)
        answer = await p.register("derived")
        assert answer.status == 200 and not answer.credential()
        ctl("unrevoke", "user", "turn.test", "carol")

        async def again():
            return (await p.options("pushed;new")).credential()

        probe(await by_then(again))
        await refused(derived)
        await p.register(expires=0)


async def client_certificate():
    """The eP-CSCF logs in at turncredd with a certificate."""
    async with phone("alice") as p:
        async def handed_out():
            return (await p.options("derived") if p.cseq > 2 else await p.register("derived")).credential()

        probe(await by_then(handed_out))


if __name__ == "__main__":
    run_step(globals())
