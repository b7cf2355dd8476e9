# SPDX-License-Identifier: BSD-3-Clause
"""disk.py damage SNAPSHOT COPY AT | header SNAPSHOT: a copy in which the lowest bit of the octet AT is another; how many
octets the header has."""

import sys


def octets(path):
    with open(path, "rb") as file:
        return file.read()


def damage(snapshot, copy, at):
    changed = bytearray(octets(snapshot))
    changed[int(at)] ^= 1
    with open(copy, "wb") as file:
        file.write(changed)


def header(snapshot):
    found, at = octets(snapshot), 8
    for _ in range(3):
        at += 2 + int.from_bytes(found[at : at + 2], "big")
    print(at + 16 + 32)


if __name__ == "__main__":
    {"damage": damage, "header": header}[sys.argv[1]](*sys.argv[2:])
