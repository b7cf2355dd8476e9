#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Checks vectors.json, and the constants of core's unit tests, with an implementation of the
formats that shares no code with libturncred: hashlib, hmac and python3-cryptography.

usage: check_core.py [--constants]
"""
import base64
import hashlib
import hmac
import json
import os
import re
import struct
import sys

try:
    from cryptography.hazmat.primitives import keywrap
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    print("check_core.py: skipped, python3-cryptography is missing")
    sys.exit(77)

TOP = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
checks = 0


def check(what, ok):
    global checks
    checks += 1
    if not ok:
        sys.exit("check_core.py: %s differs" % what)


def field(data):
    return struct.pack(">H", len(data)) + data


def hkdf(key, info, length=32):
    prk = hmac.new(bytes(32), key, "sha256").digest()
    return hmac.new(prk, info + b"\x01", "sha256").digest()[:length]


def md5(username, realm, password):
    return hashlib.md5(("%s:%s:%s" % (username, realm, password)).encode()).hexdigest()


def seal_row(kek, row, key):
    info = b"turncred-key-v1" + b"".join(field(f.encode()) for f in row)
    return keywrap.aes_key_wrap_with_padding(hkdf(kek, info), key)


def seal_credential(kek, kek_id, realm, username, expiry, address, nonce, plain):
    subkey = hkdf(kek, b"turncred-credential-v1" + field(kek_id) + field(realm))
    aad = field(realm) + field(username) + field(struct.pack(">q", expiry)) + field(address)
    return nonce + AESGCM(subkey).encrypt(nonce, plain, aad)


def token(v):
    key = bytes.fromhex(v["K"])
    size = {"A256GCM": 32, "A128GCM": 16, "A256CBC-HS512": 32}[v["algorithm"]]
    cbc = v["algorithm"] == "A256CBC-HS512"
    if v["derivation"] == "hkdf-sha256":
        enc, auth = hkdf(key, b"AS-RS key", size), hkdf(key, b"AUTH key")
    elif cbc:
        auth, enc = key[:32], key[32:]
    else:
        enc, auth = key, b""
    check("as_rs_key", enc.hex() == v["as_rs_key"])
    mac_key = bytes.fromhex(v["mac_key"])
    plain = field(mac_key) + struct.pack(">QL", v["timestamp"], v["lifetime"])
    aad = v["server_name"].encode()
    names = ["token"] + (["token_rfc7635_literal_zero_iv"] if cbc else [])
    for name in names:
        raw = bytes.fromhex(v[name])
        nonce = raw[2 : 2 + struct.unpack(">H", raw[:2])[0]]
        if cbc:
            pad = 16 - len(plain) % 16
            c = Cipher(algorithms.AES(enc), modes.CBC(nonce or bytes(16))).encryptor()
            body = c.update(plain + bytes([pad]) * pad) + c.finalize()
            bits = struct.pack(">Q", 8 * len(aad))
            body += hmac.new(auth, aad + nonce + body + bits, "sha512").digest()[:32]
        else:
            body = AESGCM(enc).encrypt(nonce, plain, aad)
        check(name, field(nonce) + body == raw)
    sha1 = mac_key if len(mac_key) == 20 else hashlib.sha1(mac_key).digest()
    check("hmac_sha1_key", sha1.hex() == v["hmac_sha1_key"])


def derived(v):
    message = b"turncred-derived-v1\0" + field(v["user_id"].encode()) + field(v["realm"].encode())
    message += struct.pack(">Q", v["expiry"])
    mac = hmac.new(bytes.fromhex(v["K"]), message, "sha256").digest()
    password = base64.urlsafe_b64encode(mac).decode().rstrip("=")
    check("derived password", password == v["password"])
    check("derived key", md5(v["username"], v["realm"], password) == v["long_term_key_md5"])


def rest(v):
    mac = hmac.new(v["secret"].encode(), v["username"].encode(), v["hash"]).digest()
    password = base64.b64encode(mac).decode()
    check("rest password", password == v["password"])
    check("rest key", md5(v["username"], v["realm"], password) == v["long_term_key_md5"])


def constants():
    """The values that the unit tests expect where vectors.json has none."""
    kek = b"a key encryption key of 32 octet"
    row = ["kek-2024", "example.org", "kid-1", "token", "A256GCM", "none"]
    subject_key = b"key key key key key key key key".ljust(32, b"\0")
    tag = hmac.new(hkdf(subject_key, b"turncred-subject-tag-v1"), b"alice", "sha256").digest()
    return {
        "subject tag": ("test_core_token.c", ", ".join("0x%02x" % o for o in tag[:4])),
        "sealed key row": ("test_core_seal.c", seal_row(kek, row, b"\x42" * 32).hex()),
        "sealed credential": (
            "test_core_seal.c",
            seal_credential(
                kek, b"kek-2024", b"example.org", b"alice", 1764000000, b"",
                b"nonce nonce\0", b"\x24" * 48,
            ).hex(),
        ),
    }


def main():
    if sys.argv[1:] == ["--constants"]:
        for name, (_, value) in constants().items():
            print("%s: %s" % (name, value))
        return
    with open(os.path.join(TOP, "tests", "conformance", "vectors.json"), encoding="utf-8") as f:
        vectors = json.load(f)
    for v in vectors["tokens"]:
        token(v)
    for v in vectors["derived"]:
        derived(v)
    for v in vectors["rest"]:
        rest(v)
    for v in vectors["key_wrap_rfc5649"]:
        wrapped = keywrap.aes_key_wrap_with_padding(bytes.fromhex(v["kek"]), bytes.fromhex(v["key"]))
        check("key wrap", wrapped.hex() == v["wrapped"])
    for name, (path, value) in constants().items():
        with open(os.path.join(TOP, "tests", "unit", path), encoding="utf-8") as f:
            text = re.sub(r'"\s*\n\s*"', "", f.read())
        check(name, value in text)
    print("check_core.py: %d values agree" % checks)


main()
