#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the first corpus of a fuzz target: from tests/conformance/vectors.json, from corpus/TARGET.txt, and what is
made here because it has to be computed.

usage: seeds.py TARGET FOLDER

A line of corpus/TARGET.txt is one input, in which \\n, \\r, \\xHH and so on are octets; lines that begin with "# " say
what the next ones are. Every input that once broke a target, and every fault of its kind that was ever found, has a line
there.
"""
import base64
import codecs
import json
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
vectors = json.loads((HERE.parent / "conformance/vectors.json").read_text(encoding="utf-8"))

# RFC 5769: requests and responses with every kind of attribute, and ChannelData
STUN = (
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1"
    "51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf",
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599"
    "fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96",
    "0113001c2112a442000000000000000000000000000900040000040100140001722020200015000161202020",
    "400100056162636465000000")


def tokens():
    for t in vectors["tokens"] + vectors["tokens_refused"]:
        yield from (bytes([2 * key]) + bytes.fromhex(t["token"]) for key in range(6))
    for length in (20, 32):
        plain = struct.pack(">H", length) + bytes(length) + struct.pack(">QL", 1764000000 << 16, 1800)
        yield from (bytes([2 * key + 1]) + plain for key in range(6))


def usernames():
    yield from (d["username"].encode() for d in vectors["derived"] + vectors["rest"])
    yield from (u.encode() for u in vectors["derived_usernames_refused"])


def base64s():
    for t in vectors["tokens"]:
        yield base64.b64encode(bytes.fromhex(t["token"]))
        yield t["token"].encode()


# --- rows: see fuzz_rows.c; a field is an octet for its kind, and what belongs to it

REALM, KEY, CREDENTIAL, REVOCATION = range(4)
NULL = b"\0"


def text(value):
    value = value.encode() if isinstance(value, str) else value
    return b"\1" + bytes([len(value)]) + value


def number(value):
    return b"\2" + struct.pack(">q", value)


def row(table, *fields, flags=0):
    return bytes([table, flags]) + b"".join(fields)


def realm(name, **other):
    values = dict(name=text(name), server=text("turn." + name), mechanisms=text("token,derived,rest,pushed"), token=text("strict"),
                  derived=text("allocate"), rest=text("grace"), pushed=text("allocate"), grace=number(60), max_ttl=number(86400),
                  default_ttl=number(3600), user=number(0), total=number(0), bps=number(0), bind=text(b"\0"), guests=text("b.test/k1"),
                  listens=text("192.0.2.1\n2001:db8::1"), origins=text("https://a.test"), keys_tried=number(4), allowed=text(""), denied=text(""), usage=text("user"), salt=text("ab" * 32), offer=text("always"), scope=text("server"))
    values.update(other)
    return row(REALM, text(name), text(""), *values.values())


def key(realm_name, kid, use, alg, octets, **other):
    values = dict(kid=text(kid), use=text(use), alg=text(alg), derivation=text("none"), format=text("user-id:timestamp"), kek=NULL,
                  wrapped=NULL, plain=text(octets), zero=NULL, tag=text(b"\1"), before=NULL, sign=NULL, accept=NULL, state=text("active"), since=number(1764000000000000), separator=text(":"), bps=number(0),
                  allocations=number(0))
    values.update(other)
    sealed = values.pop("sealed", None)
    return row(KEY, text(realm_name), text(kid), *values.values(), flags=sealed is not None) + (bytes([sealed]) if sealed else b"")


def credential(realm_name, username, flags=0, **other):
    values = dict(name=text(username), kek=NULL, sealed=NULL, md5=text(bytes(16)), sha=text(bytes(32)), expiry=number(1764003600),
                  address=text("192.0.2.1"), pushed=number(1764000000), user=NULL, bps=number(0), allocations=number(0))
    values.update(other)
    return row(CREDENTIAL, text(realm_name), text(username), *values.values(), flags=flags)


def revocation(realm_name, name, until=NULL):
    return row(REVOCATION, text(realm_name), text(name), text(name.split(":")[0]), until)


def rows():
    good = realm("a.test") + key("a.test", "k1", "token", "A256GCM", bytes(32)) + key("a.test", "d1", "derived", "sha256", bytes(32))
    good += credential("a.test", "alice") + revocation("a.test", "user:bob") + revocation("a.test", "kid:k1", number(1764000000))
    yield good
    yield realm("a.test") + key("a.test", "k1", "token", "A256GCM", b"", sealed=32) + credential("a.test", "alice", flags=1 | 8)
    yield good + realm("b.test") + key("b.test", "k1", "token", "A256CBC-HS512", bytes(64), zero=text(b"\1")) + key("b.test", "r1", "rest", "sha1", b"secret")
    # hardening F2: a row with an infinite time stopped every load; the largest and smallest numbers stand for what SQL makes of it
    for extreme in (2**63 - 1, -2**63, -1):
        yield realm("a.test", grace=number(extreme), max_ttl=number(extreme)) + good
        yield realm("a.test") + credential("a.test", "alice", expiry=number(extreme), pushed=number(extreme)) + good
        yield realm("a.test") + key("a.test", "k1", "token", "A256GCM", bytes(32), before=number(extreme), accept=number(extreme)) + good
        yield good + revocation("a.test", "realm:", number(extreme))
    yield realm("a.test", guests=text("b.test/k1\na.test/k1\n/\nb.test/"), listens=text("\n\n"), origins=text("\n")) + good
    # names of 5,000 octets and more, and names with line ends, as in hardening "Hostile rows"
    yield row(REALM, b"\3\xff", b"\3\xff", *[b"\3\xff"] * 24) + good
    yield realm("a.test", allowed=text("192.0.2.0/24\n2001:db8::/32"), denied=text("::/0")) + good
    yield realm("a.test", allowed=text("192.0.2.1/24")) + realm("b.test", denied=text("\n/\n")) + good
    yield good + credential("a.test", "alice~1", user=text("alice")) + credential("a.test", "alice~2", user=text(""))
    for bad in (number(-1), number(2**40), NULL):
        yield good + key("a.test", "k1", "token", "A256GCM", bytes(32), allocations=bad) + credential("a.test", "alice", allocations=bad, bps=number(9))
    yield realm("a\nb") + credential("a\nb", "x\ny\x1b[2J") + good


# --- snapshot: see plugin/store/disk.c


def put(value):
    value = value.encode() if isinstance(value, str) else value
    return struct.pack(">H", len(value)) + value


def snapshots():
    q = lambda x: struct.pack(">q", x)
    a_realm = b"R" + put("a.test") + put("turn.a.test") + bytes([1, 2, 3, 4]) + bytes(5) + q(0) * 8
    a_key = b"K" + put("a.test") + put("k1") + bytes([1, 1, 0, 0, 32, 0]) + bytes(96) + bytes([0, 2, 1]) + q(0) * 3
    new_key = b"k" + put("a.test") + put("k1") + bytes([1, 1, 0, 0, 32, 0]) + bytes(160) + bytes([0, 58]) + q(1) + bytes([2, 1]) + q(0) * 3
    a_credential = b"C" + put("a.test") + put("alice") + bytes(48) + q(0) + q(0) + put("")
    limited_key = b"l" + new_key[1:] + q(250000) + q(2)
    limited = b"L" + a_credential[1:] + put("ann") + q(250000) + q(2)
    with_peers = b"P" + put("a.test") + put("turn.a.test") + bytes([2, 1, 0, 0]) + bytes(5) + q(60) * 6 + b"\0" + q(4) + q(0) * 3 + q(1) + put("192.0.2.0/24") + q(2) + put("::/0") + put("10.0.0.1")
    with_usage = b"u" + put("a.test") + put("turn.a.test") + bytes([2, 1, 0, 0]) + bytes(5) + q(60) * 6 + b"\0" + q(4) + b"\2" + bytes(32) + q(0) * 5
    with_offer = b"o" + put("a.test") + put("turn.a.test") + bytes([2, 1, 0, 0]) + bytes(5) + q(60) * 6 + b"\0" + q(4) + b"\2" + bytes(32) + b"\1" + q(0) * 5
    for content in (b"E", with_usage + b"E", with_offer + b"E", with_peers + b"E", a_realm + b"E", a_realm + a_key + a_credential + b"E", a_realm + new_key + b"E", a_realm + limited_key + limited + b"E", a_key + a_realm, b"V\1" + put("a.test") + put("x") + q(1) + b"E"):
        yield q(7) + content
        yield content
    yield b"rTCSNAP\0\1" + put("main") + put("fuzz") + put("fuzz") + q(7) + q(1764000000) + bytes(32) + struct.pack(">I", 17) + bytes(33)


COMPUTED = {"token": tokens, "username": usernames, "base64": base64s, "stun": lambda: map(bytes.fromhex, STUN), "rows": rows, "snapshot": snapshots}


def written(target):
    path = HERE / "corpus" / f"{target}.txt"
    if path.exists():
        for line in path.read_bytes().splitlines():
            if line and not line.startswith(b"# "):
                yield codecs.escape_decode(line)[0]


def main(target, folder):
    for name, inputs in (("made", COMPUTED.get(target, lambda: ())()), ("seed", written(target))):
        for i, one in enumerate(inputs):
            (pathlib.Path(folder) / f"{name}-{i:03d}").write_bytes(one)


if __name__ == "__main__":
    main(*sys.argv[1:])
