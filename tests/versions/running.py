# SPDX-License-Identifier: BSD-3-Clause
"""Programs with a limit and a log, and what tests have said in TAP form."""

import collections
import os
import re
import signal
import subprocess

# said: why it failed or was skipped
Result = collections.namedtuple("Result", "name passed said")

TAP = re.compile(r"^(not )?ok(?: \d+)? (?:- )?(.*?)\s*(?:# skip ?(.*))?$", re.IGNORECASE)


def run(command, log, seconds, environment=None):
    """The exit code, None if the time was over; output is appended to the log."""
    with open(log, "a") as file:
        print("+", *command, file=file, flush=True)
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=dict(os.environ, **(environment or {})),
            start_new_session=True,
        )
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def tail(log, lines=1):
    """The last lines of a log that say something."""
    with open(log, errors="replace") as file:
        return [line.strip() for line in file if line.strip()][-lines:]


def results(text):
    """Of a text in TAP form."""
    found = []
    for line in text.splitlines():
        match = TAP.match(line)
        if match:
            failed, name, skip = match.groups()
            said = None if skip is None else "skipped: " + skip
            found.append(Result(name, not failed and skip is None, said))
        elif line.startswith("#") and found and not found[-1].passed:
            last = found[-1]
            said = f"{last.said}; {line[1:].strip()}" if last.said else line[1:].strip()
            found[-1] = last._replace(said=said)
    return found


def left_running(folder):
    """Ends servers whose program is in that folder; their pids."""
    pids = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{name}/exe").startswith(folder + os.sep):
                os.kill(int(name), signal.SIGKILL)
                pids.append(int(name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return pids
