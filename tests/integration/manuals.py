# SPDX-License-Identifier: BSD-3-Clause
"""manuals.py TOP: the tables of settings of turncred.so and turncredd against their manual pages: the same names, each
required or with the default that its page says, and the bounds where the page has them. Every metric is in the page of
its program, and no other; turncred.conf(5) has every reason of a refusal. plugin/schema/README.md has every table. The
examples for Prometheus ask for reasons that are there, at the ports of the other examples. Prints what differs; exit code 1 then."""

import glob
import re
import sys

top = sys.argv[1] + "/plugin/"
HOST = sys.argv[1] + "/patches/semantic/files/src/apps/relay/auth_report.c"
ROW = re.compile(
    r'\{"(\w+)", SETTING_(\w+), FIELD\([\w.]+\), (true|false),\s+(NULL|"[^"]*"),\s+([\w* ]+),\s+([\w* ]+),'
)
UNITS = {"CONF_SECOND": 1000, "CONF_MINUTE": 60000, "CONF_HOUR": 3600000, "CONF_DAY": 86400000}
WRITTEN = {"": 1, "ms": 1, "s": 1000, "min": 60000, "h": 3600000, "d": 86400000}
failed = []


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def bound(expression):
    """A bound of a table: numbers and units with * between them."""
    product = 1
    for factor in expression.split("*"):
        product *= UNITS.get(factor.strip()) or int(factor)
    return product


def section_of(page, heading):
    found = re.search(rf"^\.SH {heading}[^\n]*\n(.*?)(?=^\.SH |\Z)", read(top + page), re.M | re.S)
    return found[1] if found else ""


SHARED = re.sub(r"\\\n", "", read(top + "store/store_settings.h"))
for source, shared, page, heading in (
    ("module/module_settings.c", SHARED, "module/turncred.conf.5", "SETTINGS"),
    ("turncredd/daemon_settings.c", SHARED, "turncredd/turncredd.conf.5", "TAKEN"),
    ("turncredd/issuer_settings.c", "", "turncredd/turncredd.conf.5", "ISSUERS"),
):
    rows = list(ROW.finditer(shared + read(top + source)))
    text = read(top + page)
    section = text[text.index(".SH " + heading) :]
    section = section[: re.search(r"\n\.SH (RELOAD|EXAMPLE|ISSUERS)", section).start()]
    entries = {m[1]: m[2] for m in re.finditer(r'^\.TP\n\.BI? "?(\w+)[^\n]*\n(.*?)(?=^\.TP|^\.SH|\Z)', section, re.M | re.S)}
    assert len(rows) > 8, (source, rows)
    if {row[1] for row in rows} != set(entries):
        failed.append(f"{page}: {sorted({row[1] for row in rows} ^ set(entries))} only in one of table and page")
    for _, name, kind, required, default, low, high in ((row[0], *row.groups()) for row in rows):
        default = None if default == "NULL" else default.strip('"')
        entry = " ".join(entries.get(name, "").split())
        if required == "true" and "Required." not in entry:
            failed.append(f"{page}: {name} is required, the page does not say so")
        if default and f"Default: {default}." not in entry:
            failed.append(f"{page}: {name}'s default is {default}: {entry[-60:]}")
        if not default and "Default: " in entry and "Default: none." not in entry and "Default: made" not in entry:
            failed.append(f"{page}: {name} has no default: {entry[-60:]}")
        said = re.search(r"\b(\d+)(ms|s|min|h|d|) to (\d+)(ms|s|min|h|d|)\b", entry)
        if kind in ("NUMBER", "DURATION") and said:
            if [int(said[1]) * WRITTEN[said[2]], int(said[3]) * WRITTEN[said[4]]] != [bound(low), bound(high)]:
                failed.append(f"{page}: {name} may be {low} to {high}, the page says {said[0]}")

COUNTERS = re.findall(r'\{"(\w+)", "', read(HOST)) + re.findall(r'c\.name = "(\w+)"', read(HOST))
counted, _, gauges = read(top + "module/counters.c").partition("gauge_descriptions[")
gauges, _, more = gauges.partition("\n};")
COUNTERS += re.findall(r'\{"(\w+)", "', counted + more)
module = {name + "_total" for name in COUNTERS} | set(re.findall(r'\{"(\w+)", "', gauges))
module |= set(re.findall(r'\{"turncred_(\w+)", "', read(top + "module/metrics.c")))
for page, names in (
    ("module/turncred.conf.5", module),
    ("turncredd/turncredd.8", set(re.findall(r'\b(?:one|help)\(out, "(\w+)", "', read(top + "turncredd/metrics.c")))),
):
    assert len(names) > 15, (page, names)
    tags = re.findall(r"^\.TP\n\.BR? ((?:[^\n]*\\\n)*[^\n]*)", section_of(page, "METRICS"), re.M)
    shown = set(re.findall(r"\w{2,}", re.sub(r"\{[^}]*\}", "", " ".join(tags))))
    if names != shown:
        failed.append(f"{page}, METRICS: {sorted(names ^ shown)} only in one of program and page")

reasons = re.search(r"define COTURN_AUTH_REASON_NAMES[^{]*\{([^}]*)\}", read(top + "include/coturn_auth_module.h"))[1]
reasons = set(re.findall(r'"(\w+)"', reasons)) - {"none"}
tags = re.findall(r"^\.BR? (.*)", section_of("module/turncred.conf.5", "REFUSALS"), re.M)
assert len(reasons) > 20, reasons
lacks = reasons - set(re.findall(r"\w+", " ".join(tags)))
if lacks:
    failed.append(f"turncred.conf(5), REFUSALS: lacks {sorted(lacks)}")

schema = "".join(read(path) for path in sorted(glob.glob(top + "schema/[0-9]*.sql")))
tables = set(re.findall(r"^CREATE TABLE turncred\.(\w+) \((?!\w+ PARTITION)", schema, re.M))
section = read(top + "schema/README.md").partition("\n## Tables\n")[2].partition("\n## ")[0]
shown = set(re.findall(r"^\| `(\w+)` \|", section, re.M))
assert len(tables) > 10, tables
if tables != shown:
    failed.append(f"schema/README.md, Tables: {sorted(tables ^ shown)} only in one of schema and page")

asked = re.findall(r'targets: \["[^"]*:(\d+)"\]', read(top + "examples/monitoring/prometheus.yml.example"))
served = [
    re.search(rf"^#?{name} = \S*:(\d+)$", read(top + example), re.M)[1]
    for example, name in (("module/turncred.conf.example", "prometheus"), ("turncredd/turncredd.conf.example", "https"))
]
if asked != served:
    failed.append(f"prometheus.yml.example asks at {asked}, the other examples serve at {served}")

asked = "".join(read(top + "examples/monitoring/" + name) for name in ("server.rules.yml", "dashboard.json"))
words = {word for found in re.findall(r'reason=~?\\*"([\w|]+)', asked) for word in found.split("|")}
assert len(words) > 12, words
if words - reasons:
    failed.append(f"examples/monitoring: there are no reasons {sorted(words - reasons)}")
print("\n".join(failed))
sys.exit(bool(failed))
