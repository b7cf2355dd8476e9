# SPDX-License-Identifier: BSD-3-Clause
"""manuals.py TOP: the tables of settings of turncred.so and turncredd against their manual pages: the same names, each
required or with the default that its page says. Prints what differs; exit code 1 then."""

import re
import sys

top = sys.argv[1] + "/plugin/"
ROW = re.compile(r'\{"(\w+)", SETTING_(\w+), FIELD\([\w.]+\), (true|false),\s+(NULL|"[^"]*"),')
SHARED = re.sub(r"\\\n", "", open(top + "store/store_settings.h").read())
failed = []
for source, page in (
    ("module/module_settings.c", "module/turncred.conf.5"),
    ("turncredd/daemon_settings.c", "turncredd/turncredd.conf.5"),
):
    table = {m[1]: (m[3] == "true", None if m[4] == "NULL" else m[4].strip('"')) for m in ROW.finditer(SHARED + open(top + source).read())}
    text = open(top + page).read()
    section = text[text.index(".SH SETTINGS" if ".SH SETTINGS" in text else ".SH TAKEN") :]
    section = section[: re.search(r"^\.SH (RELOAD|EXAMPLE)", section, re.M).start()]
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
