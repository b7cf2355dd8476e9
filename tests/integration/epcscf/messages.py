# SPDX-License-Identifier: BSD-3-Clause
"""The steps of messages.bats: one function each, called by phones_step."""

import asyncio
import contextlib
import re

from dialog import next_of
from edge import listening, reply, timed
from phones import phone, probe, run_step


@contextlib.asynccontextmanager
async def registrar(port):
    """A registrar that answers REGISTER with what answer(REQUEST) of it says, STATUS and headers; seen has the requests"""
    class Registrar:
        seen = []

        @staticmethod
        def answer(request):
            return 200, f"Contact: {request.get('Contact')};expires=60"

    def heard(protocol, request, addr):
        one.seen.append(request)
        protocol.transport.sendto(reply(request, *one.answer(request)), addr)

    one = Registrar()
    transport = await listening(port, heard)
    try:
        yield one
    finally:
        transport.close()
        await asyncio.sleep(0)  # until the port is free


async def long_authorization(port):
    """In one header, in many, and beside others that are long"""
    claim = 'Authorization: Digest username="alice@ims.test", realm="ims.test", nonce="", uri="sip:ims.test", response=""'
    for headers in ([f'{claim}, integrity-protected="auth-done", x="{"y" * 9000}"'],
                    [f'{claim}, x="{"y" * 9000}", integrity-protected="auth-done"'],
                    [f'{claim}, integrity-protected="auth-done"', *[f'Authorization: Digest x="{"y" * 1000}"'] * 9]):
        async with registrar(port) as theirs, phone("alice") as p:
            answer = await p.send("REGISTER", "sip:ims.test", headers)
            assert answer.status == 400 or theirs.seen, answer
            for request in theirs.seen:
                assert not any("integrity-protected" in value for _, value in request.headers), [h[:300] for h in request.headers]


async def long_identities(port):
    """alice, and in the same process bob, who has many names"""
    async with registrar(port) as theirs, phone("alice") as p, phone("bob") as q:
        theirs.answer = lambda request: (200, f"Contact: {request.get('Contact')};expires=60", "P-Associated-URI: " + names)
        names = "<sip:alice@ims.test>"
        assert (await p.register("derived")).credential()["user-id"] == "alice"
        names = ", ".join(f"<sip:bob{'-' * bool(i)}{i or ''}@ims.test>" for i in range(500))
        got = (await q.register("derived")).credential()
        assert got["user-id"] == "bob", got
        probe(got)


async def long_contacts(port):
    """Twelve devices of one user, with all that a device may say of itself, in one header and in many"""
    for between in ", ", "\r\nContact: ":
        async with registrar(port) as theirs, phone("alice") as p:
            others = [f'<sip:alice@{i}.invalid;transport=ws>;expires=60;+sip.instance="<urn:uuid:{i}>";methods="{"x" * 700}"' for i in range(12)]
            theirs.answer = lambda request: (200, "Contact: " + between.join([*others, request.get("Contact") + ";expires=60"]))
            answer = await p.register("derived")
            assert answer.status == 200 and answer.credential(), answer.headers[:6]
            assert (await p.options()).status == 200
            got = ",".join(answer.all("Contact"))
            assert p.contact_value().strip("<>") in got and got.count("sip:") == 13, got[-200:]
            assert (await p.options("derived")).credential()


async def long_call_id():
    """Who knows the seal of a dialog may send requests within it: a call with a long Call-ID must not tell the seal of the call before."""
    async with phone("alice") as p, phone("bob") as q:
        await p.register()
        await q.register()
        seals = set()
        for call_id in "short", "x" * 9000:
            asked = asyncio.create_task(p.send("INVITE", "sip:bob@ims.test", to="sip:bob@ims.test", call_id=call_id))
            request = await next_of(q, "INVITE")
            await q.answer(request, 486)
            assert (await asked).status == 486
            assert (await next_of(q, "ACK")).method == "ACK"
            seals.add(re.search(";k=([0-9a-f]+)", request.get("Record-Route"))[1])
        assert len(seals) == 2, seals


async def folded_authorization(port):
    """An Authorization of two lines is what it is on one, with the edge's word behind it."""
    async with registrar(port) as theirs, phone("alice") as p:
        for state in "tls-pending", "tls-yes":
            await p.send("REGISTER", "sip:ims.test", ['Authorization: Digest username="alice",\r\n realm="ims.test", response="0"'])
            said = [request for request in theirs.seen if request.method == "REGISTER"][-1].all("Authorization")
            assert said == [f'Digest username="alice", realm="ims.test", response="0", integrity-protected="{state}"'], said


async def quoted_expires(port):
    """A registrar repeats the parameters of the client's Contact behind its own."""
    for before, after in ((";expires=2", ""), (";expires=2;q=1", ""), ("", "\r\nExpires: 2")):
        async with registrar(port) as theirs, phone("alice") as p:
            theirs.answer = lambda request: (
                200, f'Contact: {p.contact_value()}{before};+sip.instance="<urn:uuid:1>;expires=3600"{after}')
            answer = await p.register("derived", contact=p.contact_value() + ';+sip.instance="<urn:uuid:1>;expires=3600"')
            assert answer.status == 200 and answer.credential(), answer.headers
            assert (await p.options("derived")).status == 200
            await asyncio.sleep(2.5)
            answer = await p.options("derived")
            assert answer.status == 403 and answer.why() == "not-registered", (before, answer)


async def registered_for_a_week(port):
    """ttl is -1, until the registration ends: an IMS's default is 600,000 seconds, and the realm's max_ttl is 7,200."""
    async with registrar(port) as theirs, phone("alice") as p:
        for life, kind in ((600000, "derived"), (600000, "pushed"), (90, "derived")):
            theirs.answer = lambda request: (200, f"Contact: {request.get('Contact')};expires={life}")
            got = (await p.register(kind + ";new")).credential()
            assert got and 0 < int(got["expires"]) <= min(life, 7200), (life, got)
            probe(got)


async def spellings_of_answers(port):
    """Each is a registration of 60 seconds, and its end is one"""
    for spelling in ("Contact: {};expires={}", "m: {};expires={}", 'CONTACT : {} ; Expires = "{}"', "Contact:\r\n {};\r\n\texpires={}",
                     "Contact: {}\r\n ;q=0.5\r\n ;expires\r\n =\r\n {}", "Contact: {}\r\nExpires: {}", "Contact: {};q=1\r\nExpires:\r\n {}",
                     "Contact: <sip:x@x.invalid>;expires=9\r\nContact: {};expires={}", "Contact: {0};expires={1}, <sip:x@x.invalid>;expires=9",
                     "m: <sip:x@x.invalid>;expires=9\r\nContact: {};expires={}", 'Contact: "x" {};expires={}'):
        async with registrar(port) as theirs, phone("alice") as p:
            theirs.answer = lambda request: (
                200, spelling.format("<" + re.search("<(.*?)>", request.get("Contact"))[1] + ">", request.get("Expires")),
                "P-Associated-URI:\r\n <sip:alice@ims.test>,\r\n <sip:bob@ims.test>")
            answer = await p.register("derived", expires=60)
            assert answer.status == 200 and answer.credential(), (spelling, answer.headers)
            assert answer.credential()["user-id"] == "alice", answer.headers
            assert (await p.options("derived")).status == 200, spelling
            answer = await p.register("derived", expires=0)
            assert answer.status == 200 and not answer.credential(), (spelling, answer.headers)
            assert (await p.options("derived")).status == 403, spelling


async def folded_device(port):
    """Folds are blanks (RFC 3261 7.3.1)."""
    async with registrar(port) as theirs, phone("alice") as p:
        theirs.answer = lambda request: (200, f"Contact: {p.contact_value()};expires=60")
        names = set()
        for fold in " ", "\r\n ", "\r\n\t":
            contact = f'{p.contact_value()};{fold}+sip.instance{fold}={fold}"<urn:uuid:1>"{fold};{fold}reg-id={fold}1'
            names.add((await p.register("pushed", contact=contact)).credential()["username"])
        assert len(names) == 1, names


async def hidden_contact(port):
    """A quoted word that goes over two lines, so that a second Contact looks like one"""
    async with registrar(port) as theirs, phone("alice") as p:
        contact = '<sip:a@x.invalid>;x="A\r\n B", <sip:b@x.invalid>;y="C"'
        answer = await p.register(contact=contact)
        assert answer.status == 400 and not theirs.seen, [request.all("Contact") for request in theirs.seen]
        # and what is one
        contact = '<sip:a@x.invalid>;x="A,\r\n B";y="C,D"'
        assert (await p.register("derived", contact=contact)).credential()
        assert theirs.seen[0].get("Contact").count("<") == 1


async def commas(port):
    """In the name before it, in its URI, and in its parameters"""
    for before, uri, after in (('"A, B" ', "<sip:a@x.invalid>", ""), ("", "<sip:a,b@x.invalid>", ""), ("", "<sip:a@x.invalid>", ';x="y,z"'),
                               ('"A, <sip:a@x.invalid>;expires=0" ', "<sip:a@x.invalid;transport=ws>", "")):
        async with registrar(port) as theirs, phone("alice") as p:
            theirs.answer = lambda request: (200, "Contact: <sip:z@x.invalid>;expires=9, {};expires={}".format(
                request.get("Contact"), request.get("Expires")))
            answer = await p.register("derived", contact=before + uri + after, expires=60)
            assert answer.status == 200 and answer.credential(), (before, uri, after, answer.headers)
            assert (await p.options("derived")).status == 200
            answer = await p.register("derived", contact=before + uri + after, expires=0)
            assert answer.status == 200 and not answer.credential(), answer.headers
            assert (await p.options("derived")).status == 403, (before, uri, after)


async def other_answers(port):
    """One answer each, with its headers, and no credential; and no end of the registration that is there"""
    async with registrar(port) as theirs, phone("alice") as p:
        for known in 403, 200:
            for status, header, value in ((423, "Min-Expires", "7200"), (302, "Contact", "<sip:other.invalid>;expires=60"),
                                          (305, "Contact", "<sip:proxy.invalid>"), (300, "Contact", "<sip:a.invalid>, <sip:b.invalid>"),
                                          (494, "Security-Server", "tls"), (603, "Warning", '399 x "y"')):
                theirs.answer = lambda request: (status, f"{header}: {value}")
                answer = await p.register("derived")
                assert answer.status == status and answer.all(header) == [value], answer.headers
                assert not answer.all("Turn-Credential"), answer.headers
                assert (await p.options("derived")).status == known
            theirs.answer = lambda request: (200, f"Contact: {request.get('Contact')};expires=60")
            assert (await p.register("derived")).credential()


async def supports_path(port):
    async with registrar(port) as theirs, phone("alice") as p:
        for tags in "path", "path, outbound", "outbound", "":
            await p.register(headers=[f"Supported: {tags}"])
            assert not [tag for tag in theirs.seen.pop().all("Supported") if tag], tags


async def soon(request):
    waited, answer = await timed(request)
    assert waited < 1.5, (waited, answer)
    return answer


async def by_the_thousand(port=None):
    """Each of these would take seconds to be looked at, and a stranger could keep all processes so."""
    quotes = '\\"' * 29000
    async with registrar(port) if port else contextlib.nullcontext(), phone("alice") as p:
        await p.register()
        # a longer message than a read of the connection has
        p.write = lambda text: p.socket.send([text[at:at + 8000] for at in range(0, len(text), 8000)])
        for headers, contact in (([], f'<sip:a@x.invalid>;x={quotes}'), ([], f'"{quotes} <sip:a@x.invalid>'),
                                 ([], f'<sip:a@x.invalid>;x="{quotes}\r\n "'), ([f"Turn-Credential-Request: derived;x={quotes}"], True)):
            await soon(p.send("REGISTER", "sip:ims.test", headers, contact=contact))
        await soon(p.options(headers=headers))
        for commas in "," * 58000, "a," * 29000:
            answer = await soon(p.options(headers=["Proxy-Require: " + commas]))
            assert answer.status == 400, answer
        await soon(p.send("REGISTER", "sip:ims.test", [f"Authorization: Digest{' ' * 58000}x=y, integrity-protected=yes"]))


if __name__ == "__main__":
    run_step(globals())
