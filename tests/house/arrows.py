#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""arrows.py BUILD: which room of plugin/ uses which, by includes and by calls, and whether an arrow runs up.

Prints a TAP line a rule. Includes are read in the sources; calls are symbols that an object of one room wants and
an object of another room defines, so BUILD must be built (make all). The floors are those of CONTRIBUTING.md.
"""

import collections
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLUGIN = os.path.join(TOP, "plugin")

# floor of each room; a room uses rooms of lower floors only
FLOORS = {
    "core": 0,
    "include": 0,
    "base": 1,
    "pg": 2,
    "store": 3,
    "issuing": 3,
    "turn": 3,
    "module": 4,
    "turncredd": 4,
    "ctl": 4,
}
# of the folders inside turncredd; the files beside them are held by the rule against circles
TURNCREDD = {"jwt": 0, "supply": 0, "http": 1, "api": 2}


def sources():
    for folder, _, names in os.walk(PLUGIN):
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                yield os.path.relpath(os.path.join(folder, name), PLUGIN)


def room_of(path):
    return path.split("/")[0]


def includes():
    """(file, file that it includes), both below plugin/."""
    for path in sources():
        with open(os.path.join(PLUGIN, path), encoding="utf-8") as file:
            for name in re.findall(r'^#include "([^"]+)"', file.read(), re.M):
                for found in (os.path.join(os.path.dirname(path), name), name, os.path.join("include", name)):
                    if os.path.exists(os.path.join(PLUGIN, found)):
                        yield path, os.path.normpath(found)
                        break


def is_newer(path, source):
    """False for an object that an earlier arrangement of the files has left."""
    return os.path.getmtime(path) >= os.path.getmtime(source)


def objects(build):
    """{object: source} of the rooms."""
    known = {path: path for path in sources()}
    for folder, _, names in os.walk(os.path.join(build, "plugin")):
        for name in names:
            if not name.endswith(".o"):
                continue
            room = os.path.relpath(folder, os.path.join(build, "plugin")).replace("/.libs", "")
            source = os.path.join(room, re.sub(r"^.*-", "", name)[:-1] + "c")
            if source in known and is_newer(os.path.join(folder, name), os.path.join(PLUGIN, source)):
                yield os.path.join(folder, name), source


OF_LIBC = {"accept4"}  # turncredd has its own for libmicrohttpd; whoever else calls it means libc's


def symbols(path):
    """(defined, wanted) names of an object."""
    lines = subprocess.run(["nm", "-g", path], check=True, capture_output=True, text=True).stdout.splitlines()
    # __x86.get_pc_thunk.ax and its like are the compiler's, on i386
    rows = [line.split() for line in lines if ".get_pc_thunk." not in line]
    return {r[2] for r in rows if len(r) == 3 and r[1] in "TDBRC"} - OF_LIBC, {r[1] for r in rows if len(r) == 2 and r[0] == "U"}


def calls(build):
    """(arrows between files, names that two sources define)."""
    defined, wanted = collections.defaultdict(set), {}
    for path, source in objects(build):
        have, want = symbols(path)
        for name in have:
            defined[name].add(source)
        wanted[source] = wanted.get(source, set()) | want
    # each program has a main, each module an entry point by the name that the ABI wants
    twice = {name: found for name, found in defined.items() if len(found) > 1 and name not in ("main", "coturn_auth_module")}
    arrows = {
        (source, other) for source, names in wanted.items() for name in names for other in defined.get(name, ())
    }
    return arrows, twice


def runs_up(source, target):
    """Why this arrow is not allowed; None: it is."""
    here, there = room_of(source), room_of(target)
    for room in (here, there):
        if room not in FLOORS and room not in ("epcscf", "examples", "schema"):
            return f"the room {room} has no floor in {os.path.basename(__file__)}"
    if here != there:
        if FLOORS.get(there, 0) >= FLOORS.get(here, 99):
            return f"{here} is not above {there}"
        return None
    if here == "turncredd":
        upper, lower = (p.split("/")[1] for p in (source, target))
        if upper != lower and TURNCREDD.get(lower, -1) >= TURNCREDD.get(upper, 99):
            return f"turncredd/{upper} is not above turncredd/{lower}"
    return None


def circle(arrows):
    """A circle of files, or None."""
    graph = collections.defaultdict(set)
    for source, target in arrows:
        if source != target:
            graph[source].add(target)
    state, path = {}, []

    def visit(node):
        state[node] = 1
        path.append(node)
        for other in sorted(graph[node]):
            if state.get(other) == 1:
                return path[path.index(other):] + [other]
            if other not in state:
                found = visit(other)
                if found:
                    return found
        state[node] = 2
        path.pop()
        return None

    for node in sorted(graph):
        if node not in state:
            found = visit(node)
            if found:
                return found
    return None


def report(name, faults):
    for fault in faults:
        print("# " + fault)
    print(("not ok - " if faults else "ok - ") + name)
    return not faults


def main():
    build = os.path.abspath(sys.argv[1])
    by_include = set(includes())
    by_call, twice = calls(build)
    if len(by_call) < 100:
        print(f"not ok - {build} is built")
        return 1
    headers = collections.Counter(os.path.basename(p) for p in sources() if p.endswith(".h"))
    results = [
        report(
            f"no {kind} between rooms runs up",
            [f"{a} -> {b}: {why}" for a, b in sorted(arrows) for why in [runs_up(a, b)] if why],
        )
        for kind, arrows in (("include", by_include), ("call", by_call))
    ]
    for kind, arrows in (("calls", by_call), ("includes", by_include)):
        found = circle(arrows)
        results.append(report(f"no circle of {kind}", [" -> ".join(found)] if found else []))
    results.append(
        report("no two headers have one name", [f"{name}: {n} times" for name, n in headers.items() if n > 1])
    )
    results.append(
        report(
            "no two sources define one name",
            [f"{name}: {', '.join(sorted(found))}" for name, found in sorted(twice.items())],
        )
    )
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
