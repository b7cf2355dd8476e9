#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""documents.py: documents name only files that exist, and the head of each C file names that file.

In documents (.md files and manuals) a word counts as a path if its first part is a folder at the top of the
repository, or `.` or `..`. Words with a placeholder (NAME, *) and files that the build makes do not count.
Prints a TAP line for each document, and one for the heads.
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
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
