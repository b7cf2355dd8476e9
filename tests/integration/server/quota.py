# SPDX-License-Identifier: BSD-3-Clause
"""The steps of quota.bats: one function each, called by turn_step."""

import concurrent.futures
import os
import random
import statistics
import time

import credentials
import turnclient
from support import DIR, client, derived, login, run_step, wait_until

HERE = os.environ["TC_SERVER"]
QUOTA = 486
SPREAD = 6.0  # seconds after the first allocation in which the second one is tried


def one_try(number, other):
    """How long after the first allocation of a new user the second one was tried, and whether it got in."""
    credential = derived(f"user{number}-{time.monotonic_ns()}")
    first, second = (HERE, other) if number % 2 else (other, HERE)
    holder = client(credential, name=first)
    turnclient.need("the first allocation", holder.allocate())
    begin = time.monotonic()
    time.sleep(random.uniform(0, SPREAD))
    visitor = client(credential, name=second)
    try:
        tried = time.monotonic() - begin
        response = visitor.allocate()
        assert response.ok or response.code == QUOTA, response.code
        if response.ok:
            visitor.refresh(0)
    finally:
        holder.refresh(0)
        holder.close()
        visitor.close()
    return tried, response.ok


def tries(count, other):
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        results = list(pool.map(lambda n: one_try(n, other), range(int(count))))
    let_in = sorted(after for after, ok in results if ok)
    refused = sorted(after for after, ok in results if not ok)
    share = 100 * len(let_in) / len(results)
    print(f"# {len(results)} tries within {SPREAD:.0f} s: {len(let_in)} got in twice ({share:.1f} %), "
          f"median {statistics.median(let_in or [0]):.2f} s, latest {max(let_in or [0]):.2f} s after the first; "
          f"earliest refusal {min(refused or [0]):.2f} s")
    # a machine may be busy: the bound is twice the 2 s between two questions, and as much for delivery
    assert refused, "nobody was refused"
    assert max(let_in, default=0) < 5 * float(os.environ.get("PATIENCE", "1")), max(let_in)


def stays_refused(make, name=None):
    """Refused for longer than an allocation that this has made lingers after its end, which is a second."""
    let_in = [time.monotonic()]

    def refused():
        if login(make(), name=name) != QUOTA:
            let_in[0] = time.monotonic()
        return time.monotonic() - let_in[0] > 2.5

    wait_until(refused, 15, every=0.3)


def refused_soon(user):
    stays_refused(lambda: derived(user))


def refused_now(user):
    assert login(derived(user)) == QUOTA


def let_in_soon(user):
    wait_until(lambda: login(derived(user)) == 0, 10, every=0.3)


def holds_call(user):
    c = client(derived(user))
    turnclient.need("allocate", c.allocate())
    # the process ends; the allocation over UDP lives on


def two_of_two(other):
    user = f"two{time.monotonic_ns()}"
    here = client(derived(user))
    there = client(derived(user), name=other)
    turnclient.need("one here", here.allocate())
    turnclient.need("one there", there.allocate())
    for name in (HERE, other):
        stays_refused(lambda: derived(user), name)
    # what lives goes on, and is refreshed
    turnclient.need("refresh", here.refresh(600))
    there.refresh(0)
    wait_until(lambda: login(derived(user)) == 0, 10, every=0.3)
    here.refresh(0)
    for call in (here, there):
        call.close()


def token(name):
    return credentials.Credential.from_json((DIR / name).read_text())


def tokens_of_one_user(other):
    first = client(token("token1"), name=other)
    turnclient.need("the first token", first.allocate())
    stays_refused(lambda: token("token2"))
    first.refresh(0)
    first.close()
    wait_until(lambda: login(token("token2")) == 0, 10, every=0.3)


def one_on_each(other):
    user = f"each{time.monotonic_ns()}"
    calls = [client(derived(user), name=name) for name in (HERE, other)]
    for call in calls:
        turnclient.need("one on each", call.allocate())
    time.sleep(4)  # longer than servers take to ask: what shall not happen would have happened
    for call in calls:
        assert client(derived(user)).allocate().code == QUOTA
        call.refresh(0)
        call.close()


if __name__ == "__main__":
    run_step(globals())
