#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The sample portal without a browser: sign-in, refusals, the contents of its tokens, settings.
turncredd and turnserver are real."""

import base64
import concurrent.futures
import http.client
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import sys
import time
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import place  # noqa: E402
import turnclient  # noqa: E402
import transport  # noqa: E402
import credentials  # noqa: E402

sys.path.insert(0, str(place.PORTAL.parent))
sys.dont_write_bytecode = True

PLACE = None


def setUpModule():
    global PLACE
    reason = place.missing()
    if reason:
        raise unittest.SkipTest(reason)
    PLACE = place.Place(lines=["sip_websocket = wss://edge.portal.example:8443/ws"])


def tearDownModule():
    if PLACE:
        PLACE.stop()


def url_parts():
    host, _, port = PLACE.portal.split("//")[1].partition(":")
    return host, int(port)


def call(method, path, members=None, headers=(), origin=True, cookie=None, body=None):
    """Status, headers, body (JSON where it is)."""
    connection = http.client.HTTPSConnection(*url_parts(), timeout=30, context=PLACE.tls)
    fields = dict(headers)
    if method == "POST":
        fields.setdefault("Content-Type", "application/json")
        if origin:
            fields.setdefault("Origin", PLACE.portal)
        body = json.dumps({} if members is None else members) if body is None else body
    if cookie:
        fields["Cookie"] = cookie
    connection.request(method, path, body, fields)
    answer = connection.getresponse()
    octets = answer.read()
    connection.close()
    if answer.headers.get_content_type() == "application/json":
        octets = json.loads(octets)
    return answer.status, answer.headers, octets


def exchange(octets):
    """All that the portal sends to these octets until it closes the connection."""
    with PLACE.tls.wrap_socket(socket.create_connection(url_parts(), 30), server_hostname=PLACE.ip) as connection:
        connection.sendall(octets)
        return b"".join(iter(lambda: connection.recv(65536), b""))


def sign_in(user="alice", password=None, **options):
    return call("POST", "/api/session", {"user": user, "password": password or place.PASSWORDS[user]}, **options)


def cookie_of(headers):
    return headers["Set-Cookie"].split(";")[0]


def signed_in(user="alice"):
    return cookie_of(sign_in(user)[1])


class Session(unittest.TestCase):
    def test_cookie(self):
        status, headers, members = sign_in()
        self.assertEqual((status, members), (200, {"user": "alice"}))
        value, *attributes = headers["Set-Cookie"].split("; ")
        self.assertRegex(value, r"^__Host-session=[\w-]{43}$")
        self.assertEqual(set(attributes), {"Path=/", "Max-Age=28800", "Secure", "HttpOnly", "SameSite=Strict"})
        self.assertEqual(call("GET", "/api/session", cookie=value)[2], {"user": "alice"})
        self.assertEqual(call("GET", "/api/session")[2], {"user": None})

    def test_signing_out_ends_it_on_the_server(self):
        cookie = signed_in()
        self.assertEqual(call("POST", "/api/session/end", cookie=cookie)[0], 200)
        self.assertEqual(call("POST", "/api/credential", cookie=cookie)[0], 401)

    def test_signing_in_ends_the_session_before(self):
        before = signed_in()
        after = cookie_of(sign_in("bob", cookie=before)[1])
        self.assertNotEqual(before, after)
        self.assertEqual(call("GET", "/api/session", cookie=before)[2], {"user": None})
        self.assertEqual(call("GET", "/api/session", cookie=after)[2], {"user": "bob"})

    def test_refused(self):
        for user, password in (("alice", "wrong"), ("nobody", "wrong"), ("alice", "x" * 300), ("", "x"), ("alice", "")):
            with self.subTest(user=user):
                status, headers, members = call("POST", "/api/session", {"user": user, "password": password})
                self.assertEqual(status, 403 if user and password else 400)
                self.assertNotIn("Set-Cookie", headers)
        # who exists is not told
        one, other = sign_in("alice", "wrong")[2], sign_in("nobody", "wrong")[2]
        self.assertEqual(one, other)

    def test_a_user_who_was_removed_is_out(self):
        PLACE.set_password("carol", "carol's password")
        place.PASSWORDS["carol"] = "carol's password"
        cookie = signed_in("carol")
        PLACE.command("--config", PLACE.folder / "portal.conf", "unuser", "carol")
        self.assertEqual(call("POST", "/api/credential", cookie=cookie)[0], 401)
        self.assertEqual(sign_in("carol")[0], 403)

    def test_a_session_belongs_to_one_password_of_one_person(self):
        """A new password ends it; and who gets the name of a removed user does not get that user's sessions."""
        for change in ([], ["unuser"]):
            with self.subTest(change):
                PLACE.set_password("dora", "dora's password")
                place.PASSWORDS["dora"] = "dora's password"
                cookie = signed_in("dora")
                self.assertEqual(call("GET", "/api/session", cookie=cookie)[2], {"user": "dora"})
                for command in change:
                    PLACE.command("--config", PLACE.folder / "portal.conf", command, "dora")
                PLACE.set_password("dora", "dora's password")  # with another salt
                self.assertEqual(call("GET", "/api/session", cookie=cookie)[2], {"user": None})
                self.assertEqual(call("POST", "/api/credential", cookie=cookie)[0], 401)

    def test_a_users_file_that_is_damaged_or_gone_is_said(self):
        path, cookie = PLACE.folder / "users", signed_in()
        text = path.read_text()
        for spoil, said in ((lambda: path.write_text(text + "damaged\n"), "not a line that"), (path.unlink, "No such file")):
            spoil()
            try:
                for method, where, members in (
                    ("GET", "/api/session", None),
                    ("POST", "/api/credential", None),
                    ("POST", "/api/session", {"user": "alice", "password": place.PASSWORDS["alice"]}),
                ):
                    status, _, answer = call(method, where, members, cookie=cookie)
                    self.assertEqual((status, answer["error"]), (500, "server_error"))
                self.assertIn(said, PLACE.log("portal"))
            finally:
                PLACE.secret("users", text)
        self.assertNotIn("Traceback", PLACE.log("portal"))
        self.assertEqual(call("GET", "/api/session", cookie=cookie)[2], {"user": "alice"})

    def test_users_may_be_many(self):
        path, password = PLACE.folder / "users", place.PASSWORDS["alice"]
        text = path.read_text()
        entry = text.partition("alice:")[2].partition("\n")[0]
        PLACE.secret("users", text + "".join(f"user{i}:{entry}\n" for i in range(3000)))
        try:
            self.assertEqual(sign_in("user2999", password)[0], 200)
            PLACE.command("--config", PLACE.folder / "portal.conf", "unuser", "user2999")
            self.assertEqual(sign_in("user2999", password)[0], 403)
            # what is too large is said to be, and not cut off
            with open(path, "a") as file:
                file.truncate(1 << 25)
            done = PLACE.command("--config", PLACE.folder / "portal.conf", "check", check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(f"users: {path} is larger than", done.stderr)
        finally:
            PLACE.secret("users", text)

    def test_a_page_gets_nothing_of_another_user(self):
        """Who signs in in one tab changes the session of all tabs, and another tab still shows the user of before."""
        cookie = signed_in("bob")
        for path in ("/api/token", "/api/credential"):
            self.assertEqual(call("POST", path, {"user": "alice"}, cookie=cookie)[0], 401)
            self.assertEqual(call("POST", path, {"user": "bob"}, cookie=cookie)[0], 200)

    def test_guesses_at_once_are_no_more_guesses(self):
        with concurrent.futures.ThreadPoolExecutor(30) as pool:
            statuses = list(pool.map(lambda i: sign_in("target", f"guess {i}")[0], range(30)))
        self.assertLessEqual(set(statuses), {403, 429, 503})  # 503: too many at once for a busy machine
        while statuses[-1] != 429 and statuses.count(403) < 9:
            statuses.append(sign_in("target", "guess")[0])
        self.assertEqual(statuses.count(403), 5)

    def test_tries_of_clients(self):
        from service import sessions

        now = [0]
        tries = sessions.Tries(lambda: now[0])
        # a client of IPv6 has a whole /64, a client of IPv4 one address
        self.assertEqual([tries.begin(f"2001:db8:0:1::{i:x}", "alice") for i in range(7)], [0] * 5 + [301] * 2)
        self.assertEqual(tries.begin("2001:db8:0:2::1", "alice"), 0)
        self.assertEqual([tries.begin(f"::ffff:192.0.2.{i}", "alice") for i in range(7)], [0] * 7)
        self.assertEqual([tries.begin(f"192.0.2.{i}", "alice") for i in range(7)], [0] * 7)
        self.assertEqual([tries.begin("fe80::1%eth0", "alice") for i in range(6)], [0] * 5 + [301])
        # right passwords are not counted
        for _ in range(200):
            self.assertEqual(tries.begin("198.51.100.1", "bob"), 0)
            tries.succeed("198.51.100.1", "bob")
        self.assertEqual([tries.begin("198.51.100.1", f"user{i}") for i in range(52)], [0] * 50 + [301] * 2)
        now[0] = 301
        self.assertEqual(tries.begin("198.51.100.1", "user51"), 0)

    def test_guessing_is_slowed_down(self):
        statuses = [sign_in("victim", f"guess {i}")[0] for i in range(7)]
        self.assertEqual(statuses, [403] * 5 + [429] * 2)
        status, headers, members = sign_in("victim", "guess")
        self.assertGreater(int(headers["Retry-After"]), 200)
        # others at the same address go on
        self.assertEqual(sign_in("bob")[0], 200)


class Forgery(unittest.TestCase):
    def test_other_origins_change_nothing(self):
        cookie = signed_in()
        for origin in ("https://evil.example", "null", PLACE.portal + ".evil.example", PLACE.portal.replace("https", "http")):
            for path in ("/api/session", "/api/session/end", "/api/token", "/api/credential"):
                with self.subTest(origin=origin, path=path):
                    status, headers, members = call("POST", path, cookie=cookie, headers={"Origin": origin})
                    self.assertEqual((status, members["error"]), (403, "origin_not_allowed"))
                    self.assertNotIn("Access-Control-Allow-Origin", headers)
        self.assertEqual(call("POST", "/api/credential", cookie=cookie, origin=False)[0], 403)
        self.assertEqual(call("GET", "/api/session", cookie=cookie)[2], {"user": "alice"})

    def test_forms_of_other_pages(self):
        cookie = signed_in()
        for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
            status, _, members = call("POST", "/api/credential", cookie=cookie, headers={"Content-Type": kind})
            self.assertEqual(status, 415)

    def test_get_issues_nothing(self):
        cookie = signed_in()
        for path in ("/api/token", "/api/credential"):
            self.assertEqual(call("GET", path, cookie=cookie)[0], 404)


class Issuing(unittest.TestCase):
    def test_credential_lets_in(self):
        status, headers, members = call("POST", "/api/credential", cookie=signed_in())
        self.assertEqual(status, 200)
        self.assertEqual(headers["Cache-Control"], "no-store")
        self.login(credentials.Credential(members["username"], password=members["password"]))

    def test_token_lets_in(self):
        status, _, members = call("POST", "/api/token", cookie=signed_in("bob"))
        self.assertEqual((status, members["token_type"]), (200, "pop"))
        token, key = (base64.b64decode(members[name], validate=True) for name in ("access_token", "key"))
        self.login(credentials.Credential(members["kid"], mac_key=key, token=token))

    def login(self, credential):
        client = turnclient.Client(transport.connect("udp", PLACE.turn.server.address), credential)
        try:
            self.assertTrue(client.allocate().ok)
            client.refresh(0)
        finally:
            client.close()

    def test_turncredd_refuses(self):
        cookie = signed_in("bob")
        PLACE.revoke("bob")
        try:
            end = time.monotonic() + 30
            while (answer := call("POST", "/api/credential", cookie=cookie))[0] != 403:
                self.assertLess(time.monotonic(), end)
            self.assertIn("revoked", answer[2]["error_description"])
        finally:
            PLACE.ctl("unrevoke", "user", place.REALM, "bob")

    def test_access_tokens_are_as_rfc_9068_says(self):
        import jwt
        from service import signing

        keys = signing.Keys([PLACE.folder / "signing.pem"])
        published = call("GET", "/jwks.json")[2]
        self.assertEqual(published, json.loads((PLACE.folder / "jwks.json").read_text()))
        self.assertEqual(published, keys.jwks())
        self.assertNotIn("d", published["keys"][0])
        token = keys.access_token(PLACE.portal, place.AUDIENCE, "portal", "alice")
        header = jwt.get_unverified_header(token)
        self.assertEqual((header["typ"], header["alg"]), ("at+jwt", "ES256"))
        self.assertEqual(header["kid"], published["keys"][0]["kid"])
        key = jwt.PyJWK(published["keys"][0], "ES256").key
        claims = jwt.decode(token, key, ["ES256"], audience=place.AUDIENCE, issuer=PLACE.portal)
        self.assertEqual(claims["sub"], "alice")
        self.assertEqual(claims["client_id"], "portal")
        self.assertEqual(claims["exp"] - claims["iat"], signing.LIFETIME)
        self.assertIn("jti", claims)
        # and from the published set alone, turncredd takes it: test_token_lets_in


class Requests(unittest.TestCase):
    def test_headers(self):
        for path in ("/", "/page.mjs", "/api/settings", "/jwks.json", "/nothing"):
            status, headers, _ = call("GET", path)
            with self.subTest(path=path):
                policy = headers["Content-Security-Policy"]
                self.assertIn("default-src 'none'", policy)
                self.assertIn("script-src 'self'", policy)
                self.assertIn("connect-src 'self' wss://edge.portal.example:8443;", policy)
                self.assertIn("frame-ancestors 'none'", policy)
                self.assertIn("form-action 'none'", policy)
                self.assertNotIn("unsafe", policy)
                self.assertEqual(headers["X-Content-Type-Options"], "nosniff")
                self.assertEqual(headers["Referrer-Policy"], "no-referrer")
                self.assertIn("max-age", headers["Strict-Transport-Security"])

    def test_files_are_the_pages_alone(self):
        page = place.PORTAL.parent / "page"
        for file in page.iterdir():
            path = "/" if file.name == "index.html" else f"/{file.name}"
            status, headers, octets = call("GET", path)
            self.assertEqual((status, octets), (200, file.read_bytes()))
        self.assertEqual(call("GET", "/page.mjs")[1]["Content-Type"], "text/javascript; charset=utf-8")
        for path in ("/../portal.conf", "/%2e%2e/portal", "//etc/passwd", "/service/web.py", "/page/page.mjs", "/.git"):
            self.assertEqual(call("GET", path)[0], 404, path)

    def test_bad_bodies(self):
        for body, status in (("{", 400), ("[]", 400), ('"x"', 400), ("[" * 4000, 400), ("x" * 5000, 413)):
            with self.subTest(body=body[:8]):
                self.assertEqual(call("POST", "/api/session", body=body)[0], status)
        half = r'{"user": "%s", "password": "%s"}'  # of a surrogate pair: text that no encoding has
        for members in (half % (r"\ud800", "x"), half % ("alice", r"\udfff")):
            self.assertEqual(call("POST", "/api/session", body=members)[0], 400)
        for members in ({}, {"user": 1, "password": []}, {"user": "alice"}, {"user": None, "password": None}):
            self.assertEqual(call("POST", "/api/session", members)[0], 400)
        self.assertEqual(call("POST", "/api/nothing")[0], 404)
        self.assertEqual(call("PUT", "/api/session")[0], 501)
        self.assertEqual(call("POST", "/api/session", headers={"Content-Length": "-1"}, body="{}")[0], 411)
        self.assertEqual(call("GET", "/healthz")[0], 200)

    def test_a_body_is_no_request(self):
        """What a proxy forwards as the body of a GET is not answered as a request of somebody else."""
        inner = b"GET /jwks.json HTTP/1.1\r\nHost: x\r\n\r\n"
        for method in (b"GET", b"HEAD"):
            for field, body in (
                (b"Content-Length: %d" % len(inner), inner),
                (b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(inner), inner)),
            ):
                got = exchange(b"%s /healthz HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n%s" % (method, field, body))
                self.assertEqual(got.count(b"HTTP/1.1 "), 1, got)
        for field, status in (
            (b"Content-Length : %d" % len(inner), b"400"),
            (b"nothing\r\nContent-Length: %d" % len(inner), b"400"),
            (b"Content-Length: 2\r\nContent-Length: %d" % len(inner), b"411"),
            (b"Content-Length: " + b"9" * 5000, b"413"),
        ):
            head = b"POST /api/session HTTP/1.1\r\nOrigin: %s\r\nContent-Type: application/json\r\n" % PLACE.portal.encode()
            got = exchange(head + field + b"\r\n\r\n{}" + inner)
            self.assertEqual((got[9:12], got.count(b"HTTP/1.1 ")), (status, 1), got)
        # what http.server takes for no field, for the end of the header, or for two fields
        for field in (b" Content-Length: %d", b"X: a\r\r\nContent-Length: %d", b"X: a\rContent-Length: %d", b"X:\r\n Content-Length: %d"):
            got = exchange(b"GET /healthz HTTP/1.1\r\n" + field % len(inner) + b"\r\nHost: x\r\n\r\n" + inner)
            self.assertEqual((got[9:12], got.count(b"HTTP/1.1 ")), (b"400", 1), got)
        # and two requests are two
        got = exchange(inner + inner.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        self.assertEqual(got.count(b"HTTP/1.1 200"), 2, got)

    def test_requests_that_are_none_are_answered(self):
        for target in (b"http://[x", b"//[x", b"https://[::1]]/?secret=1"):
            got = exchange(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % target)
            self.assertTrue(got.startswith(b"HTTP/1.1 404 "), got)
        for fields in (b"X: y\r\n" * 200, b"X: %s\r\n" % (b"y" * 60000) * 4):
            self.assertTrue(exchange(b"GET / HTTP/1.1\r\n" + fields + b"\r\n").startswith(b"HTTP/1.1 431 "))
        self.assertNotIn("secret=1", PLACE.log("portal"))

    def test_slow_clients_keep_nobody_waiting(self):
        slow = [socket.create_connection(url_parts()) for _ in range(20)]
        try:
            began = time.monotonic()
            self.assertEqual(call("GET", "/healthz")[0], 200)
            self.assertLess(time.monotonic() - began, 5)
            # those that do not even begin TLS are cut off
            slow[0].settimeout(40)
            self.assertEqual(slow[0].recv(1), b"")
        finally:
            for connection in slow:
                connection.close()

    def test_connections_without_a_thread_keep_no_place(self):
        from service import settings, web

        portal = web.Server(settings.read(PLACE.folder / "portal.conf"), listen=False)
        with unittest.mock.patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread")):
            for _ in range(2 * web.CONNECTIONS):
                with self.assertRaises(RuntimeError):
                    portal.process_request(None, ("127.0.0.1", 1))
        for _ in range(web.CONNECTIONS):
            self.assertTrue(portal.slots.acquire(blocking=False))

    def test_many_at_once(self):
        cookie = signed_in()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            jobs = [pool.submit(call, "POST", "/api/token", cookie=cookie) for _ in range(24)]
            self.assertEqual({job.result()[0] for job in jobs}, {200})

    def test_old_tls_is_refused(self):
        context = ssl.create_default_context(cafile=PLACE.folder / "ca.pem")
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
        with self.assertRaises(OSError), socket.create_connection(url_parts()) as plain:
            context.wrap_socket(plain, server_hostname=PLACE.ip)


class Settings(unittest.TestCase):
    def refused(self, change, wanted, command="check"):
        lines = (PLACE.folder / "portal.conf").read_text().splitlines()
        name, _, value = change.partition(" = ")
        lines = [line for line in lines if not line.startswith(name + " =")] + ([change] if value else [])
        path = PLACE.folder / "other.conf"
        path.write_text("\n".join(lines) + "\n")
        done = PLACE.command("--config", path, command, check=False)
        self.assertEqual(done.returncode, 1, change)
        self.assertIn(wanted, done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_right(self):
        self.assertEqual(PLACE.command("--config", PLACE.folder / "portal.conf", "check"), "")

    def test_wrong(self):
        self.refused("realm", "realm is missing")
        self.refused("colour = blue", "there is no such setting")
        self.refused("https = 443", "https: must be ADDRESS:PORT")
        self.refused("origin = http://portal.example", "origin: must be")
        self.refused("origin = https://portal.example/", "origin: must be")
        self.refused("turncredd = http://turncredd.example", "turncredd: must be")
        self.refused("sip_websocket = ws://edge.example", "sip_websocket: must be")
        self.refused("session = 8", "session: must be a number with")
        self.refused("session = 0h", "session: must be a number with")
        self.refused("tls_key = /nonexistent", "/nonexistent")
        self.refused("turncredd_ca = /nonexistent", "turncredd_ca: /nonexistent")
        self.refused(f"turncredd_ca = {PLACE.folder}/users", "turncredd_ca: ")
        PLACE.secret("binary", "")
        (PLACE.folder / "binary").write_bytes(b"\xff\xfe" * 20)
        self.refused(f"caller_key = {PLACE.folder}/binary", "caller_key")
        host, port = url_parts()
        self.refused(f"https = {host}:{port}", f"https: {host} port {port}: Address already in use", command="serve")
        self.refused(f"signing_keys = {PLACE.folder}/ca.pem", "signing_keys")
        self.refused(f"caller_key = {PLACE.folder}/users", "caller_key")
        (PLACE.folder / "open").write_text("x" * 40)
        os.chmod(PLACE.folder / "open", 0o644)
        self.refused(f"caller_key = {PLACE.folder}/open", "chmod o=")
        PLACE.secret("damaged", "alice:scrypt$1$8$1$AAAA$AAAA\n")
        self.refused(f"users = {PLACE.folder}/damaged", "damaged, line 1")

    def test_commands(self):
        config = str(PLACE.folder / "portal.conf")
        self.assertEqual(PLACE.command("--config", config, "nonsense", check=False).returncode, 2)
        for name, password in (("a b", "long enough"), ("a:b", "long enough"), ("dave", "short")):
            done = PLACE.command("--config", config, "user", name, text=password + "\n", check=False)
            self.assertEqual(done.returncode, 1, done.stderr)
        done = PLACE.command("key", PLACE.folder / "signing.pem", check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("never overwritten", done.stderr)

    def test_what_editors_leave_is_no_page(self):
        copy = PLACE.folder / "copy"
        shutil.copytree(place.PORTAL.parent, copy)
        for name in ("page.mjs~", ".page.mjs.swp", "#page.mjs#", "page.mjs.orig"):
            (copy / "page" / name).touch()
        (copy / "page" / ".#page.mjs").symlink_to("nobody@nowhere")
        run = [copy / "portal", "--config", PLACE.folder / "portal.conf", "check"]
        done = subprocess.run(run, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_help_and_options(self):
        """Wherever --help stands, nothing else happens; an option that is none is named."""
        for words in (["--help"], ["-h"], ["user", "--help"], ["serve", "--help"], ["--config", "/nowhere", "user", "-h"]):
            done = subprocess.run([place.PORTAL, *words], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), words)
            self.assertIn("user NAME", done.stdout)
        done = subprocess.run([place.PORTAL, "user", "--nosuch"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("no option --nosuch", done.stderr)

    def test_a_missing_module_is_named(self):
        run = [sys.executable, "-S", str(place.PORTAL), "check"]  # -S: no packages of the distribution
        done = subprocess.run(run, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"^portal: the Python module (jwt|cryptography) is missing: apt-get install ")

    def test_passwords_are_not_in_the_file(self):
        text = (PLACE.folder / "users").read_text()
        for password in place.PASSWORDS.values():
            self.assertNotIn(password, text)
        self.assertEqual(os.stat(PLACE.folder / "users").st_mode & 0o777, 0o600)

    def test_a_link_beside_the_users_leads_nowhere(self):
        other = PLACE.secret("other", "of somebody else\n")
        (PLACE.folder / "users.new").symlink_to(other)
        PLACE.set_password("erin", "erin's password")
        self.assertEqual(other.read_text(), "of somebody else\n")
        self.assertIn("\nerin:scrypt$", (PLACE.folder / "users").read_text())

    def test_users_that_are_added_at_once_are_all_there(self):
        names = [f"user{i}" for i in range(6)]
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda name: PLACE.set_password(name, "password of one"), names))
        from service import users

        self.assertLessEqual(set(names), set(users.load(PLACE.folder / "users")))


if __name__ == "__main__":
    unittest.main(verbosity=2)
