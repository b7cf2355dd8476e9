# SPDX-License-Identifier: BSD-3-Clause
"""A row of "phones": MODE KIND PHONES SECONDS, at the eP-CSCF TC_EDGE."""

import asyncio
import contextlib
import random
import statistics
import sys
import time

from phones import phone, probe, sql, until

PATIENCE = 120  # seconds for a phone that is told to ask later


class Crowd:
    def __init__(self, kind):
        self.kind, self.registered, self.later = kind, 0, 0
        self.connecting, self.waits, self.credentials, self.lost = [], [], [], []

    async def one(self, number, start, stack):
        p = phone(f"phone-{number}", password="x")
        await asyncio.sleep(max(0, start - time.monotonic()))
        begin = time.monotonic()
        try:
            await stack.enter_async_context(p)
            self.connecting.append(time.monotonic() - begin)
            begin = time.monotonic()
            answer = await p.register(self.kind)
            if answer.status != 200:
                raise AssertionError(answer)
            self.registered += 1
            self.later += not answer.credential()
            while not answer.credential():
                if answer.why() not in ("unavailable", "too-often") or time.monotonic() > begin + PATIENCE:
                    raise AssertionError(answer.headers)
                await asyncio.sleep(int(answer.turn_credential()["retry-after"]))
                answer = await p.options(self.kind)
        except Exception as error:  # pylint: disable=broad-exception-caught
            self.lost.append(f"phone-{number}: {error!r}"[:300])
            return
        self.waits.append(time.monotonic() - begin)
        self.credentials.append(answer.credential())


def ms(seconds):
    return f"{1000 * seconds:8.1f}"


async def main(mode, kind, phones, seconds):
    crowd, wrong = Crowd(kind), []
    pushed = "SELECT count(*) FROM turncred.credential WHERE user_id LIKE 'phone-%'"
    async with contextlib.AsyncExitStack() as stack:
        begin = time.monotonic() + 0.5
        await asyncio.gather(*(crowd.one(n + 1, begin + n * seconds / phones, stack) for n in range(phones)))
        names = {c["user-id"] for c in crowd.credentials}
        if len(names) != len(crowd.credentials):
            wrong.append("two phones have one user id")
        for credential in random.sample(crowd.credentials, min(10, len(crowd.credentials))):
            await asyncio.to_thread(probe, credential)
        if kind == "pushed" and sql(pushed) != str(len(crowd.credentials)):
            wrong.append(f"{sql(pushed)} pushed credentials in the database")
    await until(lambda: sql(pushed) == "0", 120)
    waits = sorted(crowd.waits) or [float("nan")]
    connecting = crowd.connecting or [float("nan")]
    print(f"{mode:10} {kind:8} {ms(statistics.median(connecting))} {ms(max(connecting))} {ms(statistics.median(waits))} "
          f"{ms(waits[len(waits) * 99 // 100])} {ms(waits[-1])} {crowd.later:8} {crowd.registered:10} {len(crowd.lost):6}", flush=True)
    for line in [*wrong, *crowd.lost[:10]]:
        print(line, file=sys.stderr)
    return 1 if wrong or crowd.lost or len(crowd.credentials) != phones else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))))
