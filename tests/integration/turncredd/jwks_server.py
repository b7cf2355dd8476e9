#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A portal that serves its JWKS over HTTPS, well or badly: python's http.server with TLS.

  jwks_server.py DIR CERTIFICATE KEY

Writes its port to DIR/port, a line for each request to DIR/hits. DIR/mode, read at every request:

  ok            DIR/jwks.json as it is
  redirect      302 to /elsewhere, which serves it
  oversized     a good set, but 300,000 blanks follow
  endless       octets without end, without Content-Length
  slow          an octet every half second
  silent        takes the request and says nothing
  closing       no Content-Length: the answer ends with the connection, without TLS's close_notify
  half          the same after half of the set
  garbage       200 with what is no JSON
  empty         a set without keys
  missing       404
"""

import http.server
import pathlib
import ssl
import sys
import time

folder = pathlib.Path(sys.argv[1])


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        mode = (folder / "mode").read_text().strip()
        with (folder / "hits").open("a") as hits:
            hits.write(f"{self.path} {mode}\n")
        try:
            self.answer(mode)
        except (OSError, ssl.SSLError):
            pass  # the client has had enough

    def answer(self, mode):
        body = (folder / "jwks.json").read_bytes()
        if mode == "redirect" and self.path != "/elsewhere":
            self.send_response(302)
            self.send_header("Location", "/elsewhere")
            self.end_headers()
            return
        if mode == "silent":
            time.sleep(30)
            return
        if mode in ("garbage", "empty"):
            body = b"<html>hello" if mode == "garbage" else b'{"keys": []}'
        if mode == "oversized":
            body += b" " * 300000
        self.send_response(404 if mode == "missing" else 200)
        self.send_header("Content-Type", "application/jwk-set+json")
        if mode not in ("endless", "slow", "closing", "half"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if mode == "endless":
            for _ in range(100000):
                self.wfile.write(b" " * 65536)
        elif mode == "slow":
            for octet in body:
                self.wfile.write(bytes([octet]))
                self.wfile.flush()
                time.sleep(0.5)
        else:
            self.wfile.write(body[: len(body) // 2] if mode == "half" else body)

    def log_message(self, *args):
        pass


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
(folder / "port.new").write_text(str(server.server_address[1]))
(folder / "port.new").rename(folder / "port")
server.serve_forever()
