# SPDX-License-Identifier: BSD-3-Clause
"""The HTTPS server: the page's files, and an API for the page alone."""

import http.client
import http.server
import json
import pathlib
import re
import signal
import socket
import socketserver
import ssl
import sys
import threading
import urllib.parse

from . import sessions, users
from .issuer import Issuer, Refused
from .settings import Wrong
from .signing import Keys

PAGE = pathlib.Path(__file__).resolve().parent.parent / "page"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
BODY_MAX = 4096
HEADER_MAX = 32768
CONNECTIONS = 200
SECONDS = 10  # longest pause of a client between octets
REQUEST_SECONDS = 30  # longest time for a request with its answer


def headers_of(settings):
    connect = "'self'"
    for address in (settings.provider, settings.turncredd) if settings.provider else ():
        connect += " https://" + urllib.parse.urlsplit(address).netloc
    if settings.sip_websocket:
        parts = urllib.parse.urlsplit(settings.sip_websocket)
        connect += f" {parts.scheme}://{parts.netloc}"
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src {connect}; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    )
    return {
        "Content-Security-Policy": policy,
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Permissions-Policy": "camera=(), microphone=(), geolocation=(), display-capture=()",
        "Referrer-Policy": "no-referrer",
        "Strict-Transport-Security": "max-age=31536000",
        "X-Content-Type-Options": "nosniff",
    }


def library(path):
    """The page's OAuth library, npm's oauth4webapi: one file without dependencies."""
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as wrong:
        raise Wrong(f"oauth4webapi: {path}: {wrong.strerror}; it is build/index.js of npm's oauth4webapi") from None


class Header:
    """The lines of a request's header. http.server would keep a hundred of 64 KiB; and of a line that is no field, or has a CR
    within, it makes more or less than a proxy does, and could miss the length of a body."""

    FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+:[^\r\n\0]*)?\r?\n")

    def __init__(self, stream):
        self.stream, self.left, self.good = stream, HEADER_MAX, True

    def readline(self, most):
        line = self.stream.readline(min(most, self.left + 1))
        self.left -= len(line)
        if self.left < 0:
            raise http.client.HTTPException(f"the header is longer than {HEADER_MAX} octets")  # answered 431
        self.good = self.good and bool(self.FIELD.fullmatch(line))
        return line


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "portal"
    sys_version = ""
    timeout = SECONDS
    reading = True  # the body of this request has not been read

    # --- answers ----------------------------------------------------------------------------

    def answer(self, status, body=b"", kind="text/plain; charset=utf-8", headers=()):
        self.send_response(status)
        for name, value in {**self.server.headers, **dict(headers)}.items():
            self.send_header(name, value)
        if self.reading and (self.command not in ("GET", "HEAD") or self.has_body()):
            self.close_connection = True  # else the body would be taken for the next request
            self.send_header("Connection", "close")
        if status != 204:
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body)

    def json(self, status, members, headers=()):
        body = json.dumps(members).encode()
        self.answer(status, body, "application/json", {"Cache-Control": "no-store", **dict(headers)})

    def error(self, status, error, description, headers=()):
        self.json(status, {"error": error, "error_description": description}, headers)

    # --- the parts of a request ----------------------------------------------------------------

    def parse_request(self):
        stream, self.rfile = self.rfile, Header(self.rfile)
        try:
            parsed = super().parse_request()
        finally:
            header, self.rfile = self.rfile, stream
        if parsed and not header.good:
            self.send_error(400, "a line of the header is no field")
        return parsed and header.good

    def has_body(self):
        return "Transfer-Encoding" in self.headers or "Content-Length" in self.headers

    def route(self):
        """The path. What is no URL has a path of its own, which is nobody's."""
        try:
            return urllib.parse.urlsplit(self.path).path
        except ValueError:
            return self.path.partition("?")[0]

    def take(self, action):
        try:
            action()
        except Wrong as wrong:  # the users' file was damaged, or taken away, since the portal started
            self.log_message("%s", wrong)
            self.error(500, "server_error", "the portal cannot read its users, and its log says why")

    def body(self):
        """Members of the JSON object in the body. None: an error was sent as answer."""
        length = " ".join(self.headers.get_all("Content-Length", []))
        if self.headers.get("Transfer-Encoding") or not length.isascii() or not length.isdigit():
            self.error(411, "invalid_request", "Content-Length: is needed, once")
        elif len(length) > 9 or int(length) > BODY_MAX:
            self.error(413, "invalid_request", f"the body is longer than {BODY_MAX} octets")
        elif self.headers.get_content_type() != "application/json":
            self.error(415, "invalid_request", "Content-Type: must be application/json")
        else:
            octets = self.rfile.read(int(length))
            self.reading = False
            try:
                members = json.loads(octets)
                json.dumps(members, ensure_ascii=False).encode()  # half of a surrogate pair is a ValueError here, too
            except (ValueError, RecursionError):
                members = None
            if isinstance(members, dict):
                return members
            self.error(400, "invalid_request", "the body is no JSON object")
        return None

    def from_page(self):
        """Whether the portal's own page sent the request: browsers send the origin with every request that
        changes something, and no page can forge the origin."""
        if self.headers.get("Origin") == self.server.settings.origin:
            return True
        self.error(403, "origin_not_allowed", "Origin: this is for the portal's own page")
        return False

    def cookie(self):
        for part in self.headers.get("Cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == sessions.COOKIE:
                return value
        return ""

    def signed_in(self):
        """The user of the session. None: nobody, or the user has a new password, or somebody else has the name now."""
        user, entry = self.server.sessions.user(self.cookie())
        return user if user and self.server.users.entry(user) == entry else None

    def user(self):
        """The signed-in user. None: an error was sent as answer."""
        user = self.signed_in()
        if not user:
            self.error(401, "unauthorized", "sign in first")
        return user

    # --- resources ----------------------------------------------------------------------------

    def do_GET(self):
        path = self.route()
        route = {
            "/jwks.json": self.show_jwks,
            "/healthz": lambda: self.json(200, {"status": "ok"}),
            "/api/settings": self.show_settings,
            "/api/session": self.show_session,
        }.get(path)
        if self.server.settings.provider and path in ("/jwks.json", "/api/session"):
            route = None  # the portal has no users and no keys
        if route:
            self.take(route)
        elif path in self.server.files:
            body, kind = self.server.files[path]
            self.answer(200, body, kind, {"Cache-Control": "no-cache"})
        elif path.startswith("/api/"):
            self.error(404, "not_found", "there is no such resource")
        else:
            self.answer(404, b"There is no such page.\n")

    do_HEAD = do_GET

    def do_POST(self):
        route = {
            "/api/session": self.sign_in,
            "/api/session/end": self.sign_out,
            "/api/token": lambda: self.issue(self.server.issuer.token),
            "/api/credential": lambda: self.issue(self.server.issuer.credential),
        }.get(self.path)
        if not route or self.server.settings.provider:
            self.error(404, "not_found", "there is no such resource")
        elif self.from_page():
            self.take(route)

    def show_jwks(self):
        self.answer(
            200, json.dumps(self.server.keys.jwks()).encode(), "application/json", {"Cache-Control": "max-age=300"}
        )

    def show_settings(self):
        s = self.server.settings
        sip = {"websocket": s.sip_websocket, "domain": s.sip_domain} if s.sip_websocket else None
        provider = s.provider and {
            "issuer": s.provider,
            "client": s.provider_client,
            "scope": s.provider_scope,
            "resource": s.audience,
            "turncredd": s.turncredd.rstrip("/"),
        }
        self.json(200, {"realm": s.realm, "turn_server": s.turn_server, "sip": sip, "provider": provider})

    def show_session(self):
        self.json(200, {"user": self.signed_in()})

    def sign_in(self):
        members = self.body()
        if members is None:
            return
        user, password = members.get("user"), members.get("password")
        if not isinstance(user, str) or not isinstance(password, str) or not user or not password:
            self.error(400, "invalid_request", "user and password: both are needed")
            return
        address, tries = self.client_address[0], self.server.tries
        self.server.users.look()  # a file that cannot be read is nobody's wrong password
        try:
            with users.turn():
                wait = tries.begin(address, user)
                entry = None if wait else self.server.users.verify(user, password)
        except users.Busy:
            self.error(503, "temporarily_unavailable", "too many sign in at once", {"Retry-After": "5"})
            return
        if wait:
            text = f"too many wrong passwords; try again in {-(-wait // 60)} min"
            self.error(429, "too_many_requests", text, {"Retry-After": str(wait)})
            return
        if not entry:
            self.log_message("sign-in failed")
            self.error(403, "access_denied", "user or password is wrong")
            return
        tries.succeed(address, user)
        # make a new session each time, so that a cookie planted by an attacker is worth nothing
        self.server.sessions.end(self.cookie())
        cookie = self.server.sessions.cookie(self.server.sessions.begin(user, entry))
        self.json(200, {"user": user}, {"Set-Cookie": cookie})

    def sign_out(self):
        if self.body() is not None:
            self.server.sessions.end(self.cookie())
            self.json(200, {"user": None}, {"Set-Cookie": self.server.sessions.cookie("")})

    def issue(self, how):
        members = self.body()
        user = None if members is None else self.user()
        if user is None:
            return
        if members.get("user", user) != user:  # the page of another tab, which shows the user of before
            self.error(401, "unauthorized", "somebody else has signed in")
            return
        try:
            self.json(200, how(user))
        except Refused as why:
            self.log_message("%s: %s", why, why.__cause__ or why.error)
            headers = {"Retry-After": why.retry_after} if why.retry_after else {}
            self.error(why.status, why.error, str(why), headers)

    def send_error(self, code, message=None, explain=None):  # http.server calls this for its own refusals
        self.close_connection = True
        self.answer(code, f"{message or ''}\n".encode(), headers={"Connection": "close"})

    def log_request(self, code="-", size="-"):
        if getattr(self, "command", None):
            self.log_message("%s %s %s", self.command, self.route(), int(code))

    def log_message(self, format, *args):  # noqa: A002 - http.server's name
        text = (format % args).encode("ascii", "backslashreplace").decode()
        text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
        print(f"{self.client_address[0]} {text}", file=sys.stderr, flush=True)

    def handle_one_request(self):
        self.reading, self.headers = True, {}  # http.server refuses some requests before it has read their header
        limit = threading.Timer(REQUEST_SECONDS, self.connection.shutdown, [socket.SHUT_RDWR])
        limit.daemon = True
        limit.start()
        try:
            super().handle_one_request()
        finally:
            limit.cancel()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, settings, listen):
        self.settings = settings
        self.headers = headers_of(settings)
        if not settings.provider:
            self.users = users.Users(settings.users)
            self.keys = Keys(settings.signing_keys)
            self.issuer = Issuer(settings, self.keys)
        self.sessions = sessions.Sessions(settings.session)
        self.tries = sessions.Tries()
        pages = [path for path in PAGE.iterdir() if path.suffix in TYPES and path.name[0] != "."]  # not what editors leave
        self.files = {f"/{path.name}": (path.read_bytes(), TYPES[path.suffix]) for path in pages}
        self.files["/"] = self.files.pop("/index.html")
        if settings.provider:
            self.files["/oauth4webapi.mjs"] = (library(settings.oauth4webapi), TYPES[".mjs"])
        self.files["/favicon.ico"] = self.files["/icon.svg"]  # browsers ask for it by themselves
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.tls.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            self.tls.load_cert_chain(settings.tls_certificate, settings.tls_key)
        except OSError as wrong:  # ssl.SSLError is one
            files = f"{settings.tls_certificate}, {settings.tls_key}"
            raise Wrong(f"tls_certificate, tls_key: {files}: {wrong}") from None
        self.slots = threading.BoundedSemaphore(CONNECTIONS)
        if listen:
            self.address_family = socket.AF_INET6 if ":" in settings.https[0] else socket.AF_INET
            try:
                super().__init__(settings.https, Handler)
            except OSError as wrong:
                raise Wrong(f"https: {settings.https[0]} port {settings.https[1]}: {wrong.strerror}") from None

    def server_bind(self):  # http.server would look up the host's name here
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        if not self.slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # out of threads, for now
            self.slots.release()
            raise

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.slots.release()

    def finish_request(self, request, client_address):
        """Begins TLS in the connection's own thread, so that other clients need not wait for a slow one."""
        request.settimeout(SECONDS)
        try:
            with self.tls.wrap_socket(request, server_side=True) as connection:
                self.RequestHandlerClass(connection, client_address, self)
                # closing with unread octets would reset the connection, and the client would lose the answer
                connection.settimeout(2)
                connection.shutdown(socket.SHUT_WR)
                for _ in range(16):
                    if not connection.recv(4096):
                        break
        except (OSError, ValueError):
            pass  # the client is gone, is too slow, or speaks no TLS

    def shutdown_request(self, request):
        self.close_request(request)  # wrap_socket has taken its descriptor over

    def run(self):
        def stop(*_):
            threading.Thread(target=self.shutdown).start()

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        host, port = self.server_address[:2]
        print(f"portal: https on {host} port {port}, for {self.settings.origin}", file=sys.stderr, flush=True)
        self.serve_forever(poll_interval=0.2)
        self.server_close()
