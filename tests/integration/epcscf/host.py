# SPDX-License-Identifier: BSD-3-Clause
"""The steps of host.bats: one function each, called by phones_step."""

import time

from bearer import register, token
from phones import by_then, phone, probe, run_step


async def before_the_outage():
    """Credentials of both kinds, while all is well."""
    async with phone("alice") as p:
        probe((await p.register("pushed")).credential())
        probe((await p.register("derived")).credential())


async def while_it_is_away():
    """New derived credentials work, tokens register, and a wish for a pushed one is refused soon and harms nobody."""
    async with phone("alice") as p, phone("bob") as q, phone("dora", password="x") as r:
        for _ in range(3):
            begin = time.monotonic()
            answer = await p.register("pushed;new")
            assert answer.status == 200 and answer.why() == "unavailable", (answer, answer.headers)
            assert time.monotonic() - begin < 3
            got = (await q.register("derived;new")).credential()
            assert got, "a wish for a pushed credential has taken the derived ones from all"
            probe(got)
        assert (await p.register("pushed;new, derived")).why() == "unavailable"
        got = (await register(r, token("sub=dora"), "derived;new")).credential()
        probe(got)
        assert (await register(r, token("key=rsa2"))).status == 401


async def after_the_outage():
    """New pushed credentials, when the database is back."""
    async with phone("alice") as p:
        async def pushed():
            return (await p.register("pushed;new")).credential()

        probe(await by_then(pushed, 20))


async def all_without():
    """turncredd gives no answer: nobody gets a credential."""
    async with phone("alice") as p, phone("bob") as q:
        assert (await p.register("pushed;new")).why() == "unavailable"
        assert (await q.register("derived;new")).why() == "unavailable"


if __name__ == "__main__":
    run_step(globals())
