#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The matrix: kinds x transports x policies x states, as a client written from the RFCs sees it.

  matrix.py [--kind K] [--transport T] [--policy P] [--state S] [--json]

Prints one line a row with what was expected, what came, and the clause that asks for it; exit code
1 if any row differs. Environment as in patched.py. The rows run side by side, since most of them
wait for a deadline.
"""

import argparse
import concurrent.futures
import contextlib
import json
import pathlib
import sys
import threading
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import patched  # noqa: E402
import probes  # noqa: E402
import transport  # noqa: E402
import turnclient  # noqa: E402

KINDS = ("token", "derived", "rest", "pushed")
TRANSPORTS = ("udp", "tcp", "tls", "dtls")
POLICIES = ("strict", "grace", "allocate")
STATES = ("valid", "expiring", "expired", "renewed", "revoked", "early", "skewed")

ADDRESSES = {"strict": "127.0.0.1", "grace": "127.0.0.2", "allocate": "127.0.0.3"}
GRACE = 4  # seconds, of the realm with that policy
SHORT = 7  # seconds that an expiring credential lasts when its session begins
MAX_TTL = 3600
AT_ONCE = 24

CLAUSES = {
    "valid": "RFC 8656 7.2, 8.2; RFC 7635 9",
    "expiring": "RFC 7635 9",
    "expired": "RFC 7635 7; draft-uberti-behave-turn-rest 2.2",
    "renewed": "RFC 7635 9; RFC 8656 8.2",
    "revoked": "TS 33.203 X.5; design 5",
    "early": "RFC 7635 7 (Delta); design 4",
    "skewed": "RFC 7635 7 (abs); design 4",
}


class Row:
    """One row of the matrix; see() notes an observation, expected() gives the required ones."""

    def __init__(self, matrix, kind, transport_name, policy, state):
        self.matrix = matrix
        self.kind, self.transport, self.policy, self.state = kind, transport_name, policy, state
        self.realm = matrix.realms[policy]
        self.user = f"{state}-{kind}-{transport_name}-{policy}"
        self.seen = []
        self.trouble = ""
        self.clients, self.peers = [], []
        self.seconds = 0.0

    @property
    def name(self):
        return f"{self.kind}-{self.transport}-{self.policy}-{self.state}"

    def see(self, what, word):
        self.seen.append((what, word))
        return word == "ok"

    def client(self, credential):
        client = self.matrix.client(self.transport, self.policy, credential)
        self.clients.append(client)
        return client

    def credential(self, left):
        """(credential, deadline); the policy's grace is not in it."""
        deadline = int(time.time() + left)
        return self.realm.make(self.kind, self.user, deadline), deadline

    def run(self):
        start = time.monotonic()
        try:
            getattr(self, "run_" + self.state)()
        except Exception:  # noqa: BLE001 - whatever it is belongs to this row
            self.trouble = traceback.format_exc(limit=4)
        finally:
            for client in self.clients:
                with contextlib.suppress(Exception):
                    client.close()
            for peer in self.peers:
                peer.close()
        self.seconds = time.monotonic() - start
        return self

    # --- observations ----------------------------------------------------------------------

    def allocate(self, client, what="login"):
        """Allocates and notes outcome; True if it went well."""
        try:
            response = client.allocate()
        except (turnclient.NoAnswer, turnclient.Unverified, transport.Gone) as error:
            return self.see(what, type(error).__name__)
        self.lifetime = response.number("LIFETIME") if response.ok else None
        return self.see(what, "ok" if response.ok else str(response.code))

    def capped(self, deadline, lifetime, what):
        """strict and grace: LIFETIME is at most the remaining time (RFC 7635 9), and not much less."""
        left = deadline - time.time() + (GRACE if self.policy == "grace" else 0)
        if lifetime is None:
            word = "none"
        elif lifetime <= left + 1:
            word = "capped" if lifetime >= left - 3 else f"short ({lifetime})"
        else:
            word = "long"
        self.see(what, word)

    def peer(self, client):
        peer = turnclient.Peer()
        self.peers.append(peer)
        self.see("permission", probes.outcome(client.create_permission, peer.address))
        return peer

    def flows(self, client, peer, seconds=0.3):
        try:
            return turnclient.relay_once(client, peer, seconds=seconds)
        except transport.Gone:
            return False

    def data(self, client, peer, what, seconds=3):
        flows = self.flows(client, peer, seconds)
        self.see(what, "flows" if flows else "stopped")
        return flows

    def refresh(self, client, what, **options):
        try:
            response = client.refresh(**options)
        except (turnclient.NoAnswer, turnclient.Unverified, transport.Gone) as error:
            self.see(what, type(error).__name__.lower())
            return None
        self.see(what, "ok" if response.ok else str(response.code))
        return response

    def wait(self, until):
        time.sleep(max(0, until - time.time()))

    # --- states ----------------------------------------------------------------------------

    def run_valid(self):
        credential, deadline = self.credential(60)
        client = self.client(credential)
        if not self.allocate(client):
            return
        self.capped(deadline, self.lifetime, "its LIFETIME")
        self.data(client, self.peer(client), "data")
        response = self.refresh(client, "refresh")
        if response is not None and response.ok:
            self.capped(deadline, response.number("LIFETIME"), "its LIFETIME")
        self.refresh(client, "end", lifetime=0)

    def run_expiring(self):
        credential, deadline = self.credential(SHORT)
        client = self.client(credential)
        if not self.allocate(client):
            return
        self.capped(deadline, self.lifetime, "its LIFETIME")
        peer = self.peer(client)
        self.data(client, peer, "data")
        self.wait(deadline - 2.5)
        self.refresh(client, "refresh before the deadline")
        if self.policy == "grace":
            self.wait(deadline + 1.3)
            self.data(client, peer, "data in the grace")
            self.refresh(client, "refresh in the grace")
            deadline += GRACE
        self.wait(deadline + 1.2)
        # on time is measured by test_long_call.py; here a busy machine may take longer
        late = deadline + (1.6 if self.policy == "allocate" else 5)
        while self.flows(client, peer) and time.time() < late:
            pass
        self.data(client, peer, "data after it", seconds=0.4)
        self.refresh(client, "refresh after it")
        if self.policy != "allocate":
            fresh, _ = self.credential(60)
            # a stream ends with its allocation
            if self.seen[-1][1] == "gone":
                client = self.client(fresh)
                client.challenge()
            client.credential = fresh
            self.refresh(client, "refresh with a fresh credential", token=True)
            self.again(client)

    def again(self, client):
        """The same 5-tuple may allocate again; servers hold it for a moment (437)."""
        end = time.monotonic() + 6
        word = "437"
        while word == "437" and time.monotonic() < end:
            time.sleep(0.2)
            word = probes.outcome(client.allocate)
        self.see("allocate again", word)

    def run_expired(self):
        if self.kind == "token":
            credential = self.realm.token(self.user, age=66, lifetime=60)
        else:
            credential, _ = self.credential(-1)
        client = self.client(credential)
        self.allocate(client)

    def run_renewed(self):
        old, deadline = self.credential(SHORT + 5)  # pushing the next one may take a while
        client = self.client(old)
        if not self.allocate(client):
            return
        peer = self.peer(client)
        self.data(client, peer, "data")
        new, later = self.credential(90)
        response = None
        try:
            response = client.renew(new)
            self.see("renewal", "ok" if response.ok else str(response.code))
        except (turnclient.NoAnswer, turnclient.Unverified, transport.Gone) as error:
            self.see("renewal", type(error).__name__.lower())
        if response is None or not response.ok:
            return
        self.capped(later, response.number("LIFETIME"), "its LIFETIME")
        self.wait(deadline + 2 + (GRACE if self.policy == "grace" else 0))
        self.data(client, peer, "data after the first deadline")
        self.refresh(client, "refresh after the first deadline")
        client.credential = old
        self.refresh(client, "refresh with the old one", token=True)
        client.credential = new
        self.refresh(client, "refresh with the new one")
        self.data(client, peer, "data then")

    def run_revoked(self):
        credential, _ = self.credential(120)
        client = self.client(credential)
        if not self.allocate(client):
            return
        peer = self.peer(client)
        self.data(client, peer, "data")
        self.realm.revoke(self.kind, self.user, credential)
        end = time.monotonic() + 5
        while (flows := self.flows(client, peer)) and time.monotonic() < end:
            pass
        self.see("data after the revocation", "flows" if flows else "stopped")
        self.refresh(client, "refresh")
        self.allocate(self.client(credential), "login elsewhere")

    def run_early(self):
        """Clocks that differ by less than the tolerance."""
        now = time.time()
        if self.kind == "token":
            # the issuer's clock is ahead; and expired, but by less than Delta
            self.allocate(self.client(self.realm.token(self.user, now=now + 40)), "40 s ahead")
            late = self.realm.token(self.user, age=62, lifetime=60)
            self.allocate(self.client(late), "2 s late")
            return
        far = now + MAX_TTL + 200 if self.kind != "pushed" else now + MAX_TTL
        self.allocate(self.client(self.realm.make(self.kind, self.user, far)), "far ahead")

    def run_skewed(self):
        """Clocks that differ by more than that."""
        now = time.time()
        if self.kind == "token":
            self.allocate(self.client(self.realm.token(self.user, now=now + 700)), "700 s ahead")
            self.allocate(self.client(self.realm.token(self.user, lifetime=0)), "lifetime 0")
            long = self.realm.token(self.user, lifetime=MAX_TTL + 1)
            self.allocate(self.client(long), "longer than max_ttl")
            return
        if self.kind == "pushed":
            credential = self.realm.make(self.kind, self.user, now - 3600)
            self.allocate(self.client(credential), "an hour late")
            return
        credential = self.realm.make(self.kind, self.user, now + MAX_TTL + 400)
        self.allocate(self.client(credential), "too far ahead")

    # --- the required observations -----------------------------------------------------------------

    def expected(self):
        lifetime = "long" if self.policy == "allocate" else "capped"
        ended = {"401", "gone"} if self.transport != "udp" else {"401"}
        login = [("login", "ok")]
        call = [("permission", "ok"), ("data", "flows")]
        if self.state == "valid":
            return (
                login
                + [("its LIFETIME", lifetime)]
                + call
                + [("refresh", "ok"), ("its LIFETIME", lifetime), ("end", "ok")]
            )
        if self.state == "expiring":
            rows = login + [("its LIFETIME", lifetime)] + call
            rows += [("refresh before the deadline", "ok")]
            if self.policy == "allocate":
                return rows + [("data after it", "flows"), ("refresh after it", "ok")]
            if self.policy == "grace":
                rows += [("data in the grace", "flows"), ("refresh in the grace", "ok")]
            return rows + [
                ("data after it", "stopped"),
                ("refresh after it", ended),
                ("refresh with a fresh credential", "437"),
                ("allocate again", "ok"),
            ]
        if self.state == "expired":
            return [("login", "401")]
        if self.state == "renewed":
            return (
                login
                + call
                + [
                    ("renewal", "ok"),
                    ("its LIFETIME", lifetime),
                    ("data after the first deadline", "flows"),
                    ("refresh after the first deadline", "ok"),
                    ("refresh with the old one", "401"),
                    ("refresh with the new one", "ok"),
                    ("data then", "flows"),
                ]
            )
        if self.state == "revoked":
            return (
                login
                + call
                + [
                    ("data after the revocation", "stopped"),
                    ("refresh", ended),
                    ("login elsewhere", "401"),
                ]
            )
        if self.state == "early":
            if self.kind == "token":
                return [("40 s ahead", "ok"), ("2 s late", "ok")]
            return [("far ahead", "ok")]
        if self.kind == "token":
            names = ("700 s ahead", "lifetime 0", "longer than max_ttl")
            return [(name, "401") for name in names]
        return [("an hour late" if self.kind == "pushed" else "too far ahead", "401")]

    def differences(self):
        """The differences from the required observations: (name, expected, seen)."""
        found = []
        expected = self.expected()
        for at, (what, want) in enumerate(expected):
            seen = self.seen[at] if at < len(self.seen) else (what, "not reached")
            wanted = want if isinstance(want, set) else {want}
            if seen[0] != what or seen[1] not in wanted:
                found.append((what, "/".join(sorted(wanted)), seen[1]))
        if self.trouble:
            found.append(("the row itself", "no exception", self.trouble.strip().splitlines()[-1]))
        return found


class Matrix:
    """Server and realms for all rows."""

    def __init__(self):
        # one realm a listening address; the first is the default one
        more = [ADDRESSES["grace"], ADDRESSES["allocate"]]
        lines = [f"{option}-ip={ip}" for ip in more for option in ("listening", "relay")]
        self.place = patched.Place(lines, tls=True, realm="strict.example")
        self.realms = {}
        self.lock = threading.Lock()
        try:
            for policy in POLICIES:
                columns = {f"expiry_{kind}": policy for kind in KINDS}
                self.realms[policy] = self.place.realm(
                    f"{policy}.example",
                    grace_seconds=GRACE,
                    max_ttl=MAX_TTL,
                    default_ttl=600,
                    listen_addresses=[ADDRESSES[policy]],
                    **columns,
                )
            self.place.start()
        except BaseException:
            self.place.stop()
            raise

    def client(self, kind, policy, credential):
        return self.place.server.client(kind, credential, ip=ADDRESSES[policy])

    def run(self, wanted=lambda row: True):
        rows = [
            Row(self, kind, name, policy, state)
            for state in STATES
            for kind in KINDS
            for policy in POLICIES
            for name in TRANSPORTS
        ]
        rows = [row for row in rows if wanted(row)]
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(Row.run, rows))

    def stop(self):
        self.place.stop()


def table(rows):
    """Lines for people: one for each combination, and one for all transports with the same result."""
    lines = [f"{'kind':8} {'transport':9} {'policy':8} {'state':9} {'':6} observed, clause"]
    for row in rows:
        verdict = "FAIL" if row.differences() else "ok"
        seen = ", ".join(f"{what} {word}" for what, word in row.seen)
        lines.append(
            f"{row.kind:8} {row.transport:9} {row.policy:8} {row.state:9} {verdict:6} {seen}"
            f" [{CLAUSES[row.state]}]"
        )
        for what, want, seen in row.differences():
            lines.append(f"{'':37} ^ {what}: {want} expected, {seen} seen")
    return lines


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, choices in (
        ("kind", KINDS),
        ("transport", TRANSPORTS),
        ("policy", POLICIES),
        ("state", STATES),
    ):
        parser.add_argument(f"--{name}", choices=choices)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    reason = patched.missing()
    if reason:
        print(f"matrix.py: {reason}", file=sys.stderr)
        return 2

    def wanted(row):
        return all(
            getattr(args, name) in (None, getattr(row, name))
            for name in ("kind", "transport", "policy", "state")
        )

    matrix = Matrix()
    try:
        rows = matrix.run(wanted)
    finally:
        matrix.stop()
    bad = [row for row in rows if row.differences()]
    if args.json:
        print(
            json.dumps(
                [
                    {
                        "kind": row.kind,
                        "transport": row.transport,
                        "policy": row.policy,
                        "state": row.state,
                        "clause": CLAUSES[row.state],
                        "seen": row.seen,
                        "differences": row.differences(),
                    }
                    for row in rows
                ],
                indent=1,
            )
        )
    else:
        print("\n".join(table(rows)))
        print(f"{len(rows) - len(bad)} rows as expected, {len(bad)} not")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
