# SPDX-License-Identifier: BSD-3-Clause
"""Observations of a client: each probe sends something to a server and returns the answer in a word.

The same probes run against an unpatched and a patched turnserver; the tests say what each of them
has to answer, so that the difference is a fact. An outcome is "ok" or the STUN error code in words
such as "401"; "unverified" is an answer whose MESSAGE-INTEGRITY the whole key does not match,
"silent" is no answer.
"""

import contextlib
import time

import stun
import transport
import turnclient
from stun import Attribute, Integrity

TRANSPORT = Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))


def outcome(function, *arguments, **options):
    """Calls a method of a Client and puts its answer into a word."""
    try:
        response = function(*arguments, **options)
    except turnclient.NoAnswer:
        return "silent"
    except turnclient.Unverified:
        return "unverified"
    except transport.Gone:
        return "gone"
    return "ok" if response.ok else str(response.code)


def login(server, credential, kind="udp", **options):
    """One Allocate from an address of its own."""
    client = server.client(kind, credential)
    try:
        return outcome(client.allocate, **options)
    finally:
        with contextlib.suppress(transport.Gone, turnclient.NoAnswer, turnclient.Unverified):
            if client.relayed:
                client.refresh(0)
        client.close()


def login_token_after_integrity(server, credential):
    """Sends ACCESS-TOKEN after MESSAGE-INTEGRITY, where the server must ignore it (RFC 8489 14.5)."""
    client = server.client("udp", credential)
    try:
        client.challenge()
        key = client.key()
        raw = stun.build(
            "ALLOCATE",
            [
                TRANSPORT,
                Attribute("USERNAME", credential.username),
                Attribute("REALM", client.realm),
                Attribute("NONCE", client.nonce),
                Integrity(key, credential.key_octets),
                Attribute("ACCESS-TOKEN", credential.token),
            ],
        )
        return outcome(client.exchange, raw, key)
    finally:
        client.close()


def spoof(client, attributes, method="ALLOCATE"):
    """Sends one packet of an attacker from the client's address, and discards the answer."""
    other = client.transport.spoofer()
    try:
        raw = stun.build(method, attributes)
        other.sendto(raw, client.transport.server)
        end = time.monotonic() + 2
        while time.monotonic() < end:
            octets = client.transport.recv(0.2)
            if octets and octets[8:20] == raw[8:20]:
                return stun.Message(octets)
        return None
    finally:
        other.close()


def poison_before_login(server, credential):
    """One spoofed packet with another USERNAME between the challenge and the client's login."""
    client = server.client("udp", credential, share_port=True)
    try:
        client.challenge()
        spoof(
            client,
            [
                TRANSPORT,
                Attribute("USERNAME", "mallory"),
                Attribute("REALM", client.realm),
                Attribute("NONCE", "guessed"),
                Integrity(b"no key at all"),
            ],
        )
        return outcome(client.allocate)
    finally:
        client.close()


def poison_established(server, credential):
    """The same against a session that holds an allocation: its next Refresh, without a token."""
    client = server.client("udp", credential, share_port=True)
    try:
        turnclient.need("allocate", client.allocate())
        spoof(
            client,
            [
                Attribute("USERNAME", "mallory"),
                Attribute("REALM", client.realm),
                Attribute("NONCE", "guessed"),
                Integrity(b"no key at all"),
            ],
            "REFRESH",
        )
        return outcome(client.refresh)
    finally:
        client.close()


def refresh_after_expiry(server, credential, deadline, kind="udp", beyond=2.5):
    """Allocates with a credential that runs out at deadline and refreshes once a second until
    some time after that; the last outcome."""
    client = server.client(kind, credential)
    try:
        turnclient.need("allocate", client.allocate())
        last = "ok"
        while last == "ok" and time.time() < deadline + beyond:
            time.sleep(0.7)
            last = outcome(client.refresh)
        return last
    finally:
        client.close()


def other_user(server, credential, other, key=None):
    """Allocates as one user, then asks for a Refresh as another one; key replaces the right one."""
    client = server.client("udp", credential)
    try:
        turnclient.need("allocate", client.allocate())
        raw = stun.build("REFRESH", client.authentication(other, key=key))
        return outcome(client.exchange, raw)
    finally:
        client.close()


def broken_refresh(server, credential):
    """A Refresh with a wrong MESSAGE-INTEGRITY; then the outcome of that one and of a right one."""
    client = server.client("udp", credential)
    try:
        turnclient.need("allocate", client.allocate())
        raw = stun.build("REFRESH", client.authentication(token=False, key=b"not the key"))
        wrong = outcome(client.exchange, raw)
        return wrong, outcome(client.refresh)
    finally:
        client.close()


def overlong_token(server, kid, sizes=(300, 600, 1024)):
    """Tokens whose nonce_length is longer than any nonce, from a client that has no key at all:
    "alive" if the server still answers afterwards, else "dead"."""
    for size in sizes:
        client = server.client("udp")
        client.rc = 2
        try:
            client.challenge()
            octets = (size - 33).to_bytes(2, "big") + bytes(range(256)) * 4
            tail = [
                Attribute("USERNAME", kid),
                Attribute("REALM", client.realm or ""),
                Attribute("NONCE", client.nonce or ""),
                Attribute("ACCESS-TOKEN", octets[:size]),
                Integrity(b"no key"),
            ]
            outcome(client.exchange, stun.build("ALLOCATE", [TRANSPORT] + tail))
        except turnclient.NoAnswer:
            pass
        finally:
            client.close()
    time.sleep(0.2)
    return "dead" if server.process.poll() is not None else "alive"
