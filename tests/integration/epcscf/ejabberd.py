# SPDX-License-Identifier: BSD-3-Clause
"""The steps of ejabberd.bats: one function each, called by phones_step. ejabberd wants a password for every request."""

import asyncio
import contextlib
import re
import secrets

import dialog
from dialog import next_of
from phone import Phone, digest
from phones import EDGE, DIR, password_of, probe, refused, run_step

CHALLENGE = "Proxy-Authenticate"


class Proven(Phone):
    """Sends a request again, with its password, when a proxy asks for it"""

    async def send(self, method, uri, headers=(), **more):
        answer = await super().send(method, uri, headers, **more)
        if answer.status != 407:
            return answer
        if method == "INVITE":
            await self.ack_refusal(answer, uri)
        return await super().send(method, uri, [*headers, self.proof(answer, method, uri)], **more)

    def proof(self, answer, method, uri):
        return "Proxy-Authorization: " + digest(answer.get(CHALLENGE), method, uri, self.user, self.password)

    async def ack_refusal(self, answer, uri):
        """RFC 3261 section 17.1.1.3"""
        via = re.search(r"^Via: .*$", self.last_sent, re.M)[0].strip()
        number = answer.get("CSeq").split()[0]
        await self.write("\r\n".join([f"ACK {uri} SIP/2.0", via, f"From: {answer.get('From')}", f"To: {answer.get('To')}",
                                      f"Call-ID: {answer.get('Call-ID')}", f"CSeq: {number} ACK", "Max-Forwards: 70",
                                      "Content-Length: 0"]) + "\r\n\r\n")


def phone(user):
    url = f"wss://127.0.0.1:{(EDGE / 'port').read_text().strip()}"
    return Proven(url, user, "ims.test", password_of(user), str(DIR / "tls/ca.pem"))


async def send_within(side, method):
    """A request within a dialog, with the password"""
    answer = await side.send(method)
    if answer.status == 407:
        answer = await side.send(method, [side.phone.proof(answer, method, side.target)])
    return answer


async def exchange(one, other, method):
    asked = asyncio.create_task(send_within(one, method))
    await other.phone.answer(await next_of(other.phone, method), 200)
    answer = await asked
    assert answer.status == 200, (method, answer)


async def registered(stack, *phones):
    for p in phones:
        await stack.enter_async_context(p)
        answer = await p.register()
        assert answer.status == 200 and [p.contact_value()] == re.findall("<[^>]*>", answer.get("Contact")), answer.headers


async def both_kinds():
    async with phone("alice") as p:
        answer = await p.register("derived", password="wrong")
        assert answer.status == 401 and not answer.credential(), answer
        for kind in "derived", "pushed":
            # what JsSIP says of itself, and what ejabberd must not rely on
            contact = p.contact_value() + ';+sip.instance="<urn:uuid:7>";reg-id=1'
            answer = await p.register(kind, contact=contact, headers=["Supported: path,gruu,outbound"])
            got = answer.credential()
            assert answer.status == 200 and got["kind"] == kind and got["user-id"] == "alice", answer.headers
            assert p.contact_value() in answer.get("Contact") and not answer.all("Flow-Timer"), answer.headers
            probe(got)
        assert (await p.register(expires=0, contact=contact)).status == 200
        await refused(got)
    async with phone("alice") as p:
        got = (await p.register("pushed")).credential()
        probe(got)
    await refused(got)


async def calls():
    async with contextlib.AsyncExitStack() as stack:
        p, q = phone("bob"), phone("carol")
        await registered(stack, p, q)
        request, asked = await dialog.ringing(p, q, "MESSAGE")
        assert request.all("P-Asserted-Identity") == ["<sip:bob@ims.test>"], request.headers
        await q.answer(request, 200)
        assert (await asked).status == 200
        for one, two, ends in ((p, q, "caller"), (q, p, "callee")):
            caller, callee = await dialog.call(one, two)
            await exchange(caller, callee, "INFO")
            await exchange(callee, caller, "INFO")
            await exchange(*([caller, callee] if ends == "caller" else [callee, caller]), "BYE")
        assert p.requests.empty() and q.requests.empty()


async def comes_back():
    instance = ';+sip.instance="<urn:uuid:9>";reg-id=1'
    async with phone("bob") as p:
        assert (await p.register()).status == 200

        async def ask():
            return await p.send("MESSAGE", "sip:crowd-1@ims.test", to="sip:crowd-1@ims.test", call_id=secrets.token_hex(8))

        for _ in range(2):
            async with phone("crowd-1") as q:
                answer = await q.register(contact=q.contact_value() + instance)
                assert answer.status == 200, answer
                asked = asyncio.create_task(ask())
                await q.answer(await next_of(q, "MESSAGE"), 200)
                assert (await asked).status == 200
        assert (await ask()).status == 480


async def no_way():
    async with phone("crowd-2") as p, phone("crowd-3") as q:
        assert (await p.register("derived")).credential() and (await q.register()).status == 200
        answer = await p.send("MESSAGE", "sip:crowd-3@ims.test", to="sip:crowd-3@ims.test", call_id=secrets.token_hex(8))
        assert answer.status >= 400 and q.requests.empty(), answer


if __name__ == "__main__":
    run_step(globals())
