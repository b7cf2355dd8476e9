# SPDX-License-Identifier: BSD-3-Clause
"""database.py sealed_key KID | sealed_credential: what turncredctl has written, opened by another implementation.
Assertions fail where it is something else."""

import hashlib
import os
import subprocess
import sys

from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.kdf.hkdf import HKDF


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def row_of(statement):
    return output("psql", "-XqAt", "-F", "\t", "-c", statement).strip().split("\t")


def sealed_key(kid):
    """The key KID of any realm opens under TURNCRED_KEK and has the octets of the file KID."""
    row = row_of("SELECT kek_id, realm, kid, use, alg, derivation, encode(wrapped, 'hex')"
                 f" FROM turncred.key WHERE kid = '{kid}'")
    with open(os.environ["TURNCRED_KEK"], "rb") as file:
        kek = file.read()
    info = b"turncred-key-v1" + b"".join(len(f.encode()).to_bytes(2, "big") + f.encode() for f in row[:6])
    subkey = HKDF(algorithm=hashes.SHA256(), length=32, salt=b"", info=info).derive(kek)
    k = keywrap.aes_key_unwrap_with_padding(subkey, bytes.fromhex(row[6]))
    with open(os.path.join(os.environ["TC_DIR"], kid), "rb") as file:
        assert k == file.read()


def sealed_credential():
    """bob's row has neither the hashes of PASSWORD nor, in a dump of the whole database, PASSWORD itself."""
    row = row_of("SELECT extract(epoch FROM expiry)::bigint, client_address, encode(sealed, 'hex')"
                 " FROM turncred.credential WHERE username = 'bob'")
    password = os.environ["PASSWORD"]
    text = "bob:ims.example:" + password
    want = hashlib.md5(text.encode()).digest() + hashlib.sha256(text.encode()).digest()
    assert len(bytes.fromhex(row[2])) == 76 and want.hex() not in row[2]
    assert password not in output("pg_dump", "--inserts")


if __name__ == "__main__":
    {"sealed_key": sealed_key, "sealed_credential": sealed_credential}[sys.argv[1]](*sys.argv[2:])
