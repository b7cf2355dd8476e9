# SPDX-License-Identifier: BSD-3-Clause
"""The steps of dialog.bats: one function each, called by phones_step."""

import asyncio
import contextlib
import re
import secrets

from phones import phone, plain, run_step


def uri_of(header):
    return re.search(r"<([^>]*)>", header)[1]


def tag_of(header):
    return re.search(r";tag=([^;\s]+)", header)[1]


def awaited(phone_, branch):
    """The answer to the request of this branch, within 20 seconds"""
    phone_.waiting[branch] = answer = asyncio.get_running_loop().create_future()
    return asyncio.create_task(asyncio.wait_for(answer, 20))


class Side:
    """One side of a dialog (RFC 3261 12.2): sends requests in it, and answers those that come."""

    def __init__(self, phone_, call_id, local, remote, target, route):
        self.phone, self.call_id, self.local, self.remote = phone_, call_id, local, remote
        self.target, self.route, self.cseq = target, route, 100

    @classmethod
    def of_caller(cls, phone_, answer):
        return cls(phone_, answer.get("Call-ID"), answer.get("From"), answer.get("To"), uri_of(answer.get("Contact")),
                   answer.all("Record-Route")[::-1])

    @classmethod
    def of_callee(cls, phone_, request):
        local = request.get("To")
        local += "" if "tag=" in local else f";tag={phone_.tag}"
        return cls(phone_, request.get("Call-ID"), local, request.get("From"), uri_of(request.get("Contact")),
                   request.all("Record-Route"))

    def text(self, method, headers=(), body="", cseq=None):
        branch = "z9hG4bK" + secrets.token_hex(8)
        if cseq is None:
            self.cseq += 1
            cseq = self.cseq
        transport = self.phone.url.partition(":")[0].upper()
        return branch, "\r\n".join([
            f"{method} {self.target} SIP/2.0", f"Via: SIP/2.0/{transport} {self.phone.host};branch={branch}",
            f"From: {self.local}", f"To: {self.remote}", f"Call-ID: {self.call_id}", f"CSeq: {cseq} {method}",
            "Max-Forwards: 70", *[f"Route: {r}" for r in self.route], f"Contact: {self.phone.contact_value()}", *headers,
            f"Content-Length: {len(body)}"]) + "\r\n\r\n" + body

    async def ack(self, cseq):
        await self.phone.write(self.text("ACK", cseq=cseq)[1])

    async def send(self, method, headers=(), body=""):
        branch, text = self.text(method, headers, body)
        answer = awaited(self.phone, branch)
        await self.phone.write(text)
        return await answer


async def next_of(phone_, method, limit=10):
    """The next request that comes to a phone; it must be of this method"""
    request = await asyncio.wait_for(phone_.requests.get(), limit)
    assert request.method == method, request
    return request


async def registered(stack, *phones):
    for p in phones:
        await stack.enter_async_context(p)
        assert (await p.register()).status == 200


async def ringing(p, q, method="INVITE", headers=()):
    """p's request at q, and the task that waits for its final answer"""
    asked = asyncio.create_task(p.send(method, f"sip:{q.user}@{q.domain}", headers, to=f"sip:{q.user}@{q.domain}",
                                       call_id=secrets.token_hex(8)))
    return await next_of(q, method), asked


async def call(p, q):
    """A call that q has taken: both sides"""
    request, asked = await ringing(p, q)
    await q.answer(request, 180)
    await q.answer(request, 200)
    answer = await asked
    assert answer.status == 200, answer
    caller, callee = Side.of_caller(p, answer), Side.of_callee(q, request)
    await caller.ack(int(answer.get("CSeq").split()[0]))
    await next_of(q, "ACK")
    return caller, callee


async def exchange(one, other, method, headers=()):
    """A request of one side, answered by the other"""
    asked = asyncio.create_task(one.send(method, headers))
    request = await next_of(other.phone, method)
    assert not request.all("Turn-Credential-Request") and not request.all("Turn-Credential"), request.headers
    await other.phone.answer(request, 200)
    answer = await asked
    assert answer.status == 200, (method, answer)
    return answer


async def every_request_both_ways(who):
    """Every request of a call, sent by the caller, or by the callee, gets to the other and its answer back."""
    async with contextlib.AsyncExitStack() as stack:
        p, q, other = phone("alice"), phone("bob"), phone("carol")
        await registered(stack, p, q, other)
        # a reliable provisional answer makes an early dialog: PRACK and UPDATE before the call is taken
        request, asked = await ringing(p, q, headers=["Supported: 100rel"])
        await q.answer(request, 183, ["Require: 100rel", "RSeq: 1"])
        while not any(" 183 " in answer.line for answer in p.provisional):
            await asyncio.sleep(0.02)
        early = Side.of_caller(p, [answer for answer in p.provisional if " 183 " in answer.line][0])
        await exchange(early, Side.of_callee(q, request), "PRACK", [f"RAck: 1 {request.get('CSeq')}"])
        await exchange(*([early, Side.of_callee(q, request)] if who == "caller" else [Side.of_callee(q, request), early]), "UPDATE")
        await q.answer(request, 200)
        answer = await asked
        caller, callee = Side.of_caller(p, answer), Side.of_callee(q, request)
        await caller.ack(int(answer.get("CSeq").split()[0]))
        await next_of(q, "ACK")
        one, two = (caller, callee) if who == "caller" else (callee, caller)
        one.cseq = 200
        for method, headers in (("INFO", []), ("UPDATE", []), ("MESSAGE", []), ("OPTIONS", []),
                                ("REFER", ["Refer-To: <sip:carol@ims.test>"]), ("NOTIFY", ["Event: refer"]),
                                ("SUBSCRIBE", ["Event: dialog", "Expires: 60"]), ("NOTIFY", ["Event: dialog"]),
                                ("INFO", ["Turn-Credential-Request: derived", "Turn-Credential: kind=derived"])):
            await exchange(one, two, method, headers)
        answer = await exchange(one, two, "INVITE")
        await one.ack(int(answer.get("CSeq").split()[0]))
        await next_of(two.phone, "ACK")
        await exchange(one, two, "BYE")
        assert p.requests.empty() and q.requests.empty() and other.requests.empty()


async def over_two_listeners():
    """A phone over wss and one over ws: each one's requests find the other."""
    async with contextlib.AsyncExitStack() as stack:
        p, q = phone("alice"), phone("bob", url=plain())
        await registered(stack, p, q)
        for one, two in ((p, q), (q, p)):
            caller, callee = await call(one, two)
            await exchange(caller, callee, "UPDATE")
            await exchange(callee, caller, "INFO")
            await exchange(callee, caller, "BYE")


async def cancelled():
    """CANCEL goes to the phone that rings, and the caller gets 487."""
    async with contextlib.AsyncExitStack() as stack:
        p, q = phone("alice"), phone("bob")
        await registered(stack, p, q)
        request, asked = await ringing(p, q)
        await q.answer(request, 180)
        while not p.provisional:
            await asyncio.sleep(0.02)
        sent = p.last_sent
        cancel = re.sub(r"^INVITE", "CANCEL", sent).replace(" INVITE\r\n", " CANCEL\r\n")
        done = awaited(p, re.search(r"branch=(\w+)", cancel)[1] + " CANCEL")
        await p.write(cancel)
        assert (await done).status == 200
        await q.answer(await next_of(q, "CANCEL"), 200)
        await q.answer(request, 487)
        assert (await asked).status == 487
        await next_of(q, "ACK")
        # and a CANCEL of a call that there is not
        branch = "z9hG4bK" + secrets.token_hex(8)
        done = awaited(p, branch + " CANCEL")
        await p.write(re.sub(r"branch=\w+", "branch=" + branch, cancel))
        assert (await done).status == 481


async def subscription():
    """SUBSCRIBE makes a dialog; NOTIFY goes back, and SUBSCRIBE again goes forth."""
    async with contextlib.AsyncExitStack() as stack:
        p, q = phone("alice"), phone("bob")
        await registered(stack, p, q)
        request, asked = await ringing(p, q, "SUBSCRIBE", ["Event: dialog", "Expires: 60"])
        await q.answer(request, 200, ["Expires: 60"])
        watcher, notifier = Side.of_caller(p, await asked), Side.of_callee(q, request)
        for _ in range(2):
            await exchange(notifier, watcher, "NOTIFY", ["Event: dialog", "Subscription-State: active"])
            await exchange(watcher, notifier, "SUBSCRIBE", ["Event: dialog", "Expires: 60"])


async def redirected():
    """302: the Contact names somebody else and comes as it was sent."""
    async with contextlib.AsyncExitStack() as stack:
        p, q = phone("alice"), phone("bob")
        await registered(stack, p, q)
        request, asked = await ringing(p, q)
        kept, q.contact_value = q.contact_value, lambda: "<sip:carol@ims.test>"
        await q.answer(request, 302)
        q.contact_value = kept
        answer = await asked
        assert answer.status == 302 and answer.get("Contact") == "<sip:carol@ims.test>", answer.headers


async def gone():
    """Whoever is called or spoken to is gone: the right codes."""
    async with contextlib.AsyncExitStack() as stack:
        p = phone("alice")
        await registered(stack, p)
        for method in ("INFO", "INVITE", "BYE"):
            async with phone("bob") as q:
                assert (await q.register()).status == 200
                caller, _ = await call(p, q)
            answer = await caller.send(method)
            assert answer.status == 430, (method, answer)
        answer = await p.send("MESSAGE", "sip:bob@ims.test", to="sip:bob@ims.test", call_id="new")
        assert answer.status == 480, answer
        # nobody waits for an answer to an ACK
        await caller.ack(500)
        assert (await p.options()).status == 200


async def came_back():
    """A phone that lost its connection goes on with its call over a new one: its next request tells where it is."""
    async with contextlib.AsyncExitStack() as stack:
        p = phone("alice")
        await registered(stack, p)
        async with phone("bob") as q:
            assert (await q.register()).status == 200
            caller, callee = await call(p, q)
        async with phone("bob") as again:
            again.host, again.tag = q.host, q.tag
            callee.phone = again
            assert (await again.register()).status == 200
            asked = asyncio.create_task(callee.send("UPDATE"))
            request = await next_of(p, "UPDATE")
            await p.answer(request, 200)
            assert (await asked).status == 200
            caller.target = uri_of(request.get("Contact"))
            await exchange(caller, callee, "BYE")


async def not_its_dialog():
    """Only who is in a dialog sends in it."""
    async with contextlib.AsyncExitStack() as stack:
        p, q, stranger = phone("alice"), phone("bob"), phone("carol")
        await registered(stack, p, q)
        await stack.enter_async_context(stranger)
        caller, callee = await call(p, q)
        assert ";alias=" in caller.target, caller.target
        unsealed = [re.sub(r";k=\w+", "", r) for r in caller.route]
        assert unsealed != caller.route
        for route in ([], unsealed, [r.replace(";k=", ";k=0") for r in caller.route],
                      [re.sub(r";k=\w+", ";k=" + 32 * "0", r) for r in caller.route], ["<sip:127.0.0.1:1;lr>"]):
            for who in (stranger, p):
                forged = Side(who, caller.call_id, caller.local, caller.remote, caller.target, route)
                for method in ("BYE", "INFO", "INVITE"):
                    assert (await forged.send(method)).status == 481, (method, route)
                await forged.ack(7)
        # the seal of one call is none of another
        forged = Side(stranger, "another", caller.local, caller.remote, caller.target, caller.route)
        assert (await forged.send("MESSAGE")).status == 481
        assert q.requests.empty() and p.requests.empty()
        await exchange(callee, caller, "BYE")


if __name__ == "__main__":
    run_step(globals())
