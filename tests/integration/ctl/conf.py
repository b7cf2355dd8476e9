# SPDX-License-Identifier: BSD-3-Clause
"""The steps of conf.bats: turnserver.conf as coturn's own functions read it, and as turncredctl does."""

import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
DUMP = pathlib.Path(os.environ["TC_BUILD"]) / "tests" / "integration" / "conf_dump"
ROUNDS, LINES = 40, 60
PIECES = [" ", "  ", "\t", "=", "==", '"', '""', "#", ";", "\r", "\x0b", "\x0c", "\0", "a", "b:c", "pw", "\xc3\xa9", "\xe9",
          "\xa0", "'", "\\", "x" * 200, "x" * 1020, "0x41", ":", "-", "--", "\ufeff".encode().decode("latin-1"), "1", "off"]


def options(tree):
    """The names of a tree's options."""
    source = (tree / "src/apps/relay/mainrelay.c").read_text()
    table = re.search(r"myoption long_options\[\] = \{(.*?)NULL,\s*no_argument", source, re.S)[1]
    return re.findall(r'\{\s*"([^"]+)"', table)


def function(source, head):
    """The text of a function whose definition begins with head at the left margin."""
    found = re.search(rf"^{head}[^;{{]*\{{.*?^\}}", source, re.S | re.M)
    assert found, head
    return found[0]


def oracle(tree, folder):
    """Compiles conf_oracle.c with a tree's functions."""
    relay = (tree / "src/apps/relay/mainrelay.c").read_text()
    text = "static const struct myoption long_options[] = {"
    # u is what coturn reads in a pass of its own; the numbers of the log's options do not matter
    text += "".join(f'{{"{name}", 0, 0, {ord("u") if name == "user" else 1000}}},' for name in options(tree))
    text += "{0, 0, 0, 0}};\nenum {NO_STDOUT_LOG_OPT = 2000, SYSLOG_OPT, SIMPLE_LOG_OPT, NEW_LOG_TIMESTAMP_OPT,"
    text += "NEW_LOG_TIMESTAMP_FORMAT_OPT, SYSLOG_FACILITY_OPT, LOG_MIN_LEVEL_OPT};\n"
    text += function((tree / "src/apps/common/apputils.c").read_text(), r"char \*skip_blanks\(") + "\n"
    text += function(relay, r"static int parse_arg_string\(") + "\n"
    text += function(relay, r"static void read_config_file\(int argc") + "\n"
    (folder / "extracted.h").write_text(text)
    program = folder / "oracle"
    command = [os.environ.get("CC", "cc"), "-w", f"-I{folder}", HERE / "conf_oracle.c", "-o", program]
    subprocess.run(command, check=True)
    return program


def some_file(rng, names):
    lines = []
    for _ in range(LINES):
        parts = [rng.choice(names) if rng.random() < 0.8 else rng.choice(PIECES)]
        parts += [rng.choice(PIECES[:5])] if rng.random() < 0.8 else []
        parts += [rng.choice(PIECES) for _ in range(rng.randrange(6))]
        if rng.random() < 0.2:
            parts.insert(0, rng.choice(PIECES))
        lines.append("".join(parts))
    return "\n".join(lines).encode("latin-1")


def agree(*trees):
    """For files of random lines coturn and turncredctl find the same options with the same values."""
    seed = random.randrange(2**32)
    for tree in map(pathlib.Path, trees):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            program = oracle(tree, folder)
            names, seen = options(tree), 0
            known = set(names)
            for number in range(ROUNDS):
                path = folder / "turnserver.conf"
                path.write_bytes(some_file(random.Random(seed + number), names))
                theirs = subprocess.run([program, path], check=True, capture_output=True).stdout.splitlines()
                ours = subprocess.run([DUMP, path], check=True, capture_output=True).stdout.splitlines()
                # options of other versions only
                ours = [line for line in ours if line.split(b" ")[0].decode("latin-1") in known]
                ours.sort(key=lambda line: line.startswith(b"user "))
                assert ours == theirs, f"seed {seed + number}: {sorted(set(ours) ^ set(theirs))[:4]}"
                seen += len(theirs)
        assert seen > ROUNDS * LINES / 3, seen
        print(tree.name, seen, "options")


def classified(*trees):
    """Each option of each tree is in the import's table, and the table has no option twice."""
    ours = subprocess.run([DUMP], check=True, capture_output=True, text=True).stdout.split()
    assert len(ours) == len(set(ours)), "twice"
    for tree in map(pathlib.Path, trees):
        missing = set(options(tree)) - set(ours)
        assert not missing, f"{tree.name}: {missing}"
        assert len(options(tree)) > 100


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
