#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""serving.py KEY-FILE AUTHORITY OUT - what clients of turn1.example.org and issuer1.example.org see while something happens

Until SIGTERM a call sends a datagram to its peer and back ten times a second and refreshes three times a second; a portal asks
turncredd for a token and a derived credential, again and again; each of them logs in at once. A request that nobody took
(the connection was refused, or one that was idle is closed) is asked again, as a portal does; one that was taken must be
answered. OUT gets the counts as JSON, twice a second and at the end.
"""

import base64
import collections
import http.client
import json
import os
import signal
import socket
import ssl
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../tests/conformance"))

import credentials  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402

SERVER = (socket.gethostbyname("turn1.example.org"), 3478)
ISSUER = "issuer1.example.org"
over = threading.Event()
counts = collections.Counter()
faults = []


def fault(what, text):
    counts[what] += 1
    if len(faults) < 20:
        faults.append(f"{time.strftime('%H:%M:%S')} {what}: {text}")


def client(credential):
    return turnclient.Client(transport.connect("udp", SERVER), credential)


class Portal:
    """Asks turncredd over a connection that it keeps."""

    def __init__(self, key, authority):
        self.key, self.tls = key, ssl.create_default_context(cafile=authority)
        self.connection, self.users = None, 0

    def ask(self, path, headers, body):
        while not over.is_set():
            if self.connection is None:
                try:
                    self.connection = http.client.HTTPSConnection(ISSUER, 8443, context=self.tls, timeout=30)
                    self.connection.connect()
                except OSError:
                    self.connection = None
                    counts["issuer away"] += 1
                    over.wait(0.05)
                    continue
                kept = False
            else:
                kept = True
            try:
                self.connection.request("POST", path, body, headers)
                answer = self.connection.getresponse()
                text = answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.connection = None
                # a server may close a connection that is idle: nothing of this request was taken then
                if kept and isinstance(error, (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError)):
                    counts["issuer closed an idle connection"] += 1
                else:
                    fault("unanswered", f"{path}: {error!r}")
                continue
            if answer.getheader("Connection") == "close":
                self.connection = None
            if answer.status in (200, 201):
                return json.loads(text)
            fault("refused by the issuer", f"{path}: {answer.status} {text[:200]}")
            over.wait(0.1)
        return None

    def token(self):
        self.users += 1
        proof = base64.b64encode(f"portal:{self.key}".encode()).decode()
        form = {"grant_type": "client_credentials", "audience": "turn.example.org", "scope": "stun", "subject": f"loop-{self.users}"}
        return self.ask("/oauth2/token", {"Authorization": f"Basic {proof}", "Content-Type": "application/x-www-form-urlencoded"},
                        urllib.parse.urlencode(form))

    def derived(self):
        return self.ask("/v1/realms/example.org/credentials", {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
                        json.dumps({"user": f"loop-{self.users}", "ttl": 600}))


def log_in(credential, what="login"):
    """An allocation and its end; what goes wrong is counted. Returns whether the client is in."""
    turn = client(credential)
    try:
        turnclient.need("allocate", turn.allocate(600))
        turnclient.need("delete", turn.refresh(0))
        counts[f"{what}s"] += 1
        return True
    except (turnclient.NoAnswer, transport.Gone, OSError) as error:
        fault("server away", f"{what}: {error!r}")
    except turnclient.Refusal as refusal:
        # coturn keeps a 5-tuple for a second, and the kernel may give its port out again
        if refusal.code == turnclient.GONE:
            counts["port held"] += 1
        elif refusal.code == 500:
            fault("no decision", f"{what}: {refusal}")
        else:
            fault("refused by the server", f"{what}: {refusal}")
    except (turnclient.Unverified, turnclient.stun.Malformed) as error:
        fault("malformed", f"{what}: {error!r}")
    finally:
        turn.close()
    return False


def portal_loop(portal):
    while not over.is_set():
        token, derived = portal.token(), portal.derived()
        if not derived:
            break
        counts["tokens"] += token is not None
        counts["credentials"] += 1
        log_in(credentials.Credential.from_json(json.dumps(token)), "token login")
        log_in(credentials.Credential.from_json(json.dumps(derived)))
        over.wait(0.05)


def call(credential):
    turn, peer = client(credential), turnclient.Peer(SERVER[0])
    try:
        turnclient.need("allocate", turn.allocate(600))
        turnclient.need("permission", turn.create_permission(peer.address))
        turnclient.need("channel", turn.channel_bind(0x4000, peer.address))
        counts["call began"] += 1
        refreshed = time.monotonic()
        while not over.is_set():
            counts["datagrams"] += 1
            if not turnclient.relay_once(turn, peer, 0x4000):
                fault("datagrams lost", "there and back")
            if time.monotonic() - refreshed > 0.3:
                turnclient.need("refresh", turn.refresh(600))
                counts["refreshes"] += 1
                refreshed = time.monotonic()
            over.wait(0.1)
        turnclient.need("delete", turn.refresh(0))
    except (turnclient.Refusal, turnclient.NoAnswer, transport.Gone, OSError) as error:
        fault("call ended", repr(error))
    finally:
        turn.close()
        peer.close()


def main(key_file, authority, out):
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    with open(key_file, encoding="utf-8") as file:
        portal = Portal(json.load(file)["key"], authority)
    first = credentials.Credential.from_json(json.dumps(portal.derived()))
    threads = [threading.Thread(target=call, args=(first,)), threading.Thread(target=portal_loop, args=(portal,))]
    for thread in threads:
        thread.start()

    def write():
        with open(f"{out}.new", "w", encoding="utf-8") as file:
            json.dump({**counts, "faults": faults}, file, indent=1)
        os.replace(f"{out}.new", out)

    while not over.wait(0.5):
        write()
    for thread in threads:
        thread.join()
    write()


if __name__ == "__main__":
    main(*sys.argv[1:])
