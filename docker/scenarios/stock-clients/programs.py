#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What programs out there do, in their own way; none of it is ours.

  programs.py synapse USER [SECONDS]   makes a credential as Synapse does (synapse/rest/client/voip.py)
  programs.py nextcloud                as Nextcloud Talk does (lib/Config.php: getTurnSettings)
  programs.py janus                    asks for one as Janus does (src/turnrest.c: both "api" and "key")
  programs.py aioice HOST TRANSPORT    allocates and sends data to a peer of its own and back, with aioice

Credentials are JSON on standard output; aioice reads one on standard input.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import socket
import ssl
import sys
import time
import urllib.request

import aioice.stun
import aioice.turn

TURNCREDD = "https://turncredd.example.org:8443/"


def shared_secret():
    with open("/secrets/client/rest-secret", encoding="ascii") as file:
        return file.read()


def show(username, password):
    print(json.dumps({"username": username, "password": password}))


def synapse(user, seconds="3600"):
    username = f"{int(time.time()) + int(seconds)}:@{user}:example.org"
    mac = hmac.new(shared_secret().encode(), msg=username.encode(), digestmod=hashlib.sha1)
    show(username, base64.b64encode(mac.digest()).decode("ascii"))


def nextcloud():
    username = f"{int(time.time()) + 86400}:{secrets.token_urlsafe(12)}"
    show(username, base64.b64encode(hmac.digest(shared_secret().encode(), username.encode(), "sha1")).decode())


def janus():
    with open("/secrets/client/caller-key", encoding="ascii") as file:
        key = file.read().strip()
    tls = ssl.create_default_context(cafile="/secrets/tls/ca.pem")
    query = f"service=turn&api={key}&key={key}&username=janus-{secrets.randbelow(10**9)}"
    answer = json.load(urllib.request.urlopen(f"{TURNCREDD}?{query}", context=tls, timeout=10))
    # Janus refuses an answer without these
    assert isinstance(answer["ttl"], int) and answer["ttl"] > 0, answer
    assert answer["uris"] and all(uri.startswith(("turn:", "turns:")) for uri in answer["uris"]), answer
    show(answer["username"], answer["password"])


async def relay(host, transport):
    credential = json.load(sys.stdin)
    loop = asyncio.get_running_loop()
    back = loop.create_future()

    class Peer(asyncio.DatagramProtocol):
        def connection_made(self, endpoint):
            self.endpoint = endpoint

        def datagram_received(self, data, address):
            self.endpoint.sendto(data, address)

    class Client(asyncio.DatagramProtocol):
        def datagram_received(self, data, address):
            if not back.done():
                back.set_result(data)

    # an address of this host that the server can reach
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.connect((host, 3478))
    peer, _ = await loop.create_datagram_endpoint(Peer, local_addr=(probe.getsockname()[0], 0))
    server = (socket.gethostbyname(host), 3478)
    client, _ = await aioice.turn.create_turn_endpoint(
        Client, server_addr=server, username=credential["username"], password=credential["password"], transport=transport
    )
    relayed = client.get_extra_info("sockname")
    client.sendto(b"hello", peer.get_extra_info("sockname"))
    if await asyncio.wait_for(back, 10) != b"hello":
        raise RuntimeError("other data came back")
    print(f"{credential['username'][:40]} relayed at {relayed[0]}:{relayed[1]}")
    client.close()


def with_aioice(host, transport):
    try:
        asyncio.run(asyncio.wait_for(relay(host, transport), 30))
    except aioice.stun.TransactionFailed as refused:
        print("refused:", refused.response.attributes["ERROR-CODE"])
        sys.exit(1)


if __name__ == "__main__":
    {"synapse": synapse, "nextcloud": nextcloud, "janus": janus, "aioice": with_aioice}[sys.argv[1]](*sys.argv[2:])
