#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Proves the test client itself: published vectors, vectors.json, and a stock turnserver.

It shares no code with libturncred, so an entry of vectors.json that passes here and there was
computed twice.
"""

import base64
import json
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import credentials  # noqa: E402
import server  # noqa: E402
import stun  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute, Fingerprint, Integrity  # noqa: E402

VECTORS = json.loads((HERE / "vectors.json").read_text())
H = bytes.fromhex

# RFC 5769 2.1 to 2.4
SHORT_TERM = b"VOkJxbRl1RmTxUk/WvJxBt"
REQUEST = H(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e7400240004"
    "6e0001ff80290008932ff9b151263b36000600096576746a3a68367659202020000800149aeaa70cbfd8cb56"
    "781ef2b5b2d3f249c1b571a280280004e57a3bcf"
)
RESPONSE_4 = H(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000080001a147"
    "e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c96"
)
RESPONSE_6 = H(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220002000140002a147"
    "0113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c275bfe3ed4180280004"
    "c8fb0b4c"
)
LONG_TERM = H(
    "000100602112a44278ad3433c6ad72c029da412e00060012e3839ee38388e383aae38383e382afe382b90000"
    "0015001c662f2f3439396b39353464364f4c33346f4c394653547679363473410014000b6578616d706c652e"
    "6f72670000080014f67024656dd64a3e02b8e0712e85c9a28ca89666"
)


class Rfc5769(unittest.TestCase):
    def test_request(self):
        message = stun.Message(REQUEST)
        self.assertEqual(message.method_name, "BINDING")
        self.assertEqual(message.text("USERNAME"), "evtj:h6vY")
        self.assertIs(message.check_integrity(SHORT_TERM), True)
        self.assertIs(message.check_fingerprint(), True)
        self.assertIs(message.check_integrity(SHORT_TERM[:-1]), False)

    def test_responses(self):
        for raw, address in (
            (RESPONSE_4, ("192.0.2.1", 32853)),
            (RESPONSE_6, ("2001:db8:1234:5678:11:2233:4455:6677", 32853)),
        ):
            message = stun.Message(raw)
            self.assertEqual(message.cls, stun.SUCCESS)
            self.assertEqual(message.address("XOR-MAPPED-ADDRESS"), address)
            self.assertIs(message.check_integrity(SHORT_TERM), True)
            self.assertIs(message.check_fingerprint(), True)

    def test_long_term_read_and_built(self):
        username = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
        key = credentials.long_term_md5(username, "example.org", "TheMatrIX")
        message = stun.Message(LONG_TERM)
        self.assertIs(message.check_integrity(key), True)
        built = stun.build(
            "BINDING",
            [
                Attribute("USERNAME", username),
                Attribute("NONCE", "f//499k954d6OL34oL9FSTvy64sA"),
                Attribute("REALM", "example.org"),
                Integrity(key),
            ],
            txid=message.txid,
        )
        self.assertEqual(built, LONG_TERM)

    def test_every_flipped_bit_is_seen(self):
        for at in range(20, len(REQUEST)):
            damaged = bytearray(REQUEST)
            damaged[at] ^= 1
            try:
                message = stun.Message(bytes(damaged))
            except stun.Malformed:
                continue
            self.assertIsNot(message.check_fingerprint(), True, at)


class Building(unittest.TestCase):
    def test_order_is_the_callers(self):
        raw = stun.build(
            "ALLOCATE",
            [Attribute("USERNAME", "u"), Integrity(b"k" * 20), Attribute("ACCESS-TOKEN", b"tok")],
        )
        message = stun.Message(raw)
        self.assertEqual(message.names(), ["USERNAME", "MESSAGE-INTEGRITY", "ACCESS-TOKEN"])
        self.assertIs(message.check_integrity(b"k" * 20), True)

    def test_key_octets(self):
        key = bytes(range(20))
        message = stun.Message(stun.build("REFRESH", [Integrity(key, 16)]))
        self.assertIs(message.check_integrity(key), False)
        self.assertIs(message.check_integrity(key[:16]), True)

    def test_untrue_lengths(self):
        with self.assertRaises(stun.Malformed):
            stun.Message(stun.build("ALLOCATE", [Attribute("USERNAME", b"abcd", length=999)]))
        with self.assertRaises(stun.Malformed):
            stun.Message(stun.build("ALLOCATE", [], length=4))

    def test_sha256(self):
        raw = stun.build("BINDING", [Integrity(b"key", digest="sha256"), Fingerprint()])
        message = stun.Message(raw)
        self.assertIs(message.check_integrity(b"key", "sha256"), True)
        self.assertIsNone(message.check_integrity(b"key"))
        self.assertIs(message.check_fingerprint(), True)

    def test_types(self):
        # RFC 8489 figure 3 and RFC 8656 17: a few well-known numbers
        for method, cls, number in (
            ("BINDING", stun.SUCCESS, 0x0101),
            ("ALLOCATE", stun.ERROR, 0x0113),
            ("DATA", stun.INDICATION, 0x0017),
            ("CONNECTION-BIND", stun.REQUEST, 0x000B),
        ):
            self.assertEqual(stun.message_type(stun.METHODS[method], cls), number)

    def test_channel_data(self):
        raw = stun.channel_data(0x4001, b"hello", True)
        self.assertEqual(len(raw), 12)
        self.assertEqual(stun.frame_length(raw[:4]), 12)
        self.assertEqual(stun.parse_channel_data(raw), (0x4001, b"hello"))


class Vectors(unittest.TestCase):
    def test_rfc7635_appendix_a(self):
        entry = VECTORS["rfc7635_appendix_A"]
        for algorithm, k in (("A256GCM", H(entry["K_hex"])), ("A128GCM", H(entry["K_hex"])[:16])):
            token = H(entry[algorithm]["token_hex"])
            self.assertEqual(base64.b64encode(token).decode(), entry[algorithm]["token_base64"])
            got = credentials.decode_token(token, k, entry["server_name_AAD"], algorithm)
            self.assertEqual(got, (H(entry["mac_key_hex"]), entry["timestamp"], entry["lifetime"]))
            again = credentials.encode_token(
                k,
                entry["server_name_AAD"],
                *got,
                algorithm=algorithm,
                nonce=H(entry["nonce_hex"]),
            )
            self.assertEqual(again, token)

    def test_long_term(self):
        entry = VECTORS["rfc8489_9_2_2_md5"]
        key = credentials.long_term_md5(entry["username"], entry["realm"], entry["password"])
        self.assertEqual(key, H(entry["key"]))

    def test_tokens(self):
        for number, entry in enumerate(VECTORS["tokens"]):
            with self.subTest(number=number):
                k, token = H(entry["K"]), H(entry["token"])
                names = (entry["algorithm"], entry["derivation"])
                as_rs, auth = credentials.token_keys(*names, k)
                self.assertEqual(as_rs, H(entry["as_rs_key"]))
                if "auth_key" in entry:
                    self.assertEqual(auth, H(entry["auth_key"]))
                got = credentials.decode_token(token, k, entry["server_name"], *names)
                self.assertEqual(
                    got, (H(entry["mac_key"]), entry["timestamp"], entry["lifetime"])
                )
                self.assertEqual(credentials.hmac_sha1_key(got[0]), H(entry["hmac_sha1_key"]))
                size = int.from_bytes(token[:2], "big")
                nonce = token[2 : 2 + size]
                again = credentials.encode_token(k, entry["server_name"], *got, *names, nonce)
                self.assertEqual(again, token)
                literal = entry.get("token_rfc7635_literal_zero_iv")
                if literal:
                    args = (H(literal), k, entry["server_name"], *names)
                    self.assertEqual(credentials.decode_token(*args, allow_zero_iv=True), got)
                    with self.assertRaises(credentials.Refused):
                        credentials.decode_token(*args)
                    again = credentials.encode_token(k, entry["server_name"], *got, *names, b"")
                    self.assertEqual(again, H(literal))

    def test_tokens_truncated_and_flipped(self):
        for entry in VECTORS["tokens"][::2]:
            k, token = H(entry["K"]), H(entry["token"])
            names = (entry["server_name"], entry["algorithm"], entry["derivation"])
            for size in range(len(token)):
                with self.assertRaises(credentials.Refused):
                    credentials.decode_token(token[:size], k, *names)
            for bit in range(8 * len(token)):
                damaged = bytearray(token)
                damaged[bit // 8] ^= 1 << bit % 8
                with self.assertRaises(credentials.Refused):
                    credentials.decode_token(bytes(damaged), k, *names)

    def test_tokens_refused(self):
        for entry in VECTORS["tokens_refused"]:
            with self.subTest(why=entry["why"]), self.assertRaises(credentials.Refused):
                credentials.decode_token(
                    H(entry["token"]),
                    H(entry["K"]),
                    entry["server_name"],
                    entry["algorithm"],
                    entry["derivation"],
                )

    def test_derived(self):
        for entry in VECTORS["derived"]:
            with self.subTest(username=entry["username"][:40]):
                user, realm, expiry = entry["user_id"], entry["realm"], entry["expiry"]
                found = credentials.make_derived_credential(H(entry["K"]), user, realm, expiry)
                self.assertEqual(found.username, entry["username"])
                self.assertEqual(found.password, entry["password"])
                self.assertEqual(found.key(realm), H(entry["long_term_key_md5"]))
                self.assertEqual(
                    credentials.long_term_sha256(found.username, realm, found.password),
                    H(entry["long_term_key_sha256"]),
                )
                self.assertEqual(credentials.split_username(found.username), (user, expiry))

    def test_derived_usernames_refused(self):
        for name in VECTORS["derived_usernames_refused"]:
            with self.subTest(name=name), self.assertRaises(credentials.Refused):
                # a further colon moves user-id; such a name is refused for its timestamp
                credentials.split_username(name)

    def test_rest(self):
        for entry in VECTORS["rest"]:
            with self.subTest(hash=entry["hash"], username=entry["username"]):
                password = credentials.rest_password(
                    entry["secret"].encode(), entry["username"], entry["hash"]
                )
                self.assertEqual(password, entry["password"])
                key = credentials.long_term_md5(entry["username"], entry["realm"], password)
                self.assertEqual(key, H(entry["long_term_key_md5"]))


class Answers(unittest.TestCase):
    """Answers of issuers: the client reads appendix B's members, also beside iceServers for browsers."""

    def test_token_beside_ice_servers(self):
        entry = {"username": "k1", "credentialType": "oauth", "credential": {"macKey": "YQ==", "accessToken": "Yg=="}}
        answer = {"kid": "k1", "key": "YQ==", "access_token": "Yg==", "iceServers": [entry]}
        found = credentials.Credential.from_json(json.dumps(answer))
        self.assertEqual((found.username, found.token), ("k1", b"b"))

    def test_password_in_ice_servers(self):
        answer = {"iceServers": [{"username": "u", "credential": "p"}]}
        found = credentials.Credential.from_json(json.dumps(answer))
        self.assertEqual((found.username, found.password), ("u", "p"))


class Live(unittest.TestCase):
    """A stock turnserver with a static user, over all four transports."""

    @classmethod
    def setUpClass(cls):
        program = server.stock()
        if program is None:
            raise unittest.SkipTest("no unpatched turnserver: install coturn or set COTURN_STOCK_DIR")
        lines = ["lt-cred-mech", "realm=example.org", "user=alice:secret", "mobility"]
        # with SOFTWARE, 4.6.1 answers a resumed mobile session with 24 octets that are no message
        lines.append("no-software-attribute")
        cls.server = server.Server(program, lines, tls=True)
        cls.server.start()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__()

    def client(self, kind="udp", password="secret", **options):
        client = self.server.client(
            kind, credentials.Credential("alice", password=password), **options
        )
        self.addCleanup(client.close)
        return client

    def peer(self):
        peer = turnclient.Peer()
        self.addCleanup(peer.close)
        return peer

    def test_call(self):
        for kind in ("udp", "tcp", "tls", "dtls"):
            with self.subTest(transport=kind):
                client, peer = self.client(kind), self.peer()
                answer = client.allocate(700)
                self.assertEqual((answer.code, answer.integrity), (0, True))
                self.assertEqual(answer.number("LIFETIME"), 700)
                self.assertEqual(client.realm, "example.org")
                self.assertTrue(client.create_permission(peer.address).ok)
                self.assertTrue(turnclient.relay_once(client, peer))
                self.assertTrue(client.channel_bind(0x4000, peer.address).ok)
                self.assertTrue(turnclient.relay_once(client, peer, 0x4000))
                self.assertTrue(client.refresh(900).ok)
                self.assertTrue(client.refresh(0).ok)

    def test_wrong_password(self):
        answer = self.client(password="wrong").allocate()
        self.assertEqual(answer.code, 401)

    def test_wrong_password_is_not_mistaken_for_an_answer(self):
        client = self.client()
        client.challenge()
        raw = client.build("ALLOCATE", [Attribute("REQUESTED-TRANSPORT", b"\x11\0\0\0")])
        answer = client.exchange(raw, key=b"another key")
        self.assertIs(answer.integrity, False)

    def test_no_permission_no_data(self):
        client, peer = self.client(), self.peer()
        turnclient.need("allocate", client.allocate())
        client.send(peer.address, b"to nobody")
        self.assertIsNone(peer.receive(0.3))

    def test_retransmission_gets_the_same_answer(self):
        client = self.client()
        client.challenge()
        raw = client.build("ALLOCATE", [Attribute("REQUESTED-TRANSPORT", b"\x11\0\0\0")])
        first, second = client.exchange(raw), client.exchange(raw)
        self.assertEqual(first.message.raw, second.message.raw)

    def test_stale_nonce_is_followed(self):
        client = self.client()
        turnclient.need("allocate", client.allocate())
        client.nonce = "0123456789abcdef"
        self.assertTrue(client.refresh().ok)
        self.assertNotEqual(client.nonce, "0123456789abcdef")

    def test_spoofer_sends_from_our_port(self):
        client = self.client(share_port=True)
        other = client.transport.spoofer()
        self.addCleanup(other.close)
        raw = stun.build("BINDING", [])
        other.sendto(raw, self.server.address)
        answer = stun.Message(client.transport.recv(2))
        self.assertEqual(answer.txid, raw[8:20])
        self.assertEqual(answer.address("XOR-MAPPED-ADDRESS"), client.transport.local)

    def test_mobility(self):
        client = self.client()
        turnclient.need("allocate", client.allocate(mobility=True))
        self.assertTrue(client.ticket)
        moved = self.client()
        moved.challenge()
        answer = moved.refresh(ticket=client.ticket)
        self.assertEqual((answer.code, answer.integrity), (0, True))
        self.assertTrue(moved.ticket)
        moved.relayed, peer = client.relayed, self.peer()
        self.assertTrue(moved.create_permission(peer.address).ok)
        self.assertTrue(turnclient.relay_once(moved, peer))

    def test_tcp_allocation(self):
        import socket

        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        listener.settimeout(5)
        client = self.client("tcp")
        turnclient.need("allocate", client.allocate(protocol=stun.TCP))
        address = listener.getsockname()
        turnclient.need("create-permission", client.create_permission(address))
        answer, identifier = client.connect(address)
        self.assertEqual((answer.code, answer.integrity), (0, True))
        far, _ = listener.accept()
        self.addCleanup(far.close)
        bound, data = client.data_connection(identifier)
        self.addCleanup(data.close)
        self.assertEqual((bound.code, bound.integrity), (0, True))
        data.send(b"there")
        far.settimeout(3)
        self.assertEqual(far.recv(100), b"there")
        far.sendall(b"and back")
        self.assertEqual(data.recv_octets(3), b"and back")
        # the other direction: a peer connects to the relayed address
        caller = socket.create_connection(client.relayed, 3, ("127.0.0.1", 0))
        self.addCleanup(caller.close)
        attempt = client.wait_attempt()
        self.assertIsNotNone(attempt)
        self.assertEqual(attempt[0], caller.getsockname())
        bound, data = client.data_connection(attempt[1])
        self.addCleanup(data.close)
        self.assertEqual((bound.code, bound.integrity), (0, True))
        caller.sendall(b"hello")
        self.assertEqual(data.recv_octets(3), b"hello")

    def test_command_line(self):
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            json.dump({"username": "alice", "password": "secret"}, file)
            file.flush()
            command = [sys.executable, str(HERE / "turnclient.py"), "call", "--server"]
            command += ["%s:%d" % self.server.address, "--credential", file.name]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertIs(json.loads(done.stdout)["ok"], True)
            file.seek(0)
            file.truncate()
            json.dump({"username": "alice", "password": "wrong"}, file)
            file.flush()
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.assertEqual(json.loads(done.stdout)["code"], 401)
            self.assertNotIn("wrong", done.stdout)
        command[command.index("call") :] = ["raw", "--server", "%s:%d" % self.server.address]
        done = subprocess.run(
            command + ["REQUESTED-TRANSPORT=0x11000000"], capture_output=True, text=True, timeout=60
        )
        self.assertEqual((done.returncode, json.loads(done.stdout)["code"]), (1, 401))


class CommandLine(unittest.TestCase):
    def test_token_there_and_back(self):
        entry = VECTORS["tokens"][0]
        with tempfile.TemporaryDirectory() as folder:
            key, mac = pathlib.Path(folder, "k"), pathlib.Path(folder, "mac")
            key.write_bytes(H(entry["K"]))
            mac.write_bytes(H(entry["mac_key"]))
            common = ["--key-file", str(key), "--server-name", entry["server_name"]]
            program = [sys.executable, str(HERE / "turnclient.py")]
            token = H(entry["token"])
            done = subprocess.run(
                program
                + ["token-encode", *common, "--mac-key-file", str(mac)]
                + ["--timestamp", str(entry["timestamp"]), "--lifetime", str(entry["lifetime"])]
                + ["--test-nonce", token[2:14].hex()],
                capture_output=True,
                text=True,
            )
            encoded = json.loads(done.stdout)["access_token"]
            self.assertEqual(base64.b64decode(encoded), token)
            done = subprocess.run(
                program + ["token-decode", *common], input=encoded, capture_output=True, text=True
            )
            self.assertEqual(json.loads(done.stdout)["lifetime"], entry["lifetime"])
            done = subprocess.run(
                program + ["token-decode", *common], input="AAAA", capture_output=True, text=True
            )
            self.assertEqual(done.returncode, 2)
            self.assertIn("nonce", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
