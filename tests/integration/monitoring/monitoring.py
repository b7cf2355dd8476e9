#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""monitoring.py expressions | alerts | metrics | recording | legends | runbook | tested

Prints what plugin/examples/monitoring says, one item a line: the expressions of rules and dashboard, the names of the
alerts, the metrics that the expressions name; the expressions of the dashboard as a rules file for promtool; each metric
that the dashboard shows as it is, with the labels of its legend; the alerts of the runbook; the alerts that a unit test
makes fire. Reads the files as lines, so that it needs no YAML library.
"""

import json
import os
import re
import sys

PLACE = os.environ.get("MONITORING") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "plugin", "examples", "monitoring"
)


def read(name):
    with open(os.path.join(PLACE, name), encoding="utf-8") as file:
        return file.read()


def rules():
    return read("server.rules.yml") + read("issuer.rules.yml")


def alerts():
    return re.findall(r"^ +- alert: (\S+)$", rules(), re.M)


def of_rules():
    """An expression stands on its line, or folded (>-) on the lines below it, which are indented deeper."""
    found = re.findall(r"^ +expr: (?:>-\n((?: {10,}\S.*\n)+)|(\S.*)\n)", rules(), re.M)
    return [" ".join((folded or plain).split()) for folded, plain in found]


def of_dashboard():
    panels = json.loads(read("dashboard.json"))["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", [])]


def metrics():
    text = "\n".join(of_rules() + of_dashboard())
    return sorted(set(re.findall(r"\bturncredd?_[a-z_]+", text)))


def recording():
    lines = ["groups:", "  - name: dashboard", "    rules:"]
    for number, expression in enumerate(of_dashboard()):
        lines += [f"      - record: dashboard:expression:{number}", f"        expr: {json.dumps(expression)}"]
    return lines


def legends():
    panels = json.loads(read("dashboard.json"))["panels"]
    shown = [t for p in panels for t in p.get("targets", []) if re.fullmatch("[a-z_]+", t["expr"])]
    return [" ".join([t["expr"], *sorted(re.findall(r"{{(\w+)}}", t["legendFormat"]))]) for t in shown]


def runbook():
    return re.findall(r"^\| (Turncred\w+) \| [^|]+ \| [^|]+ \|$", read("README.md"), re.M)


def tested():
    text = read("server.test.yml") + read("issuer.test.yml")
    return re.findall(r"- alertname: (\S+)\n +eval_time: \S+\n +exp_alerts:\n +- exp_labels", text)


if __name__ == "__main__":
    made = {"expressions": lambda: of_rules() + of_dashboard(), "alerts": alerts, "metrics": metrics}
    made.update(recording=recording, legends=legends, runbook=runbook, tested=tested)
    print("\n".join(made[sys.argv[1]]()))
