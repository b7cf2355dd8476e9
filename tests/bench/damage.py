#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""damage.py SERVER-PORT: a UDP way to 127.0.0.1:SERVER-PORT that flips the last bit of every STUN success.

Prints the port it listens on. Ends with standard input. For the test that turnload verifies answers.
"""
import select
import socket
import sys


def is_success(message):
    return len(message) >= 20 and message[0] & 0xC1 == 0x01 and message[1] & 0x10 == 0


def main():
    server = ("127.0.0.1", int(sys.argv[1]))
    front = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    front.bind(("127.0.0.1", 0))
    print(front.getsockname()[1], flush=True)
    backs, clients = {}, {}
    while True:
        for ready in select.select([sys.stdin, front, *clients], [], [])[0]:
            if ready is sys.stdin:
                return
            if ready is front:
                message, client = front.recvfrom(2048)
                if client not in backs:
                    back = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    back.connect(server)
                    backs[client], clients[back] = back, client
                backs[client].send(message)
            else:
                message = ready.recv(2048)
                if is_success(message):
                    message = message[:-1] + bytes([message[-1] ^ 1])
                front.sendto(message, clients[ready])


if __name__ == "__main__":
    main()
