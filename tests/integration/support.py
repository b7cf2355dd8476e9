#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What the integration tests say to servers and databases, on top of the RFC-only client.

Seals keys and pushed credentials with cryptography's own primitives, so that libturncred's format
is computed twice. Command line (SQL on stdout):
  support.py key REALM KID USE ALG DERIVATION
  support.py credential REALM USERNAME PASSWORD EXPIRY CLIENT-ADDRESS
"""

import hashlib
import os
import pathlib
import struct
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "conformance"))

from cryptography.hazmat.primitives import hashes, keywrap  # noqa: E402
from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: E402
from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: E402

import credentials  # noqa: E402, F401
import stun  # noqa: E402, F401
import transport  # noqa: E402
import turnclient  # noqa: E402
from stun import Attribute, Fingerprint, Integrity  # noqa: E402, F401

DIR = pathlib.Path(os.environ.get("TC_DIR", "."))
KEY_OCTETS = {"A256GCM": 32, "A128GCM": 16, "A256CBC-HS512": 64}


# --- at rest ------------------------------------------------------------------------------------


def fields(*values):
    octets = [v.encode() if isinstance(v, str) else v for v in values]
    return b"".join(struct.pack("!H", len(o)) + o for o in octets)


def subkey(label, *values, kek_id="main"):
    kek = (DIR / "kek" / kek_id).read_bytes()
    info = label + fields(kek_id, *values)
    return HKDF(hashes.SHA256(), 32, None, info).derive(kek)


def seal_key(k, realm, kid, use, alg, derivation):
    key = subkey(b"turncred-key-v1", realm, kid, use, alg, derivation)
    return keywrap.aes_key_wrap_with_padding(key, k)


def seal_credential(realm, username, password, expiry, address):
    plain = credentials.long_term_md5(username, realm, password)
    plain += credentials.long_term_sha256(username, realm, password)
    nonce = os.urandom(12)
    key = subkey(b"turncred-credential-v1", realm)
    aad = fields(realm, username, struct.pack("!Q", expiry), address)
    return nonce + AESGCM(key).encrypt(nonce, plain, aad)


def quote(text):
    return "'" + text.replace("'", "''") + "'"


def key_path(realm, kid):
    name = hashlib.sha256(kid.encode()).hexdigest() if "/" in kid else kid
    return DIR / "keys" / realm / name


def command_key(realm, kid, use, alg, derivation):
    octets = 32 if derivation != "none" else KEY_OCTETS.get(alg, 32)
    path = key_path(realm, kid)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(os.urandom(octets))
    wrapped = seal_key(path.read_bytes(), realm, kid, use, alg, derivation)
    values = ", ".join(quote(v) for v in (realm, kid, use, alg, derivation, "main"))
    print(
        "INSERT INTO turncred.key (realm, kid, use, alg, derivation, kek_id, wrapped)"
        f" VALUES ({values}, '\\x{wrapped.hex()}');"
    )


def command_credential(realm, username, password, expiry, address):
    sealed = seal_credential(realm, username, password, int(expiry), address)
    when = f"to_timestamp({int(expiry)})" if int(expiry) else "NULL"
    print(
        f"SELECT turncred.credential_push({quote(realm)}, {quote(username)}, '\\x{sealed.hex()}',"
        f" 'main', {when}, {quote(address)});"
    )


# --- credentials of the realm under test ----------------------------------------------------------


def key(kid, realm="turn.test"):
    return key_path(realm, kid).read_bytes()


def token(kid="k1", lifetime=600, realm="turn.test", age=0, server_name=None, k=None, **options):
    """A Credential with a token that was made age seconds ago."""
    return credentials.make_token_credential(
        kid,
        key(kid, realm) if k is None else k,
        server_name or f"{realm}-server",
        time.time() - age,
        lifetime,
        **options,
    )


def derived(user="alice", left=600, kid="d1", realm="turn.test", k=None, expiry=None):
    expiry = int(time.time()) + left if expiry is None else expiry
    k = key(kid, realm) if k is None else k
    return credentials.make_derived_credential(k, user, realm, expiry)


def rest(user="alice", left=600, kid="r1", realm="turn.test", order="timestamp:user-id", digest="sha1"):
    return credentials.make_rest_credential(
        key(kid, realm), user, int(time.time()) + left, order, digest
    )


def password(username, text):
    return credentials.Credential(username, password=text)


# --- the server under test ------------------------------------------------------------------------


def port(name=None):
    return int((DIR / "servers" / (name or os.environ["TC_SERVER"]) / "port").read_text())


def client(credential=None, kind="udp", name=None, **options):
    return turnclient.Client(transport.connect(kind, ("127.0.0.1", port(name))), credential, **options)


def login(credential, kind="udp", name=None, **options):
    """One Allocate with the credential, ended again: the STUN error code, 0 for success. A success
    that does not verify with the whole key raises."""
    for _ in range(4):
        c = client(credential, kind, name)
        try:
            response = c.allocate(**options)
            if response.ok:
                c.refresh(0)
        finally:
            c.close()
        if response.code != turnclient.GONE:
            break  # else the kernel gave us a port whose 5-tuple the server still holds
    return response.code


def expect(code, credential, **options):
    got = login(credential, **options)
    assert got == code, f"{credential.username!r}: {got} instead of {code}"


def log(name=None):
    path = DIR / "servers" / (name or os.environ["TC_SERVER"]) / "log"
    return path.read_text(errors="replace")


def wait_until(what, seconds=5.0, every=0.02):
    """Seconds that it took until what() was true; an assertion fails after the limit, PATIENCE times as
    long as it says (lib.bash)."""
    seconds *= float(os.environ.get("PATIENCE", "1"))
    start = time.monotonic()
    while True:
        if what():
            return time.monotonic() - start
        assert time.monotonic() - start < seconds, f"not within {seconds} s"
        time.sleep(every)


def within_a_second(*times):
    """Asserts that changes were in force after these seconds: one is promised, and a busy machine has PATIENCE of them."""
    print("seconds:", " ".join(f"{t:.3f}" for t in times))
    assert max(times) < float(os.environ.get("PATIENCE", "1")), times


def run_step(names):
    """For a file of steps (turn_step in lib.bash): calls the function that the command line names, of these names,
    with the words behind it."""
    names[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    {"key": command_key, "credential": command_credential}[sys.argv[1]](*sys.argv[2:])
