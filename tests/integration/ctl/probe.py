# SPDX-License-Identifier: BSD-3-Clause
"""Steps of probe.bats that need sockets of their own."""

import json
import os
import resource
import signal
import socket
import subprocess
import threading

from support import credentials, run_step, stun, transport, turnclient

HERE = "127.0.0.9"  # an address that no other test uses: its ports are taken here
ready_r, ready_w = os.pipe()
BOB = credentials.Credential("bob", password="not-a-secret")


def hold(ports):
    """A process that holds UDP ports of HERE until it is ended."""
    child = os.fork()
    if child:
        return child
    try:
        held = []
        for port in ports:
            held.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            try:
                held[-1].bind((HERE, port))
            except OSError:
                held.pop().close()
        os.write(ready_w, b"x")
        signal.pause()
    finally:
        os._exit(0)


def a_port_of_an_old_session():
    """Two ports are free, and an allocation is still there from one of them: whichever the kernel gives, probe works."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
        first, last = map(int, file.read().split())
    old, new = last - 1, last
    server = ("127.0.0.1", int(os.environ["TC_PORT"]))
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    size = min(limit - 64, 8000)
    ports = range(first, last - 1)
    chunks = [ports[i:i + size] for i in range(0, len(ports), size)]
    children = [hold(chunk) for chunk in chunks]
    try:
        for _ in children:
            os.read(ready_r, 1)
        client = turnclient.Client(transport.connect("udp", server, local=(HERE, old)), BOB)
        turnclient.need("allocate", client.allocate())
        client.close()
        for _ in range(40):
            done = subprocess.run([os.environ["CTL"], "probe", "--server", "%s:%d" % server, "--local-address", HERE]
                                  + ["--user", "bob", "--password-file", os.environ["TC_DIR"] + "/right", "--json"]
                                  + ["--allocate-only"], capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            steps = json.loads(done.stdout)["steps"]
            over = [step for step in steps if step.get("passed_over")]
            if over:
                assert [s["code"] for s in over] == [437] and f"{HERE}:{old}" in steps[0]["detail"], over
                assert steps[-1]["ok"] and f"{HERE}:{new}" in [s for s in steps if s["step"] == "connect"][-1]["detail"]
                return
        raise AssertionError("the kernel has never given the port of the old session")
    finally:
        for child in children:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)


def refuse(sock, reason):
    """Answers each request with 401; the reason and the names are no UTF-8."""
    names = [stun.Attribute("REALM", b"caf\xe9"), stun.Attribute("SOFTWARE", b"\xff server")]
    code = stun.Attribute("ERROR-CODE", b"\0\0\x04\x01" + reason)
    while True:
        octets, client = sock.recvfrom(2048)
        if not octets:
            return
        asked = stun.Message(octets)
        answer = [code, *names, stun.Attribute("NONCE", "0123456789abcdef")]
        sock.sendto(stun.build(asked.method, answer, stun.ERROR, asked.txid), client)


def a_server_whose_texts_are_no_utf8():
    """Latin-1 reads like UTF-8 with question marks; a long reason is cut, perhaps inside a character."""
    for reason, told in ((b"Acc\xe8s refus\xe9", "401 Acc?s refus?"), ("\u00e9".encode() * 200, "401 " + "\u00e9" * 127 + "?")):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            server = threading.Thread(target=refuse, args=(sock, reason))
            server.start()
            probe = [os.environ["CTL"], "probe", "--server", "%s:%d" % sock.getsockname(), "--allocate-only"]
            probe += ["--user", "bob", "--password-file", os.environ["TC_DIR"] + "/right"]
            try:
                table = subprocess.run(probe, capture_output=True, text=True)
                record = subprocess.run([*probe, "--json"], capture_output=True, text=True)
            finally:
                sock.sendto(b"", sock.getsockname())
                server.join()
        assert table.returncode == record.returncode == 4, table.stderr + record.stderr
        steps = [line.split()[0] for line in table.stdout.splitlines()]
        assert steps == ["STEP", "connect", "challenge", "allocate"] and told in table.stdout, table.stdout
        report = json.loads(record.stdout)
        assert (report["realm"], report["software"]) == ("caf?", "? server"), report
        assert report["steps"][-1]["detail"] == told, report


def taken(sock):
    """Answers each request with 401, and each that authenticates with 437."""
    for octets, client in iter(lambda: sock.recvfrom(2048), None):
        if not octets:
            return
        asked = stun.Message(octets)
        code = b"\0\0\x04\x25" if asked.get("USERNAME") else b"\0\0\x04\x01"
        answer = [stun.Attribute("ERROR-CODE", code + b"no"), stun.Attribute("REALM", "turn.test"),
                  stun.Attribute("NONCE", "0123456789abcdef")]
        sock.sendto(stun.build(asked.method, answer, stun.ERROR, asked.txid), client)


def the_last_of_many_addresses_has_no_port():
    """Each step is in the report: the dead addresses are tried once, whatever the one that lives answers."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        server = threading.Thread(target=taken, args=(sock,))
        server.start()
        try:
            done = subprocess.run(
                [os.environ["CTL"], "probe", "--server", "many.test:%d" % sock.getsockname()[1], "--allocate-only", "--json",
                 "--user", "bob", "--password-file", os.environ["TC_DIR"] + "/right"], capture_output=True, text=True,
                env=dict(os.environ, LD_PRELOAD="libnss_wrapper.so", NSS_WRAPPER_HOSTS=os.environ["TC_DIR"] + "/hosts"))
        finally:
            sock.sendto(b"", sock.getsockname())
            server.join()
    report = json.loads(done.stdout)
    steps = [(step["step"], step.get("code", 0)) for step in report["steps"] if step["step"] == "allocate" or not step["ok"]]
    assert done.returncode == 4 and report["error"]["code"] == 437, done.stderr
    assert steps == [("challenge", 0)] * 15 + [("allocate", 437)] * 4, steps
    assert [step.get("passed_over", False) for step in report["steps"] if not step["ok"]] == [True] * 18 + [False], report


if __name__ == "__main__":
    run_step(globals())
