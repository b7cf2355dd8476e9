#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The parts of ./soak in Python.

  soak.py run FOLDER MINUTES RATE   issues credentials, runs turnload with them, revokes users, samples the programs
  soak.py judge FOLDER MINUTES      the verdict, as result.json and result.txt
"""
import base64
import collections
import http.client
import json
import os
import pathlib
import re
import ssl
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse

import support

DIR = support.DIR
KINDS = ("token", "derived", "rest", "pushed")
SEGMENT = 30  # seconds of one turnload; a credential is used for 40 s at most, and lives for 90 s
RECENT = 10  # seconds; credentials with which a segment begins
OUTAGE = 20  # seconds after a restart of the database in which what needs it may still fail


class Issuer:
    """One caller of turncredd. A connection that a reload closed is opened again once."""

    def __init__(self):
        self.port = int((DIR / "daemons/main/port").read_text())
        self.key = (DIR / "callers/portal").read_text().strip()
        self.tls = ssl.create_default_context(cafile=DIR / "tls/ca.pem")
        self.link = None

    def ask(self, method, path, body, headers):
        for last in (False, True):
            try:
                if not self.link:
                    self.link = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self.tls)
                self.link.request(method, path, body, headers)
                answer = self.link.getresponse()
                return answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                self.link.close()
                self.link = None
                if last:
                    raise
        return None

    def issue(self, kind, user):
        """Status and answer."""
        if kind == "token":
            basic = base64.b64encode(f"portal:{self.key}".encode()).decode()
            form = {"grant_type": "client_credentials", "audience": "turn.test-server", "subject": user}
            status, text = self.ask("POST", "/oauth2/token", urllib.parse.urlencode(form),
                                    {"Authorization": f"Basic {basic}", "Content-Type": "application/x-www-form-urlencoded"})
        else:
            status, text = self.ask("POST", "/v1/realms/turn.test/credentials", json.dumps({"user": user, "kind": kind}),
                                    {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"})
        return status, json.loads(text)


class Run:
    def __init__(self, folder, minutes, rate):
        self.out = pathlib.Path(folder)
        self.begin = time.monotonic()
        self.end = self.begin + 60 * float(minutes)
        self.rate = float(rate)
        self.lock = threading.Lock()
        self.recent = {kind: collections.deque() for kind in KINDS}
        self.lists = {}
        self.reported = 0
        self.samples, self.issues, self.victims, self.problems = [], collections.Counter(), [], []
        self.loads = {kind: collections.Counter() for kind in KINDS + ("calls",)}
        self.first = threading.Event()

    def left(self):
        return self.end - time.monotonic()

    def problem(self, what, **more):
        with self.lock:
            self.problems.append({"at": time.time(), "what": what, **more})

    # --- issuing -------------------------------------------------------------------------------------------

    def issue_on(self):
        """Each kind twice a second."""
        issuer, n = Issuer(), 0
        while self.left() > 0:
            for kind in KINDS:
                # pushing again replaces the password, so each pushed user is a new one
                user = f"pushed{n}" if kind == "pushed" else f"user{n % 500}"
                try:
                    status, answer = issuer.issue(kind, user)
                except (OSError, http.client.HTTPException) as e:
                    self.problem("issue", kind=kind, text=repr(e))
                    continue
                self.issues[f"{kind} {status}"] += 1
                if status not in (200, 201):
                    self.problem("issue", kind=kind, status=status, text=json.dumps(answer))
                else:
                    self.use(kind, json.dumps(answer))
            n += 1
            self.first.set()
            time.sleep(0.5)

    def use(self, kind, line):
        with self.lock:
            recent, now = self.recent[kind], time.monotonic()
            recent.append((now, line))
            while recent[0][0] < now - RECENT:
                recent.popleft()
            if kind in self.lists:
                print(line, file=self.lists[kind], flush=True)

    # --- load ----------------------------------------------------------------------------------------------

    def load_on(self):
        self.first.wait(60)
        server = f"127.0.0.1:{support.port('main')}"
        turnload = os.path.join(os.environ["TC_BUILD"], "tests/bench/turnload")
        number = 0
        while self.left() > 2:
            seconds = min(SEGMENT, self.left())
            common = [turnload, "--server", server, "--seconds", f"{seconds:.1f}", "--json"]
            running = {}
            with self.lock:
                for kind in KINDS:
                    if not self.recent[kind]:
                        self.problems.append({"at": time.time(), "what": "nothing to log in with", "kind": kind})
                        continue
                    path = self.out / f"{kind}.list"
                    path.unlink(missing_ok=True)
                    self.lists[kind] = path.open("w")
                    for _, line in self.recent[kind]:
                        print(line, file=self.lists[kind], flush=True)
                    running[kind] = common + ["--list", path, "--follow", "--rate", str(self.rate / len(KINDS)), "--wrong", "0.1"]
                (self.out / "calls.list").write_text("".join(f"{self.recent[k][-1][1]}\n" for k in KINDS if self.recent[k]))
            running["calls"] = common + ["--list", self.out / "calls.list", "--calls", "8", "--count", "0"]
            running = {k: subprocess.Popen(v, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for k, v in running.items()}
            for kind, process in running.items():
                text, err = process.communicate()
                self.count(kind, process.returncode, text, err)
            number += 1

    def count(self, kind, rc, text, err):
        if rc:
            self.problem("load", kind=kind, rc=rc, text=(text or err).decode(errors="replace")[:2000])
        if rc > 1:
            return
        result, total = json.loads(text), self.loads[kind]
        for name in ("started", "completed", "refused", "accepted_wrong", "lost", "retransmits", "bad_integrity", "malformed"):
            total[name] += result[name]
        total["unexpected"] += sum(result["unexpected"].values())
        total["seconds"] += result["seconds"]
        total["login_p99_us_worst"] = max(total["login_p99_us_worst"], result["login_us"]["p99"])
        for name in ("established", "failed", "silent", "sent", "received"):
            total[f"calls_{name}"] += result["calls"][name]
        total["loop_lag_us_worst"] = max(total["loop_lag_us_worst"], result["loop_lag_us"])

    # --- revocation ----------------------------------------------------------------------------------------

    def revoke_on(self):
        issuer, n = Issuer(), 0
        while self.left() > 20:
            begun = time.monotonic()
            kind, user = ("token", "derived", "pushed")[n % 3], f"victim{n}"
            try:
                self.revoke(issuer, kind, user)
            except Exception as e:  # whatever it was, the judge asks for a reason
                self.problem("revocation", kind=kind, user=user, text=repr(e))
            n += 1
            time.sleep(max(0, begun + 15 - time.monotonic()))

    def revoke(self, issuer, kind, user):
        status, answer = issuer.issue(kind, user)
        assert status in (200, 201), f"issue {status} {answer}"
        credential = support.credentials.Credential.from_json(json.dumps(answer))
        c = support.client(credential, name="main")
        try:
            response = c.allocate()
            assert response.ok, f"login {response.code}"
            revoked = subprocess.run([os.environ["TC_CTL"], "revoke", "user", "turn.test", user, "--wait", "5s"],
                                     capture_output=True, text=True)
            assert revoked.returncode == 0, f"turncredctl revoke: {revoked.returncode} {revoked.stderr} {revoked.stdout}"
            since = time.monotonic()
            while (code := c.refresh(600).code) == 0:
                assert time.monotonic() - since < 5, "the session lives on"
                time.sleep(0.05)
            assert code in (401, 437, 441), f"refresh {code}"
            ended = time.monotonic() - since
        finally:
            c.close()
        code = support.login(credential, name="main")
        assert code == 401, f"login after the revocation: {code}"
        forgotten = subprocess.run([os.environ["TC_CTL"], "user", "forget", "turn.test", user], capture_output=True, text=True)
        assert forgotten.returncode == 0, f"turncredctl user forget: {forgotten.returncode} {forgotten.stderr}"
        self.victims.append({"kind": kind, "code": code, "ended": ended})

    # --- usage ---------------------------------------------------------------------------------------------

    def usage_on(self):
        """The most sessions at once of which the database has an interim report."""
        while self.left() > 0:
            # without an answer while the database restarts
            told = subprocess.run(["psql", "-XqAtc", "SELECT count(*) FROM turncred.session_live WHERE last_seen > started_at AND sent_octets > 0"],
                                  capture_output=True, text=True)
            self.reported = max(self.reported, int(told.stdout or 0))
            time.sleep(min(2, max(0.1, self.left())))

    # --- samples -------------------------------------------------------------------------------------------

    def sample_on(self):
        pids = {"turnserver": DIR / "servers/main/pid", "turncredd": DIR / "daemons/main/pid"}
        start = time.monotonic()
        while self.left() > 0:
            row = {"t": round(time.monotonic() - start, 1)}
            for name, file in pids.items():
                try:
                    proc = pathlib.Path("/proc") / file.read_text().strip()
                    status = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
                    row[name] = {"rss_kb": int(status["VmRSS"].split()[0]), "threads": int(status["Threads"]),
                                 "fds": len(os.listdir(proc / "fd")), "cpu": cpu_seconds(proc)}
                except (OSError, KeyError) as e:
                    self.problem("gone", program=name, text=repr(e))
            self.samples.append(row)
            (self.out / "samples.json").write_text(json.dumps(self.samples))
            time.sleep(min(10, max(0.1, self.left())))

    def go(self):
        threads = [threading.Thread(target=t, daemon=True) for t in (self.issue_on, self.load_on, self.revoke_on, self.usage_on, self.sample_on)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(max(0, self.left()) + 120)
            if t.is_alive():
                self.problem("hang", thread=t.name)
        (self.out / "run.json").write_text(json.dumps({
            "seconds": time.monotonic() - self.begin, "loads": self.loads, "issues": self.issues, "victims": self.victims, "reported": self.reported,
            "problems": self.problems}, indent=1))


def cpu_seconds(proc):
    words = (proc / "stat").read_text().rsplit(")", 1)[1].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


# --- the verdict -------------------------------------------------------------------------------------------

DATABASE = r"(server closed the connection unexpectedly|connection to server on socket .* failed: .*(server closed the connection unexpectedly|No such file or directory|starting up|shutting down|not yet accepting connections)|terminating connection due to .*)( \(.*\))?"
START = r"^(\S+: )? *(%s)" % "|".join([
    "log file opened", "(Listener|Relay) address to use", "$", "=+", "RFC 3489", "Version Coturn", "Max number of open files", "Due to the open files",
    "max supported number of TURN", ".*Show him the instruments", "D?TLS (1.2 )?supported", "TURN/STUN ALPN supported", "Third-party authorization",
    "GCM \\(AEAD\\) supported", "OpenSSL compile-time version", "(SQLite|Redis|PostgreSQL|MySQL) supported", "MongoDB is not supported",
    "Default Net Engine version", "Domain name:", "Default realm:", "CONFIG WARNING: allow_loopback_peers", "WARNING: I cannot support STUN CHANGE_REQUEST",
    "Wait for relay ports initialization", "  relay ", "Relay ports initialization done", "IO method", "turn server id=", "Total General servers",
    "pid file created", "auth-module: turncred .* (loaded from|started, the only authentication)", "socket: Protocol not supported"])
EXPLAINED = {  # of each log: what a line says, and why it is there
    "turnserver": [
        (r"auth-module: refused .* reason=integrity_mismatch", "a login with a wrong key (50 lines a second at most)"),
        (r'auth-module: refused .* user="(victim|[^"/]*/).* reason=(revoked|unknown_user)|auth-module: refused .* method=REFRESH .* reason=unknown_user', "a revoked user tries again"),
        (r"session \d+: user <[^>]*>: closed by the authentication module, reason=revoked", "a session ended by a revocation"),
        (r"Trying to bind fd \d+ to <.*>: errno=98", "coturn tries the next relay port: the first one is another program's"),
        (r"auth-module: turncred: (reading keys and the database again|loaded: .* 0 rows refused)$|auth-module: reload: done|Reloading TLS certificates", "a reload, or a load after a restart of the database"),
        (r"auth-module: turncred: database: " + DATABASE + "; what is loaded stays in use$", "the database restarts"),
        (r"auth-module: turncred: usage: (FATAL: terminating connection due to [^;]*; )?" + DATABASE + "; the journal keeps what has happened$", "the database restarts"),
        (r"auth-module: turncred: (database: connected again|usage: the journal is being delivered again)$", "the database is back"),
        (START, "a start of turnserver, or SIGHUP"),
    ],
    "turnserver.output": [
        (r"^bind: Address already in use$", "coturn tries the next relay port: the first one is another program's"),
        (START, "a start of turnserver"),
    ],
    "turncredd": [
        (r"^turncredd: (loaded: .* 0 rows refused|callers: 1|version .* serves .*|stopping: .*)$", "a start, a load, a stop"),
        (r"^turncredd: (settings, keys and certificates have been read again|the last connection with the old certificate has ended)$", "a reload"),
        (r"^turncredd: warning: database: " + DATABASE + "; (what is loaded stays in use|issuing goes on, .*|pushes are answered with 503)$", "the database restarts"),
        (r"^turncredd: database: (connected again|the journal is being delivered again)$", "the database is back"),
    ],
    "postgresql": [
        (r"LOG:  (starting PostgreSQL|listening on Unix socket|database system (is|was) |received (fast|immediate) shutdown|shutting down|aborting any active"
         r"|background worker|redo (starts|done)|invalid record length|checkpoint (starting|complete)|received SIGHUP|could not send data to client: Broken pipe"
         r"|all server processes terminated|unexpected EOF on client)|automatic recovery in progress", "PostgreSQL restarts, recovers, and writes checkpoints"),
        (r"FATAL:  (the database system is (shutting down|starting up|not yet accepting connections)|terminating connection due to|connection to client lost)"
         r"|DETAIL:  Consistent recovery state has not been", "PostgreSQL ends connections while it restarts"),
        (r"(WARNING:  terminating connection because of crash|DETAIL:  The postmaster has commanded|HINT:  In a moment you should be able)", "PostgreSQL ends connections while it restarts"),
    ],
}


def explain(name, text, counts, unexplained):
    for line in text.splitlines():
        for pattern, why in EXPLAINED[name]:
            if re.search(pattern, line):
                counts[f"{name}: {why}"] += 1
                break
        else:
            shape = re.sub(r"\d+", "N", line)[:160]
            entry = unexplained.setdefault(f"{name}: {shape}", {"count": 0, "example": line[:400]})
            entry["count"] += 1


def flat(samples, program, figure):
    """Medians of the second and of the last quarter, growth in % and an hour."""
    values = [(s["t"], s[program][figure]) for s in samples if program in s]
    end = values[-1][0]
    second = statistics.median(v for t, v in values if end / 4 <= t < end / 2)
    last = statistics.median(v for t, v in values if t >= end * 3 / 4)
    hours = end / 2 / 3600
    return {"first": values[0][1], "second_quarter": second, "last_quarter": last, "max": max(v for _, v in values),
            "growth_percent": round(100 * (last / second - 1), 2) if second else 0, "growth_an_hour": round((last - second) / hours, 1)}


def near(events, at, what="restart", after=OUTAGE):
    return any(e["what"] == what and e["from"] - 1 <= at <= e["to"] + after for e in events)


def usage_faults(usage, logins):
    """What is wrong with the rows of sessions, each of which had a login."""
    bad = [f"{usage[name]} sessions {what}" for name, what in (("living", "live on in the database"), ("twice", "have two rows"))
           if usage[name]]
    if usage["rows"] < logins:
        bad.append(f"{usage['rows']} rows of sessions after {logins} logins")
    if not usage["reported"]:
        bad.append("no interim report of a session")
    if (usage["why"] or {}).get("lost"):
        bad.append(f"{usage['why']['lost']} sessions are lost, though no server was killed")
    return bad


def judge(folder, minutes):
    out = pathlib.Path(folder)
    run, samples = json.loads((out / "run.json").read_text()), json.loads((out / "samples.json").read_text())
    events = [json.loads(line) for line in (out / "events").read_text().splitlines()] if (out / "events").exists() else []
    bad = []
    counts, unexplained = collections.Counter(), {}
    for name in EXPLAINED:
        explain(name, (out / (name if "." in name else f"{name}.log")).read_text(errors="replace"), counts, unexplained)
    for shape, entry in unexplained.items():
        bad.append(f"unexplained line, {entry['count']} times: {entry['example']}")
    steady = float(minutes) >= 5  # sessions are fewer at first
    memory = {p: {f: flat(samples, p, f) for f in ("rss_kb", "fds", "threads")} for p in ("turnserver", "turncredd")}
    for program, figures in memory.items():
        rss = figures["rss_kb"]
        if float(minutes) >= 20 and rss["last_quarter"] > rss["second_quarter"] * 1.03 + 1024:
            bad.append(f"{program}: memory grows: {rss}")
        for figure in ("fds", "threads"):
            if steady and figures[figure]["last_quarter"] > figures[figure]["second_quarter"] + 2:
                bad.append(f"{program}: {figure} grow: {figures[figure]}")
    explained = collections.Counter()
    for p in run["problems"]:
        pushed = p.get("kind") == "pushed" or p["what"] == "revocation"
        if p["what"] in ("issue", "revocation") and pushed and near(events, p["at"]):
            explained[f"{p['what']} {p.get('kind')} while the database restarted"] += 1
        else:
            bad.append(f"{p}")
    for e in events:
        # by design: servers try only so many keys of a kind, and the remedy names the time
        if e["what"] == "rotate" and e["rc"] == 1 and "servers try no more" in e["said"] and "complete        yes" in e["said"]:
            explained["rotations of derived or REST keys refused, since servers try no more keys"] += 1
        elif e["rc"] and not (e["what"] != "restart" and any(
                r["what"] == "restart" and r["from"] - 1 <= e["to"] and e["from"] <= r["to"] + OUTAGE for r in events)):
            bad.append(f"{e['what']} failed: {e['said'][-500:]}")
        elif e["rc"]:
            explained[f"{e['what']} while the database restarted"] += 1
    sums = collections.Counter()
    for kind in KINDS:
        sums.update({k: v for k, v in run["loads"][kind].items() if not k.endswith("_worst") and k != "seconds"})
    for name in ("accepted_wrong", "lost", "bad_integrity", "malformed", "unexpected"):
        if sums[name]:
            bad.append(f"{sums[name]} {name}")
    seconds = run["seconds"]
    usage = dict(json.loads((out / "usage.json").read_text()), reported=run["reported"])
    bad += usage_faults(usage, sums["completed"])
    if not sums["completed"] or not sums["refused"] or not run["victims"]:
        bad.append("a part of the load did nothing")
    happened = collections.Counter(e["what"] for e in events)
    result = {
        "verdict": "bad" if bad else "good", "bad": bad, "minutes": round(seconds / 60, 1),
        "sessions": sums["started"], "sessions_a_second": round(sums["started"] / seconds, 1), "logins": sums["completed"],
        "wrong_refused": sums["refused"], "sums": sums, "loads": run["loads"], "issued": run["issues"],
        "revocations": len(run["victims"]), "revoked_session_ended_worst_s": round(max((v["ended"] for v in run["victims"]), default=0), 3),
        "usage": usage, "events": happened, "explained": explained, "memory": memory, "log_lines": counts,
        "cpu_seconds": {p: samples[-1][p]["cpu"] - samples[0][p]["cpu"] for p in memory if p in samples[-1]},
    }
    (out / "result.json").write_text(json.dumps(result, indent=1) + "\n")
    text = report(result)
    (out / "result.txt").write_text(text)
    print(text, end="")
    return not bad


def report(r):
    lines = [f"soak: {r['verdict']}; {r['minutes']} minutes, {r['sessions']} sessions ({r['sessions_a_second']} a second):"
             f" {r['logins']} logged in, {r['wrong_refused']} with a wrong key refused",
             f"issued: {', '.join(f'{k} {v}' for k, v in sorted(r['issued'].items()))} (HTTP status, number)",
             f"events: {', '.join(f'{k} {v}' for k, v in sorted(r['events'].items()))}; {r['revocations']} users revoked,"
             f" the last session ended {r['revoked_session_ended_worst_s']} s after the command",
             f"usage: {r['usage']['rows']} sessions have a row ({', '.join(f'{k} {v}' for k, v in sorted((r['usage']['why'] or {}).items()))}),"
             f" {r['usage']['reported']} at once had an interim report", ""]
    lines.append(f"{'program':12} {'figure':8} {'first':>9} {'2nd quarter':>12} {'last quarter':>12} {'max':>9} {'growth %':>9} {'an hour':>9}")
    for program, figures in r["memory"].items():
        for figure, f in figures.items():
            lines.append(f"{program:12} {figure:8} {f['first']:9} {f['second_quarter']:12} {f['last_quarter']:12} {f['max']:9}"
                         f" {f['growth_percent']:9} {f['growth_an_hour']:9}")
    lines += ["", "log lines, explained:"] + [f"{n:10} {what}" for what, n in sorted(r["log_lines"].items())]
    if r["explained"]:
        lines += ["", "what did not succeed, and why not:"] + [f"{n:10} {what}" for what, n in r["explained"].items()]
    if r["bad"]:
        lines += ["", "BAD:"] + r["bad"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    if sys.argv[1] == "run":
        Run(*sys.argv[2:5]).go()
    else:
        sys.exit(0 if judge(*sys.argv[2:4]) else 1)
