# SPDX-License-Identifier: BSD-3-Clause
"""The steps of failover.bats: one function each, called by turn_step."""

import http.client
import json
import os
import ssl
import statistics
import subprocess
import threading
import time

from support import DIR, derived, login, run_step, token, wait_until


class Load:
    """Clients that log in, a SIP edge that asks for credentials, and one that pushes; each in a thread."""

    def __init__(self, url):
        self.host = url.removeprefix("https://")
        self.headers = {"Authorization": f"Bearer {(DIR / 'callers/pcscf').read_text().strip()}",
                        "Content-Type": "application/json"}
        self.logins, self.issues, self.pushes = [], [], []  # (when, status or code, name, seconds)
        self.over = threading.Event()
        self.threads = [threading.Thread(target=self.repeat, args=args) for args in (
            (self.log_in, self.logins, 0.01), (self.issue, self.issues, 0.02), (self.push, self.pushes, 0.1))]
        for thread in self.threads:
            thread.start()

    def repeat(self, what, results, pause):
        number = 0
        while not self.over.wait(pause):
            begin = time.monotonic()
            try:
                code, name = what(number)
            except (OSError, http.client.HTTPException, TimeoutError) as error:
                code, name = repr(error), ""
            results.append((begin, code, name, time.monotonic() - begin))
            number += 1

    def ask(self, body):
        c = http.client.HTTPSConnection(self.host, timeout=30,
                                        context=ssl.create_default_context(cafile=DIR / "tls/ca.pem"))
        c.request("POST", "/v1/realms/turn.test/credentials", json.dumps(body), self.headers)
        answer = c.getresponse()
        answer.read()
        c.close()
        return answer.status, body["user"]

    def log_in(self, number):
        credential = derived(f"user{number}") if number % 2 else token()
        return login(credential), credential.username

    def issue(self, number):
        return self.ask({"user": f"issued{number}"})

    def push(self, number):
        return self.ask({"user": f"pushed{number}", "kind": "pushed"})

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join()


LOGINS = int(os.environ.get("TC_LOGINS", "100"))  # while there is no database


def since(results, when, code):
    return [r for r in results if r[0] > when and r[1] == code]


def under_load(url):
    load = Load(url)
    try:
        wait_until(lambda: len(load.logins) > 100 and len(since(load.pushes, 0, 200)) > 10, 30)
        killed = time.monotonic()
        subprocess.run([DIR / "kill"], check=True)
        # the outage has been felt, and goes on for a while
        wait_until(lambda: since(load.pushes, killed, 503), 30)
        felt = time.monotonic()
        wait_until(lambda: len(since(load.logins, felt, 0)) > LOGINS and len(since(load.issues, felt, 201)) > LOGINS // 4, 30 + LOGINS // 20)
        promoted = time.monotonic()
        subprocess.run([DIR / "promote"], check=True, stdout=subprocess.DEVNULL)
        wait_until(lambda: len(since(load.pushes, promoted, 200)) > 10, 30)
        back = since(load.pushes, promoted, 200)[0][0]
    finally:
        load.stop()
    failed = [r for r in load.logins if r[1] != 0]
    refused = [r for r in load.issues if r[1] != 201]
    worst = max(r[3] for r in load.issues)
    print(f"# {len(load.logins)} logins, {len(failed)} failed; {len(load.issues)} credentials issued, {len(refused)} not, "
          f"median {1000 * statistics.median(r[3] for r in load.issues):.0f} ms, worst {1000 * worst:.0f} ms; no database "
          f"for {promoted - killed:.1f} s; a push was in force {back - promoted:.1f} s after the order to promote")
    (DIR / "issued").write_text("".join(f"{r[2]}\n" for r in load.issues if r[1] == 201))
    assert not failed, failed[:5]
    assert not refused, refused[:5]
    # in the outage a push says 503, or 202 where the old primary has taken it and nobody could tell of it
    assert {r[1] for r in load.pushes} <= {200, 202, 503}, {r[1] for r in load.pushes}


if __name__ == "__main__":
    run_step(globals())
