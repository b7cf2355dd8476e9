#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the first corpus of a fuzz target from tests/conformance/vectors.json.

usage: seeds.py token|username|base64|stun FOLDER
"""
import base64
import json
import os
import struct
import sys

target, folder = sys.argv[1:]
here = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(here, "..", "conformance", "vectors.json"), encoding="utf-8") as f:
    vectors = json.load(f)
seeds = []
if target == "token":
    for t in vectors["tokens"] + vectors["tokens_refused"]:
        raw = bytes.fromhex(t["token"])
        seeds += [bytes([2 * key]) + raw for key in range(6)]
    for length in (20, 32):
        plain = struct.pack(">H", length) + bytes(length) + struct.pack(">QL", 1764000000 << 16, 1800)
        seeds += [bytes([2 * key + 1]) + plain for key in range(6)]
elif target == "username":
    seeds = [d["username"].encode() for d in vectors["derived"] + vectors["rest"]]
    seeds += [u.encode() for u in vectors["derived_usernames_refused"]]
elif target == "stun":
    # RFC 5769: requests and responses with every kind of attribute, and ChannelData
    seeds = [bytes.fromhex(h) for h in (
        "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74002400046e0001ff80290008932ff9b1"
        "51263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf",
        "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147e112a643000800142b91f599"
        "fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96",
        "0113001c2112a442000000000000000000000000000900040000040100140001722020200015000161202020",
        "400100056162636465000000")]
else:
    for t in vectors["tokens"]:
        seeds += [base64.b64encode(bytes.fromhex(t["token"])), t["token"].encode()]
for i, seed in enumerate(seeds):
    with open(os.path.join(folder, "seed-%03d" % i), "wb") as f:
        f.write(seed)
