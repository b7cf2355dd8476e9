# SPDX-License-Identifier: BSD-3-Clause
"""What hostile.bats does to turncredd: hostile.py FUNCTION ARGUMENT..."""

import contextlib
import http.client
import json
import os
import resource
import select
import socket
import ssl
import sys
import time


def tls():
    return ssl.create_default_context(cafile=os.environ["TC_DIR"] + "/tls/ca.pem")


def key():
    with open(os.environ["TC_DIR"] + "/callers/all", encoding="ascii") as file:
        return file.read().strip()


def connect(port, source="127.0.0.1"):
    return socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0))


def ask(connection, number):
    """A credential, on a connection that stays."""
    connection.request("POST", "/v1/realms/turn.test/credentials", json.dumps({"user": f"user{number}"}),
                       {"Authorization": f"Bearer {key()}", "Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def open_ones(sockets):
    """How many of these silent sockets the server has not closed."""
    poll = select.poll()
    for s in sockets:
        poll.register(s, select.POLLIN)
    return len(sockets) - len(poll.poll(0))


def closed_but(sockets, number):
    """Waits until no more than that number of them are left; the caller looks whether they are."""
    end = time.monotonic() + 40
    while open_ones(sockets) > number and time.monotonic() < end:
        time.sleep(0.05)


def flood(port, count, per_address, everything):
    """count silent connections of one address shut nobody out: neither callers with a connection nor new ones, of the
    same address or another one. per_address of them stay at the most, and all together everything."""
    port, count, per_address, everything = int(port), int(count), int(per_address), int(everything)
    old = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=tls())
    assert ask(old, 0) == 201
    resource.setrlimit(resource.RLIMIT_NOFILE, (8192, max(8192, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
    silent = []
    with contextlib.ExitStack() as stack:
        for number in range(count):
            silent.append(stack.enter_context(connect(port)))
            if number % 40 == 0:
                for source in "127.0.0.1", "127.0.0.2":
                    new = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=tls(),
                                                      source_address=(source, 0))
                    assert ask(new, number) == 201, number
                    new.close()
                assert ask(old, number) == 201, number
        closed_but(silent, per_address)
        print(count, "opened,", open_ones(silent), "stay")
        assert open_ones(silent) <= per_address
        # and those of many addresses
        for number in range(2 * everything):
            silent.append(stack.enter_context(connect(port, f"127.0.1.{number % 250 + 1}")))
        closed_but(silent, everything)
        print(len(silent), "opened,", open_ones(silent), "stay")
        assert open_ones(silent) <= everything
        assert ask(old, 1) == 201
        new = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=tls())
        assert ask(new, 2) == 201
        new.close()
    old.close()


def first_request(port):
    """Who begins no request is cut off, before and after the handshake; a caller that has asked may stay silent."""
    port = int(port)
    old = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=tls())
    assert ask(old, 0) == 201
    began = time.monotonic()
    bare, shaken = connect(port), tls().wrap_socket(connect(port), server_hostname="127.0.0.1")
    for s in bare, shaken:
        s.settimeout(20)
        with contextlib.suppress(ConnectionResetError, ssl.SSLError):
            assert s.recv(1) == b"", s
    print(f"cut off after {time.monotonic() - began:.2f} s")
    assert ask(old, 1) == 201


def say(port, text):
    """All that comes back until the server closes, or says nothing more for two seconds."""
    with tls().wrap_socket(connect(port), server_hostname="127.0.0.1") as s:
        s.sendall(text)
        s.settimeout(2)
        answer = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError, ssl.SSLError):
            while octets := s.recv(65536):
                answer += octets
            return answer, True
        return answer, False


def desync(port):
    """A request that a proxy in front may read differently is refused, and nothing that follows on its connection is
    taken for a request."""
    port = int(port)
    body = b'{"user": "desync"}'
    length = b"Content-Length: %d" % len(body)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    head = [b"POST /v1/realms/turn.test/credentials HTTP/1.1", b"Host: a",
            b"Authorization: Bearer " + key().encode(), b"Content-Type: application/json"]
    inside = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"

    def request(*more, of=None, without=()):
        lines = [line for line in of or head if line not in without]
        return b"\r\n".join([*lines, *more]) + b"\r\n\r\n"

    answer, _ = say(port, request(length) + body)
    assert answer.startswith(b"HTTP/1.1 201"), answer
    answer, _ = say(port, request(b"Transfer-Encoding: chunked") + chunked)
    assert answer.startswith(b"HTTP/1.1 201"), answer
    old = [head[0].replace(b"1.1", b"1.0"), *head[1:]]
    for text in (
        request(b"Content-Length: 4", b"Transfer-Encoding: chunked") + b"0\r\n\r\n",
        request(b"Transfer-Encoding: chunked", length) + chunked,
        request(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + chunked,
        request(b"Transfer-Encoding: gzip, chunked") + chunked,
        request(b"Transfer-Encoding: xchunked") + chunked,
        request(b"Transfer-Encoding: chunked", of=old) + chunked,
        request(length, b"Content-Length: 0") + body,
        request(length, length) + body,
        request(length.replace(b": ", b": +")) + body,
        request(length.replace(b": ", b": 0x")) + body,
        request(length + b"," + length.split()[1]) + body,
        request(b"Content-Length : %d" % len(body)) + body,
        request(b"Content-Length:") + body,
        request(length, b"Host: b") + body,
        request(length, b"Authorization: Bearer x") + body,
        request(length, b"Content-Type: text/plain") + body,
    ):
        answer, closed = say(port, text + inside)
        assert answer.count(b"HTTP/1.") <= 2 and b'"status":"ok"' not in answer, (text, answer)
        assert answer.startswith(b"HTTP/1.1 4"), (text, answer)
        assert closed, (text, answer)


def chunks(port, octets):
    """A body in chunks of one octet costs no more than its length."""
    port, octets = int(port), int(octets)
    head = (b"POST /v1/realms/turn.test/credentials HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            b"Transfer-Encoding: chunked\r\nAuthorization: Bearer " + key().encode() + b"\r\n\r\n")
    body = b'{"user": "chunks"}'
    text = b"".join(b"1\r\n%c\r\n" % octet for octet in body + b" " * (octets - len(body)))
    began = time.monotonic()
    answer, _ = say(port, head + text + b"0\r\n\r\n" + b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    spent = time.monotonic() - began
    print(f"{octets} chunks of one octet: {spent:.2f} s")
    assert answer.startswith(b"HTTP/1.1 201"), answer
    assert spent < 8, spent


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
