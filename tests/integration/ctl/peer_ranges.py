#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""peer_ranges.py rows: INSERT statements of random ranges of one realm, from the seed 1.
peer_ranges.py compare: networks on standard input deny what these ranges deny, and nothing else.

Addresses are those at both ends of each range, their neighbours, and random ones between."""

import ipaddress
import random
import sys

SPACE = {4: 0xFFFFFFFF, 6: (1 << 128) - 1}
CLASS = {4: ipaddress.IPv4Address, 6: ipaddress.IPv6Address}
BASE = {4: int(ipaddress.IPv4Address("198.51.96.0")), 6: int(ipaddress.IPv6Address("2001:db8::"))}


def ranges():
    """(kind, version, min, max) of each range: they overlap, touch, and lie inside each other."""
    rng = random.Random(1)
    for i in range(60):
        version = rng.choice((4, 6))
        low = BASE[version] + rng.randrange(4096)
        high = low if rng.random() < 0.2 else low + rng.randrange(1 << rng.randrange(1, 11))
        yield ("allowed" if i % 3 == 0 else "denied"), version, low, high
    yield "denied", 4, int(ipaddress.IPv4Address("224.0.0.0")), SPACE[4]
    yield "denied", 6, SPACE[6] - 5, SPACE[6]


def rows():
    for kind, version, low, high in ranges():
        text = str(CLASS[version](low)) + (f"-{CLASS[version](high)}" if high != low else "")
        print(f"INSERT INTO {kind}_peer_ip VALUES ('a.test', '{text}');")


def compare():
    networks = [ipaddress.ip_network(word) for word in sys.stdin.read().split()]
    everything, rng, asked = list(ranges()), random.Random(2), {True: 0, False: 0}
    for _, version, low, high in everything:
        near = {low - 1, low, high, high + 1, *(rng.randint(low, high) for _ in range(20))}
        for number in {n for n in near if 0 <= n <= SPACE[version]}:
            holds = {kind: any(k == kind and v == version and a <= number <= b for k, v, a, b in everything)
                     for kind in ("allowed", "denied")}
            want = holds["denied"] and not holds["allowed"]
            address = CLASS[version](number)
            assert want == any(address in network for network in networks), address
            asked[want] += 1
    assert min(asked.values()) > 100, asked
    print(asked)


if __name__ == "__main__":
    {"rows": rows, "compare": compare}[sys.argv[1]]()
