#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What programs out there do, in their own way; none of it is ours.

  programs.py synapse USER [SECONDS]   makes a credential as Synapse does (synapse/rest/client/voip.py)
  programs.py nextcloud                as Nextcloud Talk does (lib/Config.php: getTurnSettings)
  programs.py janus                    asks for one as Janus does (src/turnrest.c: both "api" and "key")
  programs.py xmpp SERVER DOMAIN       takes what an XMPP server hands out (XEP-0215): a credential for turn: over UDP
  programs.py form FORM SECRET-FILE    the username that FORM says: TIME and USER in it are replaced, as in "USER:TIME"
  programs.py aioice HOST TRANSPORT [PORT]   allocates and sends data to a peer of its own and back, with aioice

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
import subprocess
import sys
import time
import urllib.request

import aioice.stun
import aioice.turn

TURNCREDD = "https://turncredd.example.org:8443/"


def shared_secret(name="rest-secret"):
    with open(f"/secrets/client/{name}", encoding="ascii") as file:
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


def xmpp(server, domain):
    answer = subprocess.run([sys.executable, "/opt/common/xmpp.py", server, domain], check=True, stdout=subprocess.PIPE)
    turn = next(s for s in json.loads(answer.stdout) if s["type"] == "turn" and s["transport"] == "udp")
    show(turn["username"], turn["password"])


def form(text, secret, seconds="3600"):
    username = text.replace("TIME", str(int(time.time()) + int(seconds))).replace("USER", "alice")
    show(username, base64.b64encode(hmac.digest(shared_secret(secret).encode(), username.encode(), "sha1")).decode())


async def relay(host, transport, port):
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
    server = (socket.gethostbyname(host), int(port))
    client, _ = await aioice.turn.create_turn_endpoint(
        Client, server_addr=server, username=credential["username"], password=credential["password"], transport=transport
    )
    relayed = client.get_extra_info("sockname")
    client.sendto(b"hello", peer.get_extra_info("sockname"))
    if await asyncio.wait_for(back, 10) != b"hello":
        raise RuntimeError("other data came back")
    print(f"{credential['username'][:40]} relayed at {relayed[0]}:{relayed[1]}")
    client.close()


def with_aioice(host, transport, port="3478"):
    try:
        asyncio.run(asyncio.wait_for(relay(host, transport, port), 30))
    except aioice.stun.TransactionFailed as refused:
        print("refused:", refused.response.attributes["ERROR-CODE"])
        sys.exit(1)


if __name__ == "__main__":
    commands = {"synapse": synapse, "nextcloud": nextcloud, "janus": janus, "xmpp": xmpp, "form": form, "aioice": with_aioice}
    commands[sys.argv[1]](*sys.argv[2:])
