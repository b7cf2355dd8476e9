#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A SIP phone over WebSocket (RFC 7118), written from the RFCs alone, for the tests of the eP-CSCF.

As a program it registers, and writes the credential of the answer in the form that
"turncredctl probe --credential" reads; the exit code is 3 where the answer has none:

    phone.py --url wss://127.0.0.1:8443 --ca ca.pem --user alice --domain example.org
             --password-file FILE [--ask derived|pushed|supported] [--unregister]
"""
import argparse
import asyncio
import hashlib
import json
import re
import secrets
import ssl
import sys

import websockets

QUOTED = r'"(?:[^"\\]|\\.)*"'
PARAMETER = re.compile(rf"\s*([a-z0-9-]+)\s*=\s*({QUOTED}|[A-Za-z0-9.!%*_+`'~-]+)\s*(;|$)", re.I)
TURN_CREDENTIAL = {"derived": {"kind", "user-id", "timestamp", "username", "password", "realm", "expires", "uris"}}
TURN_CREDENTIAL["pushed"] = TURN_CREDENTIAL["derived"] - {"timestamp"}


def parameters(text):
    """name=value; name="value": by the grammar to the last octet, or ValueError"""
    found, at = {}, 0
    while at < len(text):
        match = PARAMETER.match(text, at)
        if not match or match[1].lower() in found:
            raise ValueError(f"not the grammar: {text[at:]!r}")
        value = match[2]
        found[match[1].lower()] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value[0] == '"' else value
        at = match.end()
        if not match[3] and at != len(text) or match[3] and at == len(text):
            raise ValueError(f"ends wrongly: {text!r}")
    return found


class Message:
    def __init__(self, text):
        head, _, self.body = text.partition("\r\n\r\n")
        self.line, *lines = re.sub(r"\r\n[ \t]+", " ", head).split("\r\n")
        self.headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines]
        self.status = int(self.line.split()[1]) if self.line.startswith("SIP/2.0 ") else None
        self.method = None if self.status else self.line.split()[0]

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name):
        values = self.all(name)
        return values[0] if values else None

    @property
    def branch(self):
        """What finds the request of an answer; a CANCEL has the branch of its INVITE"""
        match = re.search(r"branch=([^;,\s]+)", self.get("Via") or "")
        return match and match[1] + (" CANCEL" if self.get("CSeq").endswith(" CANCEL") else "")

    def credential(self):
        """The credential that the answer carries, checked against the grammar; None if there is none"""
        found = self.turn_credential()
        if not found or "error" in found:
            return None
        assert found.keys() == TURN_CREDENTIAL[found["kind"]], found.keys()
        assert found["expires"].isdigit() and int(found["expires"]) > 0
        return found

    def turn_credential(self):
        """The parameters of the header; None without it"""
        values = self.all("Turn-Credential")
        assert len(values) < 2, values
        found = parameters(values[0]) if values else None
        if found and "error" in found:
            wanted = {"error", "retry-after"} if found["error"] in ("unavailable", "too-often") else {"error"}
            assert found.keys() == wanted and int(found.get("retry-after", "1")) > 0, found
        return found

    def why(self):
        """The reason that the answer gives for having no credential; None if it gives none"""
        return (self.turn_credential() or {}).get("error")

    def __repr__(self):
        return self.line


def digest(challenge, method, uri, user, password):
    """RFC 7616 with MD5 and qop=auth, as the server asks for"""
    said = parameters(challenge.removeprefix("Digest ").replace(",", ";"))
    md5 = lambda *parts: hashlib.md5(":".join(parts).encode()).hexdigest()
    cnonce, nc = secrets.token_hex(8), "00000001"
    answer = md5(md5(user, said["realm"], password), said["nonce"], nc, cnonce, "auth", md5(method, uri))
    return (f'Digest username="{user}", realm="{said["realm"]}", nonce="{said["nonce"]}", uri="{uri}", '
            f'response="{answer}", algorithm=MD5, cnonce="{cnonce}", qop=auth, nc={nc}')


class Phone:
    def __init__(self, url, user, domain, password, ca=None):
        self.url, self.user, self.domain, self.password, self.ca = url, user, domain, password, ca
        self.host = secrets.token_hex(5) + ".invalid"
        self.call_id, self.tag, self.cseq = secrets.token_hex(8), secrets.token_hex(4), 0
        self.waiting, self.requests, self.provisional = {}, asyncio.Queue(), []
        self.limit = 20  # seconds for an answer

    async def __aenter__(self):
        await self.connect()
        self.reader = asyncio.create_task(self.read())
        return self

    async def connect(self):
        context = None
        if self.url.startswith("wss:"):
            context = ssl.create_default_context(cafile=self.ca)
        self.socket = await websockets.connect(self.url, subprotocols=["sip"], ssl=context, open_timeout=10)
        assert self.socket.subprotocol == "sip"

    async def __aexit__(self, *_):
        self.reader.cancel()
        await self.socket.close()

    async def read(self):
        async for text in self.socket:
            self.dispatch(text)

    def dispatch(self, text):
        message = Message(text)
        if message.method:
            self.requests.put_nowait(message)
        elif message.status < 200:
            self.provisional.append(message)
        elif message.branch in self.waiting:
            self.waiting.pop(message.branch).set_result(message)

    async def write(self, text):
        await self.socket.send(text)

    @property
    def aor(self):
        return f"sip:{self.user}@{self.domain}"

    async def send(self, method, uri, headers=(), to=None, sender=None, call_id=None, body="", contact=True):
        """One request; its final answer"""
        branch = "z9hG4bK" + secrets.token_hex(8)
        self.cseq += 1
        transport = self.url.partition(":")[0].upper()
        lines = [f"{method} {uri} SIP/2.0",
                 f"Via: SIP/2.0/{transport} {self.host};branch={branch}",
                 f"From: <{sender or self.aor}>;tag={self.tag}",
                 f"To: <{to or self.aor}>",
                 f"Call-ID: {call_id or self.call_id}",
                 f"CSeq: {self.cseq} {method}",
                 "Max-Forwards: 70"]
        if contact:
            lines.append(f"Contact: {contact if isinstance(contact, str) else self.contact_value()}")
        lines += [*headers, f"Content-Length: {len(body)}"]
        self.waiting[branch] = answer = asyncio.get_running_loop().create_future()
        self.last_sent = "\r\n".join(lines) + "\r\n\r\n" + body
        await self.write(self.last_sent)
        return await asyncio.wait_for(answer, self.limit)

    def contact_value(self):
        return f"<sip:{self.user}@{self.host};transport=ws>"

    async def authenticated(self, method, uri, headers=(), password=None, user=None, **more):
        """The request, and again with the password when it is asked for"""
        answer = await self.send(method, uri, headers, **more)
        if answer.status == 401:
            proof = digest(answer.get("WWW-Authenticate"), method, uri, user or self.user, password or self.password)
            answer = await self.send(method, uri, [*headers, "Authorization: " + proof], **more)
        return answer

    async def register(self, ask=None, expires=600, headers=(), **more):
        headers = [*headers, f"Expires: {expires}", *asking(ask)]
        return await self.authenticated("REGISTER", f"sip:{self.domain}", headers, **more)

    async def options(self, ask=None, headers=(), **more):
        return await self.send("OPTIONS", f"sip:{self.domain}", [*headers, *asking(ask)], contact=False,
                               call_id=secrets.token_hex(8), **more)

    async def answer(self, request, status, headers=()):
        """Answers a request that came in"""
        kept = [f"{name}: {value}" for name, value in request.headers
                if name.lower() in ("via", "record-route", "from", "call-id", "cseq")]
        to = request.get("To")
        to += "" if "tag=" in to else f";tag={self.tag}"
        await self.write("\r\n".join([f"SIP/2.0 {status} x", *kept, f"To: {to}", f"Contact: {self.contact_value()}",
                                      *headers, "Content-Length: 0"]) + "\r\n\r\n")


class UdpPhone(Phone):
    """The same without WebSocket and without protection"""

    async def connect(self):
        host, _, port = self.url.partition("//")[2].partition(":")
        phone = self

        class Datagrams(asyncio.DatagramProtocol):
            def datagram_received(self, data, addr):
                phone.datagrams.put_nowait(data.decode())

        self.datagrams = asyncio.Queue()
        self.socket, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, remote_addr=(host, int(port)))
        self.host = "127.0.0.1:%d" % self.socket.get_extra_info("sockname")[1]

    async def __aexit__(self, *_):
        self.reader.cancel()
        self.socket.close()

    async def read(self):
        while True:
            self.dispatch(await self.datagrams.get())

    async def write(self, text):
        self.socket.sendto(text.encode())

    def contact_value(self):
        return f"<sip:{self.user}@{self.host}>"


def asking(ask):
    if ask == "supported":
        return ["Supported: path, turncred, outbound"]
    return [f"Turn-Credential-Request: {ask}"] if ask else []


def for_probe(credential):
    """As turncredctl probe --credential reads it"""
    return {"kind": credential["kind"], "realm": credential["realm"], "username": credential["username"],
            "password": credential["password"], "uris": credential["uris"].split(),
            "expires": int(credential["expires"])}


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("url", "user", "domain", "password-file"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--ca")
    parser.add_argument("--ask")
    parser.add_argument("--unregister", action="store_true", help="and unregister afterwards, when a line comes on stdin")
    args = parser.parse_args()
    with open(args.password_file, encoding="utf-8") as file:
        password = file.read().strip()
    async with Phone(args.url, args.user, args.domain, password, args.ca) as phone:
        answer = await phone.register(args.ask)
        print(answer, file=sys.stderr)
        if answer.status != 200:
            return 1
        credential = answer.credential()
        if credential:
            print(json.dumps(for_probe(credential)), flush=True)
        if args.unregister:
            await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
            print(await phone.register(expires=0), file=sys.stderr)
        return 0 if credential or not args.ask else 3


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
