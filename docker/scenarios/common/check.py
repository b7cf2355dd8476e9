# SPDX-License-Identifier: BSD-3-Clause
"""check.bash for checks in Python: the same table, verdict and requests to the runner.

  import sys; sys.path.insert(0, "/opt/common")
  from check import Check
  check = Check()
  check.expect("token over udp", seen == "relayed", seen)     a row: what, whether as expected, what was seen
  check.ask("stop", "database")                               a fault from outside; gives the answer back
  check.conclude()                                            never returns: 0 green, 10 red
An exception that nobody catches ends it with 1: a broken set-up.
"""

import select
import sys
import time


class Refused(RuntimeError):
    """The runner of the scenario could not do the step."""


class Check:
    def __init__(self):
        self.rows = self.red = self.skipped = 0

    def expect(self, what, good, seen=""):
        self.rows += 1
        self.red += not good
        print(f"{'ok' if good else 'FAILED':<7} {what:<56} {' '.join(str(seen).split())[:160]}", flush=True)
        return good

    def skip(self, what, why):
        """A row that cannot be had on this machine."""
        self.skipped += 1
        print(f"{'skipped':<7} {what:<56} {' '.join(str(why).split())[:160]}", flush=True)

    def ask(self, *words, limit=150):
        """Asks the runner for a step; CONTRIBUTING.md has the verbs. By hand: do the step and press Enter."""
        print("runner:", *words, flush=True)
        if not select.select([sys.stdin], [], [], limit)[0]:
            raise TimeoutError(f"nobody answered: {' '.join(words)}")
        answer = sys.stdin.readline().strip()
        if answer and not answer.startswith("done"):
            raise Refused(f"{' '.join(words)}: {answer}")
        return answer.removeprefix("done").strip()

    def expect_log(self, what, service, text):
        """Expects that the log of a service has a line with that text."""
        try:
            return self.expect(what, True, self.ask("log", service, text))
        except Refused as why:
            return self.expect(what, False, why)

    def until(self, seconds, condition):
        """Waits for a condition. Returns its first true value, or None when the time is over."""
        end = time.monotonic() + seconds
        while not (value := condition()):
            if time.monotonic() > end:
                return None
            time.sleep(0.1)
        return value

    def conclude(self):
        if self.rows and not self.red:
            skipped = f", {self.skipped} skipped" if self.skipped else ""
            print(f"green: {self.rows} of {self.rows} as expected{skipped}", flush=True)
            sys.exit(0)
        print(f"red: {self.red} of {self.rows} not as expected", flush=True)
        sys.exit(10)
