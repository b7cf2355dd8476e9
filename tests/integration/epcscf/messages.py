# SPDX-License-Identifier: BSD-3-Clause
"""The steps of messages.bats: one function each, called by phones_step."""

import asyncio
import contextlib
import re
import secrets
import ssl

from dialog import Side, next_of, ringing
from edge import listening, reply, timed
from phone import Message
from phones import DIR, phone, plain, probe, run_step, until


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
        answer = request.method and one.answer(request)
        if answer:
            protocol.transport.sendto(reply(request, *answer), addr)

    one = Registrar()
    one.seen = []
    one.transport = transport = await listening(port, heard)
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


def from_network(method, uri, *headers, port, by="UDP", body=""):
    """A request of the registrar's network, as octets"""
    return "\r\n".join([
        f"{method} {uri} SIP/2.0", f"Via: SIP/2.0/{by} 127.0.0.1:{port};branch=z9hG4bK{secrets.token_hex(8)}", "From: <sip:x@ims.test>;tag=1",
        f"To: <sip:y@ims.test>{';tag=2' * (method == 'NOTIFY')}", f"Call-ID: {secrets.token_hex(8)}", f"CSeq: 1 {method}", "Max-Forwards: 70",
        *headers, f"Content-Length: {len(body)}"]).encode() + b"\r\n\r\n" + body.encode()


async def claims_elsewhere(port):
    """In requests that are no REGISTER, and in Proxy-Authorization"""
    claim = 'Digest username="alice@ims.test", realm="ims.test", nonce="", uri="sip:ims.test", response="", Integrity-Protected="auth-done"'
    async with registrar(port) as theirs, phone("alice") as p:
        assert (await p.register("derived")).credential()
        theirs.seen.clear()
        for method in "REGISTER", "MESSAGE", "PUBLISH", "SUBSCRIBE":
            for header in "Authorization", "Proxy-Authorization", "proxy-authorization ":
                for long in "", ", x=" + "y" * 9000:
                    p.limit = 4
                    await p.send(method, "sip:ims.test", [f"{header}: {claim}{long}", f'{header}: Digest username="x"'])
        wrong = [(one.line, h) for one in theirs.seen for h in one.headers if "integrity-protected" in h[1].lower()]
        assert not wrong, wrong
        assert (await p.send("MESSAGE", "sip:bob@ims.test", ['Proxy-Authorization: Digest username="alice"'])).status == 200


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


async def no_identities(port):
    """A P-Associated-URI may be empty (RFC 7315): then the user has no name but To."""
    async with registrar(port) as theirs, phone("alice") as p:
        for header in "P-Associated-URI:", "P-Associated-URI: ", "P-Associated-URI:\r\n ":
            theirs.answer = lambda request: (200, f"Contact: {request.get('Contact')};expires=60", header)
            got = (await p.register("derived")).credential()
            assert got and got["user-id"] == "alice", (header, got)


async def all_unregistered(port):
    """Contact: * ends all registrations of the name that the network gave, also where its answer gives none any more."""
    async with registrar(port) as theirs, phone("alice") as p, phone("alice") as q, phone("bob") as other:
        theirs.answer = lambda request: (200, f"Contact: {request.get('Contact')};expires=60", "P-Associated-URI: <sip:+49123@ims.test>")
        for one in p, q:
            assert (await one.register("derived")).credential()["user-id"] == "+49123"
        theirs.answer = lambda request: (200, f"Contact: {request.get('Contact')};expires=60")
        assert (await other.register("derived")).credential()
        theirs.answer = lambda request: (200,)
        assert (await p.register(contact="*", expires=0)).status == 200
        assert [(await one.options("derived")).status for one in (p, q, other)] == [403, 403, 200]


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


async def without_brackets(port):
    """A URI that has no parameters needs no brackets (RFC 3261 20.10): neither the registrar's, nor the client's."""
    async with registrar(port) as theirs, phone("alice") as p:
        for contact in "<sip:a@x.invalid>", "sip:a@x.invalid", "sip:a@x.invalid ;q=1", "<sip:a@x.invalid;transport=ws>":
            for spelling in "{};expires={}", "sip:b@x.invalid;expires=9, {};expires={}", "{} ;expires={}", "{}\r\n ;\r\n expires={}", "{}\r\nExpires: {}":
                # with EDGE_OWN_CONTACT it is the edge's URI, which has none
                theirs.answer = lambda request: (200, "Contact: " + spelling.format(
                    re.sub("[<>]|[; ].*", "", request.get("Contact")) if "transport=ws>" not in request.get("Contact") else contact, request.get("Expires")))
                answer = await p.register("derived", contact=contact, expires=60)
                assert answer.credential(), (contact, spelling, answer.headers)
                uri = re.sub("^<|>.*| .*", "", contact)
                assert (uri if ";" not in uri else f"<{uri}>") in ", ".join(answer.all("Contact")), (contact, answer.headers)
                assert (await p.options("derived")).status == 200
                assert (await p.register(contact=contact, expires=0)).status == 200
                assert (await p.options("derived")).status == 403, (contact, spelling)


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


async def somebody_elses_domain(port):
    """A registrar that is a proxy, too, sends a REGISTER for a domain of others on to them (RFC 3261 10.3): their 200 says what they like."""
    async with registrar(port) as theirs, phone("alice") as p:
        for uri in ("sip:elsewhere.test", "sip:ims.test.elsewhere.test", "sip:alice@elsewhere.test", "sip:[::1]", "tel:+49123",
                    "sip:ims.test;maddr=127.0.0.9", f"sip:127.0.0.1:{port};Maddr=elsewhere.test;transport=ws",
                    "sip:ims.test;%6Daddr=127.0.0.9", "sip:ims.test;transport=ws;m%61ddr=127.0.0.9"):
            answer = await p.send("REGISTER", uri, ["Turn-Credential-Request: derived"])
            assert answer.status in (400, 404, 416) and not theirs.seen, (uri, answer)
        for uri in "sip:ims.test", "sip:IMS.test.", "sip:other.test", f"sip:127.0.0.1:{port}", "sip:ims.test;transport=ws":
            assert (await p.send("REGISTER", uri, ["Turn-Credential-Request: derived"])).credential(), uri


async def forged_answer(port):
    """Whoever knows how tm makes the branch (a digest of what the client itself wrote) answers in the registrar's place: over the
    connection of the REGISTER, over another one, over TLS without WebSocket, and from the registrar's side."""
    host, edge_port = plain("udp").removeprefix("udp://").split(":")
    for by in "client", "other", "tls", "network":
        async with registrar(port) as theirs, phone("alice", password="none") as p, phone("bob") as q:
            theirs.answer = lambda request: None
            p.limit = 4
            asked = asyncio.create_task(p.register("derived", headers=['Authorization: Digest username="alice", response="0"']))
            await until(lambda: theirs.seen)
            request = theirs.seen[0]
            end = reply(request, 403)
            request.headers[:] = [(name, re.sub(";k=[0-9a-f]*", "", value)) for name, value in request.headers]
            octets = reply(request, 200, f"Contact: {p.contact_value()};expires=600", "P-Associated-URI: <sip:alice@ims.test>")
            if by == "client":
                await p.write(octets.decode())
            elif by == "other":
                await q.write(octets.decode())
            elif by == "tls":
                trust = ssl.create_default_context(cafile=p.ca)
                _, stream = await asyncio.open_connection("127.0.0.1", int(p.url.rpartition(":")[2]), ssl=trust)
                stream.write(octets)
            else:
                stranger = await listening(0, lambda *_: None)
                stranger.sendto(octets, (host, int(edge_port)))
            with contextlib.suppress(asyncio.TimeoutError):
                answer = await asked
                assert answer.status != 200, (by, answer, answer.headers)
            assert (await p.options("derived")).status == 403, by
            # or it comes again, to the next test
            theirs.transport.sendto(end, (host, int(edge_port)))


async def method_in_small_letters(port=None):
    """A method has case (RFC 3261 7.1), and Kamailio knows none: a REGISTER of any other spelling goes nowhere, and its answer counts no more
    than another's."""
    async with registrar(port) if port else contextlib.nullcontext() as theirs, phone("alice", password="none") as p:
        for method in "Register", "register", "REGISTEr", "Message", "invite":
            answer = await p.send(method, "sip:ims.test", ['Authorization: Digest username="alice", response="0"', "Turn-Credential-Request: derived"])
            assert answer.status == 501 and not (theirs and theirs.seen), (method, answer)
        await p.write(p.last_sent.replace("invite", "ack"))
        assert (await p.options("derived")).status == 403


async def seals_are_apart(port):
    """A client chooses its Call-IDs and reads the seals of its dialogs: none is the seal of a Path, of a Contact or of a REGISTER."""
    async with registrar(port) as theirs, phone("alice") as p, phone("bob") as q:
        theirs.answer = lambda request: (200 if request.method == "REGISTER" else 480, f"Contact: {request.get('Contact')};expires=60")
        await p.register("derived")
        device = (await q.register("pushed")).credential()["username"].rpartition("~")[2]
        register = [one for one in theirs.seen if one.method == "REGISTER"][-1]
        others = re.findall("[0-9a-f]{32}", " ".join([register.get("Path") or "", register.get("Contact"), register.get("Via")]))
        assert len(others) >= 2, register.headers
        conid = (re.findall("sip:([0-9]+)[.]", register.get("Path") or "") or ["1"])[0]
        for call_id in (conid, f"answer {q.call_id} {q.cseq}", f"own bob@ims.test {device}", f"path {conid}", f"{q.call_id} {q.cseq}"):
            assert (await p.send("SUBSCRIBE", "sip:bob@ims.test", to="sip:bob@ims.test", call_id=call_id)).status == 480
            dialog = [one for one in theirs.seen if one.get("Call-ID") == call_id and one.method == "SUBSCRIBE"][-1]
            assert re.search(";k=([0-9a-f]+)", dialog.get("Record-Route"))[1] not in others, (call_id, register.headers)


async def notified(port):
    """The words of a NOTIFY count for the registration that it is about, whatever the NOTIFY before said, and whether it has any or many"""
    ended = '<registration aor="sip:{0}@ims.test" id="1" state="terminated"/>'
    contacts = "".join(f'<contact id="{i}" state="active" event="registered"><uri>sip:x@{i}.invalid</uri></contact>' for i in range(300))
    many = f'<registration aor="sip:x@ims.test" id="2" state="active">{contacts}</registration>'
    host, edge_port = plain("udp").removeprefix("udp://").split(":")
    async with registrar(port) as theirs, phone("alice") as p, phone("bob") as q, phone("carol") as r:
        async def tell(name, body):
            subscribe = [one for one in theirs.seen if one.get("Event") == "reg" and name in one.line][-1]
            uri = subscribe.get("Contact").strip("<>")
            if body:
                body = f'<?xml version="1.0"?><reginfo xmlns="urn:ietf:params:xml:ns:reginfo" version="1" state="full">{body}</reginfo>'
            before = len(theirs.seen)
            theirs.transport.sendto(from_network("NOTIFY", uri, "Event: reg", "Subscription-State: active", port=port, body=body), (host, int(edge_port)))
            await until(lambda: any(one.status for one in theirs.seen[before:]))

        for one in p, q, r:
            assert (await one.register("derived")).credential()
        await until(lambda: len({one.line for one in theirs.seen if one.get("Event") == "reg"}) == 3)
        await tell("alice", ended.format("alice"))
        assert (await p.options("derived")).status == 403
        await tell("bob", "")
        assert (await q.options("derived")).status == 200, "no body after the end of another"
        await tell("bob", many)
        assert (await q.options("derived")).status == 200, "large body"
        await tell("bob", "")
        assert (await q.options("derived")).status == 200, "no body"
        await tell("bob", many + ended.format("bob"))
        assert (await q.options("derived")).status == 403, "large body that ends it"
        await tell("carol", many)
        assert (await r.options("derived")).status == 200, "large body after it"
        # another name that the network registered with this one, and ends alone
        contact = '<contact id="1" state="{}" event="x"><uri>{}</uri></contact>'
        uri = r.contact_value().strip("<>")
        for name in "tel:+49123", "sip:x@ims.test":
            other = f'<registration aor="{name}" id="3" state="terminated">{contact.format("terminated", uri)}</registration>'
            for active in "", '<registration aor="sip:carol@ims.test" id="4" state="active">' + contact.format("active", uri) + "</registration>":
                await tell("carol", active + other)
                assert (await r.options("derived")).status == 200, (name, active)
        await tell("carol", other + '<registration aor="sip:c%61rol@IMS.test" id="4" state="active">' + contact.format("terminated", uri) + "</registration>")
        assert (await r.options("derived")).status == 403, "its own contact"


async def own_reg_event(port):
    """A client subscribes to the reg event of its own registration: the NOTIFYs are the client's, and end nothing at the edge."""
    host, edge_port = plain("udp").removeprefix("udp://").split(":")
    async with registrar(port) as theirs, phone("alice") as p:
        assert (await p.register()).status == 200
        theirs.answer = lambda request: (200, *(f"Record-Route: {r}" for r in request.all("Record-Route")), f"Contact: <sip:reg@127.0.0.1:{port}>")
        await p.send("SUBSCRIBE", "sip:alice@ims.test", ["Event: reg"])
        mine = [one for one in theirs.seen if one.method == "SUBSCRIBE" and one.all("Record-Route")][-1]
        theirs.transport.sendto("\r\n".join([
            f"NOTIFY {re.search('<(.*)>', mine.get('Contact'))[1]} SIP/2.0", f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bK{secrets.token_hex(8)}",
            f"From: {mine.get('To')};tag=1", f"To: {mine.get('From')}", f"Call-ID: {mine.get('Call-ID')}", "CSeq: 1 NOTIFY", "Max-Forwards: 70",
            *(f"Route: {r}" for r in mine.all("Record-Route")), "Event: reg", "Subscription-State: active", "Content-Length: 0"]).encode() + b"\r\n\r\n",
            (host, int(edge_port)))
        await p.answer(await next_of(p, "NOTIFY"), 200)
        await until(lambda: any(one.status == 200 and one.get("CSeq") == "1 NOTIFY" for one in theirs.seen))


async def answers_to_nobody():
    """Kamailio sends an answer on to its second Via, also where there is no request that it would answer: a client without a password
    must not reach other hosts, nor other clients, so."""
    datagrams, connections = [], []
    socket = await listening(0, lambda _, message, __: datagrams.append(message))

    async def connected(reader, writer):
        connections.append(await reader.read(100))
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with phone("alice") as p, phone("bob") as q:
        heard = []
        q.dispatch = heard.append
        ports = socket.get_extra_info("sockname")[1], server.sockets[0].getsockname()[1], q.socket.local_address[1]
        for by, port in zip(("UDP", "TCP", "WS"), ports):
            for method in "INVITE", "MESSAGE":
                await p.write("\r\n".join([
                    "SIP/2.0 200 OK", f"Via: SIP/2.0/WSS 127.0.0.1;branch=z9hG4bK1.{secrets.token_hex(16)}.0",
                    f"Via: SIP/2.0/{by} 127.0.0.1:{port};branch=z9hG4bK{secrets.token_hex(8)}", "From: <sip:a@ims.test>;tag=1",
                    "To: <sip:b@ims.test>;tag=2", f"Call-ID: {secrets.token_hex(8)}", f"CSeq: 1 {method}", "Content-Length: 0"]) + "\r\n\r\n")
        await p.options()
        await asyncio.sleep(0.5)
        assert not datagrams and not connections and not heard, (datagrams, connections, heard)
    socket.close()
    server.close()


OTHERS_WORDS = ("P-Served-User", "P-Asserted-Service", "P-Charging-Vector", "P-Charging-Function-Addresses", "P-Profile-Key",
                "P-User-Database", "P-DCS-Billing-Info", "P-Asserted-Identity", "P-Associated-URI", "P-Visited-Network-ID", "Remote-Party-ID")


async def unknown_caller(p, theirs, path, port):
    """Privacy: id keeps the caller's identity within the network"""
    _, edge_port = plain("udp").removeprefix("udp://").split(":")
    for privacy, shown in ((), 1), (["Privacy: none"], 1), (["Privacy: id"], 0), (["Privacy: header;\r\n\tID; critical"], 0), (["Privacy: identity"], 1):
        theirs.transport.sendto(from_network("MESSAGE", "sip:alice@ims.test", "Route: " + path, "P-Asserted-Identity: <sip:bob@ims.test>", *privacy,
                                             port=port), ("127.0.0.1", int(edge_port)))
        request = await next_of(p, "MESSAGE")
        await p.answer(request, 200)
        assert len(request.all("P-Asserted-Identity")) == shown, (privacy, request.headers)
    await until(lambda: len(theirs.seen) == 5)
    theirs.seen.clear()


async def words_of_the_network(port):
    """What one node of the network says to another, no client says: not in a REGISTER, not in another request, not in an answer"""
    host, edge_port = plain("udp").removeprefix("udp://").split(":")

    def leaked(message):
        return [h for h in message.headers if "mallory" in h[1]]

    async with registrar(port) as theirs, phone("alice") as p:
        wrong = []
        for spell in "{}: <sip:mallory@ims.test>", "{} : <sip:mallory@ims.test>", "{}:\r\n <sip:mallory@ims.test>", "{}\t:<sip:mallory@ims.test>":
            for name in *OTHERS_WORDS, *map(str.upper, OTHERS_WORDS):
                theirs.answer = lambda request: (200, f"Contact: {request.get('Contact')};expires=60")
                for method, uri in ("REGISTER", "sip:ims.test"), ("MESSAGE", "sip:bob@ims.test"):
                    header = spell.format(name)
                    theirs.seen.clear()
                    await p.send(method, uri, [header])
                    wrong += [(method, h) for one in theirs.seen for h in leaked(one)]
        for value in "3GPP-NR-FDD;utran-cell-id-3gpp=mallory;network-provided", "x, 3GPP-NR-FDD;utran-cell-id-3gpp=mallory ; NETWORK-PROVIDED":
            theirs.seen.clear()
            await p.send("MESSAGE", "sip:bob@ims.test", ["P-Access-Network-Info: " + value])
            wrong += [("MESSAGE", h) for one in theirs.seen for h in leaked(one)]
        theirs.seen.clear()
        await p.send("REGISTER", "sip:ims.test", ["P-Access-Network-Info: IEEE-802.11"])
        assert theirs.seen[0].get("P-Access-Network-Info") == "IEEE-802.11"
        path = theirs.seen[0].get("Path")
        theirs.seen.clear()
        await unknown_caller(p, theirs, path, port)
        theirs.transport.sendto(from_network("MESSAGE", "sip:alice@ims.test", "Route: " + path, port=port), (host, int(edge_port)))
        await p.answer(await next_of(p, "MESSAGE"), 200, [f"{name}: <sip:mallory@ims.test>" for name in OTHERS_WORDS])
        await until(lambda: any(one.status == 200 for one in theirs.seen))
        wrong += [("200", h) for one in theirs.seen for h in leaked(one)]
        assert not wrong, wrong


async def asserted_in_an_answer():
    """Without a registrar of somebody else, too"""
    async with phone("alice") as p, phone("bob") as q:
        await p.register()
        await q.register()
        said = ["P-Asserted-Identity: <sip:carol@ims.test>", "Remote-Party-ID: <sip:carol@ims.test>;screen=yes"]
        request, asked = await ringing(p, q, "MESSAGE", said)
        await q.answer(request, 200, said)
        answer = await asked
        assert answer.status == 200, answer
        assert not [h for h in request.headers + answer.headers if "carol" in h[1]], (request.headers, answer.headers)


async def one_message_alone(port):
    """Over a connection to the registrar what follows a message is the next one: a client must not write that"""
    got = bytearray()
    inner = "REGISTER sip:smuggled SIP/2.0\r\nVia: SIP/2.0/TCP x;branch=z9hG4bKx\r\nContent-Length: 0\r\n\r\n"

    async def heard(reader, writer):
        theirs.append(writer)
        buffer = b""
        while octets := await reader.read(65536):
            got.extend(octets)
            buffer += octets
            while b"\r\n\r\n" in buffer:
                head, _, buffer = buffer.partition(b"\r\n\r\n")
                message = Message(head.decode() + "\r\n\r\n")
                lengths = message.all("Content-Length") + message.all("l")
                messages.append((message, lengths))
                if lengths:
                    buffer = buffer[int(lengths[-1]):]
                if message.method and message.method != "ACK":
                    writer.write(reply(message, 200, f"Contact: {message.get('Contact')};expires=60"))

    theirs, messages = [], []
    server = await asyncio.start_server(heard, "127.0.0.1", int(port))
    async with phone("alice") as p:
        assert (await p.register("derived")).credential()
        path = messages[0][0].get("Path")
        for lengths in (["Content-Length: 0", f"Content-Length: {len(inner)}"], [f"Content-Length: {len(inner)}", "Content-Length: 0"],
                        [f"Content-Length: {len(inner)}", "l: 0"], [f"l: {len(inner)}", "Content-Length : 0"], ["Content-Length: 0"], []):
            await p.write("\r\n".join([
                "MESSAGE sip:bob@ims.test SIP/2.0", f"Via: SIP/2.0/WSS {p.host};branch=z9hG4bK{secrets.token_hex(8)}", f"From: <{p.aor}>;tag=1",
                "To: <sip:bob@ims.test>", f"Call-ID: {secrets.token_hex(8)}", "CSeq: 1 MESSAGE", "Max-Forwards: 70", *lengths]) + "\r\n\r\n" + inner)
            await p.options()
            assert not [m for m, _ in messages if "smuggled" in m.line], lengths
        for lengths in (["Content-Length: 0"], ["l: 0"], [], [f"Content-Length: {len(inner)}", "Content-Length: 0"]):
            for other in "TCP", "UDP":
                theirs[-1].write(from_network("MESSAGE", "sip:alice@ims.test", "Route: " + path, port=port, by="TCP"))
                request = await next_of(p, "MESSAGE")
                kept = [f"{name}: {value.replace('/TCP', '/' + other)}" for name, value in request.headers
                        if name.lower() in ("via", "from", "to", "call-id", "cseq")]
                await p.write("\r\n".join(["SIP/2.0 200 OK", *kept, *lengths]) + "\r\n\r\n" + inner)
                await p.options()
                await asyncio.sleep(0.3)
                assert not [m for m, _ in messages if "smuggled" in m.line], (lengths, other, bytes(got[-420:]))
            answers = [found for m, found in messages if m.status == 200 and "MESSAGE" in m.get("CSeq")]
            assert all(len(found) == 1 for found in answers), answers
    assert len(answers) == 2, answers  # those that had no Content-Length
    server.close()


async def tls_alone(port, at=None):
    """At the clients' port without WebSocket: what is said there within a client's own dialog would be the network's word"""
    host, edge_port = plain("udp").removeprefix("udp://").split(":")
    async with registrar(port) as theirs, phone("alice") as p:
        assert (await p.register("derived")).credential()
        path = theirs.seen[0].get("Path")
        theirs.seen.clear()
        theirs.transport.sendto(from_network("INVITE", "sip:alice@ims.test", "Route: " + path, f"Contact: <sip:x@127.0.0.1:{port}>", port=port),
                                (host, int(edge_port)))
        request = await next_of(p, "INVITE")
        await p.answer(request, 200)
        await until(lambda: any(one.status == 200 for one in theirs.seen))
        theirs.seen.clear()
        side = Side.of_callee(p, request)
        context = ssl.create_default_context(cafile=str(DIR / "tls/ca.pem"))
        reader, writer = await asyncio.open_connection("127.0.0.1", int(at or p.url.rpartition(":")[2]), ssl=context)
        _, text = side.text("INFO", ["P-Asserted-Identity: <sip:mallory@ims.test>"])
        writer.write(text.replace("SIP/2.0/WSS", "SIP/2.0/TLS").encode())
        answer = Message((await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)).decode())
        assert answer.status == 403 and "WebSocket" in answer.line, (answer, theirs.seen)
        # an answer, too: by WebSocket it is the client's
        theirs.transport.sendto(from_network("MESSAGE", "sip:alice@ims.test", "Route: " + path, port=port), (host, int(edge_port)))
        request = await next_of(p, "MESSAGE")
        kept = [f"{name}: {value}" for name, value in request.headers if name.lower() in ("via", "from", "to", "call-id", "cseq")]
        for status in "200 OK", "404 Not Found":
            writer.write("\r\n".join([f"SIP/2.0 {status}", *kept, "P-Asserted-Identity: <sip:mallory@ims.test>", "Content-Length: 0"]).encode()
                         + b"\r\n\r\n")
        _, text = side.text("INFO")
        writer.write(text.replace("SIP/2.0/WSS", "SIP/2.0/TLS").encode())  # its answer comes after those were read
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        assert not theirs.seen, theirs.seen
        await p.answer(request, 200)
        await until(lambda: any(one.status == 200 for one in theirs.seen))
        writer.close()


if __name__ == "__main__":
    run_step(globals())
