# SPDX-License-Identifier: BSD-3-Clause
"""A turnserver for one test: its own folder, configuration and fresh port; ended by its pid."""

import contextlib
import errno
import functools
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import turnclient
import transport

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "versions"))
import differences  # noqa: E402

STOCK = "/usr/bin/turnserver"
RELAY_PORTS = 2000  # newer versions shuffle them at start, with a system call each


def find(program_variable, folder_variable, fallback=None):
    """turnserver by an environment variable with its path, or with the folder it is in; or None."""
    path = os.environ.get(program_variable)
    if path:
        if not os.access(path, os.X_OK):
            raise FileNotFoundError(f"{program_variable}={path}: not there, or not executable")
        return path
    folder = os.environ.get(folder_variable)
    if folder:
        for name in ("bin/turnserver", "usr/bin/turnserver", "turnserver"):
            path = os.path.join(folder, name)
            if os.access(path, os.X_OK):
                return path
        raise FileNotFoundError(f"{folder_variable}={folder}: there is no turnserver in it")
    return fallback if fallback and os.access(fallback, os.X_OK) else None


def stock():
    """Unpatched turnserver: TURNSERVER_STOCK, COTURN_STOCK_DIR, or the distribution's package."""
    return find("TURNSERVER_STOCK", "COTURN_STOCK_DIR", STOCK)


def patched():
    return find("TURNSERVER", "COTURN_DIR")


@functools.lru_cache(None)
def version(program):
    """The version that turnserver names, as numbers: (4, 6, 1)."""
    with open(program, "rb") as file:  # 4.5.2 has no --version
        found = re.search(rb"Coturn-(\d+)\.(\d+)\.(\d+)", file.read())
    return tuple(map(int, found.groups()))


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def claim(port):
    """False if somebody was given this port less than two minutes ago and may not listen on it yet (scripts/lib.sh)."""
    folder = f"/tmp/turncred-ports.{os.getuid()}"
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, str(port))
    with contextlib.suppress(FileNotFoundError):
        if time.time() - os.stat(path).st_mtime > 120:
            os.unlink(path)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return False
    return True


def free_port():
    """A port free for UDP and TCP, outside the range of ephemeral and relay ports."""
    for _ in range(200):
        port = random.randrange(10000, 32000)
        if not claim(port):
            continue
        with contextlib.ExitStack() as stack:
            try:
                for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
                    for ip in ("0.0.0.0", "127.0.0.1"):
                        probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                        probe.bind((ip, port))
                        probe.close()
                return port
            except OSError:
                continue
    raise RuntimeError("no free port found")


class Server:
    """Starts a turnserver and waits until it answers.

    lines: of turnserver.conf, in addition to those for a loopback test server. tls adds a
    certificate and a TLS/DTLS port. A with statement ends it and removes its folder.
    """

    def __init__(self, program, lines=(), tls=False, ip="127.0.0.1", environment=None, under=()):
        """under: a command that runs the server, such as valgrind."""
        self.folder = tempfile.mkdtemp(prefix="turnserver-")
        os.chmod(self.folder, 0o755)
        self.program = program
        self.under = list(under)
        self.port = free_port()
        relay_port = random.randrange(32768, 61000 - RELAY_PORTS)
        self.address = (ip, self.port)
        self.tls_address = None
        self.environment = dict(os.environ, **(environment or {}))
        config = [
            f"listening-ip={ip}",
            f"relay-ip={ip}",
            f"listening-port={self.port}",
            f"min-port={relay_port}",
            f"max-port={relay_port + RELAY_PORTS - 1}",
            "allow-loopback-peers",
            "relay-threads=2",
            "cli-password=not-used-on-loopback",
            "no-cli",
            f"pidfile={self.folder}/turnserver.pid",
            f"log-file={self.folder}/turnserver.log",
            "simple-log",
            "verbose",
        ]
        if tls:
            tls_port = free_port()
            self.tls_address = (ip, tls_port)
            self._certificate()
            config += [
                f"tls-listening-port={tls_port}",
                f"cert={self.folder}/cert.pem",
                f"pkey={self.folder}/key.pem",
            ]
        else:
            config += ["no-tls", "no-dtls"]
        lines = [line.replace("@FOLDER@", self.folder) for line in lines]
        if not any(line.startswith("userdb=") or "psql-userdb=" in line for line in lines):
            config.append(f"userdb={self.folder}/userdb.sqlite")
        config += lines
        config += differences.settings(".".join(map(str, version(program))), config)
        self.config = os.path.join(self.folder, "turnserver.conf")
        with open(self.config, "w") as file:
            file.write("\n".join(config) + "\n")
        self.process = None
        self.ports = iter(random.sample(range(32768, 61000), 28000))

    def _certificate(self):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
            + ["-nodes", "-subj", "/CN=turn.test", "-days", "2"]
            + ["-keyout", f"{self.folder}/key.pem", "-out", f"{self.folder}/cert.pem"],
            check=True,
            capture_output=True,
        )

    def start(self, seconds=40):
        self.output = open(os.path.join(self.folder, "output"), "wb")
        self.process = subprocess.Popen(
            [*self.under, self.program, "-c", self.config],
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
            env=self.environment,
        )
        return self.answering(seconds)

    def answering(self, seconds):
        """Waits until the server answers, also if it has become a daemon."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process and self.process.poll() is not None:
                raise RuntimeError(f"turnserver ended with {self.process.returncode}: {self.log()}")
            try:
                client = turnclient.Client(transport.connect("tcp", self.address))
            except transport.Gone:
                time.sleep(0.05)
                continue
            try:
                client.rto = 0.1
                client.binding()  # any answer will do: with secure-stun it is 401
                return self
            except (turnclient.NoAnswer, transport.Gone):
                time.sleep(0.05)
            finally:
                client.close()
        raise RuntimeError(f"turnserver does not answer: {self.log()}")

    def log(self):
        text = ""
        for name in ("output", "turnserver.log"):
            with contextlib.suppress(OSError):
                with open(os.path.join(self.folder, name), errors="replace") as file:
                    text += file.read()
        return text

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(1)  # from 4.6.2 it takes 6 s over its end, which nobody looks at here
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(5)
        if self.process:
            self.output.close()

    def client(self, kind="udp", credential=None, share_port=False, ip=None, **options):
        """ip: another address of the server than its first."""
        address = self.tls_address if kind in ("tls", "dtls") else self.address
        address = (ip or address[0], address[1])
        if kind not in ("udp", "dtls"):
            return turnclient.Client(transport.connect(kind, address), credential, **options)
        # never the port of an earlier client: its session may still be there
        extra = {"share_port": True} if share_port else {}
        for port in self.ports:
            try:
                carrier = transport.connect(kind, address, local=("127.0.0.1", port), **extra)
                return turnclient.Client(carrier, credential, **options)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
        raise RuntimeError("no ports left for clients")

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *_):
        self.stop()
        if not os.environ.get("KEEP"):
            shutil.rmtree(self.folder, ignore_errors=True)
