# SPDX-License-Identifier: BSD-3-Clause
"""Other implementations check turncredd's credentials, with the primitives of python3-cryptography and
python3-jwt: independent.py FUNCTION ARGUMENT..."""

import base64
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import ssl
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "conformance"))

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: E402
from cryptography.hazmat.primitives.padding import PKCS7  # noqa: E402

import credentials  # noqa: E402

DIR = pathlib.Path(os.environ["TC_DIR"])


def same_password(username, password):
    """The password of a derived credential of turn.test is the one that the key d1 gives."""
    user, expiry = username.rsplit(":", 1)
    key = (DIR / "keys/turn.test/d1").read_bytes()
    assert credentials.derived_password(key, user, "turn.test", int(expiry)) == password


def opens_token(token, key):
    """The key t1 of turn.test opens the token: the session key is the one that was told, the life 900 s from now."""
    token, key = (base64.b64decode(a, validate=True) for a in (token, key))
    nonce, sealed = token[2:14], token[14:]
    assert token[:2] == b"\0\x0c"
    k = (DIR / "keys/turn.test/t1").read_bytes()
    plain = AESGCM(k).decrypt(nonce, sealed, b"turn.test-server")
    assert plain[:2] == struct.pack("!H", len(key)) and plain[2 : 2 + len(key)] == key and len(key) in (20, 32)
    stamp, life = struct.unpack("!QI", plain[2 + len(key) :])
    assert life == 900 and abs((stamp >> 16) - time.time()) < 10


def jwt_with_its_key():
    """Prints a JWT that is signed with another key, which it brings along."""
    import jwt

    now, folder = int(time.time()), DIR / "jwt"
    key = json.loads((folder / "jwks2.json").read_text())["keys"][0]
    claims = {"iss": "https://portal.test", "aud": "https://issuer.test", "sub": "eve", "iat": now, "exp": now + 60}
    headers = {"typ": "at+jwt", "kid": "rsa", "jwk": key, "jku": "https://evil.test/jwks"}
    print(jwt.encode(claims, (folder / "rsa2.pem").read_bytes(), "RS256", headers=headers))


def foreign_server(port, certificate, name, answer):
    """A TURN server of somebody else's: it knows the URL, its name and its certificate, fetches its key and opens the
    token of turncredd's answer, a file."""
    tls = f"{DIR}/tls/"
    context = ssl.create_default_context(cafile=tls + "ca.pem")
    context.load_cert_chain(tls + certificate + ".pem", tls + certificate + ".key")
    connection = http.client.HTTPSConnection("127.0.0.1", int(port), context=context, timeout=20)
    connection.request("GET", "/.well-known/stun-key?service=stun&name=" + name)
    response = connection.getresponse()
    assert response.status == 200 and response.getheader("Content-Type") == "application/json", response.status
    assert response.getheader("Cache-Control") == "no-store"
    jwk = json.loads(response.read())
    assert set(jwk) == {"k", "exp", "kid", "enc"} and jwk["exp"] > time.time()
    assert "=" not in jwk["k"]
    k = base64.urlsafe_b64decode(jwk["k"] + "=" * (-len(jwk["k"]) % 4))

    with open(answer) as file:
        issued = json.load(file)
    assert issued["kid"] == jwk["kid"], (issued["kid"], jwk["kid"])
    token = base64.b64decode(issued["access_token"], validate=True)
    (length,) = struct.unpack("!H", token[:2])
    nonce, sealed, aad = token[2 : 2 + length], token[2 + length :], name.encode()
    if jwk["enc"] == "A256GCM":
        assert len(k) == 32 and length == 12
        plain = AESGCM(k).decrypt(nonce, sealed, aad)
    else:  # RFC 7518 5.2.5
        assert jwk["enc"] == "A256CBC-HS512" and len(k) == 64 and length == 16
        mac_key, enc_key, sealed, tag = k[:32], k[32:], sealed[:-32], sealed[-32:]
        mac = hmac.new(mac_key, aad + nonce + sealed + struct.pack("!Q", 8 * len(aad)), hashlib.sha512).digest()
        assert hmac.compare_digest(mac[:32], tag)
        decryptor = Cipher(algorithms.AES(enc_key), modes.CBC(nonce)).decryptor()
        unpadder = PKCS7(128).unpadder()
        plain = unpadder.update(decryptor.update(sealed) + decryptor.finalize()) + unpadder.finalize()
    (length,) = struct.unpack("!H", plain[:2])
    assert base64.b64decode(issued["key"]) == plain[2 : 2 + length]
    stamp, lifetime = struct.unpack("!QI", plain[2 + length :])
    assert lifetime == issued["expires_in"] and abs((stamp >> 16) - time.time()) < 60
    print("opened with", jwk["enc"], jwk["kid"])


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
