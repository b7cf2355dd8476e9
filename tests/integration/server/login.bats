#!/usr/bin/env bats
# Real clients, the real patched server, a real database: who is let in and who is not.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  turncred_up "shared_preload_libraries = 'pg_stat_statements'" || return 0
  sql 'CREATE EXTENSION pg_stat_statements'
  realm_add turn.test "mechanisms='{token,derived,pushed}'" 'max_ttl=86400'
  realm_add other.test "mechanisms='{token,derived}'"
  realm_add guest.test "mechanisms='{token}'" "guest_kids='{turn.test/k1}'"
  key_add turn.test k1
  key_add turn.test k2
  key_add turn.test off token A256GCM none "state='disabled'"
  key_add turn.test early token A256GCM none "not_before=now() + interval '1 hour'"
  key_add turn.test late token A256GCM none "not_before=now() - interval '2 hours'" \
    "sign_until=now() - interval '1 hour'" "accept_until=now() - interval '1 minute'"
  key_add turn.test d1 derived
  key_add other.test o1
  key_add other.test d1 derived
  server_start main
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

@test "a token lets in, 20 octets key the HMAC, and data goes through the relay both ways" {
  turn main <<'PY'
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
PY
}

@test "a derived credential lets in, and data goes through the relay both ways" {
  turn main <<'PY'
for kind in "udp", "tcp":
    c = client(derived(), kind)
    turnclient.need("allocate", c.allocate())
    peer = turnclient.Peer()
    turnclient.need("permission", c.create_permission(peer.address))
    assert turnclient.relay_once(c, peer)
    turnclient.need("refresh", c.refresh())
    turnclient.need("delete", c.refresh(0))
PY
}

@test "only the whole 20-octet key verifies" {
  turn main <<'PY'
expect(0, token())
for octets in 16, 19:
    expect(401, token(key_octets=octets))
PY
}

@test "stock coturn refuses the 20-octet client (its own key of 16 octets it takes)" {
  turncred_need "$TC_STOCK"
  local k
  k=$(base64 -w0 "$TC_DIR/keys/turn.test/k1")
  /usr/bin/python3 - "$TC_DIR/stock.sqlite" "$k" <<'PY'
import sqlite3, sys, time
db = sqlite3.connect(sys.argv[1])
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
db.execute("insert into oauth_key values ('k1', ?, 0, 0, 'A256GCM', 'turn.test')", (sys.argv[2],))
db.commit()
PY
  server_start_plain "$TC_STOCK" stock -userdb "userdb=$TC_DIR/stock.sqlite" oauth server-name=turn.test-server
  turn stock <<'PY'
expect(401, token())
c = client(token(key_octets=16))
try:
    c.allocate()
    raise AssertionError("the response verifies with 20 octets")
except turnclient.Unverified:
    pass  # let in, and answered with a MAC of 16 octets
PY
}

@test "a wrong key, kid, realm or server name is refused" {
  turn main <<'PY'
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
PY
}

@test "a disabled key, one before and one after its window is refused" {
  turn main <<'PY'
for kid in "off", "early", "late":
    expect(401, token(kid))
expect(0, token("k2"))
PY
}

@test "time: expired, future-dated, lifetime 0, too long, at the edges of the skew" {
  turn main <<'PY'
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
PY
}

@test "time of a derived credential: expired, too far ahead, forms of the number" {
  turn main <<'PY'
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
PY
}

@test "user ids: numbers, MSISDN, IMSI, SIP URIs, colons, UTF-8, the longest" {
  turn main <<'PY'
for user in ("1", "4915112345678", "+4915112345678", "262011234567890", "1764003600", "sip:alice@ims.example",
             "sip:+49151@ims.example:5061;transport=tls", "a:b:c", "1764003600:1764003600", "tel:+1-201-555-0123",
             "\u00fcml\u00e4ut@\u4f8b\u3048.jp", "%n%s%x%p", "$(id)", "x" * 492):
    expect(0, derived(user))
expect(401, derived("x" * 493))
PY
}

@test "a token cut at every length, with every bit flipped, too long, or empty is refused" {
  turn main <<'PY'
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
PY
  server_alive main
}

@test "lengths inside a token that decrypts: every wrong one is refused" {
  turn main <<'PY'
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
PY
}

@test "ACCESS-TOKEN behind MESSAGE-INTEGRITY is none" {
  turn main <<'PY'
good = token()
c = client(good)
c.challenge()
attributes = [Attribute("REQUESTED-TRANSPORT", stun.requested_transport(17))]
tail = c.authentication(good, token=False)
response = c.exchange(stun.build("ALLOCATE", attributes + tail + [Attribute("ACCESS-TOKEN", good.token)]))
assert response.code == 401, response.code
PY
}

@test "a token sent at once, fetched beforehand, needs one challenge only" {
  turn main <<'PY'
c = client(token())
assert c.challenge().code == 401
assert c.server_name == "turn.test-server", c.server_name
assert c.realm == "turn.test", c.realm
turnclient.need("allocate", c.allocate())
PY
}

@test "a kid of another realm is a guest only where it is listed" {
  server_start guest -realm realm=guest.test
  turn guest <<'PY'
expect(0, token("k1", server_name="guest.test-server"))
expect(401, token("k1"))
expect(401, token("k2", server_name="guest.test-server"))
expect(401, token("o1", realm="other.test", server_name="guest.test-server"))
expect(401, derived())
PY
}

@test "a realm that offers no tokens answers 420 to one" {
  realm_add plain.test "mechanisms='{derived}'"
  key_add plain.test d9 derived
  server_start plain -realm realm=plain.test
  turn plain <<'PY'
c = client(token("k1"))
assert c.challenge().code == 401
assert c.server_name is None
response = c.allocate()
assert response.code == 420, response.code
assert response.unknown_attributes() == [0x001B], response.unknown_attributes()
expect(0, derived(kid="d9", realm="plain.test"))
PY
}

@test "a realm that the database does not know lets nobody in" {
  server_start unknown -realm realm=unknown.test
  turn unknown <<'PY'
expect(401, token())
expect(401, derived())
expect(401, password("alice", "x"))
PY
}

@test "1,000 logins need no SQL statement" {
  # a role of its own, and no polling meanwhile: what is counted is this server's alone
  printf 'own %s turn2\n' "$(id -un)" >>"$TC_DIR/pg/data/pg_ident.conf"
  sql 'CREATE ROLE turn2 LOGIN IN ROLE turncred_server' 'SELECT pg_reload_conf()' >/dev/null
  server_start quiet module:-database "module:database = ${TC_DATABASE/user=turn1/user=turn2}" module:-poll_interval \
    'module:poll_interval = 30m'
  turn quiet <<'PY'
expect(0, token())
PY
  wait_for 10 quiet_now
  turn quiet <<'PY'
good, other = token(), derived()
for i in range(500):
    expect(0, good)
    expect(0, other)
for i in range(20):
    expect(401, token(k=bytes(32)))
    expect(401, derived(k=bytes(32)))
    expect(401, password("nobody", "x"))
PY
  [[ $(statements) == 0 ]] || {
    sql "SELECT calls, query FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid WHERE r.rolname = 'turn2'"
    return 1
  }
}
statements() {
  sql "SELECT coalesce(sum(calls), 0) FROM pg_stat_statements s JOIN pg_roles r ON r.oid = s.userid
       WHERE r.rolname = 'turn2'"
}
# nothing for half a second
quiet_now() {
  sql 'SELECT pg_stat_statements_reset()' >/dev/null
  sleep 0.5
  [[ $(statements) == 0 ]]
}

@test "our configuration, read by stock coturn, lets nobody in without credentials" {
  turncred_need "$TC_STOCK"
  server_folder old
  sed "s,servers/main,servers/old,; s,^listening-port=.*,listening-port=$(server_port old)," \
    "$TC_DIR/servers/main/turnserver.conf" >"$TC_DIR/servers/old/turnserver.conf"
  server_run old "$TC_STOCK"
  turn old <<'PY'
c = client()
assert c.challenge().code == 401
expect(401, token())
expect(401, derived())
expect(401, password("alice", "x"))
PY
}

@test "no key, token, password or MAC octet is in any log" {
  turn main <<'PY'
secret = token()
expect(0, secret)
expect(401, token(k=bytes(32)))
d = derived("carol")
expect(0, d)
import base64
text = log()
hidden = [d.password, d.key("turn.test").hex(), secret.mac_key.hex(), secret.token.hex(),
          base64.b64encode(secret.token).decode(), base64.b64encode(secret.mac_key).decode(),
          key("k1").hex(), key("d1").hex(), (DIR / "kek" / "main").read_bytes().hex()]
for what in hidden:
    assert what.lower() not in text.lower()
    assert what[:24].lower() not in text.lower()
PY
}
