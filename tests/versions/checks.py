# SPDX-License-Identifier: BSD-3-Clause
"""The checks of one version of coturn. Each check gives an Outcome; the checks after `build` run with its
builds, with one turncred.so for all versions."""

import concurrent.futures
import functools
import glob
import os
import re
import shutil
import subprocess

import differences
from judging import Outcome, absent, green, judge, red
from running import Result, left_running, results, run, tail

TOP = os.environ.get("top_srcdir") or os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
BUILD = os.environ.get("top_builddir") or os.environ.get("BUILDDIR") or os.path.join(TOP, "build")
BUILD = os.path.abspath(BUILD)
COMMITTED = "4.6.1 (Debian)"  # the tree that the series in patches/4.6.1 is made for

# tests of tests/abi and tests/conformance that have a column of their own, by id
OF_THEIR_OWN = {
    "login": r"^test_login\.",
    "nonce": r"Nonces\.test_(not_)?stateless$",
    "pause": r"Nonces\.",
    "drain": r"\.Drain\.",
    "mobility": r"[Mm]obil|[Rr]esum",
}
SLOW = ("test_browser", "test_clients", "test_long_call", "test_matrix")


class Version:
    """A tree, and where its builds and logs are."""

    def __init__(self, tree, out, quick=False, unity=None):
        self.tree = os.path.abspath(tree)
        self.quick, self.unity = quick, unity
        with open(os.path.join(self.tree, "src", "ns_turn_defs.h")) as file:
            self.number = re.search(r'TURN_SERVER_VERSION\s+"([^"]+)"', file.read()).group(1)
        debian = os.path.exists(os.path.join(self.tree, "debian", "changelog"))
        self.name = self.number + (" (Debian)" if debian else "")
        self.folder = os.path.join(os.path.abspath(out), self.name.replace(" (Debian)", "-debian"))
        self.patched, self.stock = (os.path.join(self.folder, n) for n in ("patched", "stock"))
        self.notes = []
        os.makedirs(self.folder, exist_ok=True)

    def log(self, name):
        return os.path.join(self.folder, name + ".log")

    def environment(self):
        return {
            "top_srcdir": TOP,
            "top_builddir": BUILD,
            "COTURN_DIR": self.patched,
            "COTURN_STOCK_DIR": self.stock,
            "TURNSERVER": f"{self.patched}/bin/turnserver",
            "TURNSERVER_STOCK": f"{self.stock}/bin/turnserver",
        }


# --- making it -----------------------------------------------------------------------------------------


def port(version):
    """The rules place everything; for the committed series: they make what is committed."""
    log, series = version.log("port"), os.path.join(version.folder, "series")
    shutil.rmtree(series, ignore_errors=True)
    if os.path.exists(log):
        os.unlink(log)
    where = ["--check"] if version.name == COMMITTED else ["--untried", "--out", series]
    code = run([f"{TOP}/scripts/port-patches", version.tree, *where], log, 600)
    if code:
        with open(log) as file:
            said = [line.strip() for line in file if line.strip() and not line.startswith("+ ")]
        return red("not placed", said[:-1] or said)  # the last line is a sum
    return green()


def build(version):
    """Both series with -F0, then configure and make; the same without."""
    for folder, options in ((version.patched, []), (version.stock, ["--stock"])):
        log = version.log("build-" + os.path.basename(folder))
        command = [f"{TOP}/scripts/build-coturn", *options, "--untried", "--source", version.tree, "--out", folder]
        if run(command, log, 1800) != 0:
            return red("not built", tail(log, 3))
    said = "src/client/ns_turn_msg.c"
    with open(os.path.join(version.tree, said)) as before, open(f"{version.patched}/src/{said}") as after:
        if "OPENSSL_FIPS" in after.read() and "OPENSSL_FIPS" not in before.read():
            version.notes.append("with Debian's No-FIPS-140-mode.patch: does not link with OpenSSL 3")
    return green()


def cmake(version):
    log, folder = version.log("cmake"), os.path.join(version.folder, "cmake")
    shutil.rmtree(folder, ignore_errors=True)
    for command in (["cmake", "-S", f"{version.patched}/src", "-B", folder, "-DBUILD_TESTING=OFF"],
                    ["make", "-j2", "-C", folder, "turnserver"]):
        if run(command, log, 1800) != 0:
            return red("not built", tail(log, 3))
    programs = [p for p in glob.glob(f"{folder}/**/turnserver", recursive=True) if os.path.isfile(p)]
    run([programs[0], "-n", "--auth-module-only"], log, 20)
    with open(log, errors="replace") as file:
        if "auth-module-only is given, but auth-module is not" not in file.read():
            return red("not patched", tail(log))
    return green()


# --- our tests against it --------------------------------------------------------------------------------


def test_files(*folders):
    return [f for folder in folders for f in sorted(glob.glob(os.path.join(TOP, "tests", folder, "test_*.py")))]


@functools.lru_cache(None)
def ids(file):
    """Of the cases of a file: module.Class.test."""
    command = ["/usr/bin/python3", f"{TOP}/scripts/unittest-tap", file, "--list"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()


def run_file(version, check, file, only, but):
    """The results of its cases that are wanted."""
    name = f"{check}-{os.path.basename(file)[:-3]}"
    tap, log = os.path.join(version.folder, name + ".tap"), version.log(name)
    with open(tap, "w"), open(log, "w"):
        pass  # nothing of an earlier run
    command = ["/usr/bin/python3", f"{TOP}/scripts/unittest-tap", file, tap, "--but", but]
    command += ["--only", only] if only else []
    code = run(command, log, 1800, version.environment())
    with open(tap) as opened:
        found = results(opened.read())
    if code is None:
        return found + [Result(name, False, "not done after 1800 s")]
    if code and all(result.passed or result.said.startswith("skipped") for result in found):
        return found + [Result(name, False, f"ended with {code}: {' '.join(tail(log, 3))}")]
    return found


def python_tests(version, check, files, only=None, but=()):
    """Runs the cases that are wanted, three files at once since they wait most of the time, and judges them."""
    left_out = differences.of_version(differences.LEFT_OUT, version.number)
    but = "|".join([*but, *(row.test for row in left_out)]) or "^$"

    def wanted(file):
        return any((not only or re.search(only, i)) and not re.search(but, i) for i in ids(file))

    files = [file for file in files if not is_slow(version, file)]
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        found = pool.map(lambda file: run_file(version, check, file, only, but), filter(wanted, files))
        outcome = judge(version.number, [result for of_file in found for result in of_file])
    left_out = [] if only else [r for r in left_out if any(re.search(r.test, i) for f in files for i in ids(f))]
    return outcome._replace(why=outcome.why + tuple(f"left out: {row.why}" for row in left_out))


def is_slow(version, file):
    return version.quick and os.path.basename(file)[:-3] in SLOW


def of_its_own(check):
    def run_them(version):
        earlier = list(OF_THEIR_OWN)[: list(OF_THEIR_OWN).index(check)]
        files = test_files("abi", "conformance")
        return python_tests(version, check, files, OF_THEIR_OWN[check], [OF_THEIR_OWN[n] for n in earlier])

    return run_them


def the_rest_of(folder):
    return lambda version: python_tests(version, folder, test_files(folder), None, list(OF_THEIR_OWN.values()))


# --- coturn's own tests, with and without the patches ------------------------------------------------------


def own(check, name):
    def run_it(version):
        log = version.log(check)
        if os.path.exists(log):
            os.unlink(log)
        run(["bats", "-F", "tap", "-f", name, f"{TOP}/tests/abi/unchanged.bats"], log, 900, version.environment())
        with open(log, errors="replace") as file:
            return judge(version.number, results(file.read()))

    return run_it


def unit_tests(version, source, folder):
    """{name: passed} of coturn's unit tests."""
    log = version.log("unity")
    shutil.rmtree(folder, ignore_errors=True)
    run(["cmake", "-S", source, "-B", folder, "-DBUILD_TESTING=ON", f"-DFETCHCONTENT_SOURCE_DIR_UNITY={version.unity}"],
        log, 300)
    listed = subprocess.run(["ctest", "--test-dir", folder, "-N"], capture_output=True, text=True).stdout
    names = re.findall(r"Test +#\d+: (\S+)", listed)
    run(["make", "-k", "-j2", "-C", folder, *names], log, 1800)
    report = os.path.join(folder, "report")
    run(["ctest", "--test-dir", folder], report, 600)
    run(["cat", report], log, 20)
    with open(report, errors="replace") as file:
        passed = set(re.findall(r"Test +#\d+: (\S+) \.+ +Passed", file.read()))
    return {name: name in passed for name in names}


def unity(version):
    if not version.unity:
        return Outcome("unseen", "no Unity", ("needs Unity, not there: --unity DIR",))
    with_patches = unit_tests(version, f"{version.patched}/src", os.path.join(version.folder, "unity-patched"))
    without = unit_tests(version, f"{version.stock}/src", os.path.join(version.folder, "unity-stock"))
    other = [name for name in without if without[name] != with_patches.get(name)]
    if other or not any(without.values()):
        return red("differs", other or tail(version.log("unity"), 3))
    same = [name for name, passed in without.items() if not passed]
    if same:
        why = f"{', '.join(same)}: does not build or fails here without the patches as well"
        return Outcome("known", f"{len(without) - len(same)}, {len(same)} known", (why,))
    return green(str(len(without)))


CHECKS = {
    "port": port,
    "build": build,
    "cmake": cmake,
    **{check: of_its_own(check) for check in OF_THEIR_OWN},
    "abi": the_rest_of("abi"),
    "conformance": the_rest_of("conformance"),
    "check": own("check", "^make check$"),
    "examples": own("examples", "^examples/run_tests.sh$"),
    "unity": unity,
}
NOT_QUICK = ("cmake", "examples", "unity")


def try_one(version, check):
    """The outcome of one check; a server that it has left running is red as well."""
    outcome = absent(version.number, check, version.tree) or CHECKS[check](version)
    left = left_running(version.folder)
    if left and outcome.word != "red":
        return red("left running", [f"{len(left)} servers had to be killed", *outcome.why])
    return outcome
