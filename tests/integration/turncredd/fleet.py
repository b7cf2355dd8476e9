# SPDX-License-Identifier: BSD-3-Clause
"""The steps of fleet.bats: fleet.py FUNCTION ARGUMENT..."""

import http.client
import json
import os
import pathlib
import ssl
import statistics
import sys
import time

DIR = pathlib.Path(os.environ["TC_DIR"])


def connection(daemon="main"):
    port = int((DIR / "daemons" / daemon / "port").read_text())
    return http.client.HTTPSConnection("127.0.0.1", port, timeout=30,
                                       context=ssl.create_default_context(cafile=DIR / "tls/ca.pem"))


def pushes(count, out):
    """Times of so many pushes, in milliseconds; every one is answered 200."""
    c = connection()
    headers = {"Authorization": f"Bearer {(DIR / 'callers/pcscf').read_text().strip()}", "Content-Type": "application/json"}
    times = []
    for i in range(int(count)):
        begin = time.monotonic()
        c.request("POST", "/v1/realms/turn.test/credentials", json.dumps({"user": f"u{i}", "kind": "pushed"}), headers)
        answer = c.getresponse()
        body = answer.read()
        times.append((time.monotonic() - begin) * 1000)
        assert answer.status == 200, (i, answer.status, body)
    pathlib.Path(out).write_text(json.dumps(times))


def compare(before, after, push_wait):
    """The pushes of after took about as long as those of before; push_wait is what one that waits in vain takes."""
    a, b = (json.loads(pathlib.Path(f).read_text()) for f in (before, after))
    print(f"# two servers: median {statistics.median(a):.1f} ms, worst {max(a):.1f} ms; "
          f"one stopped: median {statistics.median(b):.1f} ms, worst {max(b):.1f} ms")
    assert statistics.median(b) < 4 * statistics.median(a), "not as fast as before"
    assert max(b) < int(push_wait), "one has waited in vain"


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
