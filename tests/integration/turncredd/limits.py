# SPDX-License-Identifier: BSD-3-Clause
"""The steps of limits.bats: one function each, called by turn_step."""

import json
import time

import turnclient
from support import DIR, client, derived, password, rest, run_step, token

QUOTA = 486


def pushed(name="pushed"):
    answer = json.loads((DIR / name).read_text())
    return password(answer["username"], answer["password"])


def allocations(make, limit):
    """So many allocations are made, and the next one is refused; after one has ended there is room for one."""
    limit, calls = int(limit), []
    try:
        for _ in range(limit):
            calls.append(client(make()))
            response = calls[-1].allocate()
            assert response.ok, (len(calls), response.code)
        if limit < 4:  # 4 stands for: no limit
            calls.append(client(make()))
            response = calls.pop().allocate()
            assert response.code == QUOTA, response.code
    finally:
        for call in calls:
            call.refresh(0)
            call.close()


def pushed_allocations(limit):
    allocations(pushed, limit)


def rest_allocations(limit):
    allocations(lambda: rest("rob", order="user-id:timestamp"), limit)


def by_kind(limit):
    """Each user of a new name: what the last step has left ends by itself."""
    stamp = time.monotonic_ns()
    one = token()  # without a subject tag the quota is counted for each token
    for make in (lambda: derived(f"dan{stamp}"), lambda: rest(f"rob{stamp}", order="user-id:timestamp"), lambda: one):
        allocations(make, limit)


def two_devices():
    first = client(pushed("first"))
    turnclient.need("the first device", first.allocate())
    again = client(pushed("first"))
    assert again.allocate().code == QUOTA
    second = client(pushed())
    turnclient.need("the second device", second.allocate())
    third = client(pushed())
    assert third.allocate().code == QUOTA
    for call in (first, second):
        call.refresh(0)
    for call in (first, second, again, third):
        call.close()


def through(credential, least, most):
    """How many of 30 kilobytes come through in 0.7 s and more."""
    c = client(credential)
    turnclient.need("allocate", c.allocate())
    peer = turnclient.Peer()
    turnclient.need("permission", c.create_permission(peer.address))
    end, came = time.monotonic() + 0.7, 0
    while came < 30 and (time.monotonic() < end or came < int(least)):
        c.send(peer.address, bytes(1000))
        came += peer.receive(0.02) is not None
        assert time.monotonic() < end + 20, came
    c.refresh(0)
    c.close()
    peer.close()
    assert int(least) <= came <= int(most), came


def through_pushed(least, most):
    through(pushed(), least, most)


def through_derived(least, most):
    through(derived(f"dee{time.monotonic_ns()}"), least, most)


if __name__ == "__main__":
    run_step(globals())
