# SPDX-License-Identifier: BSD-3-Clause
"""receiver.py FILE - an HTTP server that writes each body as a line of FILE; it refuses the first two requests."""
import http.server
import sys


class Receiver(http.server.BaseHTTPRequestHandler):
    refusals = 2

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        refused = Receiver.refusals > 0
        Receiver.refusals -= 1
        if not refused:
            with open(sys.argv[1], "ab") as file:
                file.write(body + b"\n")
        self.send_response(503 if refused else 204)
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
