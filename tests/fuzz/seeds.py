#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Writes the first corpus of a fuzz target from tests/conformance/vectors.json.

usage: seeds.py token|username|base64 FOLDER
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
else:
    for t in vectors["tokens"]:
        seeds += [base64.b64encode(bytes.fromhex(t["token"])), t["token"].encode()]
for i, seed in enumerate(seeds):
    with open(os.path.join(folder, "seed-%03d" % i), "wb") as f:
        f.write(seed)
