#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the telnet CLI and the web page show of the sessions: the same as unpatched coturn, though nobody describes a
session before somebody looks; and where nobody can look, no thread is woken to hear of sessions."""

import glob
import http.client
import os
import re
import socket
import ssl
import subprocess
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import abi_support  # noqa: E402
import server  # noqa: E402
import turnclient  # noqa: E402
from abi_support import REALM, password  # noqa: E402

ALICE, BOB, LIAR = password("alice", "wonderland"), password("bob", "builder"), password("alice", "liar")
# what differs from run to run: numbers of sessions, ports and times
UNLIKE = (
    (r"id=\d+", "id=N"),
    (r"\b\d{18}\b", "N"),
    (r"(\d+\.\d+\.\d+\.\d+):\d+", r"\1:PORT"),
    (r"(started|expiring in) \d+ secs", r"\1 N secs"),
    (r"r=\d+, s=\d+, total=\d+", "r=N, s=N, total=N"),
    (r"</td><td>\d+</td><td>\d+</td><td>(?=UDP|TCP)", "</td><td>N</td><td>N</td><td>"),
)


def alike(text):
    for pattern, put in UNLIKE:
        text = re.sub(pattern, put, text)
    return text


def sessions(text):
    """The sessions that ps shows, in an order that their numbers do not decide; and the last line."""
    blocks = re.split(r"\n\s+\d+\) ", alike(text).replace("\r", ""))
    last = re.search(r"Total sessions.*", blocks[-1]).group()
    return sorted(re.sub(r"\s*Total sessions.*|\n\s*\n.*", "", block, flags=re.S) for block in blocks[1:]), last


class Cli:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 10)
        self.said("Enter password:")
        self.ask("secret")

    def said(self, end=">"):
        text = b""
        while not text.rstrip().endswith(end.encode()):
            more = self.socket.recv(65536)
            assert more, text
            text += more
        return text.decode(errors="replace")

    def ask(self, command):
        self.socket.sendall(command.encode() + b"\r\n")
        return self.said()

    def close(self):
        self.socket.close()


class Case(unittest.TestCase):
    def servers(self):
        stock, patched = server.stock(), server.patched()
        if not stock or not patched:
            self.skipTest("no unpatched and patched turnserver: TURNSERVER_STOCK, TURNSERVER")
        if server.version(stock) != server.version(patched):
            self.skipTest("the two turnservers are of unlike versions")
        return stock, patched

    def serve(self, program, lines=(), **options):
        running = server.Server(program, ["lt-cred-mech", f"realm={REALM}", "user=alice:wonderland",
                                          "user=bob:builder", *lines], **options)
        self.addCleanup(running.__exit__)
        if "cli-password=secret" in lines:
            with open(running.config) as file:
                text = re.sub(r"no-cli\n|cli-password=not.*\n", "", file.read())
            with open(running.config, "w") as file:
                file.write(text)
        return running

    def client(self, running, credential, kind="udp"):
        client = running.client(kind, credential)
        self.addCleanup(client.close)
        return client

    def steps(self, running, look):
        """Logins and media; what a look shows after each of them."""
        shown = [look()]
        alice, bob, liar = (self.client(running, who) for who in (ALICE, BOB, LIAR))
        tcp = self.client(running, BOB, "tcp")
        peer = turnclient.Peer()
        self.addCleanup(peer.close)
        self.assertTrue(alice.allocate().ok)
        self.assertEqual(liar.allocate().code, 401)
        shown.append(look())
        self.assertTrue(bob.allocate().ok)
        self.assertTrue(tcp.allocate().ok)
        self.assertTrue(alice.channel_bind(0x4000, peer.address).ok)
        for size in (1, 20, 300):
            alice.send_channel(0x4000, b"x" * size)
            address, octets = peer.receive()
            self.assertEqual(len(octets), size)
            peer.send(address, b"y" * (2 * size))
            alice.receive()
        self.assertTrue(alice.refresh(600).ok)
        shown.append(look())
        shown.append(look())  # nothing has changed
        self.assertTrue(bob.refresh(0).ok)
        self.left(look, "bob", 1)
        shown.append(look())
        tcp.close()
        self.assertTrue(alice.refresh(0).ok)
        self.left(look, "alice", 0)
        self.left(look, "bob", 0)
        shown.append(look())
        return shown

    def left(self, look, name, number):
        """coturn ends a session a second or so after its allocation, or its client, has gone."""
        end = time.monotonic() + 10 * abi_support.PATIENCE
        while look().count(name) > number:
            self.assertLess(time.monotonic(), end, f"{name} is still shown")
            time.sleep(0.05)


class TelnetCli(Case):
    def shown(self, program, lines=()):
        port = server.free_port()
        running = self.serve(program, [f"cli-port={port}", "cli-password=secret", *lines]).start()
        cli = Cli(port)
        self.addCleanup(cli.close)
        users = []

        def look():
            users.append(sorted(line for line in cli.ask("pu").splitlines() if "user:" in line))
            return cli.ask("ps")

        return [sessions(text) for text in self.steps(running, look)], users

    def test_like_unpatched(self):
        stock, patched = self.servers()
        expected, users = self.shown(stock)
        shown, users_shown = self.shown(patched)
        self.assertEqual(shown, expected)
        self.assertEqual([len(step) for step, _ in shown], [0, 1, 3, 3, 2, 0])
        self.assertRegex(shown[2][0][0], r"usage: rp=\d+, rb=[1-9]\d+, sp=\d+, sb=[1-9]\d+")
        self.assertEqual(users_shown[:4], users[:4])

    def test_no_relay_thread_of_its_own(self):
        steps, _ = self.shown(self.servers()[1], ["relay-threads=0"])
        self.assertEqual([len(step) for step, _ in steps], [0, 1, 3, 3, 2, 0])

    def test_many(self):
        """More sessions than are described between two packets."""
        port = server.free_port()
        running = self.serve(self.servers()[1], [f"cli-port={port}", "cli-password=secret"]).start()
        cli = Cli(port)
        self.addCleanup(cli.close)
        clients = [self.client(running, ALICE) for _ in range(100)]
        for client in clients:
            self.assertTrue(client.allocate().ok)
        self.assertIn("user: <alice>, 100 sessions", cli.ask("pu"))
        for client in clients[:60]:
            self.assertTrue(client.refresh(0).ok)
        self.left(lambda: cli.ask("ps"), "user <alice>", 40)
        self.assertIn("user: <alice>, 40 sessions", cli.ask("pu"))


class WebPage(Case):
    def shown(self, program):
        port = server.free_port()
        running = self.serve(program, ["web-admin", "web-admin-ip=127.0.0.1", f"web-admin-port={port}"], tls=True)
        admin = os.path.join(os.path.dirname(program), "turnadmin")
        subprocess.run([admin, "-A", "-b", f"{running.folder}/userdb.sqlite", "-u", "root", "-p", "secret"],
                       check=True, capture_output=True)
        running.start()
        context = ssl.create_default_context(cafile=f"{running.folder}/cert.pem")
        context.check_hostname = False
        raw = socket.create_connection(("127.0.0.1", port), 10)
        web = context.wrap_socket(raw)
        self.addCleanup(web.close)

        def ask(method, path, body=""):
            # in one piece: coturn takes what comes in one TLS record for the whole request
            web.sendall(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                        .encode())
            response = http.client.HTTPResponse(web)
            response.begin()
            return response.read().decode(errors="replace")

        ask("GET", "/")  # whatever is asked first is answered with the form
        self.assertNotIn('name="pwd"', ask("POST", "/logon", "uname=root&pwd=secret"))

        def look():
            rows = re.findall(r"<tr><td>\d+</td>(<td>\d+<br>.*?)(?=<tr>|</tbody>|</table>)", ask("GET", "/ps"), re.S)
            return "\n".join(sorted(" ".join(re.sub(r"\?cs=\d+", "?cs=N", alike(row)).split()) for row in rows))

        return self.steps(running, look)

    def test_like_unpatched(self):
        stock, patched = self.servers()
        expected = self.shown(stock)
        self.assertEqual(self.shown(patched), expected)
        self.assertEqual([text.count("alice") for text in expected], [0, 1, 1, 1, 1, 0])


class Nobody(Case):
    def asleep(self, program, logins):
        """How many threads of the server slept through the logins: a timer wakes each of them once a second, however long
        the logins take, and a login wakes each that takes part."""
        running = self.serve(program, ["relay-threads=1"]).start()

        def waits():
            found = {}
            for path in glob.glob(f"/proc/{running.process.pid}/task/*/status"):
                with open(path) as file:
                    found[path] = int(re.search(r"\nvoluntary_ctxt_switches:\s*(\d+)", file.read()).group(1))
            return found

        before, start = waits(), time.monotonic()
        for _ in range(logins):
            client = running.client("udp", ALICE)
            self.assertTrue(client.allocate().ok)
            client.close()
        by_the_timer = 2 + time.monotonic() - start
        return sum(now - before.get(path, 0) <= by_the_timer for path, now in waits().items())

    def test_the_admin_thread_sleeps(self):
        stock, patched = self.servers()
        self.assertEqual(self.asleep(patched, 60), self.asleep(stock, 60) + 1)


load_tests = abi_support.of_this_version

if __name__ == "__main__":
    unittest.main()
