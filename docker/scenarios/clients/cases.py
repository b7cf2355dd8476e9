# SPDX-License-Identifier: BSD-3-Clause
"""What the programs of this scenario get from check, and what they give back.

/var/lib/handed-over has: payload, the octets that go through the relay; PROGRAM.json, a list of cases with the members
case, uris, username and password; PROGRAM.out, a JSON text for each case with its name and

  there, back, path   Base64 of what the far end got, and of what came back from there; how the two ends were connected
  refused             the program got no relayed address, and says this
  failed              anything else
"""

import asyncio
import base64
import json
import sys

HANDED = "/var/lib/handed-over"
CHUNK = 1024
SECONDS = 60


def payload():
    with open(f"{HANDED}/payload", "rb") as file:
        return file.read()


def chunks():
    octets = payload()
    return [octets[i : i + CHUNK] for i in range(0, len(octets), CHUNK)]


class Refused(Exception):
    """The server gave no relayed address."""


def relayed(there, back, path):
    there, back = (base64.b64encode(b"".join(pieces)).decode() for pieces in (there, back))
    return {"there": there, "back": back, "path": path}


def run(program, version, call):
    """Makes the call of each case; call is a coroutine function of one case."""
    with open(f"{HANDED}/{program}.json", encoding="utf-8") as file:
        cases = json.load(file)
    with open(f"{HANDED}/{program}.out", "w", encoding="utf-8") as out:
        for case in cases:
            try:
                seen = asyncio.run(asyncio.wait_for(call(case), SECONDS))
            except Refused as why:
                seen = {"refused": str(why)}
            except Exception as why:  # pylint: disable=broad-except
                seen = {"failed": f"{type(why).__name__}: {why}"}
            print(json.dumps({"case": case["case"], **seen}), file=out)
            print(case["case"], next(iter(seen)), seen.get("refused") or seen.get("failed") or "", file=sys.stderr)
    print(version)
