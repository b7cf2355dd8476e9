# SPDX-License-Identifier: BSD-3-Clause
"""The steps of edge.bats: one function each, called by phones_step."""

import asyncio
import contextlib
import os
import re
import secrets
import signal
import subprocess
import time

from dialog import call, exchange, next_of, registered, ringing
from phone import Message, digest
from phones import DIR, by_then, password_of, phone, plain, probe, refused, run_step, sql, until


def seen(answer, what):
    """What the registrar has seen in the REGISTER that it answered"""
    return (answer.get("X-Seen-" + what) or "").replace("<null>", "")


async def registered_and_given():
    """The registrar's 200 has a credential for who asked, of each kind, and it works; the registrar sees nothing of it."""
    async with phone("alice") as p:
        for kind in "derived", "pushed":
            answer = await p.register(kind)
            assert answer.status == 200 and answer.get("Contact"), answer
            got = answer.credential()
            assert got["kind"] == kind and got["user-id"] == "alice", got
            assert not seen(answer, "Request"), answer.headers
            probe(got)
        assert not (await p.register()).all("Turn-Credential")
        # the registrar writes such headers, too
        assert (await p.register("token")).why() == "unsupported-kind"
        assert (await p.register("token, pushed, derived")).credential()["kind"] == "pushed"
        got = (await p.options("derived")).credential()
        probe(got)


async def nothing_without_the_password():
    """401 and 403 of the registrar carry none, and no flow comes of them."""
    async with phone("alice") as p:
        answer = await p.send("REGISTER", "sip:ims.test", ["Turn-Credential-Request: derived"])
        assert answer.status == 401 and not answer.credential()
        assert re.fullmatch(r'Digest realm="ims\.test", nonce="[^"]+"(, [a-z]+="?[A-Za-z0-9]+"?)*', answer.get("WWW-Authenticate"))
        answer = await p.register("derived", password="wrong")
        assert answer.status == 401 and not answer.credential()
        assert (await p.options("derived")).status == 403
    async with phone("bob") as p:
        # bob's password, alice's name
        for more in ({"to": "sip:alice@ims.test"}, {"to": "sip:alice@ims.test", "sender": "sip:alice@ims.test"},
                     {"sender": "sip:alice@ims.test"}):
            answer = await p.register("derived", **more)
            assert answer.status == 403 and not answer.credential(), (more, answer)
        assert (await p.options("derived")).status == 403


async def registrar_that_asks_nobody():
    """A 200 to a client that showed nothing is no identity."""
    async with phone("alice") as p:
        answer = await p.register("derived")
        assert answer.status == 200 and answer.why() == "not-authenticated", answer.headers
        assert not (await p.register()).all("Turn-Credential")
        assert (await p.options("derived")).why() == "not-registered"


async def registrar_that_is_trusted():
    """The same where the operator says that the registrar knows its clients otherwise."""
    async with phone("alice") as p:
        probe((await p.register("derived")).credential())


async def forged_headers():
    """What a client writes in the place of its edge goes no further."""
    forged = ["P-Asserted-Identity: <sip:bob@ims.test>", "P-Associated-URI: <sip:bob@ims.test>",
              "P-Visited-Network-ID: elsewhere", "Path: <sip:mallory@127.0.0.1:9;lr>", "Route: <sip:127.0.0.1:9;lr>",
              'Turn-Credential: kind=derived; user-id="bob"']
    async with phone("alice") as p:
        answer = await p.register("derived", headers=forged)
        assert answer.status == 200 and answer.credential()["user-id"] == "alice", answer
        assert not seen(answer, "Asserted") and "elsewhere" not in seen(answer, "Visited"), answer.headers
        assert not answer.all("Path")
        path = seen(answer, "Path")
        assert re.fullmatch(r"<sip:[0-9]+\.[0-9a-f]{32}@127\.0\.0\.1:[0-9]+;lr>", path), path


async def integrity():
    """integrity-protected is the edge's word alone: it takes a client's away and says its own."""
    async with phone("alice") as p:
        for state in "tls-pending", "tls-yes":
            answer = await p.register("derived")
            assert seen(answer, "Authorization").endswith(f', integrity-protected="{state}"'), answer.headers
            assert seen(answer, "Visited") == '"visited.test"'
    for claim in ('integrity-protected="yes"', "integrity-protected=tls-yes", 'Integrity-Protected = "auth-done"'):
        async with phone("bob") as p:
            p.claim = claim
            answer = await with_claim(p, claim)
            assert answer.status == 200, answer
            said = seen(answer, "Authorization").lower()
            assert said.count("integrity-protected") == 1 and said.endswith('integrity-protected="tls-pending"'), said
    async with phone("bob") as p:
        answer = await with_claim(p, 'integrity-integrity-protected="x"protected=tls-yes')
        assert answer.status == 400, answer


async def with_claim(p, claim):
    """Registers with this beside the digest's own parameters, at both ends of them"""
    uri = "sip:ims.test"
    challenge = (await p.send("REGISTER", uri)).get("WWW-Authenticate")
    proof = digest(challenge, "REGISTER", uri, p.user, p.password)
    answer = await p.send("REGISTER", uri, [f"Authorization: {proof.replace('Digest ', f'Digest {claim}, ')}"])
    if answer.status != 200:
        return answer
    challenge = (await p.send("REGISTER", uri)).get("WWW-Authenticate")
    await p.register(expires=0)
    async with phone(p.user) as other:
        challenge = (await other.send("REGISTER", uri)).get("WWW-Authenticate")
        proof = digest(challenge, "REGISTER", uri, p.user, p.password)
        return await other.send("REGISTER", uri, [f"Authorization: {proof}, {claim}"])


async def name_that_the_network_gives():
    """The first P-Associated-URI is the identity, and not To."""
    async with phone("carol") as p, phone("alice") as q:
        got = (await p.register("derived")).credential()
        assert got["user-id"] == "+49123" and got["username"].startswith("+49123:"), got
        probe(got)
        assert (await p.options("derived")).credential()["user-id"] == "+49123"
        assert (await q.register("derived")).credential()["user-id"] == "alice"
    # a name of a domain that is none of this edge's
    async with phone("crowd-48") as p:
        answer = await p.register("derived")
        assert answer.status == 200 and answer.why() == "unknown-identity", answer.headers
        assert not (await p.register()).all("Turn-Credential")
        assert (await p.options("derived")).why() == "not-registered"


async def ends_of_registrations():
    """Unregistered, expired, or without its connection: a pushed credential ends, and the flow."""
    async with phone("alice") as p:
        got = (await p.register("pushed")).credential()
        probe(got)
        assert (await p.register(expires=0)).status == 200
        await refused(got)
        assert (await p.options("derived")).status == 403
        got = (await p.register("pushed", expires=3)).credential()
        probe(got)
        # 3 seconds, and 5 until the end is seen
        await refused(got, limit=14)
        assert (await p.options("derived")).status == 403
        got = (await p.register("pushed")).credential()
    await refused(got)
    await until(lambda: sql("SELECT count(*) FROM turncred.credential WHERE user_id = 'alice'") == "0")
    # the same device over another connection: the end of the first one is not the end of the registration
    contact = '<sip:alice@a.invalid;transport=ws>;+sip.instance="<urn:uuid:1>";reg-id=1'
    async with phone("alice") as p:
        async with phone("alice") as q:
            first = (await q.register("pushed", contact=contact)).credential()
            second = (await p.register("pushed", contact=contact)).credential()
            assert first["username"] == second["username"]
        assert (await p.options("derived")).status == 200
        probe(second)


async def ended_by_the_network(control, user="crowd-40"):
    """The registrar deregisters one phone of a user, then all: pushed credential and flow end, those of the other phone stay."""
    def order(who, what):
        subprocess.run(["kamcmd", "-s", "unix:" + control, "htable.sets", "order", who, what], check=True, timeout=10)

    async with phone(user) as p, phone(user) as q:
        ones = {}
        for one in p, q:
            ones[one] = (await one.register("pushed")).credential()
            probe(ones[one])
        order(user, "one")
        ended, stays = None, None

        async def seen_by(one):
            return (await one.options("derived")).status == 403

        ended = await by_then(lambda: which(seen_by, p, q))
        stays = q if ended is p else p
        await refused(ones[ended])
        assert (await stays.options("derived")).status == 200
        probe(ones[stays])
        order(user, "all")
        await by_then(lambda: which(seen_by, stays))
        await refused(ones[stays])
        assert (await p.register("pushed")).credential()
    await until(lambda: sql(f"SELECT count(*) FROM turncred.credential WHERE user_id = '{user}'") == "0")


async def which(seen_by, *phones):
    """The first phone for which it is true"""
    for one in phones:
        if await seen_by(one):
            return one
    return None


async def one_subscriber_for_a_connection():
    """Another subscriber registers over a connection only when the first one is gone."""
    async with phone("alice") as p:
        assert (await p.register()).status == 200
        p.user, p.password = "bob", password_of("bob")
        assert (await p.register("derived")).status == 403
        assert (await p.options("derived")).status == 403
        p.user, p.password = "alice", password_of("alice")
        assert (await p.register(expires=0)).status == 200
        p.user, p.password = "bob", password_of("bob")
        assert (await p.register("derived")).credential()["user-id"] == "bob"


async def calls_through_the_registrar():
    """Both phones are behind the edge, the registrar between them: a call, requests within it both ways, its end."""
    async with contextlib.AsyncExitStack() as stack:
        p, q = phone("alice"), phone("bob")
        await registered(stack, p, q)
        request, asked = await ringing(p, q, "MESSAGE", ["P-Asserted-Identity: <sip:carol@ims.test>",
                                                        "Turn-Credential-Request: derived"])
        assert request.all("P-Asserted-Identity") == ["<sip:alice@ims.test>"], request.headers
        assert not request.all("Turn-Credential-Request")
        await q.answer(request, 200, ["Turn-Credential: kind=derived"])
        answer = await asked
        assert answer.status == 200 and not answer.credential()
        caller, callee = await call(p, q)
        await exchange(caller, callee, "INFO")
        await exchange(callee, caller, "UPDATE")
        await exchange(callee, caller, "BYE")
        caller, callee = await call(q, p)
        await exchange(caller, callee, "BYE")
    async with phone("alice") as p:
        assert (await p.send("MESSAGE", "sip:bob@ims.test", to="sip:bob@ims.test")).status == 403


async def called_by_ipv6(at):
    """A phone that has come by IPv6, and one by IPv4, call each other."""
    async with contextlib.AsyncExitStack() as stack:
        p, q = phone("alice", url=f"ws://{at}"), phone("bob")
        await registered(stack, p, q)
        for one, other in ((p, q), (q, p)):
            caller, callee = await call(one, other)
            await exchange(callee, caller, "INFO")
            await exchange(caller, callee, "BYE")


class Datagrams(asyncio.DatagramProtocol):
    """Somebody on the registrar's side who writes what he likes"""

    def __init__(self, heard=None):
        self.heard, self.messages = heard, asyncio.Queue()

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        message = Message(data.decode())
        if self.heard:
            self.heard(self, message, addr)
        else:
            self.messages.put_nowait(message)


async def stranger_in_the_network():
    """Who is in the registrar's network reaches no phone without its Path, and registers nobody."""
    loop = asyncio.get_running_loop()
    host, port = plain("udp").removeprefix("udp://").split(":")
    transport, peer = await loop.create_datagram_endpoint(Datagrams, remote_addr=(host, int(port)))
    own = "127.0.0.1:%d" % transport.get_extra_info("sockname")[1]

    async def send(method, *headers):
        transport.sendto("\r\n".join([
            f"{method} sip:alice@ims.test SIP/2.0", f"Via: SIP/2.0/UDP {own};branch=z9hG4bK{secrets.token_hex(8)}",
            "From: <sip:bob@ims.test>;tag=1", "To: <sip:alice@ims.test>", f"Call-ID: {secrets.token_hex(8)}",
            f"CSeq: 1 {method}", "Max-Forwards: 70", f"Contact: <sip:bob@{own}>", *headers,
            "Content-Length: 0"]).encode() + b"\r\n\r\n")
        return await asyncio.wait_for(peer.messages.get(), 10)

    async with phone("alice") as p:
        path = seen(await p.register("derived"), "Path")
        assert (await send("MESSAGE")).status == 403
        assert (await send("MESSAGE", "Route: " + re.sub(r"\.[0-9a-f]", ".x", path))).status == 403
        assert (await send("REGISTER", "Turn-Credential-Request: derived")).status == 403
        asked = asyncio.create_task(send("MESSAGE", "Route: " + path))
        await p.answer(await next_of(p, "MESSAGE"), 200)
        assert (await asked).status == 200
    transport.close()


def reply(request, status, *headers):
    kept = [f"{name}: {value}" for name, value in request.headers if name.lower() in ("via", "from", "to", "call-id", "cseq")]
    return ("\r\n".join([f"SIP/2.0 {status} x", *kept, *headers, "Content-Length: 0"]) + "\r\n\r\n").encode()


async def answers_that_come_again(port):
    """A registrar's answers come twice, late and in another order: the phone gets one, and one credential is made."""
    mine = []

    def heard(self, request, addr):
        if request.method != "REGISTER":
            return
        if not request.get("Authorization"):
            self.transport.sendto(reply(request, 401, 'WWW-Authenticate: Digest realm="ims.test", nonce="1"'), addr)
            return
        accepted = reply(request, 200, f"Contact: {request.get('Contact')};expires=60")
        refused_ = reply(request, 403)
        for answer in [accepted] * 5 + [refused_, accepted, reply(request, 500)] + [accepted] * 5:
            self.transport.sendto(answer, addr)
        for later in (0.3, 1, 2):
            asyncio.get_running_loop().call_later(later, self.transport.sendto, accepted, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Datagrams(heard), local_addr=("127.0.0.1", int(port)))
    async with phone("alice") as p:
        dispatch = p.dispatch
        p.dispatch = lambda text: (mine.append(Message(text)), dispatch(text))
        before = int(sql("SELECT count(*) FROM turncred.issue_log"))
        for _ in range(5):
            got = (await p.register("derived;new")).credential()
            probe(got)
        await asyncio.sleep(2.5)  # until the last copy has come
        finals = [m.status for m in mine if m.status and m.status >= 200]
        assert finals == [401, 200] * 5, finals
        await until(lambda: int(sql("SELECT count(*) FROM turncred.issue_log")) == before + 5)
    transport.close()


async def requests_that_come_again():
    """Every request of the registrar's network comes twice, octet for octet: at once, when it is answered, and 7.5 seconds later, as from
    a sender that no answer has reached (RFC 3261 17.1.2.2, Timer E). The phone gets one; a copy gets the phone's answer, but for late ones of
    requests whose answer only the phone can make."""
    loop = asyncio.get_running_loop()
    host, port = plain("udp").removeprefix("udp://").split(":")
    transport, peer = await loop.create_datagram_endpoint(Datagrams, remote_addr=(host, int(port)))
    own = "127.0.0.1:%d" % transport.get_extra_info("sockname")[1]

    def request(method, target, to, call_id, route, cseq=1):
        return "\r\n".join([
            f"{method} {target} SIP/2.0", f"Via: SIP/2.0/UDP {own};branch=z9hG4bK{secrets.token_hex(8)}",
            "From: <sip:bob@ims.test>;tag=1", f"To: {to}", f"Call-ID: {call_id}", f"CSeq: {cseq} {method}", "Max-Forwards: 70",
            *[f"Route: {r}" for r in route], f"Contact: <sip:bob@{own}>", "Content-Length: 0"]).encode() + b"\r\n\r\n"

    async def answered(method):
        while True:
            answer = await asyncio.wait_for(peer.messages.get(), 10)
            if answer.status == 200 and answer.get("CSeq").endswith(" " + method):
                return answer

    async with phone("alice") as p:
        path = seen(await p.register(), "Path")
        sent = {}

        async def twice(method, octets):
            sent[method] = octets
            transport.sendto(octets)
            transport.sendto(octets)
            asked = await next_of(p, method)
            transport.sendto(octets)
            await p.answer(asked, 200)
            answer = await answered(method)
            transport.sendto(octets)
            return answer

        for method in "MESSAGE", "OPTIONS", "SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH", "INFO", "UPDATE", "INVITE":
            call_id = secrets.token_hex(8)
            answer = await twice(method, request(method, "sip:alice@ims.test", "<sip:alice@ims.test>", call_id, [path]))
        route, target, to = answer.all("Record-Route")[::-1], re.search("<([^>]*)>", answer.get("Contact"))[1], answer.get("To")
        transport.sendto(request("ACK", target, to, call_id, route))
        await next_of(p, "ACK")
        await twice("BYE", request("BYE", target, to, call_id, route, 2))
        await asyncio.sleep(7.5)
        peer.messages = asyncio.Queue()
        for method, octets in sent.items():
            transport.sendto(octets)
            if method not in ("INVITE", "SUBSCRIBE", "REFER"):
                await answered(method)
        # a sender of RFC 2543 has no branch: its two requests are two; and what came before them has come
        for cseq in 1, 2:
            octets = re.sub(rb";branch=\w+", b"", request("MESSAGE", "sip:alice@ims.test", "<sip:alice@ims.test>", "last", [path], cseq))
            await twice("MESSAGE", octets)
        assert p.requests.empty(), [p.requests.get_nowait() for _ in range(p.requests.qsize())]
    transport.close()


async def timed(request):
    begin = time.monotonic()
    answer = await request
    return time.monotonic() - begin, answer


async def hung():
    """turncredd hangs: who asks waits for the set time and is registered without; nobody else waits; each gets one answer."""
    heard = []
    async with contextlib.AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(phone(f"crowd-{i}")) for i in range(1, 21)]
        for p in phones:
            p.dispatch = (lambda dispatch: lambda text: (heard.append(Message(text)), dispatch(text)))(p.dispatch)
        asked = [asyncio.create_task(timed(p.register("derived"))) for p in phones[:10]]
        others = await asyncio.gather(*(timed(p.register()) for p in phones[10:]))
        asked = await asyncio.gather(*asked)
        for waited, answer in others + asked:
            assert answer.status == 200 and not answer.credential(), (waited, answer)
        assert {answer.why() for _, answer in asked} == {"unavailable"}
        assert not any(answer.all("Turn-Credential") for _, answer in others)
        waited, other = max(w for w, _ in asked), max(w for w, _ in others)
        (DIR / "measured").write_text(f"who asks waits {waited:.2f} s at most, who does not {other:.2f} s\n")
        assert waited < 6 and other < 1.5, (waited, other)
        await asyncio.sleep(1)
        finals = [m.status for m in heard if m.status and m.status >= 200]
        assert sorted(finals) == [200] * 20 + [401] * 20, sorted(finals)
        # a flow for all that
        assert (await phones[0].options()).status == 200


async def credential_again():
    """Credentials again, as soon as turncredd is asked again."""
    async with phone("alice") as p:
        end = time.monotonic() + 15
        while not (answer := await p.register("derived")).credential():
            assert time.monotonic() < end
            await asyncio.sleep(0.2)
        probe(answer.credential())


async def registrar_that_is_not_trusted():
    """No password goes to a registrar whose certificate nobody trusts."""
    async with phone("alice") as p:
        answer = await p.send("REGISTER", "sip:ims.test", ["Turn-Credential-Request: derived"])
        assert answer.status >= 400 and answer.status != 401, answer


async def registered_at_the_second():
    """The first registrar is down; the second one registers, and calls go through it."""
    async with phone("alice") as p, phone("bob") as q:
        waited, answer = await timed(p.register("derived"))
        assert answer.status == 200 and waited < 10, (waited, answer)
        probe(answer.credential())
        assert (await q.register()).status == 200
        caller, callee = await call(p, q)
        await exchange(callee, caller, "BYE")


async def listening(port, heard):
    """A registrar by UDP that does with each request as heard(ITSELF, REQUEST, ADDRESS) says"""
    return (await asyncio.get_running_loop().create_datagram_endpoint(lambda: Datagrams(heard), local_addr=("127.0.0.1", int(port))))[0]


async def first_is_late(*ports):
    """The first registrar's 200 comes when the second one has the REGISTER, and before its 200; turncredd works, or hangs a while."""
    daemon, loop, late = int((DIR / "daemons/main/pid").read_text()), asyncio.get_running_loop(), []

    def accepted(request, who):
        return reply(request, 200, f"Contact: {request.get('Contact')};expires=60", f"X-By: {who}")

    def first(self, request, addr):
        if not request.get("Authorization"):
            self.transport.sendto(reply(request, 401, 'WWW-Authenticate: Digest realm="ims.test", nonce="1"'), addr)
        else:
            late[:] = [self.transport.sendto, accepted(request, "first"), addr]

    def second(self, request, addr):
        if late:
            late[0](*late[1:])
            late.clear()
        loop.call_later(0.3, self.transport.sendto, accepted(request, "second"), addr)

    transports = [await listening(port, heard) for port, heard in zip(ports, (first, second))]
    for hangs in False, True:
        async with phone("alice") as p:
            if hangs:
                os.kill(daemon, signal.SIGSTOP)
                loop.call_later(2, os.kill, daemon, signal.SIGCONT)
            answer = await p.register("derived;new")
            assert answer.get("X-By") == "second" and answer.credential(), (hangs, answer, answer.headers)
    for transport in transports:
        transport.close()


async def answer_again_after_the_end(port):
    """The registrar's 200 comes again while the phone unregisters, and after that."""
    kept = []

    def heard(self, request, addr):
        if request.get("Expires") == "0":
            for answer in (*kept, reply(request, 200), *kept):
                self.transport.sendto(answer, addr)
        else:
            kept[:] = [reply(request, 200, f"Contact: {request.get('Contact')};expires=60")]
            self.transport.sendto(kept[0], addr)

    transport = await listening(port, heard)
    async with phone("alice") as p:
        for ask in None, "pushed":
            assert (await p.register(ask)).status == 200
            assert (await p.options()).status == 200
            assert (await p.register(expires=0)).status == 200
            await asyncio.sleep(0.5)  # until the last copy has come
            answer = await p.options("derived")
            assert answer.status == 403 and answer.why() == "not-registered", (ask, answer)
    transport.close()


async def asked_once(port):
    """The first registrar has no address, and the second one does not answer."""
    branches = set()
    transport = await listening(port, lambda _, request, __: branches.add(request.branch))
    async with phone("alice") as p:
        answer = await p.register()
        assert answer.status == 408 and len(branches) == 1, (answer, branches)
    transport.close()


async def no_registrar():
    """The name of the registrar is not known."""
    async with phone("alice") as p:
        answer = await p.register("derived")
        assert answer.status == 504, answer
        assert not any(" 50" in other.line for other in p.provisional), p.provisional


async def many():
    """More than a hundred connections at once, three of each user, have credentials of their own, and all end with them."""
    limit = asyncio.Semaphore(8)

    async def one(number, stack):
        async with limit:
            p = phone(f"crowd-{number // 3 + 1}")
            await stack.enter_async_context(p)
            answer = await p.register("pushed")
            assert answer.credential(), answer
            return answer.credential()

    left = "SELECT count(*) FROM turncred.credential WHERE user_id LIKE 'crowd-%'"
    async with contextlib.AsyncExitStack() as stack:
        got = await asyncio.gather(*(one(number, stack) for number in range(126)))
        assert len({g["username"] for g in got}) == 126 and sql(left) == "126", sql(left)
    await until(lambda: sql(left) == "0", 60)


if __name__ == "__main__":
    run_step(globals())
