# SPDX-License-Identifier: BSD-3-Clause
"""What life.bats does to turncredd: life.py FUNCTION ARGUMENT..."""

import collections
import contextlib
import http.client
import json
import mmap
import os
import pathlib
import select
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time


def tls():
    return ssl.create_default_context(cafile=os.environ["TC_DIR"] + "/tls/ca.pem")


def in_threads(number, function):
    """Calls function(0), function(1) and so on, all at once, until all have ended."""
    threads = [threading.Thread(target=function, args=(n,)) for n in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def ask_for_tokens(port, key_file, end):
    """Asks for tokens on three connections until the file `end` is there; prints how often which kid, or which
    refusal, was the answer."""
    key, end, seen = pathlib.Path(key_file).read_text().strip(), pathlib.Path(end), collections.Counter()

    def run(t):
        c = http.client.HTTPSConnection("127.0.0.1", int(port), context=tls(), timeout=10)
        n = 0
        while not end.exists():
            n += 1
            c.request(
                "POST",
                "/oauth2/token",
                f"grant_type=client_credentials&audience=turn.test-server&subject=r{t}-{n}"
                f"&client_id=all&client_secret={key}",
                {"Content-Type": "application/x-www-form-urlencoded"},
            )
            r = c.getresponse()
            text = r.read()
            seen[json.loads(text)["kid"] if r.status == 200 else f"{r.status} {text.decode()}"] += 1

    in_threads(3, run)
    print(json.dumps(seen))


def tokens_without_memory(port, key_file, control):
    """Asks for a token of a new subject each time, while one allocation after the other fails (failalloc.c). A subject
    may hold one token: who got none gets it at the next try."""
    key, k, refused = pathlib.Path(key_file).read_text().strip(), 0, 0

    def ask(subject):
        c = http.client.HTTPSConnection("127.0.0.1", int(port), context=tls(), timeout=30)
        body = f"grant_type=client_credentials&audience=turn.test-server&subject={subject}&client_id=all&client_secret={key}"
        with contextlib.closing(c):
            try:
                c.request("POST", "/oauth2/token", body, {"Content-Type": "application/x-www-form-urlencoded"})
                r = c.getresponse()
                return r.status, r.read().decode()
            except (OSError, http.client.HTTPException):
                return 0, ""

    with open(control, "r+b") as file, mmap.mmap(file.fileno(), 24) as counts:
        reached = True
        while reached:
            k += 1
            fails = struct.unpack_from("=q", counts, 0)[0] + k
            struct.pack_into("=q", counts, 8, fails)
            status, text = ask(f"m{k}")
            reached = struct.unpack_from("=q", counts, 0)[0] >= fails
            struct.pack_into("=q", counts, 8, 0)
            if status != 200:
                refused += 1
                status, again = ask(f"m{k}")
                assert status == 200, f"allocation {k} failed: {text}; then {status} {again}"
    print(f"{k} allocations, {refused} refused")
    assert refused > 10


def gone(sock, limit):
    """True when the other side has closed; an assertion fails if it has not after `limit` seconds of silence."""
    sock.settimeout(limit)
    try:
        while sock.recv(4000):
            pass
    except (ConnectionError, ssl.SSLError, OSError) as e:
        assert not isinstance(e, TimeoutError), "still open"
    return True


def slow_clients(port):
    """Clients that say nothing, half a request, an octet now and then, and nothing more: all are cut off."""
    address, context = ("127.0.0.1", int(port)), tls()

    def connect(octets):
        sock = context.wrap_socket(socket.create_connection(address), server_hostname="127.0.0.1")
        sock.sendall(octets)
        return sock

    post = b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\n"
    silent = socket.create_connection(address)  # no handshake at all
    header = connect(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: ")
    body = connect(post + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\n")
    drip = connect(post + b"Content-Length: 1000\r\n\r\n")
    start = time.monotonic()
    dripped = 0
    while time.monotonic() - start < 20:  # an octet now and then does not help
        try:
            drip.sendall(b"a")
            dripped += 1
        except OSError:
            break
        time.sleep(0.1)
    else:
        raise AssertionError("a dripping client is kept")
    for sock in silent, header, body:
        assert gone(sock, 20)
    idle = connect(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert idle.recv(4000).startswith(b"HTTP/1.1 200")
    assert gone(idle, 20)
    print("ok", dripped)


def silent_crowd(port):
    """Many silent ones at once keep nobody out, as long as they stay."""
    address = ("127.0.0.1", int(port))
    silent = [socket.create_connection(address) for _ in range(50)]
    with tls().wrap_socket(socket.create_connection(address, 20), server_hostname="127.0.0.1") as other:
        other.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert other.recv(4000).startswith(b"HTTP/1.1 200")
    closed, _, _ = select.select(silent, [], [], 0)
    assert not closed, f"{len(closed)} were cut off before"


ROUNDS, DEVICES = 8, 60


def stops(program, folder, key_file):
    """Stops the daemon of that folder while idle connections ask again, at one instant or another: a request is answered,
    refused, or not taken, and the daemon ends by itself with 0."""
    folder, key, context, seen = pathlib.Path(folder), pathlib.Path(key_file).read_text().strip(), tls(), collections.Counter()
    address = ("127.0.0.1", int((folder / "port").read_text()))

    def connect():
        return context.wrap_socket(socket.create_connection(address, 30), server_hostname="127.0.0.1")

    def ask(sock, user):
        body = json.dumps({"user": user})
        sock.sendall(f"POST /v1/realms/turn.test/credentials HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\n"
                     f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def answer(sock):
        r = http.client.HTTPResponse(sock)
        r.begin()
        r.read()
        return r.status

    def began():
        """A connection with its first answer; None while the daemon is not ready."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            sock = connect()
            ask(sock, "first")
            if answer(sock) == 201:
                return sock
        return time.sleep(0.05)

    def asked_again(sock, user):
        try:
            ask(sock, user)
            return True
        except OSError:
            return False

    def what_came(sock):
        try:
            return answer(sock)
        except (OSError, http.client.HTTPException):
            return "closed"

    for n in range(ROUNDS):
        with (folder / "log").open("ab") as log:
            daemon = subprocess.Popen([program, "--config", folder / "conf"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            end, devices = time.monotonic() + 80, []
            while len(devices) < DEVICES:
                device = began()
                devices += [device] if device else []
                assert daemon.poll() is None and time.monotonic() < end, daemon.poll()
            daemon.send_signal(signal.SIGTERM)
            sent = []
            for device in devices:
                sent.append(asked_again(device, "second"))
                time.sleep(0.0002)  # the stop takes some milliseconds
            seen.update(what_came(device) if was else "closed" for device, was in zip(devices, sent))
            code = daemon.wait(80)
            assert code == 0, f"round {n}: {code}, {dict(seen)}"
        finally:
            daemon.kill()
    print(dict(seen))
    assert set(seen) <= {201, 503, "closed"} and seen[201], seen


def systemd(path):
    """Listens on the socket `path` as systemd does; prints what it is told, a line a message, until STOPPING."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path)
    s.settimeout(30)
    message = ""
    while "STOPPING" not in message:
        message = s.recv(500).decode()
        print(message.replace("\n", " "), flush=True)


def hammer(port, key_file, name, answered):
    """Asks for credentials on eight connections until they break; adds the users that were answered to a file."""
    key, lock = pathlib.Path(key_file).read_text().strip(), threading.Lock()

    def run(t):
        c = http.client.HTTPSConnection("127.0.0.1", int(port), context=tls(), timeout=5)
        try:
            for n in range(5000):
                user = f"{name}-{t}-{n}"
                c.request(
                    "POST",
                    "/v1/realms/turn.test/credentials",
                    json.dumps({"user": user}),
                    {"Authorization": "Bearer " + key, "Content-Type": "application/json"},
                )
                r = c.getresponse()
                r.read()
                assert r.status == 201, r.status
                with lock:
                    out.write(user + "\n")
                    out.flush()
        except (OSError, http.client.HTTPException):
            pass

    with open(answered, "a") as out:
        in_threads(8, run)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
