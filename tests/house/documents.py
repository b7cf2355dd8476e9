#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""documents.py: documents name only files that exist, and the head of each C file names that file.

In documents (.md files and manuals) a word counts as a path if its first part is a folder at the top of the
repository, or `.` or `..`. Words with a placeholder (NAME, *) and files that the build makes do not count.
Prints a TAP line for each document, one for the heads, one for the tests that SECURITY.md's threat model names, one
for the guides' blocks of commands, which scripts/test-packages runs, one for the commands of turncredctl in documents
and its own texts, and two for licences: of the files that are programs or sources, and of the folders of patches,
whose lines are of other people.
"""

import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
WORD = re.compile(r"[\w.*+@/-]+")
PLACEHOLDER = re.compile(r"[A-Z]{4,}$|[A-Z]{4,}/|_X\b|\*|\.\.\.")
HEAD = re.compile(r"^(?:/\*| \*) ([\w.-]+\.[ch]) - ", re.M)
# made by autoreconf and by an operator who unpacks coturn beside this repository
ELSEWHERE = re.compile(r"^(configure|coturn-[\d.]+|Unity)$")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


class Tree:
    """The files of the repository and their folders."""

    def __init__(self):
        # project_files knows an unpacked copy without a repository, too
        listed = subprocess.run(["bash", "-c", '. "$1/scripts/lib.sh" && project_files', "lib", TOP], check=True,
                                capture_output=True, text=True)
        self.files = sorted(name for name in listed.stdout.split("\0") if os.path.isfile(os.path.join(TOP, name)))
        self.paths = {"/".join(name.split("/")[: n + 1]) for name in self.files for n in range(name.count("/") + 1)}
        self.tops = {name.split("/")[0] for name in self.files if "/" in name}
        # programs, and what else a fragment for the build names
        self.built = {word for name in self.files if name.endswith(".am") for word in WORD.findall(read(name))}

    def has(self, word):
        if PLACEHOLDER.search(word) or word in self.paths | self.built:
            return True
        if word[0] != ".":
            return False
        # relative to some folder: the document's, or the one that a command in it runs in
        rest = re.sub(r"^(\.{1,2}/)+", "", word)
        return bool(ELSEWHERE.match(rest)) or any(path == rest or path.endswith("/" + rest) for path in self.paths)

    def missing(self, document):
        """(line, word) of each path that does not exist."""
        for number, line in enumerate(read(document).split("\n"), 1):
            for word in WORD.findall(line):
                word = word.rstrip(".,-/")
                if word.split("/")[0] in self.tops | {".", ".."} and "/" in word and not self.has(word):
                    yield number, word


def unshown(tree):
    """Rows of the threat model whose test does not exist: the last cell is `FILE: words of it`."""
    text = read("SECURITY.md")
    section = text[text.index("## Threat model"):].split("\n## ")[0]
    rows = [line for line in section.split("\n") if line.startswith("| ")][1:]
    if len(rows) < 15:
        yield f"there are {len(rows)} rows only"
    for row in rows:
        cell = row.strip().strip("|").split("|")[-1].strip()
        path, _, words = cell.partition(": ")
        files = [name for name in tree.files if name.startswith("tests/") and name.endswith("/" + path)]
        if not words or not any(words in read(name) for name in files):
            yield f"{cell}: there is no such test"


def unlicensed(tree):
    """Scripts and sources whose first lines do not name a licence. Scripts of Debian's packaging have debian/copyright's."""
    for name in tree.files:
        path = os.path.join(TOP, name)
        with open(path, "rb") as file:
            head = file.read(1000).decode("utf-8", "replace")
        source = name.startswith(("plugin/", "tests/")) and re.search(r"\.(c|h|sql|py|bash|bats|mjs|js|cjs)$", name)
        if (head.startswith("#!") or source) and "SPDX-License-Identifier: " not in head:
            if not name.startswith("scripts/packaging/debian/"):
                yield name


def unnamed_patches(tree):
    """Folders of patches that debian/copyright has no stanza for."""
    stanzas = read("scripts/packaging/debian/copyright")
    for folder in sorted({"/".join(name.split("/")[:2]) for name in tree.files if re.match(r"patches/[^/]+/", name)}):
        if not re.search(rf"^(Files:)? {re.escape(folder)}/\*$", stanzas, re.M):
            yield f"{folder}: its patches carry lines of others; say whose, and under which licence"


def unfollowed():
    """Blocks of commands in the guides that bash cannot read, that have no name, or that test-packages does not run."""
    runner = read("scripts/test-packages")
    for page, word in (("scripts/packaging/UPGRADE", "follow"), ("scripts/packaging/ISSUER", "beside_guide ISSUER"),
                       ("scripts/packaging/DATA", "beside_guide DATA"), ("plugin/epcscf/HOST", "host_block")):
        text = read(f"{page}.md")
        for name, block in re.findall(r"^```sh *(\S*)\n(.*?)^```", text, re.M | re.S):
            if subprocess.run(["bash", "-n"], input=block, text=True, capture_output=True, check=False).returncode:
                yield f"{page}.md: bash cannot read block {name}"
            if not name or not re.search(rf"{word} {name}\b", runner):
                yield f"{page}.md: scripts/test-packages does not run block {name or block}"


def options_in(text, macros):
    """The options in a part of plugin/ctl/commands.c, those of its macros too."""
    found = set(re.findall(r'\{"([a-z0-9-]+)", *(?:NULL|")', text))
    for name in set(re.findall(r"\b[A-Z_]+_OPTIONS?\b", text)) & set(macros):
        found |= options_in(macros[name], macros)
    return found


def commands():
    """The commands of turncredctl, each with its options."""
    table = read("plugin/ctl/commands.c")
    headers = read("plugin/ctl/ctl.h") + read("plugin/ctl/sql.h")
    macros = dict(re.findall(r"#define (\w+)((?:.*\\\n)*.*)\n", headers + table))
    lists = {name: options_in(text, macros)
             for name, text in re.findall(r"ctl_option (\w+)\[\] = \{(.*?)\};", table, re.S)}
    rows = re.findall(r'\{"([a-z ]+)", *(?:NULL|"[^"]*"),\s*"[^"]*",\s*(\w+),', table[table.index("ctl_commands[]"):])
    return {name: lists["ctl_global_options"] | lists.get(options, set()) for name, options in rows}


def uncommanded(tree):
    """Commands of turncredctl, and options of them, that documents and messages name and that do not exist."""
    known = commands()
    if len(known) < 40:
        yield f"plugin/ctl/commands.c has {len(known)} commands only"
    for name in tree.files:
        if not re.search(r"\.(md|[1-9]|NEWS)$|^plugin/.*\.[ch]$", name):
            continue
        text = re.sub(r'"\s*\n\s*"', "", read(name).replace("\\-", "-").replace("\\\n", " "))
        for found in re.finditer(r"(^|`|\s)turncredctl ([a-z]+)( [a-z]+)?((?:(?!: )[^\n`|;&),\"])*)", text, re.M):
            command = next((c for c in (found[2] + (found[3] or ""), found[2]) if c in known), None)
            line = text[: found.start()].count("\n") + 1
            group = any(c.startswith(found[2] + " ") for c in known)
            if not command and found[1] == "`" and (found[3] or not group):
                yield f"{name}, about line {line}: there is no command {found[0].strip('` ')}"
            for option in re.findall(r"(?<![\w-])--([a-z][a-z0-9-]*)", found[4]) if command else ():
                if option not in known[command]:
                    yield f"{name}, about line {line}: {command} has no --{option}"


def report(name, faults):
    for fault in faults:
        print(f"# {fault}")
    print(f"{'not ok' if faults else 'ok'} - {name}")
    return not faults


def main():
    tree = Tree()
    documents = [name for name in tree.files if re.search(r"\.(md|[1-9])$", name)]
    if len(documents) < 20:
        print("not ok - there are documents")
        return 1
    good = [report(f"{name} names files that exist", [f"line {n}: {word}" for n, word in tree.missing(name)])
            for name in documents]
    heads = [(name, found.group(1)) for name in tree.files if re.search(r"\.[ch]$", name)
             for found in [HEAD.search(read(name)[:1000])] if found]
    wrong = [f"{name} begins with {said}" for name, said in heads if os.path.basename(name) != said]
    good.append(report("the head of each C file names that file", wrong))
    good.append(report("the tests that the threat model names exist", list(unshown(tree))))
    good.append(report("scripts and sources name their licence", list(unlicensed(tree))))
    good.append(report("scripts/test-packages runs each block of the guides", list(unfollowed())))
    good.append(report("turncredctl has the commands and options that documents and messages name",
                       list(uncommanded(tree))))
    good.append(report("debian/copyright names each folder of patches", list(unnamed_patches(tree))))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
