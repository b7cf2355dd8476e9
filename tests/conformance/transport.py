# SPDX-License-Identifier: BSD-3-Clause
"""The four ways from a TURN client to its server: UDP, TCP, TLS, DTLS.

Each has send(octets), recv(seconds) -> one STUN message or ChannelData (None when nothing came),
close(), local (ip, port), stream (ChannelData is padded and framed) and reliable (no
retransmission).
"""

import contextlib
import ctypes
import ctypes.util
import ipaddress
import select
import socket
import ssl
import struct
import time

import stun


class Gone(ConnectionError):
    """The server closed the connection, or no server listens there."""


def readable(sock, seconds):
    """Whether something comes within the time. By poll, since select takes no descriptor above 1,023."""
    poll = select.poll()
    poll.register(sock, select.POLLIN)
    return bool(poll.poll(max(0, seconds) * 1000))


def family_of(address):
    version = ipaddress.ip_address(address[0].partition("%")[0]).version
    return socket.AF_INET if version == 4 else socket.AF_INET6


class Udp:
    stream = False
    reliable = False
    name = "udp"

    def __init__(self, server, local=None, share_port=False):
        self.server = server
        self.socket = socket.socket(family_of(server), socket.SOCK_DGRAM)
        if share_port:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            if local:
                self.socket.bind(local)
            self.socket.connect(server)
        except OSError:
            self.socket.close()
            raise
        self.local = self.socket.getsockname()[:2]

    def send(self, octets):
        try:
            self.socket.send(octets)
        except ConnectionRefusedError as error:
            raise Gone(str(error)) from None

    def recv(self, seconds):
        if not readable(self.socket, seconds):
            return None
        try:
            return self.socket.recv(65536)
        except ConnectionRefusedError as error:
            raise Gone(str(error)) from None

    def spoofer(self):
        """A socket of somebody else that sends from our address and port. Needs share_port.

        It is not connected, so that every answer still goes to the connected socket.
        """
        other = socket.socket(self.socket.family, socket.SOCK_DGRAM)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(self.local)
        return other

    def close(self):
        self.socket.close()


class Tcp:
    stream = True
    reliable = True
    name = "tcp"

    def __init__(self, server, local=None, timeout=15):
        self.server = server
        try:
            self.socket = socket.create_connection(server, timeout, local)
        except OSError as error:
            raise Gone(str(error)) from None
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local = self.socket.getsockname()[:2]
        self.buffer = b""

    def send(self, octets):
        try:
            self.socket.settimeout(5)
            self.socket.sendall(octets)
        except OSError as error:
            raise Gone(str(error)) from None

    def recv_octets(self, seconds):
        """Whatever is there, None after the time; for RFC 6062 data connections too."""
        if self.buffer:
            octets, self.buffer = self.buffer, b""
            return octets
        return self._read(time.monotonic() + seconds)

    def _read(self, end):
        pending = getattr(self.socket, "pending", lambda: 0)
        if not pending():
            if not readable(self.socket, end - time.monotonic()):
                return None
        try:
            self.socket.settimeout(max(0.001, end - time.monotonic()))
            octets = self.socket.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            return None
        except OSError as error:
            raise Gone(str(error)) from None
        if not octets:
            raise Gone("the server closed the connection")
        return octets

    def recv(self, seconds):
        end = time.monotonic() + seconds
        while True:
            if len(self.buffer) >= 4:
                length = stun.frame_length(self.buffer[:4])
                if len(self.buffer) >= length:
                    frame, self.buffer = self.buffer[:length], self.buffer[length:]
                    return frame
            octets = self._read(end)
            if octets is None:
                return None
            self.buffer += octets

    def close(self):
        self.socket.close()


class Tls(Tcp):
    """TLS; certificates are not judged here, the tests make their own."""

    name = "tls"

    def __init__(self, server, local=None, timeout=15):
        super().__init__(server, local, timeout)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        try:
            self.socket = context.wrap_socket(self.socket)
        except OSError as error:
            raise Gone(f"TLS: {error}") from None


class Dtls:
    """DTLS through libssl, since Python's ssl module has none."""

    stream = False
    reliable = False
    name = "dtls"

    BIO_CTRL_DGRAM_SET_CONNECTED = 32
    BIO_CTRL_DGRAM_SET_RECV_TIMEOUT = 33
    SSL_ERROR_WANT_READ = 2
    SSL_ERROR_ZERO_RETURN = 6
    lib = None

    @classmethod
    def load(cls):
        if cls.lib:
            return
        lib = ctypes.CDLL(ctypes.util.find_library("ssl"))
        pointer = ctypes.c_void_p
        for name, result, *arguments in (
            ("DTLS_client_method", pointer),
            ("SSL_CTX_new", pointer, pointer),
            ("SSL_CTX_free", None, pointer),
            ("SSL_new", pointer, pointer),
            ("SSL_free", None, pointer),
            ("SSL_set_bio", None, pointer, pointer, pointer),
            ("SSL_connect", ctypes.c_int, pointer),
            ("SSL_shutdown", ctypes.c_int, pointer),
            ("SSL_pending", ctypes.c_int, pointer),
            ("SSL_get_error", ctypes.c_int, pointer, ctypes.c_int),
            ("SSL_read", ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_int),
            ("SSL_write", ctypes.c_int, pointer, ctypes.c_char_p, ctypes.c_int),
            ("BIO_new_dgram", pointer, ctypes.c_int, ctypes.c_int),
            ("BIO_ctrl", ctypes.c_long, pointer, ctypes.c_int, ctypes.c_long, pointer),
            ("ERR_clear_error", None),
        ):
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
        cls.lib = lib

    def __init__(self, server, local=None, timeout=15):
        self.load()
        lib = self.lib
        self.ended = None
        self.server = server
        self.socket = socket.socket(family_of(server), socket.SOCK_DGRAM)
        try:
            if local:
                self.socket.bind(local)
            self.socket.connect(server)
        except OSError:
            self.socket.close()
            raise
        self.local = self.socket.getsockname()[:2]
        self.context = lib.SSL_CTX_new(lib.DTLS_client_method())
        self.ssl = lib.SSL_new(self.context)
        self.bio = lib.BIO_new_dgram(self.socket.fileno(), 0)
        if family_of(server) == socket.AF_INET:
            peer = struct.pack("=HH4s8x", socket.AF_INET, socket.htons(server[1]), packed(server))
        else:
            peer = struct.pack(
                "=HHI16sI", socket.AF_INET6, socket.htons(server[1]), 0, packed(server), 0
            )
        # BIO_ADDR is a union of sockaddrs: give the call a whole one
        self.peer = ctypes.create_string_buffer(peer, 128)
        lib.BIO_ctrl(self.bio, self.BIO_CTRL_DGRAM_SET_CONNECTED, 0, self.peer)
        lib.SSL_set_bio(self.ssl, self.bio, self.bio)
        self._timeout(1)
        end = time.monotonic() + timeout
        while True:
            result = lib.SSL_connect(self.ssl)
            if result == 1:
                return
            error = lib.SSL_get_error(self.ssl, result)
            lib.ERR_clear_error()
            if error != self.SSL_ERROR_WANT_READ or time.monotonic() > end:
                self.close()
                raise Gone(f"DTLS handshake failed (SSL_get_error {error})")

    def _timeout(self, seconds):
        microseconds = max(1000, int(seconds * 1_000_000))
        value = struct.pack("@ll", *divmod(microseconds, 1_000_000))
        self.lib.BIO_ctrl(
            self.bio,
            self.BIO_CTRL_DGRAM_SET_RECV_TIMEOUT,
            0,
            ctypes.create_string_buffer(value, len(value)),
        )

    def send(self, octets):
        # after its close_notify the server no longer reads, but writing would still succeed
        if self.ended or self.lib.SSL_write(self.ssl, octets, len(octets)) <= 0:
            self.lib.ERR_clear_error()
            raise Gone(self.ended or "DTLS write failed")

    def recv(self, seconds):
        end = time.monotonic() + seconds
        while True:
            left = end - time.monotonic()
            if not self.lib.SSL_pending(self.ssl):
                if not readable(self.socket, left):
                    return None
            self._timeout(max(left, 0.001))
            room = ctypes.create_string_buffer(65536)
            size = self.lib.SSL_read(self.ssl, room, len(room))
            if size > 0:
                return room.raw[:size]
            error = self.lib.SSL_get_error(self.ssl, size)
            self.lib.ERR_clear_error()
            if error != self.SSL_ERROR_WANT_READ:
                self.ended = f"DTLS session ended (SSL_get_error {error})"
                raise Gone(self.ended)
            if time.monotonic() >= end:
                return None

    def close(self):
        if self.ssl:
            with contextlib.suppress(OSError):
                self.lib.SSL_shutdown(self.ssl)
            self.lib.SSL_free(self.ssl)
            self.lib.SSL_CTX_free(self.context)
            self.lib.ERR_clear_error()
            self.ssl = None
        self.socket.close()


def packed(address):
    return ipaddress.ip_address(address[0]).packed


TRANSPORTS = {"udp": Udp, "tcp": Tcp, "tls": Tls, "dtls": Dtls}


def connect(name, server, **options):
    return TRANSPORTS[name](server, **options)


class Counting:
    """A client's transport that counts what it sends and receives, by a relay's counters: octets and messages."""

    def __init__(self, inner):
        self.inner = inner
        self.received, self.sent, self.messages_received, self.messages_sent = 0, 0, 0, 0

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def send(self, octets):
        self.sent += len(octets)
        self.messages_sent += 1
        self.inner.send(octets)

    def recv(self, seconds):
        octets = self.inner.recv(seconds)
        if octets is not None:
            self.received += len(octets)
            self.messages_received += 1
        return octets
