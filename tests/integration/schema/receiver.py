# SPDX-License-Identifier: BSD-3-Clause
"""receiver.py FILE - an HTTP server that writes each body as a line of FILE; it refuses the first request, and sends
the second elsewhere."""
import http.server
import sys


class Receiver(http.server.BaseHTTPRequestHandler):
    refusals = [503, 301]

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = Receiver.refusals.pop(0) if Receiver.refusals else 204
        if status == 204:
            with open(sys.argv[1], "ab") as file:
                file.write(body + b"\n")
        self.send_response(status)
        if status == 301:
            self.send_header("Location", "https://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Receiver)
print(f"http://127.0.0.1:{server.server_port}/", flush=True)
server.serve_forever()
