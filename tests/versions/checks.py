# SPDX-License-Identifier: BSD-3-Clause
"""The checks of one version of coturn. Each check gives an Outcome; the checks after `build` run with its
builds, with one turncred.so for all versions."""

import glob
import os
import re
import shutil
import subprocess

import differences
from judging import Outcome, absent, green, judge, red
from running import left_running, results, run, tail

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
    where = ["--check"] if version.name == COMMITTED else ["--out", series]
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
        command = [f"{TOP}/scripts/build-coturn", *options, "--source", version.tree, "--out", folder]
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


def test_files(folder):
    return sorted(glob.glob(os.path.join(TOP, "tests", folder, "test_*.py")))


def python_tests(version, check, files, only=None, but=()):
    """Runs the cases that are wanted, and judges them."""
    left_out = differences.of_version(differences.LEFT_OUT, version.number)
    but = [*but, *(row.test for row in left_out)]
    tap = os.path.join(version.folder, check + ".tap")
    if os.path.exists(tap):
        os.unlink(tap)
    faults = []
    for file in files:
        command = ["/usr/bin/python3", f"{TOP}/scripts/unittest-tap", file, tap]
        command += ["--only", only] if only else []
        command += ["--but", "|".join(but)] if but else []
        if run(command, version.log(check), 1800, version.environment()) is None:
            faults.append(f"{os.path.basename(file)}: not done after 1800 s")
    found = []
    if os.path.exists(tap):
        with open(tap) as file:
            found = results(file.read())
    outcome = judge(version.number, found)
    if faults:
        return red(outcome.text, faults + list(outcome.why))
    modules = [os.path.basename(file)[:-2] for file in files]
    left_out = [row for row in left_out if not only and any(re.search(row.test, m) for m in modules)]
    return outcome._replace(why=outcome.why + tuple(f"left out: {row.why}" for row in left_out))


def of_its_own(check):
    def run_them(version):
        earlier = list(OF_THEIR_OWN)[: list(OF_THEIR_OWN).index(check)]
        files = [f for f in test_files("abi") + test_files("conformance") if not is_slow(version, f)]
        return python_tests(version, check, files, OF_THEIR_OWN[check], [OF_THEIR_OWN[n] for n in earlier])

    return run_them


def is_slow(version, file):
    return version.quick and os.path.basename(file)[:-3] in SLOW


def the_rest_of(folder):
    def run_them(version):
        files = [f for f in test_files(folder) if not is_slow(version, f)]
        return python_tests(version, folder, files, None, list(OF_THEIR_OWN.values()))

    return run_them


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
