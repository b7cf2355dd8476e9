#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""host.py [--size]: the files that the patches add to coturn: which uses which, how long their functions are, and how
many lines a coturn maintainer has to read.

Prints a TAP line a rule and the size of the series; with --size the number alone. Reads patches/ only, so nothing
needs to be built. The floors are the order of FLOORS in patches/semantic/rules.py, from the ground up.
"""

import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
SERIES = os.path.join(TOP, "patches", "4.6.1")
FILES = os.path.join(TOP, "patches", "semantic", "files", "src")
RELAY = os.path.join(FILES, "apps", "relay")
LONGEST, DEEPEST = 60, 4

sys.dont_write_bytecode = True
sys.path[:0] = [os.path.join(TOP, "patches", "semantic"), HERE]
import rules  # noqa: E402
from arrows import circle, report  # noqa: E402


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def code_of(path):
    """The text without comments and without what stands in quotation marks; no line is lost."""
    text = re.sub(r"/\*.*?\*/", lambda found: "\n" * found[0].count("\n"), read(path), flags=re.S)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', re.sub(r"'(\\.|[^'\\\n])*'", "' '", text))


def sources():
    """{file: its code} of the host's files; coturn's own keep their headers."""
    return {name: code_of(os.path.join(RELAY, name)) for name in sorted(os.listdir(RELAY))}


def defined(code):
    """Names that a .c file gives to the others: functions and variables at the left margin that are not static."""
    names = re.findall(r"^(?!static|typedef|extern|struct \w+ \{|enum \w+ \{|#|\s|\}|/)[\w *]*?\b(auth_\w+)(?:\(|;| =|\[)", code, re.M)
    return set(names)


def calls(files):
    """(file, file whose function or variable it uses)."""
    owner = {name: file for file, code in files.items() if file.endswith(".c") for name in defined(code)}
    for file, code in files.items():
        if file.endswith(".c"):
            for name in set(re.findall(r"\bauth_\w+", re.sub(r"(\.|->)auth_\w+", "", code))):
                if owner.get(name, file) != file:
                    yield file, owner[name]


def includes(files):
    for file in files:
        for name in re.findall(r'^ *# *include "(\w+\.h)"', read(os.path.join(RELAY, file)), re.M):
            if name in files:
                yield file, name


def floors():
    return {name: floor for floor, name in enumerate(rules.FLOORS)}


def functions(code):
    """(name, lines, deepest nesting) of each function: they begin and end at the left margin."""
    for found in re.finditer(r"^(?!struct|enum|typedef|static const struct|const struct|#)\w[^;{}]*?(\w+)\([^;{}]*\) (\{[^\n]*\}$|\{\n.*?^\})", code, re.M | re.S):
        depth = deepest = 0
        for mark in re.findall(r"[{}]", found[0]):
            depth += 1 if mark == "{" else -1
            deepest = max(deepest, depth - 1)
        yield found[1], found[0].count("\n") + 1, deepest


def lines_of_series():
    """The patches themselves, in lines, without the series in security/."""
    names = read(os.path.join(SERIES, "series")).split()
    return sum(read(os.path.join(SERIES, name)).count("\n") for name in names)


def main():
    if "--size" in sys.argv[1:]:
        print(lines_of_series())
        return 0
    files, floor = sources(), floors()
    by_call, by_include = set(calls(files)), set(includes(files))
    measured = [(file, *found) for file, code in files.items() for found in functions(code)]
    missing = [file for file in files if file.endswith(".c") and file not in floor]
    results = [
        report("every file of the host has a floor in rules.py", missing),
        report("the host's calls and functions are found", [] if len(by_call) > 30 and len(measured) > 80 else
               [f"{len(by_call)} arrows, {len(measured)} functions"]),
        report("no call of the host runs up", [f"{a} -> {b}" for a, b in sorted(by_call)
                                               if floor.get(a, 99) <= floor.get(b, 99)]),
    ]
    for kind, arrows in (("calls", by_call), ("includes", by_include)):
        found = circle(arrows)
        results.append(report(f"no circle of {kind} in the host", [" -> ".join(found)] if found else []))
    results.append(report(f"no function of the host has more than {LONGEST} lines",
                          [f"{file}: {name}: {lines}" for file, name, lines, _ in measured if lines > LONGEST]))
    results.append(report(f"no function of the host nests deeper than {DEEPEST}",
                          [f"{file}: {name}: {deep}" for file, name, _, deep in measured if deep > DEEPEST]))
    print(f"# the series has {lines_of_series()} lines without security/")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
