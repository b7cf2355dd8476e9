# SPDX-License-Identifier: BSD-3-Clause
"""The steps of contact.bats: one function each, called by phones_step."""

import asyncio
import contextlib
import re
import secrets

from dialog import next_of, registered, ringing
from edge import Datagrams, calls_through_the_registrar, ends_of_registrations, many, registered_and_given, seen  # noqa: F401
from phones import phone, plain, probe, refused, run_step, until

OWN = re.compile(r"<sip:([0-9a-f]{32})@127\.0\.0\.1:[0-9]+>")


def contacts(answer):
    """{URI: parameters} of the answer"""
    found = re.findall(r'(?:<([^>]*)>|(sip:[^;,]*))((?:;(?:"[^"]*"|[^,"])*)?)(?:,|$)', ",".join(answer.all("Contact")))
    return {inner or bare: parameters for inner, bare, parameters in found}


def uri(p):
    return p.contact_value().strip("<>")


async def contact_of_the_edge():
    """The registrar sees a Contact and no Path; the client reads its own Contact, and no other."""
    async with phone("alice") as p:
        contact = p.contact_value() + ';+sip.instance="<urn:uuid:a,b>";reg-id=1;q=0.5'
        answer = await p.register("derived", contact=contact, headers=["Supported: path, gruu,outbound", "Supported: turncred, Path"])
        assert answer.status == 200 and answer.credential(), answer
        sent = seen(answer, "Contact")
        assert OWN.match(sent) and sent.endswith('>;+sip.instance="<urn:uuid:a,b>";q=0.5'), sent
        assert not seen(answer, "Path") and seen(answer, "Supported") == "gruu,turncred", answer.headers
        assert list(contacts(answer)) == [uri(p)], answer.headers
        assert "expires=600" in contacts(answer)[uri(p)], answer.headers
        # the bindings alone
        answer = await p.authenticated("REGISTER", "sip:ims.test", contact=False)
        assert list(contacts(answer)) == [uri(p)] and not seen(answer, "Contact"), answer.headers
        assert (await p.register(expires=0, contact=contact)).status == 200
        answer = await p.authenticated("REGISTER", "sip:ims.test", contact=False)
        assert answer.status == 200 and not contacts(answer), answer.headers


async def credentials():
    """Credentials come and end as with a Path."""
    await registered_and_given()
    await ends_of_registrations()


async def spellings():
    """A display name, a URI without brackets, quotes that look like something else"""
    async with phone("crowd-33") as p:
        for before, after, parameters in (
                ("<sip:a@x.invalid;transport=ws>", ";expires=300", ";expires=300"),
                ("sip:a@x.invalid", ";expires=300;q=1", ";expires=300;q=1"),
                ('"A, <sip:b@c> \\" B" <sip:a@x.invalid>', "", ""),
                ("Alice A. <sip:a@x.invalid>", ' ; Reg-ID = 7;methods="INVITE, BYE"', ' ;methods="INVITE, BYE"'),
        ):
            answer = await p.register(contact=before + after)
            sent = seen(answer, "Contact")
            assert answer.status == 200 and OWN.sub("", sent) == parameters, (before, sent, answer)
            assert [u.partition(";")[0] for u in contacts(answer)] == ["sip:a@x.invalid"], answer.headers
            await p.register(expires=0, contact=before)
        for two in ("<sip:a@x.invalid>, <sip:b@x.invalid>", "sip:a@x.invalid,sip:b@x.invalid",
                    '"x" <sip:a@x.invalid>;a="b" , <sip:b@x.invalid>', "<sip:a@x.invalid>\r\nContact: <sip:b@x.invalid>"):
            answer = await p.register(contact=two)
            assert answer.status == 400, (two, answer)
        assert (await p.options("derived")).status == 403


async def calls():
    await calls_through_the_registrar()
    async with contextlib.AsyncExitStack() as stack:
        p, q = phone("alice"), phone("bob")
        await registered(stack, p, q)
        request, asked = await ringing(p, q, "MESSAGE")
        # as with a Path, the phone is asked under its own Contact
        assert request.line == f"MESSAGE {uri(q)} SIP/2.0", request
        await q.answer(request, 200)
        assert (await asked).status == 200


async def no_way():
    """Registered, with a credential, and not to be called"""
    async with phone("alice") as p, phone("bob") as q:
        assert (await p.register("derived")).credential() and (await q.register()).status == 200
        answer = await p.send("MESSAGE", "sip:bob@ims.test", to="sip:bob@ims.test", call_id=secrets.token_hex(8))
        assert answer.status >= 400 and q.requests.empty(), answer


async def another_connection():
    """The registrar has one registration of the device; a call finds the last connection, and none when that is gone."""
    instance = ';+sip.instance="<urn:uuid:1>";reg-id=1'
    async with phone("alice") as p:
        assert (await p.register()).status == 200

        async def ask():
            return await p.send("MESSAGE", "sip:carol@ims.test", to="sip:carol@ims.test", call_id=secrets.token_hex(8))

        async with phone("carol") as second:
            async with phone("carol") as first:
                one = await first.register("pushed", contact=first.contact_value() + instance)
                two = await second.register("pushed", contact=second.contact_value() + instance)
                assert seen(one, "Contact") == seen(two, "Contact"), (one.headers, two.headers)
                assert list(contacts(two)) == [uri(second)], two.headers
            # the end of the first connection is seen within two seconds, and changes nothing
            await asyncio.sleep(3)
            asked = asyncio.create_task(ask())
            await second.answer(await next_of(second, "MESSAGE"), 200)
            assert (await asked).status == 200
            probe(two.credential())
        answer = await ask()
        assert answer.status == 480, answer
        await refused(two.credential())
        # known to the registrar for as long as it said, and to the edge no longer
        answer = await ask()
        assert answer.status == 480, answer


async def several_devices():
    async with contextlib.AsyncExitStack() as stack:
        p, one, two = phone("alice"), phone("crowd-30"), phone("crowd-30")
        await registered(stack, p, one)
        await stack.enter_async_context(two)
        answer = await two.register()
        assert set(contacts(answer)) == {uri(one), uri(two)}, answer.headers
        to = "sip:crowd-30@ims.test"
        asked = asyncio.create_task(p.send("INVITE", to, to=to, call_id=secrets.token_hex(8)))
        request, other = [await next_of(q, "INVITE") for q in (one, two)]
        assert {request.line, other.line} == {f"INVITE {uri(q)} SIP/2.0" for q in (one, two)}
        await one.answer(request, 180)
        await two.answer(other, 200)
        assert (await asked).status == 200
        await next_of(one, "CANCEL")


async def star():
    async with contextlib.AsyncExitStack() as stack:
        one, two, other = phone("crowd-31"), phone("crowd-31"), phone("crowd-32")
        got = {}
        for p in one, two, other:
            await stack.enter_async_context(p)
            got[p] = (await p.register("pushed")).credential()
            probe(got[p])
        answer = await one.register(expires=0, contact="*")
        assert answer.status == 200 and not contacts(answer), answer.headers
        for p in one, two:
            await refused(got[p])
            assert (await p.options("derived")).status == 403
        probe(got[other])
        assert (await other.options("derived")).status == 200
        assert (await two.register("pushed")).credential()


@contextlib.asynccontextmanager
async def registrars_network():
    """Somebody in the network of the registrar: send(TARGET) sends a MESSAGE to the edge, its answers come to messages."""
    host, port = plain("udp").removeprefix("udp://").split(":")
    transport, peer = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, remote_addr=(host, int(port)))
    own = "127.0.0.1:%d" % transport.get_extra_info("sockname")[1]

    def send(target):
        transport.sendto("\r\n".join([
            f"MESSAGE {target} SIP/2.0", f"Via: SIP/2.0/UDP {own};branch=z9hG4bK{secrets.token_hex(8)}",
            "From: <sip:bob@ims.test>;tag=1", "To: <sip:alice@ims.test>", f"Call-ID: {secrets.token_hex(8)}",
            "CSeq: 1 MESSAGE", "Max-Forwards: 70", "Content-Length: 0"]).encode() + b"\r\n\r\n")

    try:
        yield send, peer.messages
    finally:
        transport.close()


async def breaks():
    """A phone whose connection has broken, and of which the edge still has the registration: one answer, and that is 480."""
    async with registrars_network() as (send, messages):
        for _ in range(20):
            async with phone("carol") as q:
                target = OWN.match(seen(await q.register(), "Contact"))[0].strip("<>")
                q.socket.transport.abort()
                await asyncio.sleep(0.05)
            send(target)
            with contextlib.suppress(asyncio.TimeoutError):
                # none comes so soon from a phone to which the edge has sent the request before it saw the break
                answers = [await asyncio.wait_for(messages.get(), 2)]
                with contextlib.suppress(asyncio.TimeoutError):
                    answers.append(await asyncio.wait_for(messages.get(), 1))
                assert [answer.status for answer in answers] == [480], answers
                return
        assert False, "no request came after a break was seen"


async def stranger():
    """A phone's Contact at the registrar is no secret there; whoever does not know it reaches nobody."""
    async with registrars_network() as (write, messages), phone("alice") as p:
        async def send(target):
            write(target)
            return (await asyncio.wait_for(messages.get(), 10)).status

        sent = seen(await p.register(), "Contact")
        user = OWN.match(sent)[1]
        assert await send("sip:alice@ims.test") == 403
        assert await send(uri(p)) == 403
        assert await send(f"sip:{user[:-1]}{'01'[user[-1] == '0']}@{plain('udp').removeprefix('udp://')}") == 480
        assert p.requests.empty()
        asked = asyncio.create_task(send(OWN.match(sent)[0].strip("<>")))
        await p.answer(await next_of(p, "MESSAGE"), 200)
        assert await asked == 200
        await p.register(expires=0)
        await until(p.requests.empty)
        assert await send(OWN.match(sent)[0].strip("<>")) == 480


if __name__ == "__main__":
    run_step(globals())
