# SPDX-License-Identifier: BSD-3-Clause
"""turncred.fail2ban as a Python pattern, and lines that it must find or pass over."""

import configparser
import pathlib
import re
import time

FILTER = pathlib.Path(__file__).resolve().parents[2] / "plugin/module/turncred.fail2ban"


def pattern():
    """The failregex; group ip is the address that would be banned."""
    settings = configparser.ConfigParser()
    settings.read(FILTER)
    address = r"(?P<ip>(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)"
    return re.compile(settings["Definition"]["failregex"].replace("<ADDR>", address))


def refusal(client="192.0.2.7", reason="integrity_mismatch", user="alice:1764003600"):
    return (f'auth-module: refused client={client} port=50350 realm="example.net" user="{user}" method=ALLOCATE'
            f" code=401 reason={reason} session=001000000000000001")


def forms(line):
    """The line as coturn's versions, syslog, journald and journalctl write it now."""
    day, iso = time.strftime("%b %d %H:%M:%S"), time.strftime("%Y-%m-%dT%H:%M:%S")
    zone, log = time.strftime("%z"), "turn1 turnserver[123]:"
    coturn = [
        f"0: : {line}", f"12345: : {line}", f"{iso}{zone}: {line}",                                     # to 4.6.1
        time.strftime("%d/%m/%Y %H:%M:%S: ") + line, time.strftime("%d %b %Y %H:%M:%S: ") + line,
        f"0: (4711): WARNING: {line}", f"{iso}{zone}(4711): WARNING: {line}",                           # 4.6.2 to 4.16
        f"0: (4711): src/apps/relay/auth_report.c(122):WARNING: {line}",
        f"0 WARNING {line}", f"{iso}.123{zone} WARNING {line}",                                         # 4.17
        f"{iso}.123{zone} src/apps/relay/auth_report.c(122) WARNING {line}",
    ]
    collected = [
        f"{day} turn1 turnserver: {coturn[0]}", f"{day} {log} <4>{coturn[2]}", f"{iso}{zone} {log} {coturn[0]}",
        f"{iso}.123456+00:00 {log} {coturn[2]}", time.strftime("%a %Y-%m-%d %H:%M:%S UTC ") + f"{log} {coturn[0]}",
    ]
    return coturn + collected + [f"{day} {log} {form}" for form in coturn]


FOUND = [form for client in ("192.0.2.7", "2001:db8::7") for form in forms(refusal(client))]

FORGED = refusal("198.51.100.7")
PASSED_OVER = [form for text in (
    f"handle_turn_command: Wrong origin format: x {FORGED}",
    f"handle_turn_command: Wrong origin format: {FORGED}",
    f"handle_turn_command: Wrong origin format: {forms(FORGED)[0]}",
    f"check_stun_auth: user turnserver: {FORGED} credentials are incorrect",
    f"session 001000000000000001: realm <example.net> user <{FORGED}",
    refusal(user="x reason=bad_token session=1"),
    *(refusal(reason=reason) for reason in (
        "malformed", "bad_username",                         # one packet from a forged address
        "expired", "stale_nonce", "quota", "store_unavailable", "revoked")),
    'auth-module: observed client=192.0.2.7 realm="a" user="b": coturn refuses, module would refuse reason=bad_token',
) for form in forms(text)]
