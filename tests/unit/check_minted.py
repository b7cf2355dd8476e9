# SPDX-License-Identifier: BSD-3-Clause
"""check_minted.py JSON: the credential of libturncred's example is the one of the format's description."""

import base64
import hmac
import json
import struct
import sys
import time

K = b"0123456789abcdef0123456789abcdef"
c = json.loads(sys.argv[1])
user, expiry = c["username"].rsplit(":", 1)
assert user == "alice" and abs(int(expiry) - time.time() - 3600) < 60
m = b"turncred-derived-v1\0" + struct.pack(">H", 5) + b"alice" + struct.pack(">H", 11) + b"example.org"
m += struct.pack(">Q", int(expiry))
assert c["credential"] == base64.urlsafe_b64encode(hmac.new(K, m, "sha256").digest()).decode().rstrip("=")
