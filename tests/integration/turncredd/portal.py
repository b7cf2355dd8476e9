#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A portal's authorization server: keys, their JWKS, and access tokens made with PyJWT.

  portal.py keys DIR                        makes rsa.pem, rsa2.pem, ec.pem, jwks.json
  portal.py token DIR [NAME=VALUE...]       claims; key=, alg=, typ=, kid= change the header;
                                            NAME= without a value leaves the claim out
"""

import base64
import json
import pathlib
import sys
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa


def b64(number, size):
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


def jwk(name, key):
    public = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        return {"kty": "RSA", "kid": name, "use": "sig", "n": b64(public.n, key.key_size // 8), "e": b64(public.e, 3)}
    return {"kty": "EC", "crv": "P-256", "kid": name, "alg": "ES256", "x": b64(public.x, 32), "y": b64(public.y, 32)}


def make_keys(folder):
    keys = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "rsa2": rsa.generate_private_key(65537, 2048),
        "small": rsa.generate_private_key(65537, 1024),
    }
    for name, key in keys.items():
        (folder / f"{name}.pem").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk(n, keys[n]) for n in ("rsa", "ec", "small")]}))
    (folder / "jwks2.json").write_text(json.dumps({"keys": [jwk("rsa2", keys["rsa2"])]}))


def token(folder, changes):
    now = int(time.time())
    claims = {
        "iss": "https://portal.test",
        "aud": "https://issuer.test",
        "sub": "alice",
        "client_id": "page",
        "jti": "1",
        "iat": now,
        "exp": now + 60,
    }
    header = {"typ": "at+jwt", "kid": "rsa", "alg": "RS256", "key": "rsa"}
    for change in changes:
        name, value = change.split("=", 1)
        where = header if name in header else claims
        if value and name in ("exp", "nbf", "iat"):
            value = now + int(value)
        elif value.startswith("["):
            value = json.loads(value)
        if value == "":
            where.pop(name)
        else:
            where[name] = value
    alg, name = header.pop("alg"), header.pop("key")
    if alg == "none":
        return jwt.encode(claims, None, algorithm="none", headers=header)
    secret = (folder / f"{name}.pem").read_bytes()
    if alg.startswith("HS"):  # the public key as if it were a secret; PyJWT itself refuses to
        public = serialization.load_pem_private_key(secret, None).public_key()
        secret = base64.b64encode(
            public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    return jwt.encode(claims, secret, algorithm=alg, headers=header)


if __name__ == "__main__":
    directory = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "keys":
        make_keys(directory)
    else:
        print(token(directory, sys.argv[3:]))
