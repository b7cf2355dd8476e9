# SPDX-License-Identifier: BSD-3-Clause
"""The steps of import_live.bats: logins at a stock server before an import, and at a patched one with the module after it.

TC_DIR/logins has one login a line: KIND|NAME|USER|PASSWORD[|ORIGIN]. KIND and NAME are those of the row in the import's
list; \\xNN stands for an octet, @T for a time one hour ahead, @D for one two days ahead; a PASSWORD hmac:SECRET is made of
the user name with the secret."""

import base64
import hashlib
import hmac
import json
import time

from support import client, credentials, DIR, run_step, turnclient


class Octets:
    """A credential whose name and password need not be UTF-8."""

    def __init__(self, username, password):
        self.username, self.password = username, password
        self.token = self.mac_key = self.key_octets = None

    def key(self, realm):
        return hashlib.md5(b":".join((self.username, realm.encode(), self.password))).digest()


def octets(text):
    text = text.replace("@T", str(int(time.time()) + 3600)).replace("@D", str(int(time.time()) + 172800))
    return text.encode().decode("unicode_escape").encode("latin-1") if "\\x" in text else text.encode()


def lines():
    for line in (DIR / "logins").read_text().splitlines():
        kind, name, user, password, origin = (line.split("|") + [""])[:5]
        user = octets(user)
        if password.startswith("hmac:"):
            digest = hmac.new(octets(password[5:]), user, hashlib.sha1).digest()
            password = base64.b64encode(digest)
        else:
            password = octets(password)
        yield kind, name, Octets(user, password), origin or None


def enters(credential, origin):
    for _ in range(4):
        c = client(credential, origin=origin)
        try:
            answer = c.allocate()
            if answer.ok:
                c.refresh(0)
        finally:
            c.close()
        if answer.code != turnclient.GONE:
            break
    return answer.ok


def logins(when):
    """Tries all, and keeps who got in."""
    (DIR / when).write_text(json.dumps([enters(c, origin) for _, _, c, origin in lines()]))


def compare(expected):
    """expected: who gets in at the stock server, a 1 or 0 for each login. Whoever did does so after the import, or the
    import has named the row."""
    before, after = (json.loads((DIR / when).read_text()) for when in ("before", "after"))
    rows = json.loads((DIR / "out").read_text())
    lost = {(row["kind"], row["name"]) for row in rows if row["lost"]}
    wrong = []
    for (kind, name, credential, _), was, is_now in zip(lines(), before, after):
        named = (kind, name) in lost
        print(kind, name, credential.username, "stock", was, "now", is_now, "named" if named else "")
        if was and is_now == named:
            wrong.append((kind, name, was, is_now, named))
    assert "".join(str(int(b)) for b in before) == expected.replace(" ", ""), "the stock server behaves otherwise"
    assert not wrong, wrong


def token_enters(kid, k, server_name, key_octets, expected):
    """Whether a client with a token under the key gets in. key_octets: how many octets of the session key it uses, 16 as
    coturn does or all 20."""
    credential = credentials.make_token_credential(
        kid, bytes.fromhex(k), server_name, time.time(), 600, key_octets=int(key_octets))
    try:
        entered = enters(credential, None)
    except turnclient.Unverified:  # coturn's own answer, a success, is keyed by 16 octets, too
        assert int(key_octets) == 16
        entered = True
    assert entered == (expected == "in"), (kid, key_octets, expected)


if __name__ == "__main__":
    run_step(globals())
