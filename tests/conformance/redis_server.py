# SPDX-License-Identifier: BSD-3-Clause
"""As much of a Redis server as coturn uses: values by key, in the protocol RESP 2, on a port of 127.0.0.1."""

import contextlib
import fnmatch
import socketserver
import threading


def reply(value):
    if value is None:
        return b"$-1\r\n"
    if isinstance(value, int):
        return b":%d\r\n" % value
    if isinstance(value, list):
        return b"*%d\r\n" % len(value) + b"".join(map(reply, value))
    octets = value.encode()
    return b"$%d\r\n%s\r\n" % (len(octets), octets)


class Connection(socketserver.StreamRequestHandler):
    def words(self):
        """A command and its words; none when the client is gone."""
        line = self.rfile.readline().rstrip(b"\r\n")
        if not line.startswith(b"*"):
            return []
        words = []
        for _ in range(int(line[1:])):
            length = int(self.rfile.readline()[1:])
            words.append(self.rfile.read(length + 2)[:-2].decode())
        return words

    def handle(self):
        with contextlib.suppress(ConnectionError):  # an unpatched turnserver ends in the middle
            while words := self.words():
                self.wfile.write(self.server.redis.answer(words[0].upper(), *words[1:]))


class Redis:
    """values: the stored values by key; a test may read and change them."""

    def __init__(self):
        self.values = {}

    def answer(self, command, *words):
        if command == "SET":
            self.values[words[0]] = words[1]
        elif command == "GET":
            return reply(self.values.get(words[0]))
        elif command == "DEL":
            return reply(sum(self.values.pop(key, None) is not None for key in words))
        elif command == "KEYS":
            # Redis escapes with a backslash, fnmatch does not; coturn escapes nothing
            return reply([key for key in self.values if fnmatch.fnmatchcase(key, words[0])])
        elif command == "PUBLISH":
            return reply(0)
        elif command in ("HGETALL", "SMEMBERS"):
            return reply([])
        elif command not in ("AUTH", "PING", "SELECT"):
            return b"-ERR unknown command\r\n"
        return b"+OK\r\n"

    def line(self, kind):
        """The line of turnserver.conf that names this server as its userdb or statsdb."""
        return f'redis-{kind}="ip=127.0.0.1 dbname=0 port={self.port} connect_timeout=30"'

    def __enter__(self):
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection)
        self.server.daemon_threads = True
        self.server.redis = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
