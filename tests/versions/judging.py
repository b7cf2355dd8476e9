# SPDX-License-Identifier: BSD-3-Clause
"""Turns the results of tests into one word: green, known (green except for rows of differences.py), absent,
unseen (could not be tried here), red."""

import collections
import re

import differences

Outcome = collections.namedtuple("Outcome", "word text why", defaults=((),))


def green(text="ok"):
    return Outcome("green", text)


def red(text, why=()):
    return Outcome("red", text, tuple(why))


def judge(version, results, rows=differences.DIFFERENCES):
    """Of one check's test results."""
    known, faults, passed = {}, [], 0
    rows = differences.of_version(rows, version)
    for result in results:
        row = next((r for r in rows if re.search(r.test, result.name)), None)
        if result.passed:
            passed += 1
            if row and not any(re.search(row.test, r.name) and not r.passed for r in results):
                faults.append(f"{result.name} passes, but differences.py says: {row.why}")
        elif row and re.search(row.shows, result.said or ""):
            known.setdefault(row.why, []).append(result.name)
        else:
            faults.append(f"{result.name}: {(result.said or 'failed')[:300]}")
    if faults:
        return red(f"{len(faults)} of {len(results)}", faults)
    if not results:
        return red("no such test")
    if known:
        number = sum(len(names) for names in known.values())
        why = [f"{', '.join(names)}: {reason}" for reason, names in known.items()]
        return Outcome("known", f"{passed}, {number} known", tuple(why))
    return green(str(passed))


def absent(version, check, tree, rows=differences.ABSENT):
    """An outcome if there is nothing to check in this version, or the table is wrong about that; else None."""
    rows = [row for row in rows if row.check == check]
    row = next(iter(differences.of_version(rows, version)), None)
    for other in rows:
        if differences.is_there(other, tree) and row:
            return red("is there", [f"{other.file} has it, but differences.py says: {row.why}"])
        if not differences.is_there(other, tree) and not row:
            return red("not there", [f"{other.file} has it not, and differences.py does not know"])
    return Outcome("absent", "-", (row.why,)) if row else None
