# SPDX-License-Identifier: BSD-3-Clause
"""The portal's authorization server: keys, their public half (RFC 7517), access tokens (RFC 9068)."""

import base64
import hashlib
import json
import os
import time
import uuid

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from .settings import Wrong, secret

LIFETIME = 60  # seconds of an access token: the portal exchanges it at once


def base64url(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def make(path):
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except FileExistsError:
        raise Wrong(f"{path} is there already; a key is never overwritten") from None


def public(key):
    numbers = key.public_key().public_numbers()
    jwk = {
        "crv": "P-256",
        "kty": "EC",
        "x": base64url(numbers.x.to_bytes(32, "big")),
        "y": base64url(numbers.y.to_bytes(32, "big")),
    }
    # RFC 7638: the key's name is its thumbprint
    thumbprint = hashlib.sha256(json.dumps(jwk, sort_keys=True, separators=(",", ":")).encode())
    return {**jwk, "kid": base64url(thumbprint.digest()), "use": "sig", "alg": "ES256"}


class Keys:
    """The signing keys. The first key signs; jwks() has all keys, because tokens of the others may still be valid."""

    def __init__(self, paths):
        self.keys = []
        for path in paths:
            try:
                key = serialization.load_pem_private_key(secret(path, "signing_keys"), None)
            except (ValueError, TypeError):
                key = None
            if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
                raise Wrong(f"signing_keys: {path} is no EC key on P-256; 'portal key FILE' makes one")
            self.keys.append((public(key), key))

    def jwks(self):
        return {"keys": [jwk for jwk, _ in self.keys]}

    def access_token(self, issuer, audience, client, user):
        jwk, key = self.keys[0]
        now = int(time.time())
        claims = {
            "iss": issuer,
            "aud": audience,
            "sub": user,
            "client_id": client,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": str(uuid.uuid4()),
        }
        return jwt.encode(claims, key, "ES256", {"typ": "at+jwt", "kid": jwk["kid"]})
