#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A portal's authorization server: keys, their JWKS, and access tokens made with PyJWT.

  portal.py keys DIR                        makes rsa.pem, rsa2.pem, ec.pem, ed.pem, jwks.json
  portal.py jwks DIR NAME=KID...            prints a set of these keys, without alg; KID empty: without kid
  portal.py token DIR [NAME=VALUE...]       claims; key=, alg=, typ=, kid= change the header;
                                            NAME= without a value leaves the claim out
  portal.py tokens DIR COUNT [NAME=VALUE...]  as many, each for another user, one a line
"""

import base64
import functools
import json
import pathlib
import sys
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa


def b64(number, size):
    return base64.urlsafe_b64encode(number.to_bytes(size, "big")).rstrip(b"=").decode()


def jwk(name, key):
    if isinstance(key, (ed25519.Ed25519PrivateKey, ed448.Ed448PrivateKey)):
        curve = "Ed25519" if isinstance(key, ed25519.Ed25519PrivateKey) else "Ed448"
        octets = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", "crv": curve, "kid": name, "x": base64.urlsafe_b64encode(octets).rstrip(b"=").decode()}
    public = key.public_key().public_numbers()
    if isinstance(key, rsa.RSAPrivateKey):
        return {"kty": "RSA", "kid": name, "use": "sig", "n": b64(public.n, key.key_size // 8), "e": b64(public.e, 3)}
    return {"kty": "EC", "crv": "P-256", "kid": name, "alg": "ES256", "x": b64(public.x, 32), "y": b64(public.y, 32)}


def make_keys(folder):
    keys = {
        "rsa": rsa.generate_private_key(65537, 2048),
        "ec": ec.generate_private_key(ec.SECP256R1()),
        "rsa2": rsa.generate_private_key(65537, 2048),
        "ed": ed25519.Ed25519PrivateKey.generate(),
        "ed448": ed448.Ed448PrivateKey.generate(),
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


def print_jwks(folder, names):
    keys = []
    for pair in names:
        name, kid = pair.split("=")
        entry = jwk(kid, serialization.load_pem_private_key((folder / f"{name}.pem").read_bytes(), None))
        entry.pop("alg", None)
        if not kid:
            del entry["kid"]
        keys.append(entry)
    print(json.dumps({"keys": keys}))


@functools.lru_cache
def key_of(path):
    return serialization.load_pem_private_key(path.read_bytes(), None)


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
        elif value.startswith(("[", "{")):
            value = json.loads(value)
        if value == "" and name == "typ":
            where[name] = None  # PyJWT would write its own
        elif value == "":
            where.pop(name)
        else:
            where[name] = value
    alg, name = header.pop("alg"), header.pop("key")
    if alg == "none":
        return jwt.encode(claims, None, algorithm="none", headers=header)
    secret = key_of(folder / f"{name}.pem")
    if alg.startswith("HS"):  # the public key as if it were a secret; PyJWT itself refuses to
        public = secret.public_key()
        secret = base64.b64encode(
            public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
    return jwt.encode(claims, secret, algorithm=alg, headers=header)


if __name__ == "__main__":
    directory = pathlib.Path(sys.argv[2])
    if sys.argv[1] == "keys":
        make_keys(directory)
    elif sys.argv[1] == "jwks":
        print_jwks(directory, sys.argv[3:])
    elif sys.argv[1] == "tokens":
        for number in range(int(sys.argv[3])):
            print(token(directory, [*sys.argv[4:], f"sub=user{number}"]))
    else:
        print(token(directory, sys.argv[3:]))
