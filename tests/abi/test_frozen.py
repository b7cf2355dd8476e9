#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""test_frozen.py: what modules, hosts and programs of others were built with stays as it is recorded, as abidiff sees it

The interface between coturn and a module is recorded in frozen/coturn_auth_module.h, libturncred in
plugin/core/libturncred.abi, the numbered files of plugin/schema, which databases have applied, in frozen/schema.sha256. Members are appended to structs of the interface and reasons to its last enum, functions are
added to libturncred; whatever else differs is a fault, and the tests make each kind of fault to see that it is found.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.environ.get("top_srcdir") or os.path.dirname(os.path.dirname(HERE))
BUILD = os.environ.get("top_builddir") or os.path.join(TOP, "build")
HEADER = os.path.join(TOP, "plugin", "include", "coturn_auth_module.h")
FROZEN = os.path.join(HERE, "frozen", "coturn_auth_module.h")
RECORD = os.path.join(TOP, "plugin", "core", "libturncred.abi")
LIBRARY = os.path.join(BUILD, ".libs", "libturncred.so")
SCHEMA = os.path.join(TOP, "plugin", "schema")
APPLIED = os.path.join(HERE, "frozen", "schema.sha256")
MAP = os.path.join(TOP, "plugin", "core", "libturncred.map")
GROWING = ("COTURN_AUTH_ABI_MINOR", "COTURN_AUTH_REASON_NAMES")  # macros that change with what is appended
COUNT = "COTURN_AUTH_REASON_COUNT"


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def put(text, folder, name):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def shared(source, folder, name, *options):
    """A shared object with debugging information, made of C text."""
    out = os.path.join(folder, name + ".so")
    done = subprocess.run(["cc", "-g", "-O0", "-w", "-shared", "-fPIC", "-o", out, put(source, folder, name + ".c"), *options],
                          capture_output=True, text=True, check=False)
    return out, done.stderr


def abidiff(old, new, *options):
    done = subprocess.run(["abidiff", "--no-show-locs", *options, old, new], capture_output=True, text=True, check=False)
    if done.returncode & 3:
        raise RuntimeError(f"abidiff: {done.stdout}{done.stderr}")
    return done.returncode, done.stdout


# --- the interface between coturn and a module ---------------------------------------------------


def types_of(header):
    """A variable for each type that the header has; abidiff compares what they point to."""
    text = re.sub(r"/\*.*?\*/", " ", header, flags=re.S)
    types = [f'{kind} {name} *frozen_{name}; _Static_assert(sizeof({kind} {name}) > 0, "");' for kind, name in re.findall(r"^(struct|enum) (\w+) \{", text, re.M)]
    functions = re.findall(r"^typedef .*?\(\*(\w+)\)\(", text, re.M)
    return "\n".join(types + [f"{name} frozen_{name};" for name in functions])


def macros_of(header, folder):
    path = put(header, folder, "macros.h")
    out = subprocess.run(["cc", "-E", "-dM", path], capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"^#define (COTURN_AUTH_\w+(?:\([^)]*\))?) (.*)$", out, re.M))


def more_than_appended(report):
    """Lines of abidiff's report of leaf changes that tell of more than members and reasons at the end."""
    size = None
    for line in report.splitlines():
        line = line.strip()
        grown = re.fullmatch(r"type size changed from (\d+) to \d+ \(in bits\)", line)
        at = re.fullmatch(r"'.*', at offset (\d+) \(in bits\)", line)
        if grown:
            size = int(grown[1])
        elif re.fullmatch(r"'(struct|enum) \w+' changed:", line):
            size = None  # whose size stays has its new member in a gap that older sides did not fill in
        elif at:
            if size is None or int(at[1]) < size:
                yield line
        elif line and not re.fullmatch(
            r".* summary: .*|type size hasn't changed|\d+ data member insertions?:|\d+ enumerator insertions?:|1 enumerator change:"
            rf"|'\w+::\w+' value '\d+'|'\w+::{COUNT}' from value '\d+' to '\d+'", line):
            yield line


def differences(new):
    """What a header has done to those who were built with the recorded one; [] where they go on."""
    old = read(FROZEN)
    with tempfile.TemporaryDirectory() as folder:
        libraries = []
        for name, header in (("old", old), ("new", new)):
            library, wrong = shared(header + "\n" + types_of(old), folder, name)
            if wrong:
                return [wrong]
            libraries.append(library)
        found = list(more_than_appended(abidiff(*libraries, "--leaf-changes-only")[1]))
        macros = macros_of(new, folder)
        for name, value in macros_of(old, folder).items():
            said = macros.get(name)
            if name in GROWING and said is not None:
                if name.endswith("_NAMES") and not said.startswith(value.rstrip(" }")):
                    found.append(f"{name} does not begin as it did")
            elif said != value:
                found.append(f"{name} is {said}, was {value}")
    return found


def changed(*edits):
    """The recorded header with these replacements, each of which finds its place."""
    text = read(FROZEN)
    for old, new in edits:
        if text.count(old) != 1:
            raise AssertionError(f"{old!r} stands {text.count(old)} times in the recorded header")
        text = text.replace(old, new)
    return text


ORIGIN, NONCE = "  const char *origin;\n};\n\n/* For COTURN_AUTH_GRANTED", "  int (*accept_nonce)(void *state, const struct coturn_auth_nonce *request);\n"
APPENDED = (ORIGIN, ORIGIN.replace("origin;\n", "origin;\n  uint64_t more;\n"))
TABLE = (NONCE, NONCE + "  int (*more)(void *state);\n")
REASON = ("  COTURN_AUTH_REASON_DRAINING,\n", "  COTURN_AUTH_REASON_DRAINING,\n  COTURN_AUTH_REASON_NEW,\n")
NAME = ('   "draining"}', '   "draining", "new"}')


class Module(unittest.TestCase):
    def test_the_interface_is_as_recorded(self):
        found = differences(read(HEADER))
        self.assertEqual(found, [], "modules and hosts that are built would break. A draft gets a new COTURN_AUTH_ABI_PRE "
                         "and its record anew (cp plugin/include/coturn_auth_module.h tests/abi/frozen/); once 1.0 is "
                         "released members are only appended")

    def test_what_is_appended_breaks_nobody(self):
        minor = ("#define COTURN_AUTH_ABI_MINOR 0", "#define COTURN_AUTH_ABI_MINOR 1")
        for edits in ([APPENDED], [TABLE], [APPENDED, TABLE, minor], [REASON, NAME]):
            self.assertEqual(differences(changed(*edits)), [])

    def test_whatever_else_changes_is_found(self):
        username = "  uint32_t username_len;\n"
        faults = {
            "a member in the middle": [(username, "  uint64_t more;\n" + username)],
            "one in the middle and one at the end": [(username, "  uint64_t more;\n" + username), APPENDED],
            "a member is gone": [("  size_t message_len;\n", "")],
            "a member has moved to the end": [(username, ""), (ORIGIN, ORIGIN.replace("origin;\n", "origin;\n" + username))],
            "a longer type": [(username, "  uint64_t username_len;\n")],
            "another sign": [("  int64_t expires; ", "  uint64_t expires; ")],
            "two members have changed places": [("  uint32_t why, flags;", "  uint32_t flags, why;")],
            "a member in a gap at the end": [("  uint32_t identity_len;\n  uint32_t total_quota;", "  uint32_t identity_len;\n  uint32_t more, total_quota;")],
            "a struct that others contain has grown": [("  uint64_t session, request;", "  uint64_t session, request, more;")],
            "the header of structs has grown": [("  uint64_t struct_size;", "  uint64_t struct_size, more;")],
            "a reason in the middle": [("  COTURN_AUTH_REASON_REVOKED,\n", "  COTURN_AUTH_REASON_NEW,\n  COTURN_AUTH_REASON_REVOKED,\n")],
            "a reason is gone": [("  COTURN_AUTH_REASON_DRAINING,\n", "")],
            "a function takes more": [("  int (*reload)(void *state);", "  int (*reload)(void *state, int more);")],
            "a function takes more, and one is appended": [("  int (*reload)(void *state);", "  int (*reload)(void *state, int more);"), TABLE],
            "a callback takes less": [("uint64_t value, void *arg);", "uint32_t value, void *arg);")],
            "a longer name": [("#define COTURN_AUTH_NAME_MAX 512", "#define COTURN_AUTH_NAME_MAX 516")],
            "a bit means something else": [("#define COTURN_AUTH_WHY_TOKEN 0x08u", "#define COTURN_AUTH_WHY_TOKEN 0x40u")],
            "another major version": [("#define COTURN_AUTH_ABI_MAJOR 1", "#define COTURN_AUTH_ABI_MAJOR 2")],
            "a reason has another name": [('   "quota",', '   "full", ')],
            "a type is gone": [("struct coturn_auth_nonce {", "struct coturn_auth_other {")],
        }
        for fault, edits in faults.items():
            with self.subTest(fault):
                self.assertNotEqual(differences(changed(*edits)), [])


# --- libturncred ---------------------------------------------------------------------------------


def recorded_library(folder, edit=lambda text: text):
    """The recorded functions and types as a library: with bodies that nobody runs."""
    soname, *lines = edit(read(RECORD)).splitlines()
    constants = [line for line in lines if line.startswith("#define")]
    types = [line + ";" for kind in ("enum", "struct") for line in lines if re.match(rf"{kind} \w+( \{{.*\}})?$", line)]
    functions = [line + " { __builtin_trap(); }" for line in lines if line.endswith(")") and not line.startswith("#")]
    source = "\n".join(["#include <stdbool.h>", "#include <stddef.h>", "#include <stdint.h>", *constants, *types, *functions])
    library, wrong = shared(source, folder, "record", f"-Wl,--version-script={MAP},-soname={soname}")
    if wrong:
        raise RuntimeError(wrong)
    return library


class Library(unittest.TestCase):
    def setUp(self):
        if not os.path.exists(LIBRARY):
            self.skipTest(f"{LIBRARY} is not built")
        sections = subprocess.run(["readelf", "-S", LIBRARY], capture_output=True, text=True, check=True).stdout
        self.assertIn(".debug_info", sections, "libturncred has no debugging information, which abidiff reads: build with -g")

    def against(self, edit=lambda text: text):
        with tempfile.TemporaryDirectory() as folder:
            return abidiff(recorded_library(folder, edit), LIBRARY, "--no-added-syms")

    def test_the_library_is_as_recorded(self):
        code, report = self.against()
        self.assertEqual(code, 0, "programs that are built would break: put it back, or raise the SONAME (CONTRIBUTING.md)\n" + report)

    def test_a_function_more_breaks_nobody(self):
        code, report = self.against(lambda text: re.sub(r"\n[^\n]*\bturncred_hex_encode\([^\n]*", "", text))
        self.assertEqual(code, 0, report)

    def test_whatever_else_changes_is_found(self):
        faults = {
            "a function is gone": (r"\Z", "\nint turncred_gone(int value)"),
            "a parameter more": (r"\bturncred_hex_encode\(const uint8_t \*in, ", "turncred_hex_encode("),
            "another parameter": (r"(?<=turncred_sha256\(struct turncred_ws \*ws, )const uint8_t", "const uint16_t"),
            "another result": (r"\nint (?=turncred_rest_separator_ok)", "\nint64_t "),
            "a struct of the caller has another member": (r"(?<=struct turncred_token \{ )", "uint8_t first; "),
            "a struct of the caller has grown": (r"(struct turncred_token \{ \w+ [^;]+;)[^;]+;", r"\1"),
            "an error has another number": (r"TURNCRED_OK = 0", "TURNCRED_OK = 1"),
            "another SONAME": (r"\Alibturncred\.so\.2", "libturncred.so.1"),
        }
        for fault, (pattern, new) in faults.items():
            with self.subTest(fault):
                self.assertEqual(len(re.findall(pattern, read(RECORD))), 1, pattern)
                code, _ = self.against(lambda text, pattern=pattern, new=new: re.sub(pattern, new, text))
                self.assertNotEqual(code, 0)


# --- the schema ----------------------------------------------------------------------------------


def changed_files(folder):
    """The recorded files of the schema that are no longer what databases have applied, and files that come before them."""
    recorded = dict(reversed(line.split()) for line in read(APPLIED).splitlines())
    there = {name: os.path.join(folder, name) for name in os.listdir(folder) if re.fullmatch(r"\d{4}-.*\.sql", name)}
    for name, digest in recorded.items():
        if name not in there or hashlib.sha256(read(there[name]).encode()).hexdigest() != digest:
            yield name
    yield from (name for name in there if name not in recorded and name[:4] <= max(recorded)[:4])


class Schema(unittest.TestCase):
    def test_the_files_are_as_recorded(self):
        self.assertEqual(list(changed_files(SCHEMA)), [], "databases that have applied these would stay as they are: write a new file. "
                         "What was never released is recorded anew: (cd plugin/schema && sha256sum 0*.sql) >tests/abi/frozen/schema.sha256")

    def test_a_new_file_is_fine_and_whatever_else_changes_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in os.listdir(SCHEMA):
                if name.endswith(".sql"):
                    put(read(os.path.join(SCHEMA, name)), folder, name)
            put("SELECT 1;\n", folder, "9000-later.sql")
            self.assertEqual(list(changed_files(folder)), [])
            put("SELECT 1;\n", folder, "0003-another.sql")
            with open(os.path.join(folder, "0001-init.sql"), "a", encoding="utf-8") as file:
                file.write("-- a word more\n")
            os.remove(os.path.join(folder, "0004-values.sql"))
            self.assertEqual(list(changed_files(folder)), ["0001-init.sql", "0004-values.sql", "0003-another.sql"])


if __name__ == "__main__":
    sys.exit(unittest.main())
