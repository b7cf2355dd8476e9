# SPDX-License-Identifier: BSD-3-Clause
"""A redis-server for one test, on a port of 127.0.0.1."""

import contextlib
import shutil
import socket
import subprocess
import tempfile

import server


class Redis:
    def __init__(self, until):
        """until(condition): waits for the condition, and tells whether it came."""
        self.until = until

    def __enter__(self):
        self.folder = tempfile.mkdtemp(prefix="redis-")
        self.port = server.free_port()
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1"] + ["--save", "", "--dir", self.folder],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        if not self.until(lambda: self.tell("PING").startswith("+PONG")):
            self.__exit__()
            raise RuntimeError("redis-server does not answer")
        return self

    def tell(self, command):
        """The server's answer to one command line; "" if the server does not answer."""
        with contextlib.suppress(OSError):
            with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
                connection.sendall(f"{command}\r\nQUIT\r\n".encode())
                return b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        return ""

    def line(self, kind):
        """The line of turnserver.conf for this server; kind is "statsdb" or "userdb"."""
        return f'redis-{kind}="ip=127.0.0.1 dbname=0 port={self.port} connect_timeout=30"'

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)
