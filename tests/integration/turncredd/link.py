#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""link.py HEADERS ANSWER: the headers Link (RFC 9725 section 4.6) have what iceServers of the answer has."""

import json
import re
import sys

PARAMETER = re.compile(r';\s*([a-z-]+)="((?:[^"\\]|\\.)*)"')
servers = json.load(open(sys.argv[2]))["iceServers"]
expected = [(u, s["username"], s["credential"]) for s in servers for u in s["urls"]]
found = []
for line in open(sys.argv[1], newline=""):
    name, _, value = line.strip().partition(":")
    if name.lower() != "link":
        continue
    target = re.match(r"\s*<([^>]*)>", value)
    parameters = dict(PARAMETER.findall(value[target.end() :]))
    assert parameters.pop("rel") == "ice-server" and parameters.pop("credential-type") == "password", value
    found.append((target[1], parameters.pop("username"), parameters.pop("credential")))
    assert not parameters, value
assert found == expected and found, (found, expected)
