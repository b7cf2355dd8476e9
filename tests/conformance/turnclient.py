#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A TURN client written from the RFCs only, for tests and for the command line.

Module: Client does what a conforming client does (verifies every answer with the whole key,
follows 401 and 438 once) and hands back every answer; messages that no conforming client would
send are built with stun.build() and sent with Client.exchange().

Command line:
  turnclient.py call --server IP:PORT [--transport udp|tcp|tls|dtls] --credential FILE
      Allocate, CreatePermission, data both ways by Send/Data and by ChannelData with a peer that
      is opened here, Refresh, Refresh(0). FILE ("-": stdin) holds JSON: username and password, or
      the members of RFC 7635 appendix B: kid, key (base64), access_token (base64).
  turnclient.py raw --server IP:PORT --method ALLOCATE ATTRIBUTE=VALUE...
      One request, attribute by attribute; VALUE is text, 0xHEX, or @FILE. With --key HEX-FILE the
      word INTEGRITY stands for MESSAGE-INTEGRITY at its place, FINGERPRINT for FINGERPRINT.
  turnclient.py token-encode|token-decode|derive   credentials from a raw key file

The result is JSON on stdout. Exit: 0 done, 1 refused by the server, 2 wrong usage, 3 no answer,
4 the server answered something that does not verify.
"""

import argparse
import base64
import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import credentials  # noqa: E402
import stun  # noqa: E402
import transport as transports  # noqa: E402
from stun import Attribute, Fingerprint, Integrity  # noqa: E402

RTO = 0.5  # seconds, RFC 8489 6.2.1
RC = 5  # transmissions
GONE = 437


class NoAnswer(TimeoutError):
    """Nothing came within the time, retransmissions included."""


class Unverified(RuntimeError):
    """The server answered something that does not verify with the whole key."""


class Refusal(RuntimeError):
    """The server refused a request; response has the message."""

    def __init__(self, step, response):
        self.step, self.response = step, response
        super().__init__(f"{step}: {response.code} {response.reason}")

    @property
    def code(self):
        return self.response.code


class Response:
    """An answer: code is 0 for success; integrity is True, False or None (there is none)."""

    def __init__(self, message, key=None):
        self.message = message
        self.code, self.reason = message.error or (0, "")
        if message.cls == stun.ERROR and not self.code:
            raise stun.Malformed("an error response without ERROR-CODE")
        self.integrity = None if key is None else message.check_integrity(key)

    @property
    def ok(self):
        return self.message.cls == stun.SUCCESS

    def __getattr__(self, name):
        return getattr(self.message, name)

    @property
    def challenge(self):
        return {
            "realm": self.message.text("REALM"),
            "nonce": self.message.text("NONCE"),
            "server_name": self.message.text("THIRD-PARTY-AUTHORIZATION"),
        }

    def summary(self):
        result = {"method": self.message.method_name, "code": self.code}
        if self.code:
            result["reason"] = self.reason
        result["integrity"] = self.integrity
        for name in ("REALM", "THIRD-PARTY-AUTHORIZATION", "SOFTWARE"):
            if self.message.get(name) is not None:
                result[name.lower()] = self.message.text(name)
        if self.message.get("LIFETIME") is not None:
            result["lifetime"] = self.message.number("LIFETIME")
        for name in ("XOR-RELAYED-ADDRESS", "XOR-MAPPED-ADDRESS"):
            if self.message.get(name) is not None:
                result[name.lower()] = "%s:%d" % self.message.address(name)
        if self.message.unknown_attributes():
            result["unknown-attributes"] = [
                stun.ATTRIBUTE_NAMES.get(n, hex(n)) for n in self.message.unknown_attributes()
            ]
        return result


class Client:
    """One 5-tuple. Every method returns a Response and raises only when nothing usable came."""

    def __init__(self, transport, credential=None, origin=None, fingerprint=False, wants_token=None):
        self.transport = transport
        self.credential = credential
        self.origin = origin
        self.fingerprint = fingerprint
        self.wants_token = wants_token  # server name the client says in its requests (3GPP flow)
        self.realm = None
        self.nonce = None
        self.server_name = None  # from THIRD-PARTY-AUTHORIZATION
        self.relayed = None
        self.ticket = None
        self.channels = {}
        self.data = []  # (peer, octets) not yet handed out
        self.attempts = []  # RFC 6062 ConnectionAttempt indications
        self.rto, self.rc = RTO, RC

    # --- messages --------------------------------------------------------------------------

    def exchange(self, raw, key=None, rc=None):
        """Sends a request and waits for its answer, retransmitting the same octets on UDP."""
        txid = raw[8:20]
        reliable = self.transport.reliable
        rounds = 1 if reliable else (rc or self.rc)
        wait = self.rto * 2**self.rc if reliable else self.rto
        for _ in range(rounds):
            self.transport.send(raw)
            end = time.monotonic() + wait
            while (left := end - time.monotonic()) > 0:
                message = self._receive(left)
                if message is None:
                    continue
                if message.txid == txid and message.cls in (stun.SUCCESS, stun.ERROR):
                    if message.check_fingerprint() is False:
                        raise Unverified("FINGERPRINT does not match")
                    return Response(message, key)
            wait *= 2
        raise NoAnswer(f"no answer to {raw[:2].hex()} from {self.transport.name}")

    def _receive(self, seconds):
        """The next STUN message; data goes to its queue. None: nothing, or data."""
        raw = self.transport.recv(seconds)
        if raw is None:
            return None
        if stun.is_channel_data(raw):
            number, octets = stun.parse_channel_data(raw)
            self.data.append((self.channels.get(number, number), octets))
            return None
        message = stun.Message(raw)
        if message.cls == stun.INDICATION:
            if message.method == stun.METHODS["DATA"]:
                self.data.append((message.address("XOR-PEER-ADDRESS"), message.get("DATA")))
            elif message.method == stun.METHODS["CONNECTION-ATTEMPT"]:
                self.attempts.append(message)
            return None
        return message

    def key(self, credential=None, realm=None):
        credential = credential or self.credential
        return credential.key(realm or self.realm)

    def authentication(self, credential=None, token=True, key=None):
        """USERNAME, REALM, NONCE, ACCESS-TOKEN, MESSAGE-INTEGRITY: the tail of a request."""
        credential = credential or self.credential
        tail = [
            Attribute("USERNAME", credential.username),
            Attribute("REALM", self.realm or ""),
            Attribute("NONCE", self.nonce or ""),
        ]
        if token and credential.token is not None:
            tail.append(Attribute("ACCESS-TOKEN", credential.token))
        key = self.key(credential) if key is None else key
        tail.append(Integrity(key, credential.key_octets))
        return tail

    def build(self, method, attributes=(), credential=None, token=True, authenticate=True):
        """A request as a conforming client makes it."""
        attributes = list(attributes)
        if self.origin:
            attributes.append(Attribute("ORIGIN", self.origin))
        if self.wants_token is not None:
            attributes.append(Attribute("THIRD-PARTY-AUTHORIZATION", self.wants_token))
        if authenticate:
            attributes += self.authentication(credential, token)
        if self.fingerprint:
            attributes.append(Fingerprint())
        return stun.build(method, attributes)

    def take_challenge(self, response):
        """Realm, nonce and server name of a 401 or 438. True if there was a nonce."""
        challenge = response.challenge
        if challenge["nonce"] is None:
            return False
        self.nonce = challenge["nonce"]
        self.realm = challenge["realm"] or self.realm
        if response.code == 401:
            self.server_name = challenge["server_name"]
        return True

    def request(self, method, attributes=(), credential=None, token=True, follow=True):
        """Sends with authentication; follows one 438, and the first 401 if we had no nonce.

        A success that does not verify with the whole key raises Unverified, as RFC 8489 9.2.5
        would have the client discard it.
        """
        credential = credential or self.credential
        attributes = list(attributes)
        stale = False
        challenged = self.nonce is not None
        while True:
            known = self.nonce is not None and credential is not None
            raw = self.build(method, attributes, credential, token, authenticate=known)
            key = self.key(credential) if known else None
            response = self.exchange(raw, key)
            if response.ok:
                if known and not response.integrity:
                    raise Unverified(
                        f"{method}: MESSAGE-INTEGRITY of the response "
                        + ("does not match" if response.integrity is False else "is missing")
                    )
                return response
            if response.code == 401 and not challenged and follow and credential is not None:
                challenged = True
                if self.take_challenge(response):
                    continue
            elif response.code == 438 and not stale and follow:
                stale = True
                if self.take_challenge(response):
                    continue
            elif response.code in (401, 438):
                self.take_challenge(response)
            return response

    # --- TURN ------------------------------------------------------------------------------

    def binding(self):
        return self.exchange(stun.build("BINDING", []))

    def challenge(self, attributes=None):
        """An Allocate without credentials; the answer's challenge is kept for later requests."""
        if attributes is None:
            attributes = [Attribute("REQUESTED-TRANSPORT", stun.requested_transport(stun.UDP))]
        response = self.exchange(self.build("ALLOCATE", attributes, authenticate=False))
        if response.code == 401:
            self.take_challenge(response)
        return response

    def allocate(self, lifetime=None, protocol=stun.UDP, mobility=False, extra=(), **options):
        attributes = [Attribute("REQUESTED-TRANSPORT", stun.requested_transport(protocol))]
        if lifetime is not None:
            attributes.append(Attribute("LIFETIME", stun.u32(lifetime)))
        if mobility:
            attributes.append(Attribute("MOBILITY-TICKET"))
        response = self.request("ALLOCATE", attributes + list(extra), **options)
        if response.ok:
            self.relayed = response.address("XOR-RELAYED-ADDRESS")
            self.ticket = response.get("MOBILITY-TICKET")
        return response

    def refresh(self, lifetime=None, ticket=None, extra=(), token=False, **options):
        """token=True sends the credential's ACCESS-TOKEN again, or a new credential's."""
        attributes = []
        if lifetime is not None:
            attributes.append(Attribute("LIFETIME", stun.u32(lifetime)))
        if ticket is not None:
            attributes.append(Attribute("MOBILITY-TICKET", ticket))
        response = self.request("REFRESH", attributes + list(extra), token=token, **options)
        if response.ok and response.get("MOBILITY-TICKET") is not None:
            self.ticket = response.get("MOBILITY-TICKET")
        return response

    def renew(self, credential, lifetime=None, **options):
        """Refresh with another credential; the client uses it from then on, if the server accepts it."""
        response = self.refresh(lifetime, credential=credential, token=True, **options)
        if response.ok:
            self.credential = credential
        return response

    def _peer_request(self, method, peers, attributes=(), **options):
        return self.request(
            method, [PeerAddress(peer) for peer in peers] + list(attributes), token=False, **options
        )

    def create_permission(self, *peers, **options):
        return self._peer_request("CREATE-PERMISSION", peers, **options)

    def channel_bind(self, number, peer, **options):
        attributes = [Attribute("CHANNEL-NUMBER", stun.channel_number(number))]
        response = self._peer_request("CHANNEL-BIND", [peer], attributes, **options)
        if response.ok:
            self.channels[number] = peer
        return response

    def send(self, peer, octets):
        attributes = [PeerAddress(peer), Attribute("DATA", octets)]
        self.transport.send(stun.build("SEND", attributes, stun.INDICATION))

    def send_channel(self, number, octets):
        self.transport.send(stun.channel_data(number, octets, self.transport.stream))

    def receive(self, seconds=2):
        """(peer, octets) of the next data from a peer, or None."""
        end = time.monotonic() + seconds
        while not self.data and (left := end - time.monotonic()) > 0:
            self._receive(left)
        return self.data.pop(0) if self.data else None

    # --- RFC 6062 --------------------------------------------------------------------------

    def connect(self, peer, **options):
        """(Response, connection id)."""
        response = self._peer_request("CONNECT", [peer], **options)
        return response, response.get("CONNECTION-ID") if response.ok else None

    def wait_attempt(self, seconds=3):
        """(peer, connection id) of the next ConnectionAttempt, or None."""
        end = time.monotonic() + seconds
        while not self.attempts and (left := end - time.monotonic()) > 0:
            self._receive(left)
        if not self.attempts:
            return None
        message = self.attempts.pop(0)
        return message.address("XOR-PEER-ADDRESS"), message.get("CONNECTION-ID")

    def data_connection(self, connection_id, credential=None, transport=None, **options):
        """(Response, transport): a second connection bound to a peer's (ConnectionBind)."""
        other = transport or transports.connect(self.transport.name, self.transport.server)
        binder = Client(other, credential or self.credential, self.origin)
        binder.realm, binder.nonce, binder.server_name = self.realm, self.nonce, self.server_name
        response = binder.request(
            "CONNECTION-BIND", [Attribute("CONNECTION-ID", connection_id)], token=False, **options
        )
        return response, other

    def close(self):
        self.transport.close()


class PeerAddress:
    """XOR-PEER-ADDRESS, masked with the transaction id of the message it is put into."""

    kind = stun.ATTRIBUTES["XOR-PEER-ADDRESS"]

    def __init__(self, peer):
        self.peer = peer

    def encode(self, message):
        value = stun.xor_address(self.peer, message[8:20])
        return Attribute("XOR-PEER-ADDRESS", value).encode(message)


class Peer:
    """A UDP socket that plays the other side of a call."""

    def __init__(self, ip="127.0.0.1"):
        self.socket = socket.socket(transports.family_of((ip, 0)), socket.SOCK_DGRAM)
        self.socket.bind((ip, 0))
        self.address = self.socket.getsockname()[:2]

    def receive(self, seconds=2):
        self.socket.settimeout(seconds)
        try:
            octets, source = self.socket.recvfrom(65536)
            return source[:2], octets
        except TimeoutError:
            return None

    def send(self, address, octets):
        self.socket.sendto(octets, address)

    def close(self):
        self.socket.close()


def need(step, response):
    """The response if it is a success, else Refusal."""
    if not response.ok:
        raise Refusal(step, response)
    return response


def relay_once(client, peer, channel=None, seconds=2):
    """One datagram there and one back; True if both arrived whole, from the right address."""
    there, back = os.urandom(37), os.urandom(41)
    if channel is None:
        client.send(peer.address, there)
    else:
        client.send_channel(channel, there)
    arrived = peer.receive(seconds)
    if arrived is None or arrived[1] != there or arrived[0][1] != client.relayed[1]:
        return False
    peer.send(arrived[0], back)
    return client.receive(seconds) == (peer.address, back)


# --- command line ------------------------------------------------------------------------------


def parse_server(text):
    host, _, port = text.rpartition(":")
    return socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)[0][4][:2]


def read_file(name):
    if name == "-":
        return sys.stdin.buffer.read()
    with open(name, "rb") as file:
        return file.read()


def command_call(args):
    credential = credentials.Credential.from_json(read_file(args.credential))
    if args.key_octets:
        credential.key_octets = args.key_octets
    server = parse_server(args.server)
    client = Client(
        transports.connect(args.transport, server),
        credential,
        origin=args.origin,
        fingerprint=args.fingerprint,
        wants_token=args.third_party_authorization,
    )
    peer = Peer(args.peer)
    steps, result = [], {"transport": args.transport, "steps": []}

    def step(name, response):
        steps.append({"step": name, **response.summary()})
        return need(name, response)

    try:
        step("allocate", client.allocate(args.lifetime))
        step("create-permission", client.create_permission(peer.address))
        indication = relay_once(client, peer)
        steps.append({"step": "send-data", "relayed": indication})
        step("channel-bind", client.channel_bind(0x4000, peer.address))
        channel = relay_once(client, peer, 0x4000)
        steps.append({"step": "channel-data", "relayed": channel})
        step("refresh", client.refresh(args.lifetime, token=args.token_in_refresh))
        step("delete", client.refresh(0))
        result["ok"] = indication and channel
        code = 0 if result["ok"] else 3
    except Refusal as refusal:
        result.update(ok=False, failed=refusal.step, code=refusal.code)
        code = 1
    except (NoAnswer, transports.Gone) as error:
        result.update(ok=False, error=str(error))
        code = 3
    except (Unverified, stun.Malformed) as error:
        result.update(ok=False, error=str(error))
        code = 4
    finally:
        client.close()
        peer.close()
    result.update(realm=client.realm, server_name=client.server_name, steps=steps)
    return result, code


def command_raw(args):
    key = bytes.fromhex(read_file(args.key).decode().strip()) if args.key else b""
    attributes = []
    for word in args.attributes:
        name, _, value = word.partition("=")
        if name == "INTEGRITY":
            attributes.append(Integrity(key, args.key_octets))
        elif name == "FINGERPRINT" and not value:
            attributes.append(Fingerprint())
        else:
            kind = int(name, 0) if name[:2] == "0x" else name
            if value[:2] == "0x":
                octets = bytes.fromhex(value[2:])
            elif value[:1] == "@":
                octets = read_file(value[1:])
            else:
                octets = value.encode()
            attributes.append(Attribute(kind, octets))
    client = Client(transports.connect(args.transport, parse_server(args.server)))
    try:
        response = client.exchange(stun.build(args.method, attributes), key or None)
    except (NoAnswer, transports.Gone) as error:
        return {"ok": False, "error": str(error)}, 3
    finally:
        client.close()
    result = {"ok": response.ok, **response.summary(), "attributes": response.names()}
    result["nonce"] = response.text("NONCE")
    return result, 0 if response.ok else 1


def command_token_encode(args):
    mac_key = read_file(args.mac_key_file)
    token = credentials.encode_token(
        read_file(args.key_file),
        args.server_name,
        mac_key,
        args.timestamp,
        args.lifetime,
        args.algorithm,
        args.derivation,
        bytes.fromhex(args.test_nonce) if args.test_nonce is not None else None,
    )
    return {"access_token": base64.b64encode(token).decode()}, 0


def command_token_decode(args):
    token = credentials.unbase64(sys.stdin.read().strip())
    mac_key, timestamp, lifetime = credentials.decode_token(
        token,
        read_file(args.key_file),
        args.server_name,
        args.algorithm,
        args.derivation,
        args.allow_zero_iv,
    )
    return {
        "mac_key": base64.b64encode(mac_key).decode(),
        "timestamp": timestamp,
        "lifetime": lifetime,
    }, 0


def command_derive(args):
    key = read_file(args.key_file)
    if args.kind == "derived":
        found = credentials.make_derived_credential(key, args.user, args.realm, args.expiry)
    else:
        found = credentials.make_rest_credential(
            key, args.user, args.expiry, args.username_format, args.hash
        )
    return {
        "username": found.username,
        "password": found.password,
        "long_term_key_md5": found.key(args.realm).hex(),
    }, 0


def parser():
    top = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = top.add_subparsers(dest="command", required=True)

    def command(name, function):
        sub = commands.add_parser(name)
        sub.set_defaults(function=function)
        return sub

    for name, function in (("call", command_call), ("raw", command_raw)):
        sub = command(name, function)
        sub.add_argument("--server", required=True, metavar="IP:PORT")
        sub.add_argument("--transport", default="udp", choices=sorted(transports.TRANSPORTS))
        sub.add_argument("--key-octets", type=int, help="cut the HMAC key (16: as coturn does)")
    sub.add_argument("--method", default="ALLOCATE", choices=sorted(stun.METHODS))
    sub.add_argument("--key", metavar="FILE", help="HMAC key in hex, for INTEGRITY")
    sub.add_argument("attributes", nargs="*", metavar="ATTRIBUTE=VALUE")
    sub = commands.choices["call"]
    sub.add_argument("--credential", required=True, metavar="FILE")
    sub.add_argument("--lifetime", type=int)
    sub.add_argument("--origin")
    sub.add_argument("--third-party-authorization", metavar="NAME")
    sub.add_argument("--token-in-refresh", action="store_true")
    sub.add_argument("--fingerprint", action="store_true")
    sub.add_argument("--peer", default="127.0.0.1", metavar="IP")

    for name, function in (
        ("token-encode", command_token_encode),
        ("token-decode", command_token_decode),
    ):
        sub = command(name, function)
        sub.add_argument("--key-file", required=True)
        sub.add_argument("--server-name", required=True)
        sub.add_argument("--algorithm", default="A256GCM", choices=sorted(credentials.KEY_LENGTHS))
        sub.add_argument("--derivation", default="none", choices=("none", "hkdf-sha256"))
    sub.add_argument("--allow-zero-iv", action="store_true")
    sub = commands.choices["token-encode"]
    sub.add_argument("--mac-key-file", required=True)
    sub.add_argument("--timestamp", required=True, type=int, help="raw 64-bit number")
    sub.add_argument("--lifetime", required=True, type=int)
    sub.add_argument("--test-nonce", metavar="HEX")

    sub = command("derive", command_derive)
    sub.add_argument("--kind", default="derived", choices=("derived", "rest"))
    sub.add_argument("--hash", default="sha1", choices=sorted(credentials.HASHES))
    sub.add_argument(
        "--username-format",
        default="timestamp:user-id",
        choices=("timestamp:user-id", "user-id:timestamp"),
    )
    sub.add_argument("--key-file", required=True)
    sub.add_argument("--realm", required=True)
    sub.add_argument("--user", required=True)
    sub.add_argument("--expiry", required=True, type=int)
    return top


def main(argv=None):
    args = parser().parse_args(argv)
    try:
        result, code = args.function(args)
    except (OSError, ValueError, KeyError) as error:
        print(f"turnclient.py: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result, indent=2))
    return code


if __name__ == "__main__":
    sys.exit(main())
