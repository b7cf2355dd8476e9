#!/usr/bin/env bats
# Several realms on one server: chosen by listening address, by ORIGIN, by coturn's own default.
# SPDX-License-Identifier: BSD-3-Clause

load ../lib

setup_file() {
  turncred_up || return 0
  realm_add turn.test "mechanisms='{token,derived}'"
  key_add turn.test k1
  key_add turn.test d1 derived
  realm_add origin.test "mechanisms='{token,derived}'" "origins='{https://app.example,https://app.example:8443}'"
  key_add origin.test ok1
  key_add origin.test od derived
  realm_add address.test "mechanisms='{derived}'" "listen_addresses='{127.0.0.2}'" "server_name='second.example'"
  key_add address.test ad derived
  server_start main listening-ip=127.0.0.2
}
setup() { turncred_ready; }
teardown() { turncred_check; }
teardown_file() { turncred_down; }

@test "ORIGIN chooses the realm, its server name and its keys" {
  turn_step main origin_chooses
}

@test "the listening address chooses before ORIGIN does" {
  turn_step main listening_address_first
}

@test "a client cannot choose another realm than the challenged one" {
  turn_step main challenged_realm_alone
}

@test "a realm that is added, changed or removed while the server runs" {
  realm_add late.test "mechanisms='{derived}'" "origins='{https://late.example}'"
  key_add late.test ld derived
  synced
  turn main <<'PY'
c = client(derived(kid="ld", realm="late.test"), origin="https://late.example")
turnclient.need("allocate", c.allocate())
PY
  sql "UPDATE turncred.realm SET mechanisms = '{token}', server_name = 'late.example' WHERE name = 'late.test'"
  synced
  turn main <<'PY'
c = client(derived(kid="ld", realm="late.test"), origin="https://late.example")
assert c.allocate().code == 401
assert c.server_name == "late.example"
PY
  sql "DELETE FROM turncred.realm WHERE name = 'late.test'"
  synced
  turn main <<'PY'
c = client(origin="https://late.example")
c.challenge()
assert c.realm == "turn.test", c.realm
PY
}

@test "offer_tokens shown: a client that shows nothing gets the challenge of a realm without tokens" {
  turn_step main offered_to_everybody
  sql "UPDATE turncred.realm SET offer_tokens = 'shown' WHERE name = 'turn.test'"
  synced
  turn_step main offered_to_who_shows
  sql "UPDATE turncred.realm SET offer_tokens = 'always' WHERE name = 'turn.test'"
  synced
  turn_step main offered_to_everybody
}

@test "a key that is added works within a second, with no restart" {
  turn_step main added_key_works
}

@test "a row that does not open is refused, named once, and harms no other" {
  key_add turn.test swapped
  sql "UPDATE turncred.key SET wrapped = (SELECT wrapped FROM turncred.key WHERE realm = 'turn.test' AND kid = 'k1')
       WHERE realm = 'turn.test' AND kid = 'swapped'"
  synced
  turn main <<'PY'
expect(401, token("swapped"))
expect(401, token("swapped", k=key("k1")))
expect(0, token("k1"))
PY
  log_has main 'swapped'
  [[ $(grep -c swapped <(server_log main | grep -v refused)) -le 2 ]]
}
