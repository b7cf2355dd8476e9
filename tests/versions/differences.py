# SPDX-License-Identifier: BSD-3-Clause
"""What a version of coturn does otherwise than 4.6.1: the one place where that is written down.
scripts/try-versions reports each row that does not show as well, so that none outlives its cause.

Versions: "4.6.2", "4.6.2..", "..4.6.2" or "4.6.3..4.7.0", ends included.
"""

import collections
import os
import re

# A test that fails, or is skipped, and says what `shows` matches
Difference = collections.namedtuple("Difference", "versions test shows why")
# A check for which the version has nothing: no `text` (a regular expression) in `file` of its tree
Absent = collections.namedtuple("Absent", "versions check file text why")
# A line of turnserver.conf that a test server has as well, where it has one that `line` matches as a whole
Setting = collections.namedtuple("Setting", "versions line also why")
# Tests that are about another version
LeftOut = collections.namedtuple("LeftOut", "versions test why")

RELAY = "src/apps/relay/mainrelay.c"

DIFFERENCES = (
    Difference("4.6.2..", r"test_session\.Life\.test_stop_on_sigterm$", r"0 != -15",
               "SIGTERM is handled: the server ends by itself, with 0, up to 6 s later"),
    Difference("4.6.3..4.8.0", r"test_reports\.WebPage\.test_like_unpatched$", r'name="pwd"',
               "coturn's web page for administrators refuses the right password and takes any other"),
    Difference("4.15.0..", r"test_session\.Mobility\.test_closing_ends_mobile_allocations$", r"437 != 404",
               "a ticket of no allocation is answered 437"),
    Difference("4.17.0..", r"test_session\.Poisoning\.test_unpatched_is_poisoned$", r"0 not found in",
               "the listener answers an unknown source without a session that could be poisoned"),
    Difference("4.5.2", r"test_turnclient\.Live\.test_mobility$", r"Malformed",
               "a mobile Refresh is answered with octets that are no message, without SOFTWARE too"),
)

SETTINGS = (
    Setting("4.10.0..", r"cli-port=.*", "cli", "the telnet CLI is off unless the option cli is there"),
    Setting("4.17.0..", r"tls-listening-port=.*", "dtls", "DTLS is off unless the option dtls is there"),
)

ABSENT = (
    Absent("4.5.2", "cmake", "CMakeLists.txt", "", "no CMakeLists.txt"),
    Absent("4.5.2", "examples", "examples/run_tests.sh", "", "no examples/run_tests.sh"),
    Absent("..4.10.0", "unity", "tests/CMakeLists.txt", "Unity", "unit tests began with 4.11"),
    Absent("..4.6.2", "drain", RELAY, "[Dd]rain", "drain began with 4.6.3"),
    Absent("..4.15.0", "nonce", RELAY, "stateless-nonce", "stateless nonces began with 4.16"),
)

# all but the module's own list of denied peers, which holds in every version
SECURITY = r"^test_security(_dtls)?\.|^test_clients\.GnuTls\.|^test_security_peers\.(?!WithRules\.test_(the_list|refusals_are))"

LEFT_OUT = (
    LeftOut("..4.6.0", r"^test_stock\.", "what unpatched 4.6.1 gets wrong"),
    LeftOut("4.6.2..", r"^test_stock\.", "what unpatched 4.6.1 gets wrong"),
    LeftOut("4.8.0..4.14.0", r"^test_listener\.Sessions\.|^test_quota\.TwoRealms\.test_the_other_realm_does_not_stick$",
            "relay-threads=1 is not obeyed, there are two at least, and the test counts on one"),
    LeftOut("..4.6.0", SECURITY, "the security series of 4.6.1, written by hand"),
    LeftOut("4.6.2..", SECURITY, "the security series of 4.6.1, written by hand"),
)


def numbers(version):
    return tuple(int(part) for part in version.split("."))


def within(versions, version):
    """Whether a version is in a range."""
    first, dots, last = versions.partition("..")
    if not dots:
        return version == first
    number = numbers(version)
    return (not first or numbers(first) <= number) and (not last or number <= numbers(last))


def of_version(rows, version):
    return [row for row in rows if within(row.versions, version)]


def settings(version, lines):
    """The lines that a server of that version wants beside these."""
    rows = of_version(SETTINGS, version)
    found = [(row, re.fullmatch(row.line, line)) for row in rows for line in lines]
    return [match.expand(row.also) for row, match in found if match]


def is_there(row, tree):
    """Whether the tree has the function that the row of ABSENT calls absent."""
    try:
        with open(os.path.join(tree, row.file), encoding="utf-8", errors="replace") as file:
            return re.search(row.text, file.read()) is not None
    except FileNotFoundError:
        return False
