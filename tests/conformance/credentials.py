# SPDX-License-Identifier: BSD-3-Clause
"""Short-lived TURN credentials, computed from a raw key: a second implementation.

Tokens from RFC 7635 section 6.2 and RFC 7518 section 5.2 (A256CBC-HS512), long-term keys from
RFC 8489 section 9.2.2, the derived and rest passwords from the project's format description.
Shares no code with libturncred; the two are compared by vectors.json.
"""

import base64
import binascii
import hashlib
import hmac
import json
import os
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

SKEW = 5
HASHES = {"sha1": 20, "sha256": 32, "sha384": 48, "sha512": 64}
KEY_LENGTHS = {"A256GCM": 32, "A128GCM": 16, "A256CBC-HS512": 64}


class Refused(ValueError):
    """A token, key or name that must not be accepted; the text says why."""


# --- token (RFC 7635 6.2) ----------------------------------------------------------------------


def token_keys(algorithm, derivation, k):
    """(AS-RS key, AUTH key) of K. RFC 7635 6.1; hkdf-sha256 is the 3GPP derivation."""
    if algorithm not in KEY_LENGTHS:
        raise Refused(f"algorithm {algorithm}")
    if derivation == "hkdf-sha256":
        if len(k) != 32:
            raise Refused(f"K of {len(k)} octets, hkdf-sha256 needs 32")
        prk = hmac.new(bytes(32), k, "sha256").digest()

        def expand(info, length):
            return HKDFExpand(hashes.SHA256(), length, info).derive(prk)

        as_rs = expand(b"AS-RS key", 16 if algorithm == "A128GCM" else 32)
        return as_rs, expand(b"AUTH key", 32) if algorithm == "A256CBC-HS512" else b""
    if derivation != "none":
        raise Refused(f"derivation {derivation}")
    if len(k) != KEY_LENGTHS[algorithm]:
        raise Refused(f"K of {len(k)} octets, {algorithm} needs {KEY_LENGTHS[algorithm]}")
    if algorithm == "A256CBC-HS512":
        return k[32:], k[:32]
    return k, b""


def cbc_tag(auth, aad, nonce, ciphertext):
    """RFC 7518 5.2.2.1, steps 4 to 6. RFC 7635's literal form has no nonce, and its MAC no IV."""
    al = struct.pack("!Q", 8 * len(aad))
    return hmac.new(auth, aad + nonce + ciphertext + al, "sha512").digest()[:32]


def timestamp_of(seconds):
    """RFC 7635 6.2: 48 bits of seconds, 16 bits of 1/64000 seconds (none here)."""
    return int(seconds) << 16


def seal(algorithm, derivation, k, server_name, plaintext, nonce):
    """nonce | AEAD(plaintext) as in ACCESS-TOKEN; plaintext may be anything, to make bad tokens."""
    as_rs, auth = token_keys(algorithm, derivation, k)
    aad = server_name.encode() if isinstance(server_name, str) else server_name
    if algorithm == "A256CBC-HS512":
        iv = nonce or bytes(16)
        pad = 16 - len(plaintext) % 16
        aes = Cipher(algorithms.AES(as_rs), modes.CBC(iv)).encryptor()
        ciphertext = aes.update(plaintext + bytes([pad]) * pad) + aes.finalize()
        sealed = ciphertext + cbc_tag(auth, aad, nonce, ciphertext)
    else:
        sealed = AESGCM(as_rs).encrypt(nonce, plaintext, aad)
    return struct.pack("!H", len(nonce)) + nonce + sealed


def token_plaintext(mac_key, timestamp, lifetime):
    return struct.pack("!H", len(mac_key)) + mac_key + struct.pack("!QI", timestamp, lifetime)


def encode_token(
    k,
    server_name,
    mac_key,
    timestamp,
    lifetime,
    algorithm="A256GCM",
    derivation="none",
    nonce=None,
):
    """timestamp is the raw 64-bit number (timestamp_of)."""
    if nonce is None:
        nonce = os.urandom(16 if algorithm == "A256CBC-HS512" else 12)
    plaintext = token_plaintext(mac_key, timestamp, lifetime)
    return seal(algorithm, derivation, k, server_name, plaintext, nonce)


def decode_token(
    token, k, server_name, algorithm="A256GCM", derivation="none", allow_zero_iv=False
):
    """(mac_key, timestamp, lifetime); Refused for whatever is wrong with it. No look at times."""
    as_rs, auth = token_keys(algorithm, derivation, k)
    aad = server_name.encode()
    if len(token) < 2:
        raise Refused("no nonce_length")
    size = struct.unpack("!H", token[:2])[0]
    if algorithm == "A256CBC-HS512":
        good = size == 16 or size == 0 and allow_zero_iv
    else:
        good = size == 12
    if not good:
        raise Refused(f"nonce of {size} octets")
    nonce, sealed = token[2 : 2 + size], token[2 + size :]
    if len(nonce) != size:
        raise Refused("nonce runs past the end")
    if algorithm == "A256CBC-HS512":
        iv = nonce or bytes(16)
        ciphertext, tag = sealed[:-32], sealed[-32:]
        if not ciphertext or len(ciphertext) % 16 or len(tag) != 32:
            raise Refused("ciphertext of a wrong length")
        if not hmac.compare_digest(tag, cbc_tag(auth, aad, nonce, ciphertext)):
            raise Refused("wrong tag")
        aes = Cipher(algorithms.AES(as_rs), modes.CBC(iv)).decryptor()
        padded = aes.update(ciphertext) + aes.finalize()
        pad = padded[-1]
        if not 1 <= pad <= 16 or padded[-pad:] != bytes([pad]) * pad:
            raise Refused("wrong padding")
        plaintext = padded[:-pad]
    else:
        if len(sealed) < 16:
            raise Refused("no tag")
        try:
            plaintext = AESGCM(as_rs).decrypt(nonce, sealed, aad)
        except InvalidTag:
            raise Refused("wrong tag") from None
    if len(plaintext) < 2:
        raise Refused("no key_length")
    length = struct.unpack("!H", plaintext[:2])[0]
    if length not in (20, 32):
        raise Refused(f"mac_key of {length} octets")
    if len(plaintext) != length + 14:
        raise Refused(f"plaintext of {len(plaintext)} octets, key_length {length}")
    timestamp, lifetime = struct.unpack("!QI", plaintext[2 + length :])
    return plaintext[2 : 2 + length], timestamp, lifetime


def hmac_sha1_key(mac_key):
    """RFC 7635 section 4.3 and appendix B: 20 octets as they are, else their SHA-1."""
    return mac_key if len(mac_key) == 20 else hashlib.sha1(mac_key).digest()


# --- usernames and passwords -------------------------------------------------------------------


def long_term_md5(username, realm, password):
    return hashlib.md5(f"{username}:{realm}:{password}".encode()).digest()


def long_term_sha256(username, realm, password):
    return hashlib.sha256(f"{username}:{realm}:{password}".encode()).digest()


def derived_password(k, user_id, realm, expiry):
    user, where = user_id.encode(), realm.encode()
    text = b"turncred-derived-v1\0" + struct.pack("!H", len(user)) + user
    text += struct.pack("!H", len(where)) + where + struct.pack("!Q", expiry)
    mac = hmac.new(k, text, "sha256").digest()
    return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()


def split_username(username):
    """(user id, expiry) of user-id:timestamp, or Refused."""
    if isinstance(username, bytes):
        username = username.decode("utf-8", "surrogateescape")
    user, colon, digits = username.rpartition(":")
    if not colon or not 1 <= len(user.encode("utf-8", "surrogateescape")) <= 492:
        raise Refused("no user id")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        raise Refused("the timestamp is not 1 to 15 digits")
    if digits[0] == "0":
        raise Refused("the timestamp begins with 0")
    if any(c in " \t\r\n\"'\\" or ord(c) < 32 or ord(c) == 127 for c in user):
        raise Refused("the user id has a character that servers refuse")
    return user, int(digits)


def rest_password(secret, username, digest="sha1"):
    return base64.b64encode(hmac.new(secret, username.encode(), digest).digest()).decode()


def rest_username(user_id, expiry, order):
    return {"timestamp:user-id": f"{expiry}:{user_id}", "user-id:timestamp": f"{user_id}:{expiry}"}[
        order
    ]


# --- credentials of a client -----------------------------------------------------------------------


class Credential:
    """A client's credential. key_octets cuts the HMAC key (16: like coturn's own client)."""

    def __init__(self, username, password=None, mac_key=None, token=None, key_octets=None):
        if (password is None) == (mac_key is None):
            raise ValueError("a credential has either a password or a mac_key")
        self.username = username
        self.password = password
        self.mac_key = mac_key
        self.token = token
        self.key_octets = key_octets

    def key(self, realm):
        """The HMAC-SHA1 key, whole."""
        if self.password is not None:
            return long_term_md5(self.username, realm, self.password)
        return hmac_sha1_key(self.mac_key)

    @classmethod
    def from_json(cls, text):
        """{"username", "password"}, an RFC 7635 appendix B answer, or one iceServers entry."""
        data = json.loads(text)
        if "iceServers" in data and "access_token" not in data:
            data = data["iceServers"][0]
        if "access_token" in data:
            return cls(
                data["kid"],
                mac_key=unbase64(data["key"]),
                token=unbase64(data["access_token"]),
                key_octets=data.get("key_octets"),
            )
        return cls(data["username"], password=data.get("password", data.get("credential")))


def unbase64(text):
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refused(f"not base64: {error}") from None


def make_token_credential(kid, k, server_name, now, lifetime, mac_key=None, **options):
    """A Credential with a fresh token; options of encode_token, and key_octets."""
    key_octets = options.pop("key_octets", None)
    mac_key = os.urandom(20) if mac_key is None else mac_key
    token = encode_token(k, server_name, mac_key, timestamp_of(now), lifetime, **options)
    return Credential(kid, mac_key=mac_key, token=token, key_octets=key_octets)


def make_derived_credential(k, user_id, realm, expiry):
    return Credential(f"{user_id}:{expiry}", password=derived_password(k, user_id, realm, expiry))


def make_rest_credential(secret, user_id, expiry, order="timestamp:user-id", digest="sha1"):
    username = rest_username(user_id, expiry, order)
    return Credential(username, password=rest_password(secret, username, digest))
