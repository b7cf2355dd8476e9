# SPDX-License-Identifier: BSD-3-Clause
"""The tries of two stores to come back, in PostgreSQL's log on standard input: they grow rarer, and are not in step."""

import datetime
import re
import sys

times = {}
for line in sys.stdin:
    found = re.match(r"(\S+ \S+) \S+ \[\d+\] FATAL:  role \"(turn\d)\" is not permitted to log in", line)
    if found:
        times.setdefault(found[2], []).append(datetime.datetime.fromisoformat(found[1]).timestamp())
gaps = {role: [b - a for a, b in zip(t, t[1:])] for role, t in times.items()}
print(gaps)
assert len(gaps) == 2
for some in gaps.values():
    assert len(some) <= 7, "too many tries"
    assert some[-1] > 3 * some[0], "they do not grow rarer"
one, other = gaps.values()
assert any(abs(a - b) > 0.02 for a, b in zip(one, other)), "in step"
