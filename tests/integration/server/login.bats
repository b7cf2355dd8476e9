#!/usr/bin/env bats
# Real clients, the real patched server, a real database: accepted and refused logins.
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
  turn_step main token_relays
}

@test "a derived credential lets in, and data goes through the relay both ways" {
  turn_step main derived_relays
}

@test "only the whole 20-octet key verifies" {
  turn main <<'PY'
import os
expect(0, token())
for octets in 16, 19:
    # HMAC fills keys up with zeros: a key that ends in 0x00 would verify with one octet less
    expect(401, token(mac_key=os.urandom(19) + b"\1", key_octets=octets))
PY
}

@test "stock coturn refuses the 20-octet client (its own key of 16 octets it takes)" {
  turncred_need "$TC_STOCK"
  local k
  k=$(base64 -w0 "$TC_DIR/keys/turn.test/k1")
  turn_step stock database_of_stock "$TC_DIR/stock.sqlite" "$k"
  server_start_plain "$TC_STOCK" stock -userdb "userdb=$TC_DIR/stock.sqlite" oauth server-name=turn.test-server
  turn_step stock stock_takes_16_octets
}

@test "a wrong key, kid, realm or server name is refused" {
  turn_step main wrong_names_and_keys
}

@test "a disabled key, one before and one after its window is refused" {
  turn main <<'PY'
for kid in "off", "early", "late":
    expect(401, token(kid))
expect(0, token("k2"))
PY
}

@test "time: expired, future-dated, lifetime 0, too long, at the edges of the skew" {
  turn_step main time_of_tokens
}

@test "time of a derived credential: expired, too far ahead, forms of the number" {
  turn_step main time_of_derived
}

@test "user ids: numbers, MSISDN, IMSI, SIP URIs, colons, UTF-8, the longest" {
  turn_step main user_ids
}

@test "a token cut at every length, with every bit flipped, too long, or empty is refused" {
  turn_step main damaged_tokens
  server_alive main
}

@test "lengths inside a token that decrypts: every wrong one is refused" {
  turn_step main lengths_inside_a_token
}

@test "an ACCESS-TOKEN after MESSAGE-INTEGRITY does not count" {
  turn_step main token_behind_integrity
}

@test "a token sent at once, fetched beforehand, needs one challenge only" {
  turn_step main one_challenge_only
}

@test "a kid of another realm is a guest only where it is listed" {
  server_start guest -realm realm=guest.test
  turn_step guest guest_kids
}

@test "a realm that offers no tokens answers 420 to one" {
  realm_add plain.test "mechanisms='{derived}'"
  key_add plain.test d9 derived
  server_start plain -realm realm=plain.test
  turn_step plain realm_without_tokens
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
  turn_step quiet thousand_logins
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
  turn_step old nobody_without_credentials
}

@test "no key, token, password or MAC octet is in any log" {
  turn_step main nothing_secret_in_the_logs
}
