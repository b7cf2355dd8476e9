#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""product.py: how long and how deep the functions of plugin/ are, whether the rooms with many files name each of them,
how many lines the README has, that no hash table ends the process for want of memory, and how many lines the store and
the module have together.

Prints a TAP line a rule, and the numbers. Reads sources only, so nothing needs to be built. Functions begin and end at
the left margin; nesting is counted in braces, which clang-format inserts.
"""

import os
import re
import sys

sys.dont_write_bytecode = True

from arrows import PLUGIN, TOP, report, sources

LONGEST, DEEPEST, README = 60, 4, 160
GUIDED = ("ctl", "module", "store", "turncredd")  # their README.md or ROOM.h has a line for each source
AIM = 9000  # lines of the store and the module
FUNCTION = re.compile(
    r"^(?!struct\b[^(]*\{|enum\b[^(]*\{|union\b|typedef|#|\s|\}|/)[^;={}\n][^;={}]*?\b(\w+)\([^;{}]*\)\s*"
    r"(\{[^\n]*\}$|\{\n.*?^\})",
    re.M | re.S,
)


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def code_of(path):
    """The text without comments and without what stands in quotation marks; no line is lost."""
    text = re.sub(r"/\*.*?\*/", lambda found: "\n" * found[0].count("\n"), text_of(path), flags=re.S)
    return re.sub(r'"(\\.|[^"\\\n])*"', '""', re.sub(r"'(\\.|[^'\\\n])*'", "' '", text))


def functions(code):
    """(name, lines, deepest nesting) of each function."""
    for found in FUNCTION.finditer(code):
        depth = deepest = 0
        for mark in re.findall(r"[{}]", found[0]):
            depth += 1 if mark == "{" else -1
            deepest = max(deepest, depth - 1)
        yield found[1], found[0].count("\n") + 1, deepest


def lines(*names):
    return sum(text_of(os.path.join(PLUGIN, path)).count("\n") for path in sources() if path.split("/")[0] in names)


def unnamed(room):
    """Sources of a room that its guide does not name."""
    guides = [os.path.join(PLUGIN, room, name) for name in ("README.md", room + ".h")]
    guide = "".join(text_of(path) for path in guides if os.path.exists(path))
    for path in sources():
        name = os.path.basename(path)
        if path.startswith(room + "/") and name.endswith(".c") and not re.search(rf"\b{name[:-2]}(\.c)?\b", guide):
            yield path


def fatal_hashes():
    """Sources in which uthash would call exit(-1) when a table cannot be made or grow."""
    for path in sources():
        before, found, _ = text_of(os.path.join(PLUGIN, path)).partition("#include <uthash.h>")
        if found and "#define HASH_NONFATAL_OOM 1\n" not in before:
            yield path


def main():
    measured = [
        (path, *found)
        for path in sources()
        if path.endswith(".c")
        for found in functions(code_of(os.path.join(PLUGIN, path)))
    ]
    readme = text_of(os.path.join(TOP, "README.md")).count("\n")
    results = [
        report("the product's functions are found", [] if len(measured) > 1000 else [f"{len(measured)} functions"]),
        report(
            f"no function of the product has more than {LONGEST} lines",
            [f"{path}: {name}: {length}" for path, name, length, _ in measured if length > LONGEST],
        ),
        report(
            f"no function of the product nests deeper than {DEEPEST}",
            [f"{path}: {name}: {deep}" for path, name, _, deep in measured if deep > DEEPEST],
        ),
        report("the guides of rooms name every source", [path for room in GUIDED for path in unnamed(room)]),
        report("uthash is told that want of memory is not fatal", list(fatal_hashes())),
        report(f"the README has less than {README} lines", [] if readme < README else [f"{readme} lines"]),
    ]
    print(f"# {len(measured)} functions; the store and the module have {lines('store', 'module')} lines (aim: {AIM})")
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
