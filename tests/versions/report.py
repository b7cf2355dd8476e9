# SPDX-License-Identifier: BSD-3-Clause
"""What came out, as a table to read and as JSON: a row a version, a column a check."""

import json
import os

import differences


def load(file):
    if not os.path.exists(file):
        return []
    with open(file) as opened:
        return json.load(opened)


def save(file, rows):
    with open(file + ".new", "w") as opened:
        json.dump(rows, opened, indent=1)
        opened.write("\n")
    os.rename(file + ".new", file)


def merged(old, row):
    """The rows with this one in the place of an earlier one; its checks that were not run stay as they were."""
    earlier = next((r for r in old if r["version"] == row["version"]), {"checks": {}})
    if row["module"] == earlier.get("module"):
        row = dict(row, checks={**earlier["checks"], **row["checks"]}, notes=row["notes"] or earlier["notes"])
    rows = [r for r in old if r["version"] != row["version"]] + [row]
    return sorted(rows, key=lambda r: (differences.numbers(r["version"].split()[0]), r["version"]))


def cell(outcome):
    if outcome is None:
        return ""
    return ("RED " if outcome["word"] == "red" else "") + outcome["text"]


def reasons(rows):
    """(version, check, reason) of everything that is not simply green."""
    for row in rows:
        for note in row["notes"]:
            yield row["version"], "build", note
        for check, outcome in row["checks"].items():
            for why in outcome["why"]:
                yield row["version"], check, why


def plain(rows, checks):
    checks = [c for c in checks if any(c in row["checks"] for row in rows)]
    lines = [["version", *checks]]
    lines += [[r["version"], *(cell(r["checks"].get(c)) for c in checks)] for r in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    text = "".join("  ".join(c.ljust(w) for c, w in zip(line, widths)).rstrip() + "\n" for line in lines)
    return text + "".join(f"  {v} {c}: {why}\n" for v, c, why in reasons(rows))


def markdown(rows, checks):
    """The same for README.md; reasons that several versions share stand once."""
    checks = [c for c in checks if any(c in row["checks"] for row in rows)]
    lines = ["| version | " + " | ".join(checks) + " | date |", "|---" * (len(checks) + 2) + "|"]
    for row in rows:
        cells = [cell(row["checks"].get(check)) for check in checks]
        lines.append(f"| {row['version']} | " + " | ".join(cells) + f" | {row['date']} |")
    shared = {}
    for version, check, why in reasons(rows):
        shared.setdefault((check, why), []).append(version)
    lines.append("")
    lines += [f"- {check}: {why} ({', '.join(versions)})" for (check, why), versions in shared.items()]
    return "\n".join(lines) + "\n"
