# SPDX-License-Identifier: BSD-3-Clause
"""manuals.py TOP: the tables of settings of turncred.so and turncredd against their manual pages: the same names, each
required or with the default that its page says. Prints what differs; exit code 1 then."""

import re
import sys

top = sys.argv[1] + "/plugin/"
ROW = re.compile(r'\{"(\w+)", SETTING_(\w+), FIELD\([\w.]+\), (true|false),\s+(NULL|"[^"]*"),')
SHARED = re.sub(r"\\\n", "", open(top + "store/store_settings.h").read())
failed = []
for source, shared, page, heading in (
    ("module/module_settings.c", SHARED, "module/turncred.conf.5", "SETTINGS"),
    ("turncredd/daemon_settings.c", SHARED, "turncredd/turncredd.conf.5", "TAKEN"),
    ("turncredd/issuer_settings.c", "", "turncredd/turncredd.conf.5", "ISSUERS"),
):
    table = {m[1]: (m[3] == "true", None if m[4] == "NULL" else m[4].strip('"')) for m in ROW.finditer(shared + open(top + source).read())}
    text = open(top + page).read()
    section = text[text.index(".SH " + heading) :]
    section = section[: re.search(r"\n\.SH (RELOAD|EXAMPLE|ISSUERS)", section).start()]
    entries = {m[1]: m[2] for m in re.finditer(r'^\.TP\n\.BI? "?(\w+)[^\n]*\n(.*?)(?=^\.TP|^\.SH|\Z)', section, re.M | re.S)}
    assert len(table) > 8, (source, table)
    if set(table) != set(entries):
        failed.append(f"{page}: {sorted(set(table) ^ set(entries))} only in one of table and page")
    for name, (required, default) in table.items():
        entry = " ".join(entries.get(name, "").split())
        if required and "Required." not in entry:
            failed.append(f"{page}: {name} is required, the page does not say so")
        if default and f"Default: {default}." not in entry:
            failed.append(f"{page}: {name}'s default is {default}: {entry[-60:]}")
        if not default and "Default: " in entry and "Default: none." not in entry and "Default: made" not in entry:
            failed.append(f"{page}: {name} has no default: {entry[-60:]}")
print("\n".join(failed))
sys.exit(bool(failed))
