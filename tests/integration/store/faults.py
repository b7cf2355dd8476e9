#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The parts of ./faults in Python: a proxy, a client of the issuer, and the table."""
import asyncio
import base64
import http.client
import json
import os
import pathlib
import ssl
import statistics
import sys
import time
import urllib.parse


def proxy(listen, database, mode):
    """Between server and database: passes, delays ("slow") or keeps ("mute") what comes by."""
    mode = pathlib.Path(mode)

    async def pipe(reader, writer):
        try:
            while data := await reader.read(65536):
                while mode.read_text() == "mute":
                    await asyncio.sleep(0.05)
                if mode.read_text() == "slow":
                    await asyncio.sleep(0.35)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader, writer):
        try:
            r, w = await asyncio.open_unix_connection(database)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pipe(reader, w), pipe(r, writer))

    async def main():
        async with await asyncio.start_unix_server(serve, listen) as server:
            await server.serve_forever()

    asyncio.run(main())


def issue(port, ca, key_file, folder):
    """Asks turncredd for credentials of both kinds, ten times a second, and writes them down for
    turnload until it is ended. Any answer but success ends it."""
    key = pathlib.Path(key_file).read_text().strip()
    basic = base64.b64encode(f"portal:{key}".encode()).decode()
    link = http.client.HTTPSConnection("127.0.0.1", int(port), timeout=30, context=ssl.create_default_context(cafile=ca))
    folder = pathlib.Path(folder)

    def ask(path, body, kind, auth):
        link.request("POST", path, body, {"Authorization": auth, "Content-Type": kind})
        answer = link.getresponse()
        text = answer.read()
        if answer.status not in (200, 201):
            sys.exit(f"{path}: {answer.status} {text.decode(errors='replace')}")
        return " ".join(text.decode().split())

    with open(folder / "token.list", "a") as tokens, open(folder / "derived.list", "a") as derived:
        n = 0
        while True:
            form = urllib.parse.urlencode({"grant_type": "client_credentials", "audience": "turn.test-server", "subject": f"user{n}"})
            print(ask("/oauth2/token", form, "application/x-www-form-urlencoded", f"Basic {basic}"), file=tokens, flush=True)
            body = json.dumps({"user": f"user{n}", "ttl": 3600})
            print(ask("/v1/realms/turn.test/credentials", body, "application/json", f"Bearer {key}"), file=derived, flush=True)
            n += 1
            time.sleep(0.1)


def row(fault, folder, statements, seconds, back):
    """One run: what it showed, to FOLDER/row.json; a line and exit 1 for each thing that must not be."""
    folder, statements, seconds = pathlib.Path(folder), int(statements), float(seconds)
    load = lambda name: json.loads((folder / name).read_text())
    derived, token, calls, control = (load(n) for n in ("derived", "token", "calls", "control"))
    logins = [derived, token]
    wrong = []
    total = lambda name: sum(x[name] for x in logins)
    failed = sum(sum(x["unexpected"].values()) + x["bad_integrity"] + x["malformed"] for x in logins + [calls])
    media = calls["calls"]
    result = {
        "fault": fault, "completed": total("completed"), "refused": total("refused"), "let_in": total("accepted_wrong"),
        "failed": failed, "lost": total("lost"), "login_p99": max(x["login_us"]["p99"] for x in logins) / 1000,
        "broken": media["failed"] + media["silent"], "missing": media["sent"] - media["received"], "sql": statements / seconds,
        "back": float(back), "relay": media["relay_us"], "control": control["calls"]["relay_us"],
        "lag": max(calls["loop_lag_us"], control["loop_lag_us"]) / 1000,
    }
    if result["completed"] < 10 * seconds:
        wrong.append(f"only {result['completed']} logins in {seconds:.0f} s")
    for name in ("let_in", "failed", "lost", "broken"):
        if result[name]:
            wrong.append(f"{result[name]} {name}: {[x['unexpected'] for x in logins + [calls]]}")
    if not control["ok"]:
        wrong.append("the calls of the server without module broke, too")
    # polls and reports: some in every second and for every change, none for a login
    if result["sql"] > 25 + (300 / seconds if fault == "rotate" else 0):
        wrong.append(f"{result['sql']:.0f} statements a second")
    if fault == "disable":
        wrong += sum((doomed(folder, kind, load, result) for kind in ("token", "derived")), [])
    if fault == "rotate":
        kids = {json.loads(line)["kid"] for line in (folder / "token.list").open() if line.endswith("\n")}
        if len(kids) != 4:
            wrong.append(f"three rotations, but the issuer signed with {sorted(kids)}")
    (folder / "row.json").write_text(json.dumps(result))
    for line in wrong:
        print(f"{fault}: {line}")
    sys.exit(bool(wrong))


def doomed(folder, kind, load, result):
    """What is wrong with how the disabled key of this kind ended; to the result, how long it was accepted."""
    at = lambda name: float((folder / name).read_text())
    begun, done, in_force = at(f"disabling-{kind}"), at(f"disabled-{kind}"), at("in-force")
    name = f"doomed-{kind}"
    seen = load(name)
    last, first = seen["last_login_at"], seen["first_refusal_at"]
    if not last or not first or seen["unexpected"] or seen["lost"]:
        return [f"{name}: was not both let in and refused: {seen}"]
    if first < begun:
        return [f"{name}: refused {begun - first:.3f} s before the key was disabled"]
    if last > in_force:
        return [f"{name}: let in {last - in_force:.3f} s after the server had said that this is in force"]
    # the commit is somewhere inside the command; from there one second is promised, to which a busy machine adds
    if last > done + float(os.environ.get("PATIENCE", "1")):
        return [f"{name}: let in {last - done:.3f} s after the command had ended ({in_force - done:.3f} s: in force)"]
    result["ended"] = max(result.get("ended", 0), last - begun)
    return []


FIGURES = ("p50", "p99", "p999", "max")


def middle(values):
    return statistics.median(values)


def table(folder):
    """All runs, by fault: sums, medians of the runs' figures, and whether what the relay takes is inside
    the spread of the runs in which nothing fails."""
    runs = {}
    for file in sorted(pathlib.Path(folder).glob("*/*/row.json"), key=lambda p: p.stat().st_mtime_ns):
        one = json.loads(file.read_text())
        runs.setdefault(one["fault"], []).append(one)
    ratio = lambda one, figure: one["relay"][figure] / max(1, one["control"][figure])
    print("fault    runs  logins refused let-in failed lost login-p99 calls  datagr. SQL/s back-in |"
          "  relay ms (server with module / without)            | p99, p99.9 and worst as without a fault?")
    print("                       (401)                          ms  broken  lost            s    |"
          "     p50          p99         p99.9        worst     | (ratio of the two)")
    for fault, some in runs.items():
        total = lambda name: sum(one[name] for one in some)
        mid = lambda name: middle([one[name] for one in some])
        cells = "".join(f" {middle([o['relay'][f] for o in some]) / 1000:5.2f}/{middle([o['control'][f] for o in some]) / 1000:<6.2f}"
                        for f in FIGURES)
        print(f"{fault:8} {len(some):4} {total('completed'):7} {total('refused'):7} {total('let_in'):6} {total('failed'):6}"
              f" {total('lost'):4} {mid('login_p99'):9.1f} {total('broken'):6} {total('missing'):6} {mid('sql'):5.1f} {mid('back'):6.1f}"
              f"  | {cells} | {verdict(some, runs.get('none', []), ratio)}")
    ended = [one["ended"] for one in runs.get("disable", []) if "ended" in one]
    if ended:
        print(f"disable: the last login under the key was sent {1000 * max(ended):.0f} ms after the command began, at the latest")


def verdict(some, without, ratio):
    """Outside: the median is above every run without a fault, by itself and beside the other server, which
    does better. Fewer than four runs without a fault say nothing."""
    words, outside = [], False
    for figure in FIGURES[1:]:
        beside = middle([ratio(one, figure) for one in some])
        alone = middle([one["relay"][figure] for one in some])
        words.append(f"{beside:.2f}")
        outside |= bool(without) and beside > max([1] + [ratio(one, figure) for one in without]) \
            and alone > max(one["relay"][figure] for one in without)
    if not without or some is without:
        spread = [[ratio(one, figure) for one in some] for figure in FIGURES[1:]]
        return "    " + " ".join(f"{middle(s):.2f} ({min(s):.2f}-{max(s):.2f})" for s in spread)
    return ("-   " if len(without) < 4 else "NO  " if outside else "yes ") + " ".join(words)


if __name__ == "__main__":
    {"proxy": proxy, "issue": issue, "row": row, "table": table}[sys.argv[1]](*sys.argv[2:])
