#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""declarations.py HEADER: what programs that were built with it rely on, a line each: functions, types and constants, without
comments, names of parameters included.
"""
import re
import sys

text = re.sub(r"/\*.*?\*/", " ", open(sys.argv[1], encoding="utf-8").read(), flags=re.S)
found = [" ".join(line.split()) for line in text.splitlines() if re.match(r"#define TURNCRED_\w+ ", line)]
text = re.sub(r'^\s*#.*$|extern "C" \{', "", text, flags=re.M)
depth, start = 0, 0
for at, c in enumerate(text):
    depth += {"{": 1, "}": -1}.get(c, 0)
    if depth < 0:  # the end of extern "C"
        depth = 0
    elif c == ";" and depth == 0:
        found.append(" ".join(text[start:at].split()))
        start = at + 1
print("\n".join(sorted(found)))
