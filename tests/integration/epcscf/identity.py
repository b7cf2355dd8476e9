# SPDX-License-Identifier: BSD-3-Clause
"""The steps of identity.bats: one function each, called by phones_step."""

import asyncio
import secrets
from urllib.parse import quote

from phone import asking, digest
from phones import by_then, ctl, password_of, phone, plain, probe, refused, run_step, sql

REFUSED = (400, 401, 403, 404)


def none(answer, *status):
    """The answer has no credential, and one of these codes"""
    assert not answer.credential() and answer.status in status, (answer, answer.headers)


async def names_that_a_client_writes():
    """On alice's connection every credential is alice's, and who calls itself otherwise gets none."""
    async with phone("alice") as p, phone("bob") as q:
        await q.register()
        assert (await p.register("derived")).credential()["user-id"] == "alice"
        others = ["aLiCe@ims.test", "ALICE@ims.test", "bob@ims.test", "%62ob@ims.test", "alice@other.test", "alice%00@ims.test",
                  "alice%20@ims.test", "alice%2525@ims.test", "%2561lice@ims.test", "alice%40ims.test@ims.test", "ims.test",
                  "alic%E9@ims.test", "alice%@ims.test"]
        for other in others:
            for scheme in ("sip", "sips"):
                for kind in ("derived;new", "pushed;new", "supported"):
                    none(await p.options(kind, sender=f"{scheme}:{other}"), 400, 403)
            # and nobody is called under such a name
            answer = await p.send("MESSAGE", "sip:bob@ims.test", to="sip:bob@ims.test", sender=f"sip:{other}", call_id=other)
            assert answer.status in (400, 403), (other, answer)
        assert q.requests.empty()
        # one and the same name, spelled otherwise
        for own in ("%61lice@ims.test", "%61%6C%69%63%65@ims.test", "%61%6c%69%63%65@IMS.TEST", "alice@ims.test.", "alice:x@ims.test",
                    "alice@ims.test;user=phone", "alice@ims.test:5060"):
            assert (await p.options("derived", sender=f"sip:{own}")).credential()["user-id"] == "alice", own
            assert (await p.options("derived", to=f"sip:{own}")).credential()["user-id"] == "alice", own
        for header in ("P-Asserted-Identity: <sip:bob@ims.test>", "P-Preferred-Identity: <sip:bob@ims.test>",
                       "Contact: <sip:bob@ims.test>", "Remote-Party-ID: <sip:bob@ims.test>", "Authorization: Digest username=\"bob\", "
                       "realm=\"ims.test\", nonce=\"x\", uri=\"sip:ims.test\", response=\"00000000000000000000000000000000\""):
            for to in (None, "sip:bob@ims.test"):
                got = (await p.options("derived;new", headers=[header], to=to)).credential()
                assert got["user-id"] == "alice" and got["username"].startswith("alice:"), (header, got)
        # nor does a name that a client asserts get to the other
        asked = asyncio.create_task(p.send("MESSAGE", "sip:bob@ims.test", ["P-Asserted-Identity: <sip:carol@ims.test>"],
                                           to="sip:bob@ims.test", call_id="asserted"))
        request = await asyncio.wait_for(q.requests.get(), 10)
        assert not request.all("P-Asserted-Identity")
        await q.answer(request, 200)
        await asked
    assert sql("SELECT count(*) FROM turncred.credential WHERE lower(user_id) LIKE 'alice%'") == "0"


async def revoked_in_every_spelling():
    """What a revoked subscriber asks for is not given, however its name is spelled."""
    async with phone("carol") as p:
        derived = (await p.register("derived")).credential()
        pushed = (await p.options("pushed")).credential()
        probe(derived)
        ctl("revoke", "user", "turn.test", "carol")
        try:
            await refused(derived)
            await refused(pushed)
            for name in ("carol", "Carol", "CAROL", "%63arol", "%43arol", "caro%6C", "caro%6c"):
                for domain in ("ims.test", "IMS.test", "ims.test."):
                    for kind in ("derived;new", "pushed;new"):
                        none(await p.options(kind, sender=f"sip:{name}@{domain}"), 200, 403)
                        uri = f"sip:{name}@{domain}"
                        none(await p.register(kind, sender=uri, to=uri), 200, 401, 403)
        finally:
            ctl("unrevoke", "user", "turn.test", "carol")
        await p.register(expires=0)
    assert sql("SELECT count(*) FROM turncred.credential WHERE user_id ILIKE 'carol%'") == "0"


async def as_user(p, user, ask="derived", **more):
    """REGISTER of another subscriber over p's connection"""
    uri = f"sip:{user}@ims.test"
    return await p.register(ask, to=uri, sender=uri, user=user, password=password_of(user), call_id=user + p.call_id,
                            contact=f"<sip:{user}@{p.host};transport=ws>", **more)


async def one_connection_one_subscriber():
    """While alice has a registration over a connection, nobody else registers over it; afterwards bob does."""
    async with phone("alice") as p, phone("carol") as watch:
        await watch.register()
        assert (await p.register("derived")).credential()["user-id"] == "alice"
        none(await as_user(p, "bob"), 403)
        none(await as_user(p, "bob", expires=0), 403)
        # that changed nothing
        assert (await p.options("derived")).credential()["user-id"] == "alice"
        none(await p.options("derived", sender="sip:bob@ims.test"), 403)
        assert (await watch.send("MESSAGE", "sip:bob@ims.test", to="sip:bob@ims.test", call_id="1")).status == 480
        # alice with another Contact and Call-ID: still alice
        got = (await p.register("derived", contact="<sip:alice@second.invalid;transport=ws>", call_id="second")).credential()
        assert got["user-id"] == "alice"
        await p.register(expires=0)
        # the second one is still there
        none(await as_user(p, "bob"), 403)
        assert (await p.options("derived")).credential()["user-id"] == "alice"
        assert (await p.register(expires=0, contact="*")).status == 200
        none(await p.options("derived"), 403)
        # now it is bob's
        assert (await as_user(p, "bob")).credential()["user-id"] == "bob"
        none(await p.options("derived"), 403)
        assert (await p.options("derived", sender="sip:bob@ims.test")).credential()["user-id"] == "bob"
        none(await p.register("derived"), 403)
        await as_user(p, "bob", expires=0)
        assert (await p.register("derived")).credential()["user-id"] == "alice"
        # a registration that failed proves nothing
        async with phone("alice") as q:
            none(await q.register("derived", password="wrong"), 401)
            none(await q.options("derived"), 403)
            # nor does one that leaves no registration
            assert (await q.register("derived", contact=False)).status == 200
            none(await q.options("derived"), 403)


async def digest_of_another_name():
    """No other row's password lets in under a name, and no spelling of the digest's username helps."""
    async with phone("alice") as p:
        for user, password in (("bob", "bob@ims.test"), ("alice@other.test", "alice@other.test"), ("alice", "alice@other.test"),
                               ("bob@ims.test", "bob@ims.test"), ("ALICE", "alice@ims.test"), ("alice@ims.test", "bob@ims.test"),
                               ("@ims.test", "alice@ims.test"), ("alice@", "alice@ims.test"), ("%61lice", "alice@other.test")):
            name, domain = password.split("@")
            answer = await p.register("derived", user=user, password=password_of(name, domain))
            none(answer, 401, 403)
        # two names that a careless comparison takes for one: %61lice is a subscriber, too
        none(await p.register("derived", user="%61lice", password=password_of("%2561lice")), 401, 403)
        none(await p.options("derived"), 403)
        # the realm of another domain
        challenge = (await p.send("REGISTER", "sip:ims.test")).get("WWW-Authenticate")
        proof = digest(challenge.replace("ims.test", "other.test"), "REGISTER", "sip:ims.test", "alice", password_of("alice", "other.test"))
        none(await p.send("REGISTER", "sip:ims.test", ["Authorization: " + proof, *asking("derived")]), 401)
        # two Authorization headers: the right one for alice, and bob's
        right = digest((await p.send("REGISTER", "sip:ims.test")).get("WWW-Authenticate"), "REGISTER", "sip:ims.test", "alice", p.password)
        bobs = right.replace('username="alice"', 'username="bob"')
        for both in ([bobs, right], [right, bobs]):
            answer = await p.send("REGISTER", "sip:ims.test", ["Authorization: " + one for one in both] + asking("derived"))
            assert answer.status in (401, 403) or answer.credential()["user-id"] == "alice", answer
        # a digest may spell its username as the AoR does
        uri = "sip:spelled%40out@ims.test"
        async with phone("spelled%40out") as q:
            got = (await q.register("derived", user="spelled%40out")).credential()
            assert got["user-id"] == "spelled%40out", (uri, got)


async def not_after_the_connection():
    """A new connection has to prove itself, also where it has address and Contact of the old one."""
    async with phone("alice") as p:
        assert (await p.register("derived")).credential()
        kept = p.host
    for _ in range(20):
        async with phone("alice") as q:
            q.host = kept
            none(await q.options("derived"), 403)
            assert (await q.send("MESSAGE", "sip:alice@ims.test", to="sip:alice@ims.test")).status == 403


async def closed_connection():
    """Without an unregistration: within usrloc's interval the registration is over, and so is its credential."""
    async with phone("bob") as p:
        got = (await p.register("pushed")).credential()
        probe(got)
    await refused(got, limit=30)
    assert sql("SELECT count(*) FROM turncred.credential WHERE user_id LIKE 'bob%'") == "0"


async def domains_in_any_case():
    """RFC 3261 19.1.4: a domain has no case."""
    async with phone("alice") as p, phone("bob") as q:
        await q.register()
        for domain in ("IMS.TEST", "Ims.Test", "ims.test.", "IMS.TEST."):
            uri = f"sip:alice@{domain}"
            for where in ({"to": uri, "sender": uri}, {"to": uri}, {"sender": uri}):
                got = (await p.register("derived;new", **where)).credential()
                assert got and got["user-id"] == "alice", (domain, where)
            answer = await p.authenticated("REGISTER", f"sip:{domain}", ["Expires: 600", *asking("derived")], to=uri, sender=uri)
            assert answer.credential()["user-id"] == "alice", domain
            # one and the same registration and connection
            for target in (f"sip:{domain}", uri):
                answer = await p.send("OPTIONS", target, asking("derived"), sender=uri, to=uri, call_id=secrets.token_hex(4))
                assert answer.status == 200 and answer.credential()["user-id"] == "alice", (target, answer)
            asked = asyncio.create_task(p.send("MESSAGE", f"sip:bob@{domain}", to=f"sip:bob@{domain}", sender=uri, call_id=domain))
            await q.answer(await asyncio.wait_for(q.requests.get(), 10), 200)
            assert (await asked).status == 200
        pushed = (await p.options("pushed;new", sender="sip:alice@IMS.TEST")).credential()
        probe(pushed)
        assert (await p.register(expires=0, to="sip:alice@IMS.TEST", sender="sip:alice@IMS.TEST")).status == 200
        await refused(pushed)


async def domain_in_capitals_in_realms():
    """An operator may write a domain as it likes. Nobody of it is a subscriber here, so 401, not 404."""
    for domain in ("big.example", "BIG.EXAMPLE"):
        async with phone("alice", domain, password="x") as p:
            answer = await p.send("REGISTER", f"sip:{domain}")
            assert answer.status == 401 and 'realm="big.example"' in answer.get("WWW-Authenticate"), answer.headers


def spellings(name):
    """Of a name's octets: escaped as little as may be, all of it, and all of it in small letters"""
    octets = name.encode()
    yield quote(octets, safe="-_.!~*'()&=+$,;?/")
    yield "".join(f"%{octet:02X}" for octet in octets)
    yield "".join(f"%{octet:02x}" for octet in octets)


async def names_with_escapes():
    """A subscriber registers under every spelling of its name, has one user id, and its credentials work."""
    for name, user_id in (("bob@corp", "bob%40corp"), ("anna maria", "anna%20maria"), ("josé", "josé"), ("+491234", "+491234"),
                          ("100%", "100%25"), ("%61lice", "%2561lice"), ("o'brien", "o%27brien"),
                          ("credit-union-select", "credit-%75nion-select"),
                          ("a;b?c/d&e=f$g,h", "a;b?c/d&e=f$g,h")):
        canonical = user_id.replace("%27", "'").replace("%75", "u")
        for spelling in spellings(name):
            async with phone(spelling, password=password_of(canonical)) as p:
                answer = await p.register("derived", user=name)
                assert answer.status == 200, (spelling, answer)
                got = answer.credential()
                assert got and got["user-id"] == user_id and got["username"].startswith(user_id + ":"), (spelling, got)
                probe(got)
                got = (await p.options("pushed;new")).credential()
                assert got and got["user-id"] == user_id, (spelling, got)
                probe(got)
                await p.register(expires=0, user=name)
        await refused(got)
    # domains whose user ids are URIs
    for name, user_id in (("josé", "sip:josé@other.test"), ("bob@corp", "sip:bob%40corp@other.test")):
        for spelling in spellings(name):
            async with phone(spelling, "other.test", password=password_of(user_id[4:-11], "other.test")) as p:
                got = (await p.register("derived", user=name)).credential()
                assert got["user-id"] == user_id, got
                probe(got)
    # a revocation ends it under the user id that the credential shows
    async with phone("bob%40corp") as p:
        derived = (await p.register("derived", user="bob@corp")).credential()
        ctl("revoke", "user", "turn.test", "bob%40corp")
        await refused(derived)
        for spelling in spellings("bob@corp"):
            none(await p.options("derived;new", sender=f"sip:{spelling}@ims.test"), 200)
        ctl("unrevoke", "user", "turn.test", "bob%40corp")


async def broken_names():
    """What is no name is refused, and the next request works."""
    async with phone("alice") as p:
        for name in ("alice%", "alice%4", "alice%zz", "%", "%00", "alice%00", "alice%0D%0A", "alice%7f", "%1Falice", "alice%2", "%%61lice"):
            uri = f"sip:{name}@ims.test"
            none(await p.register("derived", to=uri, sender=uri), *REFUSED)
            none(await p.register("derived", to=uri), *REFUSED)
            none(await p.register("derived", sender=uri), *REFUSED)
        for uri in ("sip:ims.test", "tel:+491234", "tel:+491234;phone-context=ims.test", "urn:service:sos", "sip:@ims.test", "sip::x@ims.test"):
            none(await p.register("derived", to=uri, sender=uri), *REFUSED)
        assert (await p.register("derived")).credential()["user-id"] == "alice"
        for name in ("alice%", "alice%00", "%zz"):
            answer = await p.send("MESSAGE", f"sip:{name}@ims.test", to="sip:alice@ims.test", call_id=name)
            assert answer.status in (400, 404), (name, answer)


async def called_by_every_spelling():
    """A call is put through whichever way the name is spelled, and not to another case."""
    async with phone("alice") as p, phone("jos%C3%A9", password=password_of("josé")) as q, phone("bob") as r:
        assert (await q.register(user="josé")).status == 200
        await p.register()
        await r.register()
        for name, who in (("jos%C3%A9", q), ("%6aos%c3%a9", q), ("%62ob", r), ("bo%62", r)):
            uri = f"sip:{name}@IMS.test"
            asked = asyncio.create_task(p.send("MESSAGE", uri, to=uri, call_id=name))
            await who.answer(await asyncio.wait_for(who.requests.get(), 10), 200)
            assert (await asked).status == 200, name
        for name in ("Bob", "BOB", "jos%C3%89", "jose", "bob%20"):
            uri = f"sip:{name}@ims.test"
            assert (await p.send("MESSAGE", uri, to=uri, call_id=name)).status == 480, name


async def unknown_option_tags():
    """420 and Unsupported name the tags that this eP-CSCF does not have, and only these."""
    def unsupported(answer):
        assert answer.status == 420, answer
        values = [tag.strip() for value in answer.all("Unsupported") for tag in value.split(",")]
        return sorted(values)

    for p in (phone("alice"), phone("alice", url=plain())):
        async with p:
            tags = ["Require: nosuch", "Require: TURNCRED, other-1 ,\r\n\tthird", "require : Fourth"]
            assert unsupported(await p.send("REGISTER", "sip:ims.test", tags)) == ["Fourth", "nosuch", "other-1", "third"]
            assert unsupported(await p.send("OPTIONS", "sip:ims.test", tags)) == ["Fourth", "nosuch", "other-1", "third"]
            assert unsupported(await p.register(headers=["Require: path"])) == ["path"]
            assert unsupported(await p.register(headers=["Proxy-Require: sec-agree", "Require: outbound"])) == ["outbound", "sec-agree"]
            for method in ("INVITE", "MESSAGE", "OPTIONS", "REGISTER", "SUBSCRIBE"):
                answer = await p.send(method, "sip:ims.test" if method == "REGISTER" else "sip:bob@ims.test", ["Proxy-Require: privacy, nosuch"], call_id=method)
                assert unsupported(answer) == ["nosuch", "privacy"], method
            for bad in ('Require: "nosuch"', "Require: a b", "Require: no such, turncred", "Proxy-Require: <x>"):
                answer = await p.send("REGISTER", "sip:ims.test", [bad])
                assert answer.status == 400 or unsupported(answer) in (["ab"], ["nosuch"]), (bad, answer)
            many = ", ".join(f"tag{i}" for i in range(60))
            assert len(unsupported(await p.send("REGISTER", "sip:ims.test", [f"Require: {many}"]))) == 60
            # nothing was registered by these
            assert (await p.send("MESSAGE", "sip:alice@ims.test", to="sip:alice@ims.test", call_id="m")).status == 403
            assert (await p.register(headers=["Require: , ,", "Supported: nosuch"])).status == 200
    # what a call, or a question for the other phone, needs is for the other phone to say
    async with phone("alice") as p, phone("bob") as q:
        await p.register()
        await q.register()
        for method in "OPTIONS", "INVITE":
            asked = asyncio.create_task(p.send(method, "sip:bob@ims.test", ["Require: 100rel, nosuch"], to="sip:bob@ims.test", call_id=method))
            request = await asyncio.wait_for(q.requests.get(), 10)
            assert request.method == method and request.get("Require") == "100rel, nosuch", request
            await q.answer(request, 420, ["Unsupported: nosuch"])
            assert unsupported(await asked) == ["nosuch"]


async def credential_required():
    """Require: turncred gets the domain's first kind; where it can be none, the request fails and says why."""
    require = ["Require: turncred"]
    async with phone("alice") as p:
        none(await p.options(headers=require), 403)
        assert (await p.register(headers=["Require: TurnCred"])).credential()["kind"] == "derived"
        assert (await p.register("pushed", headers=require)).credential()["kind"] == "pushed"
        assert (await p.options(headers=require)).credential()["kind"] == "derived"
        assert (await p.options("pushed", headers=["Proxy-Require: turncred"])).credential()["kind"] == "pushed"
        answer = await p.options("token", headers=require)
        none(answer, 420)
        assert answer.all("Unsupported") == ["turncred"] and "kind" in answer.get("Warning"), answer.headers
        # leaving needs no credential
        none(await p.register(headers=require, expires=0), 200)
        answer = await p.register("token", headers=require)
        none(answer, 420)
        none(await p.options("derived"), 403)
        # revoked
        ctl("revoke", "user", "turn.test", "alice")

        async def forbidden():
            answer = await p.register("derived;new", headers=require)
            none(answer, 200, 403) if not answer.credential() else None
            return answer if answer.status == 403 else None

        answer = await by_then(forbidden)
        assert "user" in answer.get("Warning"), answer.headers
        # a registration that failed is none
        none(await p.options("derived"), 403)
        assert (await p.register("derived")).status == 200
        none(await p.options("derived", headers=require), 403)
        ctl("unrevoke", "user", "turn.test", "alice")

        async def again():
            return (await p.register("derived;new", headers=require)).credential()

        probe(await by_then(again))
        await p.register(expires=0)
    async with phone("alice", url=plain()) as p:
        answer = await p.register(headers=require)
        none(answer, 420)
        assert answer.all("Unsupported") == ["turncred"] and "WebSocket" in answer.get("Warning"), answer.headers
        assert (await p.send("MESSAGE", "sip:alice@ims.test", to="sip:alice@ims.test", call_id="m")).status == 403


async def credential_required_and_nobody_there():
    """turncredd hangs: 503 with Retry-After, and no registration is left."""
    async with phone("alice") as p:
        for _ in range(2):
            answer = await p.register("derived;new", headers=["Require: turncred"])
            none(answer, 503)
            assert int(answer.get("Retry-After")) > 0 and answer.get("Warning"), answer.headers
            none(await p.options("derived"), 403)
        assert (await p.register("derived;new")).status == 200
        none(await p.options("derived;new", headers=["Require: turncred"]), 503)


async def digest_with_the_domain():
    """A digest for alice@ims.test: its password is in the column ha1b, and the name is alice."""
    async with phone("alice") as p:
        for user in ("alice@ims.test", "alice"):
            got = (await p.register("derived", user=user)).credential()
            assert got["user-id"] == "alice", user
        for user, name, domain in (("alice@other.test", "alice", "other.test"), ("bob@ims.test", "bob", "ims.test")):
            none(await p.register("derived", user=user, password=password_of(name, domain)), 401, 403)


if __name__ == "__main__":
    run_step(globals())
