# SPDX-License-Identifier: BSD-3-Clause
"""The steps of login.bats: one function each, called by turn_step."""

import base64
import os
import sqlite3
import time

from support import (
    Attribute,
    client,
    credentials,
    derived,
    DIR,
    expect,
    key,
    log,
    password,
    run_step,
    stun,
    token,
    turnclient,
)


def token_relays():
    """With a token, whose session key has 20 octets, data is relayed both ways."""
    for kind in "udp", "tcp":
        c = client(token(), kind)
        response = turnclient.need("allocate", c.allocate())
        assert response.integrity is True
        peer = turnclient.Peer()
        turnclient.need("permission", c.create_permission(peer.address))
        assert turnclient.relay_once(c, peer)
        turnclient.need("channel", c.channel_bind(0x4000, peer.address))
        assert turnclient.relay_once(c, peer, 0x4000)
        turnclient.need("refresh", c.refresh())
        turnclient.need("delete", c.refresh(0))


def derived_relays():
    """With a derived credential data is relayed both ways."""
    for kind in "udp", "tcp":
        c = client(derived(), kind)
        turnclient.need("allocate", c.allocate())
        peer = turnclient.Peer()
        turnclient.need("permission", c.create_permission(peer.address))
        assert turnclient.relay_once(c, peer)
        turnclient.need("refresh", c.refresh())
        turnclient.need("delete", c.refresh(0))


def database_of_stock(path, k):
    """A database of unpatched coturn with one OAuth key, its octets in base64."""
    db = sqlite3.connect(path)
    db.executescript("""
CREATE TABLE turnusers_lt (realm varchar(127) default '', name varchar(512), hmackey char(128), PRIMARY KEY (realm,name));
CREATE TABLE turn_secret (realm varchar(127) default '', value varchar(127), primary key (realm,value));
CREATE TABLE allowed_peer_ip (realm varchar(127) default '', ip_range varchar(256), primary key (realm,ip_range));
CREATE TABLE denied_peer_ip (realm varchar(127) default '', ip_range varchar(256), primary key (realm,ip_range));
CREATE TABLE turn_origin_to_realm (origin varchar(127), realm varchar(127), primary key (origin));
CREATE TABLE turn_realm_option (realm varchar(127) default '', opt varchar(32), value varchar(128), primary key (realm,opt));
CREATE TABLE oauth_key (kid varchar(128), ikm_key varchar(256), timestamp bigint default 0, lifetime integer default 0, as_rs_alg varchar(64) default '', realm varchar(127) default '', primary key (kid));
CREATE TABLE admin_user (name varchar(32), realm varchar(127), password varchar(127), primary key (name));
""")
    db.execute("insert into oauth_key values ('k1', ?, 0, 0, 'A256GCM', 'turn.test')", (k,))
    db.commit()


def stock_takes_16_octets():
    """Unpatched coturn refuses the 20-octet key and takes its own of 16 octets."""
    expect(401, token())
    c = client(token(key_octets=16))
    try:
        c.allocate()
        raise AssertionError("the response verifies with 20 octets")
    except turnclient.Unverified:
        pass  # let in, and answered with a MAC of 16 octets


def wrong_names_and_keys():
    """A wrong key, kid, realm or server name is refused."""
    expect(401, token(k=os.urandom(32)))
    expect(401, token("nobody", k=key("k1")))
    expect(401, token("k2", k=key("k1")))
    expect(401, token("o1", realm="other.test", server_name="turn.test-server"))
    expect(401, token("o1", realm="other.test"))
    expect(401, token(server_name="other.test-server"))
    expect(401, token(server_name="Turn.test-server"))
    expect(401, derived(k=os.urandom(32)))
    expect(401, derived(kid="d1", realm="other.test"))
    expect(401, derived(k=key("k1")))
    expect(401, password("d1", "x"))


def time_of_tokens():
    """Tokens that are expired, of the future, of no lifetime, too long, and at the edges of the skew."""
    expect(401, token(age=700, lifetime=600))
    expect(401, token(age=607, lifetime=600))
    expect(0, token(age=602, lifetime=600))
    expect(401, token(age=-700, lifetime=600))
    expect(0, token(age=-300, lifetime=600))
    for age in 0, -3, 3, 10:
        expect(401, token(lifetime=0, age=age))
    expect(401, token(lifetime=86401))
    expect(401, token(lifetime=0xFFFFFFFF))
    expect(0, token(lifetime=86400))
    now = int(time.time())
    for stamp in 0, 1, 2**64 - 1, 2**63, (now + 2**32) << 16, (now - 2**32) << 16 if now > 2**32 else 5:
        t = credentials.encode_token(key("k1"), "turn.test-server", bytes(20), stamp, 600)
        expect(401, credentials.Credential("k1", mac_key=bytes(20), token=t))


def time_of_derived():
    """Derived credentials that are expired or too far ahead, and forms of the number."""
    now = int(time.time())
    expect(401, derived(left=-1))
    expect(401, derived(expiry=1))
    expect(401, derived(expiry=now + 86400 + 400))
    expect(0, derived(expiry=now + 86400 + 250))
    expect(401, derived(expiry=now + 2**32 + 600))
    k = key("d1")
    for text in f"0{now + 600}", f"{now + 600} ", f"{now + 600}x", f"+{now + 600}", f"-{now + 600}", "", "x", \
            f"{now + 600}.0", f"{now + 600}:", "9" * 16, f"{now + 600 + 2**64}":
        name = "alice:" + text
        digits = "".join(c for c in text.split(".")[0] if c.isdigit())
        p = credentials.derived_password(k, "alice", "turn.test", int(digits or 0) % 2**64)
        c = client(password(name, p))
        code = c.allocate().code
        assert code in (400, 401), (name, code)
    for name in "alice", ":", f":{now + 600}", f"alice{now + 600}":
        expect(401, password(name, credentials.derived_password(k, "alice", "turn.test", now + 600)))


def user_ids():
    """Numbers, MSISDN, IMSI, SIP URIs, colons, UTF-8, and the longest user id."""
    for user in ("1", "4915112345678", "+4915112345678", "262011234567890", "1764003600", "sip:alice@ims.example",
                 "sip:+49151@ims.example:5061;transport=tls", "a:b:c", "1764003600:1764003600", "tel:+1-201-555-0123",
                 "\u00fcml\u00e4ut@\u4f8b\u3048.jp", "%n%s%x%p", "$(id)", "x" * 492):
        expect(0, derived(user))
    expect(401, derived("x" * 493))


def damaged_tokens():
    """A token cut at every length, with every bit flipped, too long, or empty is refused."""
    good = token()
    c = client(good)
    c.challenge()

    def code(octets):
        bad = credentials.Credential(good.username, mac_key=good.mac_key, token=octets)
        response = c.exchange(c.build("ALLOCATE", [Attribute("REQUESTED-TRANSPORT", stun.requested_transport(17))], bad))
        if response.code in (401, 438):
            c.take_challenge(response)
        return response.code

    for n in range(len(good.token)):
        assert code(good.token[:n]) == 401, n
    for bit in range(8 * len(good.token)):
        octets = bytearray(good.token)
        octets[bit // 8] ^= 1 << bit % 8
        assert code(bytes(octets)) == 401, bit
    for extra in 1, 4, 100, 300, 900:
        assert code(good.token + bytes(extra)) == 401, extra
        assert code(bytes(extra)) == 401, extra
        assert code(b"\xff\xff" + bytes(extra)) == 401, extra
        assert code(b"\x03\xdf" + os.urandom(extra)) == 401, extra
    assert code(good.token) == 0


def lengths_inside_a_token():
    """A token that decrypts, but has a wrong length inside, is refused."""
    now = credentials.timestamp_of(time.time())
    k = key("k1")
    good = credentials.token_plaintext(bytes(20), now, 600)
    for plain in (b"", b"\0", b"\0\x14", good + b"\0", good[:-1], b"\0\0" + good[22:],
                  credentials.token_plaintext(bytes(19), now, 600), credentials.token_plaintext(bytes(21), now, 600),
                  credentials.token_plaintext(bytes(64), now, 600), b"\xff\xff" + good[2:]):
        t = credentials.seal("A256GCM", "none", k, "turn.test-server", plain, os.urandom(12))
        expect(401, credentials.Credential("k1", mac_key=bytes(20), token=t))
    for nonce in b"", bytes(8), bytes(11), bytes(13), bytes(16), bytes(255):
        try:
            t = credentials.seal("A256GCM", "none", k, "turn.test-server", good, nonce)
        except ValueError:
            t = len(nonce).to_bytes(2, "big") + nonce + os.urandom(50)
        expect(401, credentials.Credential("k1", mac_key=bytes(20), token=t))


def token_behind_integrity():
    """The server ignores an ACCESS-TOKEN after MESSAGE-INTEGRITY."""
    good = token()
    c = client(good)
    c.challenge()
    attributes = [Attribute("REQUESTED-TRANSPORT", stun.requested_transport(17))]
    tail = c.authentication(good, token=False)
    response = c.exchange(stun.build("ALLOCATE", attributes + tail + [Attribute("ACCESS-TOKEN", good.token)]))
    assert response.code == 401, response.code


def one_challenge_only():
    """A token that is sent at once needs one challenge only."""
    c = client(token())
    assert c.challenge().code == 401
    assert c.server_name == "turn.test-server", c.server_name
    assert c.realm == "turn.test", c.realm
    turnclient.need("allocate", c.allocate())


def guest_kids():
    """A kid of another realm is a guest only where it is listed."""
    expect(0, token("k1", server_name="guest.test-server"))
    expect(401, token("k1"))
    expect(401, token("k2", server_name="guest.test-server"))
    expect(401, token("o1", realm="other.test", server_name="guest.test-server"))
    expect(401, derived())


def realm_without_tokens():
    """A realm that offers no tokens answers 420 to one."""
    c = client(token("k1"))
    assert c.challenge().code == 401
    assert c.server_name is None
    response = c.allocate()
    assert response.code == 420, response.code
    assert response.unknown_attributes() == [0x001B], response.unknown_attributes()
    expect(0, derived(kid="d9", realm="plain.test"))


def thousand_logins():
    """1,000 logins of two kinds."""
    good, other = token(), derived()
    for i in range(500):
        expect(0, good)
        expect(0, other)
    for i in range(20):
        expect(401, token(k=bytes(32)))
        expect(401, derived(k=bytes(32)))
        expect(401, password("nobody", "x"))


def nobody_without_credentials():
    """Unpatched coturn with our configuration lets nobody in without credentials."""
    c = client()
    assert c.challenge().code == 401
    expect(401, token())
    expect(401, derived())
    expect(401, password("alice", "x"))


def nothing_secret_in_the_logs():
    """No key, token, password or MAC octet is in the log."""
    secret = token()
    expect(0, secret)
    expect(401, token(k=bytes(32)))
    d = derived("carol")
    expect(0, d)
    text = log()
    hidden = [d.password, d.key("turn.test").hex(), secret.mac_key.hex(), secret.token.hex(),
              base64.b64encode(secret.token).decode(), base64.b64encode(secret.mac_key).decode(),
              key("k1").hex(), key("d1").hex(), (DIR / "kek" / "main").read_bytes().hex()]
    for what in hidden:
        assert what.lower() not in text.lower()
        assert what[:24].lower() not in text.lower()


if __name__ == "__main__":
    run_step(globals())
