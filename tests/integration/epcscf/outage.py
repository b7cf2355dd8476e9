# SPDX-License-Identifier: BSD-3-Clause
"""The steps of outage.bats: one function each, called by phones_step."""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time

from phones import DIR, EDGE, by_then, phone, probe, refused, run_step, sql, until

# Seconds. The time-out is 2 s; what a busy machine adds is allowed for
ASKED_WITHIN, OTHERS_WITHIN = 10, 1.9


def show(times):
    times = sorted(t for t, _ in times)
    return f"median {1000 * times[len(times) // 2]:.0f} ms, longest {1000 * max(times):.0f} ms"


async def crowd(what, rounds=2):
    """24 phones that ask and 24 that do not, all at once, in so many rounds: (seconds, answer) of either. `what` is
    how the line in the file measured begins."""

    async def timed(p, ask):
        start = time.monotonic()
        answer = await p.register(ask)
        return time.monotonic() - start, answer

    asking, others = [], []
    async with contextlib.AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(phone(f"crowd-{i + 1}")) for i in range(48)]
        for _ in range(rounds):
            got = await asyncio.gather(*(timed(p, "derived" if i % 2 else None) for i, p in enumerate(phones)))
            asking += got[1::2]
            others += got[0::2]
        for p in phones:
            await p.register(expires=0)
    line = f"asking: {show(asking)}; others: {show(others)}"
    print(line, file=sys.stderr)
    with open(DIR / "measured", "a") as file:
        print(f"{what}: {line}", file=file)
    assert all(answer.status == 200 for _, answer in asking + others), {a.status for _, a in asking + others}
    assert not any(answer.credential() for _, answer in others)
    return asking, others


async def answering():
    """turncredd answers: each phone that asks gets a credential."""
    asking, _ = await crowd("answering")
    assert all(answer.credential() for _, answer in asking)


async def hung():
    """turncredd hangs: all register, nobody gets a credential, and a phone that did not ask does not wait."""
    asking, others = await crowd("hung")
    assert {answer.why() for _, answer in asking} == {"unavailable"}
    assert not any(answer.all("Turn-Credential") for _, answer in others)
    assert max(t for t, _ in asking) < ASKED_WITHIN
    assert max(t for t, _ in others) < OTHERS_WITHIN
    # the time-out is known now: a phone that asks does not wait either
    assert sorted(t for t, _ in asking)[len(asking) // 4] < OTHERS_WITHIN


async def stopped():
    """turncredd is stopped: all register at once, and nobody gets a credential."""
    asking, others = await crowd("stopped")
    assert not any(answer.credential() for _, answer in asking)
    assert max(t for t, _ in asking + others) < OTHERS_WITHIN


async def unregistered_while_stopped():
    """turncredd is stopped, and a pushed credential is to be deleted."""
    async with phone("alice") as p:
        assert (await p.register("pushed")).credential()
        daemon = int((DIR / "daemons/main/pid").read_text())
        os.kill(daemon, signal.SIGTERM)
        # ended, and waited for or not
        await until(lambda: subprocess.run(["ps", "-o", "stat=", "-p", str(daemon)], capture_output=True, text=True).stdout[:1] in "Z", 30)
        assert (await p.register(expires=0)).status == 200


async def hung_and_narrow():
    """turncredd hangs, and at most 5 may wait for it."""
    asking, others = await crowd("hung, at most 5 may wait", 1)
    assert not any(answer.credential() for _, answer in asking)
    waited = sum(t > 1.9 for t, _ in asking)
    assert 1 <= waited <= 5, waited
    assert max(t for t, _ in others) < OTHERS_WITHIN


async def credential_again():
    """turncredd is back: a phone that asks gets a credential that works."""
    async with phone("alice") as p:

        async def asked():
            return (await p.register("derived")).credential()

        probe(await by_then(asked, 15))


async def tls_that_fails_elsewhere():
    """Broken TLS connections close nobody else's. Without fork_apart.c or tls_threads_mode they do."""
    host, port = "127.0.0.1", int((EDGE / "port").read_text())
    hello = bytes.fromhex("16030100050100000103")

    async def broken(n):
        for i in range(n):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write((hello, b"GET / HTTP/1.1\r\n\r\n", bytes.fromhex("15030100020228"))[i % 3])
            await writer.drain()
            if i % 2:
                await asyncio.wait_for(reader.read(), 10)
            writer.close()

    async def steady(user):
        async with phone(user) as p:
            for _ in range(30):
                assert (await p.register("derived")).credential()
            await p.register(expires=0)

    await asyncio.gather(*(steady(f"crowd-{i + 1}") for i in range(12)), *(broken(60) for _ in range(8)))


async def kept_while_it_hangs():
    """A device that registers again gets the credential that it has."""
    daemon = int((DIR / "daemons/main/pid").read_text())
    async with phone("bob") as p:
        got = (await p.register("pushed")).credential()
        os.kill(daemon, signal.SIGSTOP)
        try:
            for again in (await p.register("pushed"), await p.options("pushed")):
                assert again.credential()["password"] == got["password"]
            probe(got)
        finally:
            os.kill(daemon, signal.SIGCONT)
        await p.register(expires=0)
        await refused(got, limit=30)


async def unregistered_while_it_hangs():
    """A credential is taken back as soon as turncredd answers again."""
    daemon = int((DIR / "daemons/main/pid").read_text())
    async with phone("carol") as p:
        got = (await p.register("pushed;new")).credential()
        probe(got)
        os.kill(daemon, signal.SIGSTOP)
        start = time.monotonic()
        assert (await p.register(expires=0)).status == 200
        assert time.monotonic() - start < 1.9
        await asyncio.sleep(1)
        probe(got)
        os.kill(daemon, signal.SIGCONT)
        await refused(got, limit=30)


async def unregistered_while_asking():
    """A credential that is made while its phone unregisters is not handed out, and is taken back."""
    daemon = int((DIR / "daemons/main/pid").read_text())
    async with phone("carol") as p:
        assert (await p.register()).status == 200
        os.kill(daemon, signal.SIGSTOP)
        try:
            asked = asyncio.create_task(p.options("pushed;new"))
            await asyncio.sleep(0.3)
            assert not asked.done()
            assert (await p.register(expires=0)).status == 200
        finally:
            os.kill(daemon, signal.SIGCONT)
        assert not (await asked).credential()
    await until(lambda: sql("SELECT count(*) FROM turncred.issue_log WHERE subject = 'carol' AND kind = 'pushed' AND issued_at > now() - interval '20 s'") != "0")
    await until(lambda: sql("SELECT count(*) FROM turncred.credential WHERE user_id = 'carol'") == "0")


async def waits_in_vain():
    """One process asks, and turncredd hangs for half a minute: one request is asked, two wait, one of them with a CANCEL; each gets a 200."""
    daemon = int((DIR / "daemons/main/pid").read_text())
    async with phone("alice") as p, phone("bob") as q, phone("carol") as r:
        for one in p, q, r:
            one.limit = 50
            assert (await one.register()).status == 200
        os.kill(daemon, signal.SIGSTOP)
        try:
            asked = asyncio.create_task(p.options("derived;new"))
            await asyncio.sleep(0.5)
            waiting = [asyncio.create_task(one.options("derived;new")) for one in (q, r)]
            await asyncio.sleep(0.5)
            branch = re.search(r"branch=(\w+)", r.last_sent)[1] + " CANCEL"
            r.waiting[branch] = cancelled = asyncio.get_running_loop().create_future()
            await r.write(r.last_sent.replace("OPTIONS sip", "CANCEL sip").replace(" OPTIONS\r\n", " CANCEL\r\n"))
            assert (await asyncio.wait_for(cancelled, 10)).status == 200
            for one in waiting:
                answer = await one
                assert answer.status == 200 and answer.why() == "unavailable", answer
        finally:
            os.kill(daemon, signal.SIGCONT)
        assert (await asked).credential()


if __name__ == "__main__":
    run_step(globals())
